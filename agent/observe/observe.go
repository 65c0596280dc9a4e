// Package observe reads facts from packets: which names a device asked for and
// what it was told, what it calls itself, which neighbours it looks for.
//
// agent.Run gives a Reader each parsed packet that Wants accepts, in the order
// of the capture; out come Observations for the device table and the detectors.
// The formats of outside bytes have packages of their own below this one (dns,
// dhcp, dhcp6, ssdp); this one decides what a message proves about its sender. A
// message that speaks for somebody else, such as a sleep proxy's, proves
// nothing and tells nothing.
package observe

import (
	"net/netip"

	"cordon"
	"cordon/agent/observe/dhcp"
	"cordon/agent/observe/dhcp6"
	"cordon/agent/observe/dns"
	"cordon/agent/observe/ssdp"
	"cordon/agent/packet"
)

// The ports looked at (IANA service names).
const (
	portDNS         = 53
	portDHCPServer  = 67
	portDHCPClient  = 68
	portDHCP6Server = 547
	portSSDP        = 1900
	portMDNS        = 5353
	portLLMNR       = 5355
)

// MaxText is the most bytes of a name, model or service that a fact tells; the
// rest is cut off. 255 is the longest domain name, RFC 1035 §3.1.
const MaxText = 255

// MaxAddrs is the most addresses that one fact tells. Answers with more are
// rare, and of those a forged one could bring in many; the rest is not seen.
const MaxAddrs = 16

// Config of a Reader.
type Config struct {
	// Streams is how many directions of DNS-over-TCP connections may be
	// in the middle of a message at the same time, 4 KiB each. Default 16; when
	// there are more, the one idle for longest is forgotten.
	Streams int
}

// Stats counts what a Reader did not tell, by reason.
type Stats struct {
	Malformed      uint64 // messages that could not be read to the end
	Foreign        uint64 // announcements on behalf of somebody else
	StreamsEvicted uint64 // DNS-over-TCP streams forgotten in the middle of a message
	StreamsBroken  uint64 // DNS-over-TCP streams dropped at a gap
}

// Reader turns packets into facts. It owns the buffers that facts alias, so it
// is for one goroutine, and it allocates nothing after New.
type Reader struct {
	stats   Stats
	streams streams

	// Of the current packet.
	p     *packet.Packet
	yield func(*cordon.Observation)
	obs   cordon.Observation

	dns   dns.Message
	dhcp  dhcp.Message
	dhcp6 dhcp6.Message
	ssdp  ssdp.Message

	chain    [maxChain]dns.Name
	services [maxServices]service
	addrs    [MaxAddrs]netip.Addr
	name     [MaxText]byte
	text     [MaxText]byte
	client   [7]byte
}

// New returns a Reader.
func New(cfg Config) *Reader {
	if cfg.Streams <= 0 {
		cfg.Streams = defaultStreams
	}
	return &Reader{streams: newStreams(cfg.Streams)}
}

// Stats returns the counters since New.
func (r *Reader) Stats() Stats { return r.stats }

// Wants reports whether p may hold a fact. It looks at layers and ports only.
func Wants(p *packet.Packet) bool {
	switch {
	case p.Any(packet.HasUDP):
		return wantsUDP(p.SrcPort) || wantsUDP(p.DstPort)
	case p.Any(packet.HasTCP):
		return p.SrcPort == portDNS || p.DstPort == portDNS
	case p.Any(packet.HasICMPv6):
		return p.ICMPType >= typeRouterAdvertisement && p.ICMPType <= typeAdvertisement
	}
	return p.Any(packet.HasARP)
}

func wantsUDP(port uint16) bool {
	switch port {
	case portDNS, portDHCPServer, portDHCPClient, portDHCP6Server, portSSDP, portMDNS, portLLMNR:
		return true
	}
	return false
}

// Facts calls yield for each fact that p tells, mostly none or one. The
// observation and what its slices point to are valid during that call only.
//
// Device is left nil: it is the device of p's destination for FactDNSAnswer and
// of p's source for every other fact; Peer is the other side of the packet.
func (r *Reader) Facts(p *packet.Packet, now cordon.Time, yield func(*cordon.Observation)) {
	r.p, r.yield, r.obs.At = p, yield, now
	switch {
	case p.Any(packet.HasUDP):
		r.udp()
	case p.Any(packet.HasTCP):
		r.tcp()
	case p.Any(packet.HasICMPv6):
		r.ndp()
	case p.Any(packet.HasARP):
		r.arp()
	}
	r.p, r.yield = nil, nil
}

// udp picks the reader by port.
func (r *Reader) udp() {
	p := r.p
	switch {
	case p.SrcPort == portDNS, p.DstPort == portDNS:
		r.domain(p.Payload)
	case p.SrcPort == portMDNS, p.SrcPort == portLLMNR:
		r.announcement()
	case p.DstPort == portDHCPServer, p.SrcPort == portDHCPServer:
		r.lease()
	case p.DstPort == portDHCP6Server:
		r.lease6()
	case p.SrcPort == portSSDP, p.DstPort == portSSDP:
		r.discovery()
	}
}

// fact returns the observation to fill in, reset, about the packet's source.
func (r *Reader) fact(f cordon.Fact) *cordon.Observation {
	r.obs = cordon.Observation{Fact: f, At: r.obs.At, Peer: r.p.Dst}
	return &r.obs
}

// address yields a fact that is one address of its own.
func (r *Reader) address(f cordon.Fact, a netip.Addr) {
	o := r.fact(f)
	r.addrs[0] = a
	o.Addrs = r.addrs[:1]
	r.yield(o)
}

// cut bounds b to MaxText bytes.
func cut(b []byte) []byte { return b[:min(len(b), MaxText)] }
