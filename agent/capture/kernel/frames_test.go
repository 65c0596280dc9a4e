package kernel

import (
	"bytes"
	"slices"
	"testing"

	"cordon/agent/packet"
	"cordon/lab/synth/frame"
)

// TestEveryFrameThatMeansSomething: each is handed over, whole, however often.
func TestEveryFrameThatMeansSomething(t *testing.T) {
	r := newRig(t, 1)
	b := &r.frame
	echo := []byte{0, 1, 0, 1, 'p', 'i', 'n', 'g'}
	quoted := r.tcp(camera, 4000, server, 23, frame.SYN, nil)[14:]
	solicit := append(make([]byte, 4), router.v6.AsSlice()...)
	for _, c := range []struct {
		name  string
		out   bool
		frame []byte
		often int // of that many
		times int // so many are handed over
	}{
		{"ARP", false, bytes.Clone(b.ARP(ends(camera, nobody), 1, camera.mac, camera.v4, router.mac, router.v4)), 12, 12},
		{"DNS question", false, r.udp(camera, 5000, server, 53, payload), 12, 12},
		{"DNS answer", true, r.udp(server, 53, camera, 5000, payload), 12, 12},
		{"DHCP", false, r.udp(camera, 68, nobody, 67, payload), 12, 12},
		{"mDNS", false, r.udp(camera, 5353, group, 5353, payload), 12, 12},
		{"SSDP", false, r.udp(camera, 5000, group, 1900, payload), 12, 12},
		{"neighbour solicitation", false, bytes.Clone(b.ICMP(ends(camera, group), net6(camera, group), 135, 0, solicit)), 12, 12},
		{"router advertisement", true, bytes.Clone(b.ICMP(ends(router, group), net6(router, group), 134, 0, make([]byte, 12))), 12, 12},
		{"ICMP error", true, bytes.Clone(b.ICMP(ends(server, camera), net4(server, camera), 3, 1, append(make([]byte, 4), quoted[:28]...))), 12, 12},
		{"ICMPv6 error", true, bytes.Clone(b.ICMP(ends(server, camera), net6(server, camera), 1, 0, append(make([]byte, 4), quoted...))), 12, 12},
		{"SYN", false, r.tcp(camera, 4001, server, 23, frame.SYN, nil), 12, 12},
		{"FIN", false, r.tcp(camera, 4002, server, 23, frame.FIN|frame.ACK, nil), 12, 12},
		{"RST", true, r.tcp(server, 23, camera, 4003, frame.RST, nil), 12, 12},
		{"data", false, r.tcp(camera, 4004, server, 23, frame.ACK, payload), 12, 8},
		{"UDP data", true, r.udp(server, 9, camera, 4005, payload), 12, 8},
		{"bare ACK", false, r.tcp(camera, 4006, server, 23, frame.ACK, nil), 12, 1},
		{"ping", false, bytes.Clone(b.ICMP(ends(camera, server), net4(camera, server), 8, 0, echo)), 12, 8},
		{"GRE", false, bytes.Clone(b.IP(ends(camera, server), net4(camera, server), 47, append([]byte{0, 0, 8, 0}, payload...))), 12, 8},
		{"other multicast", false, r.udp(camera, 5000, group, 9999, payload), 12, 0},
		{"IGMP", false, bytes.Clone(b.IGMP(ends(camera, group), net4(camera, group), make([]byte, 8))), 12, 0},
		{"LLDP", false, append(slices.Concat(nobody.mac[:], camera.mac[:]), 0x88, 0xcc, 1, 2, 3), 12, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := bytes.Clone(c.frame)
			for range c.often {
				if c.out {
					r.out(0, f)
				} else {
					r.send(0, f)
				}
			}
			got := r.drain()
			if len(got) != c.times {
				t.Fatalf("%d of %d handed over, want %d", len(got), c.often, c.times)
			}
			for _, g := range got {
				if !bytes.Equal(g.Data, f) || g.Len != len(f) || g.Link != packet.LinkEthernet {
					t.Fatalf("%x of %d, want %x", g.Data, g.Len, f)
				}
			}
		})
	}
}
