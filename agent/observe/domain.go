package observe

import (
	"net/netip"
	"slices"

	"cordon"
	"cordon/agent/observe/dns"
)

// maxChain is the most names of one answer that are followed, the question
// among them. BIND and Unbound give up at 11 to 16 aliases, so a longer chain
// is of no use to whoever asked.
const maxChain = 16

// domain reads one unicast DNS message. Answers count from port 53 and queries
// to it, so that nothing else that uses the port with one side tells a fact.
func (r *Reader) domain(b []byte) {
	m := &r.dns
	if m.Parse(b) != nil {
		r.stats.Malformed++
		return
	}
	q, ok := m.Question()
	if !ok || m.Opcode != 0 {
		return
	}
	name, err := m.AppendName(r.name[:0], q.Name)
	if err != nil {
		r.stats.Malformed++
		return
	}
	switch {
	case m.Response && r.p.SrcPort == portDNS:
		o := r.fact(cordon.FactDNSAnswer)
		o.Peer = r.p.Src
		o.Name, o.DNSType, o.RCode = name, q.Type, m.RCode
		o.Addrs, o.TTL = r.told(q.Name)
		r.yield(o)
	case !m.Response && r.p.DstPort == portDNS:
		o := r.fact(cordon.FactDNSQuery)
		o.Name, o.DNSType = name, q.Type
		r.yield(o)
	}
}

// told returns the addresses of the answer section whose owner is the question
// or an alias reached from it, and the shortest of their lives in seconds.
//
// Aliases come in the order in which they are followed, but need not (RFC 1034
// §3.6.2 does not say): when one was met too late, the section is read again.
func (r *Reader) told(question dns.Name) (addrs []netip.Addr, ttl uint32) {
	chain := append(r.chain[:0], question)
	for again := true; again; {
		known, missed := len(chain), false
		addrs, ttl = r.addrs[:0], 0
		it := r.dns.Records()
		for it.Next() && it.Section == dns.Answer {
			if it.Type != dns.TypeCNAME && it.Type != dns.TypeA && it.Type != dns.TypeAAAA {
				continue
			}
			if !r.reached(chain, it.Name) {
				missed = true
				continue
			}
			if a, ok := it.Addr(); ok && len(addrs) < MaxAddrs {
				if len(addrs) == 0 || it.TTL < ttl {
					ttl = it.TTL
				}
				addrs = append(addrs, a)
			}
			if alias, ok := it.Target(); ok && len(chain) < maxChain && !r.reached(chain, alias) {
				chain = append(chain, alias)
			}
		}
		if it.Err() != nil && known == 1 {
			r.stats.Malformed++
		}
		again = missed && len(chain) > known
	}
	return addrs, ttl
}

func (r *Reader) reached(chain []dns.Name, n dns.Name) bool {
	return slices.ContainsFunc(chain, func(c dns.Name) bool { return r.dns.Equal(c, n) })
}
