package observe

import (
	"net/netip"

	"cordon"
	"cordon/agent/observe/dns"
	"cordon/internal/ascii"
)

const (
	// maxServices is the most service types that one mDNS message tells; the
	// rest is not seen. Our choice; no message of the captures tried has three.
	maxServices = 16
	// maxRecords is how many records of one mDNS message are read. It bounds the
	// work on a hostile one, as each may have to be compared with each other.
	maxRecords = 128
)

// service is one service type met in an mDNS message.
type service struct {
	kind  dns.Name // where its "_x._tcp.local" is
	model []byte
	rank  int // of the key that gave model, in modelKeys
}

// announcement reads an mDNS (RFC 6762, RFC 6763) or LLMNR (RFC 4795) response
// as what its sender says about itself. Queries tell nothing: who asks for a
// name is not known by it, and a probe (RFC 6762 §8.1) may be lost to another.
func (r *Reader) announcement() {
	m := &r.dns
	if m.Parse(r.p.Payload) != nil {
		r.stats.Malformed++
		return
	}
	if !m.Response || m.Opcode != 0 || m.RCode != 0 { // RFC 6762 §18.3, §18.11
		return
	}
	host, proof := r.host()
	if proof == refuted || r.p.SrcPort == portLLMNR && proof != proven {
		r.stats.Foreign++
		return
	}
	var (
		name []byte
		err  error
	)
	if proof != unknown {
		if name, err = m.AppendName(r.name[:0], host); err != nil {
			r.stats.Malformed++
			return
		}
	}
	if r.p.SrcPort == portMDNS {
		name = trimLocal(name)
	}
	r.announce(name, host, proof)
}

// announce yields a fact for each service type of host, or one with the name
// alone.
func (r *Reader) announce(name []byte, host dns.Name, proof proof) {
	services := r.offered(host, proof)
	if len(name) == 0 && len(services) == 0 {
		return
	}
	addrs := r.owned(host, proof)
	if len(services) == 0 {
		o := r.fact(cordon.FactMDNS)
		o.Name, o.Addrs = name, addrs
		r.yield(o)
	}
	for i := range services {
		s := &services[i]
		o := r.fact(cordon.FactMDNS)
		o.Name, o.Addrs, o.Model = name, addrs, s.model
		o.Service = r.appendKind(r.text[:0], s.kind)
		r.yield(o)
	}
}

// proof is how sure it is that a message speaks for its sender.
type proof uint8

const (
	unknown  proof = iota // it names no host, or several
	unproven              // it names one host, and nothing speaks against it
	proven                // it gives a host the address that it was sent from
	refuted               // it gives addresses, and not that one
)

// host returns which host the sender is. The host whose address record is the
// packet's source is; without such a record the only host that is named at all.
// When there are addresses that could be the source but are not, somebody else
// is meant: a sleep proxy or a repeater between networks sent it.
func (r *Reader) host() (host dns.Name, p proof) {
	several, foreign := false, false
	it := r.dns.Records()
	for range maxRecords {
		if !it.Next() {
			break
		}
		n := it.Name
		a, ok := it.Addr()
		if it.Type == dns.TypeSRV {
			n, ok = it.Target()
		}
		if !ok || it.TTL == 0 { // names no host; a goodbye, RFC 6762 §10.1
			continue
		}
		switch {
		case a == r.p.Src:
			return n, proven
		case comparable(a, r.p.Src):
			foreign = true
		}
		if p == unknown && !several {
			host, p = n, unproven
		} else if !r.dns.Equal(host, n) {
			several, p = true, unknown
		}
	}
	if foreign {
		return host, refuted
	}
	return host, p
}

// comparable reports whether a host that has src and tells a would have told
// src as well: hosts list all their addresses of a kind (RFC 6762 §6.2), but
// some leave out link-local ones when they have others.
func comparable(a, src netip.Addr) bool {
	return a.IsValid() && a.Is4() == src.Is4() && a.IsLinkLocalUnicast() == src.IsLinkLocalUnicast()
}

// owned returns the addresses that the message gives host.
func (r *Reader) owned(host dns.Name, p proof) []netip.Addr {
	addrs := r.addrs[:0]
	if p == unknown {
		return addrs
	}
	it := r.dns.Records()
	for range maxRecords {
		if !it.Next() || len(addrs) == MaxAddrs {
			break
		}
		if a, ok := it.Addr(); ok && it.TTL > 0 && r.dns.Equal(it.Name, host) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// offered returns the service types that the message names, each once, except
// those whose SRV record leads to another host.
func (r *Reader) offered(host dns.Name, p proof) []service {
	found := r.services[:0]
	it := r.dns.Records()
	for range maxRecords {
		if !it.Next() {
			break
		}
		instance, ok := it.Name, it.Type == dns.TypeSRV || it.Type == dns.TypeTXT
		if it.Type == dns.TypePTR {
			instance, ok = it.Target()
		}
		if !ok || it.TTL == 0 {
			continue
		}
		// The data of a PTR record that lists service types (RFC 6763 §9) is a
		// type and therefore has no SRV record.
		kind, ok := r.kind(instance)
		if !ok || p != unknown && r.elsewhere(instance, host) {
			continue
		}
		found = r.add(found, kind, &it.Record)
	}
	if it.Err() != nil {
		r.stats.Malformed++
	}
	return found
}

// add puts kind into found, with what a TXT record says about the model.
func (r *Reader) add(found []service, kind dns.Name, rec *dns.Record) []service {
	i := 0
	for i < len(found) && !r.dns.Equal(found[i].kind, kind) {
		i++
	}
	if i == len(found) {
		if i == maxServices {
			return found
		}
		found = append(found, service{kind: kind, rank: len(modelKeys)})
	}
	if s := &found[i]; rec.Type == dns.TypeTXT {
		raop := r.label(kind, "_raop")
		if model, rank := modelOf(rec.Data, raop); rank < s.rank {
			s.model, s.rank = model, rank
		}
	}
	return found
}

// elsewhere reports whether an SRV record says that instance is on another
// host.
func (r *Reader) elsewhere(instance, host dns.Name) bool {
	it := r.dns.Records()
	for range maxRecords {
		if !it.Next() {
			break
		}
		if it.Type == dns.TypeSRV && r.dns.Equal(it.Name, instance) {
			target, ok := it.Target()
			return !ok || !r.dns.Equal(target, host)
		}
	}
	return false
}

// kind returns where the service type begins in a name that ends with one:
// "_service._tcp.local" or "_service._udp.local" (RFC 6763 §4.1.2).
func (r *Reader) kind(n dns.Name) (kind dns.Name, ok bool) {
	for labels := 0; labels < 128; labels++ {
		label, rest, err := r.dns.Label(n)
		if err != nil || len(label) == 0 {
			return n, false
		}
		if label[0] == '_' && (r.label(rest, "_tcp") || r.label(rest, "_udp")) {
			_, domain, _ := r.dns.Label(rest)
			_, root, _ := r.dns.Label(domain)
			if r.label(domain, "local") && r.label(root, "") {
				return n, !ascii.EqualFold(label, "_dns-sd")
			}
		}
		n = rest
	}
	return n, false
}

// label reports whether the first label of n is s.
func (r *Reader) label(n dns.Name, s string) bool {
	label, _, err := r.dns.Label(n)
	return err == nil && ascii.EqualFold(label, s)
}

// appendKind appends the two labels of a service type, as in "_hap._tcp".
func (r *Reader) appendKind(dst []byte, kind dns.Name) []byte {
	service, rest, _ := r.dns.Label(kind)
	proto, _, _ := r.dns.Label(rest)
	dst = append(ascii.AppendLower(dst, service), '.')
	return ascii.AppendLower(dst, proto)
}

// modelKeys are the TXT keys that makers tell a model in, the best first: model
// (AirPlay, _device-info), md (HomeKit, Cast), modelid (Hue), mdl (Sonos), am
// (AirPlay audio), ty and usb_mdl (Bonjour Printing Specification); then
// those with the maker alone.
var modelKeys = [...]string{"model", "md", "modelid", "modelname", "mdl", "am", "ty", "usb_mdl", "manufacturer", "vendor", "usb_mfg"}

// modelOf returns the model that the data of a TXT record (RFC 6763 §6) tells
// and the rank of its key, len(modelKeys) if none. In AirPlay audio (raop) md is
// not a model but a list of metadata types.
func modelOf(data []byte, raop bool) (model []byte, rank int) {
	rank = len(modelKeys)
	for text, rest, ok := dns.NextText(data); ok; text, rest, ok = dns.NextText(rest) {
		for i, key := range modelKeys[:rank] {
			n := len(key)
			if len(text) > n+1 && text[n] == '=' && ascii.EqualFold(text[:n], key) && !(raop && key == "md") {
				model, rank = text[n+1:], i
				break
			}
		}
	}
	return model, rank
}

// trimLocal cuts ".local" off a host name; a name of another domain is not what
// mDNS is for, and is nothing.
func trimLocal(name []byte) []byte {
	const local = ".local"
	if n := len(name) - len(local); n > 0 && string(name[n:]) == local {
		return name[:n]
	}
	return nil
}
