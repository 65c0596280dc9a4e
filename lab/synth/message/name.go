// Package message makes the payloads that devices and servers exchange: names,
// leases, hellos, announcements. Every function returns bytes and knows nothing
// of addresses below it or of when they are sent, so that the same contents can
// go into a capture file or through a real socket.
package message

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

var be = binary.BigEndian

// The DNS record types used (RFC 1035 §3.2.2, RFC 3596, RFC 9460).
const (
	TypeA     = 1
	TypePTR   = 12
	TypeTXT   = 16
	TypeAAAA  = 28
	TypeSRV   = 33
	TypeHTTPS = 65
)

// DNSQuery asks a resolver for one name (RFC 1035 §4).
func DNSQuery(id uint16, name string, kind uint16) []byte {
	b := dnsHeader(id, 0x0100, 1, 0, 0, 0)
	return dnsQuestion(b, name, kind, 1)
}

// DNSAnswer answers DNSQuery with addresses of the family asked for. Without
// addresses and with rcode 0 it says that the name has none (RFC 2308 §2.2).
func DNSAnswer(id uint16, name string, kind uint16, rcode uint8, ttl uint32, addrs ...netip.Addr) []byte {
	authority := 0
	if len(addrs) == 0 {
		authority = 1
	}
	b := dnsHeader(id, 0x8180|uint16(rcode), 1, len(addrs), authority, 0)
	b = dnsQuestion(b, name, kind, 1)
	for _, a := range addrs {
		b = be.AppendUint16(b, 0xc00c) // the question's name
		b = dnsRecord(b, kind, 1, ttl, a.AsSlice())
	}
	if authority == 1 {
		b = append(dnsName(b, parent(name)), dnsRecord(nil, 6, 1, 900, soa(parent(name)))...)
	}
	return b
}

func parent(name string) string {
	if _, rest, ok := strings.Cut(name, "."); ok && strings.Contains(rest, ".") {
		return rest
	}
	return name
}

func soa(zone string) []byte {
	b := dnsName(nil, "ns1."+zone)
	b = dnsName(b, "hostmaster."+zone)
	for _, n := range []uint32{2026030100, 7200, 900, 1209600, 900} {
		b = be.AppendUint32(b, n)
	}
	return b
}

// MDNSQuery asks the neighbours for instances of services (RFC 6762 §5).
func MDNSQuery(services ...string) []byte {
	b := dnsHeader(0, 0, len(services), 0, 0, 0)
	for _, s := range services {
		b = dnsQuestion(b, s, TypePTR, 1)
	}
	return b
}

// MDNSAnnounce says that host, at addr, offers a service on port, with the
// model and more in its text record (RFC 6763).
func MDNSAnnounce(host, service, instance string, port uint16, addr netip.Addr, text ...string) []byte {
	const flush, ttl = 0x8000, 120 // RFC 6762 §10: cache flush, two minutes
	full, local := instance+"."+service, host+".local"
	b := dnsHeader(0, 0x8400, 0, 4, 0, 0)
	b = append(dnsName(b, service), dnsRecord(nil, TypePTR, 1, 4500, dnsName(nil, full))...)
	srv := be.AppendUint16([]byte{0, 0, 0, 0}, port)
	b = append(dnsName(b, full), dnsRecord(nil, TypeSRV, 1|flush, ttl, dnsName(srv, local))...)
	var txt []byte
	for _, t := range text {
		txt = append(append(txt, byte(len(t))), t...)
	}
	if len(txt) == 0 {
		txt = []byte{0}
	}
	b = append(dnsName(b, full), dnsRecord(nil, TypeTXT, 1|flush, 4500, txt)...)
	return append(dnsName(b, local), dnsRecord(nil, TypeA, 1|flush, ttl, addr.AsSlice())...)
}

func dnsHeader(id, flags uint16, questions, answers, authorities, additional int) []byte {
	b := be.AppendUint16(make([]byte, 0, 160), id)
	b = be.AppendUint16(b, flags)
	for _, n := range []int{questions, answers, authorities, additional} {
		b = be.AppendUint16(b, uint16(n))
	}
	return b
}

func dnsQuestion(b []byte, name string, kind, class uint16) []byte {
	return be.AppendUint16(be.AppendUint16(dnsName(b, name), kind), class)
}

// dnsRecord is a resource record behind its name.
func dnsRecord(b []byte, kind, class uint16, ttl uint32, data []byte) []byte {
	b = be.AppendUint16(be.AppendUint16(b, kind), class)
	b = be.AppendUint16(be.AppendUint32(b, ttl), uint16(len(data)))
	return append(b, data...)
}

// dnsName appends name label by label; a dot is always a border.
func dnsName(b []byte, name string) []byte {
	for label := range strings.SplitSeq(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0)
}
