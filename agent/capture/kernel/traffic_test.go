package kernel

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"cordon"
	"cordon/lab/synth/frame"
)

// round lets the interval of now end, and returns what was told of it.
func (r *rig) round() map[cordon.MAC]cordon.Traffic {
	r.t.Helper()
	r.later(Interval)
	all := make(map[cordon.MAC]cordon.Traffic)
	err := r.Traffic(cordon.Time(r.Now()), func(t *cordon.Traffic) {
		if _, twice := all[t.MAC]; twice {
			r.t.Errorf("told twice of %v", t.MAC)
		}
		all[t.MAC] = *t
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// still lets an interval begin, which is long enough for what a test sends.
func (r *rig) still() {
	now := r.Now()
	r.later(Interval - time.Duration(now%int64(Interval)) + 20*time.Millisecond)
}

func TestTraffic(t *testing.T) {
	r := newRig(t, 1)
	r.round()
	r.still()
	pad := make([]byte, 60)
	for i := range 3 {
		r.send(0, r.tcp(camera, uint16(4000+i), server, 23, frame.SYN, nil))
		r.out(0, r.tcp(server, 23, camera, uint16(4000+i), frame.SYN|frame.ACK, nil))
		r.send(0, r.tcp(camera, uint16(4000+i), server, 23, frame.ACK, nil))
	}
	for range 5 {
		r.send(0, r.udp(camera, 5000, server, 9, pad))
		r.out(0, r.udp(server, 9, camera, 5000, pad))
		r.send(0, append([]byte(nil), r.frame.ICMP(ends(camera, server), net6(camera, server), 128, 0, []byte{0, 1, 0, 1})...))
		r.send(0, append([]byte(nil), r.frame.IP(ends(camera, server), net4(camera, server), 47, []byte{0, 0, 8, 0})...))
		r.send(0, append([]byte(nil), r.frame.IP(ends(camera, server), net4(camera, server), 50, pad)...))
		r.send(0, r.udp(laptop, 5000, server, 53, pad))
	}
	for _, inside := range []station{laptop, router, group, nobody} { // none of these leaves the home
		r.send(0, r.udp(camera, 5000, inside, 9, pad))
		r.send(0, append([]byte(nil), r.frame.UDP(ends(camera, inside), net6(camera, inside), 5000, 9, pad)...))
	}
	all := r.round()
	if len(all) != 2 {
		t.Errorf("told of %d devices, want 2: %v", len(all), all)
	}
	got := all[camera.mac]
	want := cordon.Traffic{MAC: camera.mac, At: got.At, Span: Interval, Heard: true, Dests: got.Dests, Ports: got.Ports, Top: got.Top}
	want.Out[cordon.SortSYN], want.In[cordon.SortSYN] = cordon.Count{Packets: 3, Bytes: 120}, cordon.Count{Packets: 3, Bytes: 120}
	want.Out[cordon.SortTCP] = cordon.Count{Packets: 3, Bytes: 120}
	want.Out[cordon.SortUDP], want.In[cordon.SortUDP] = cordon.Count{Packets: 5, Bytes: 440}, cordon.Count{Packets: 5, Bytes: 440}
	want.Out[cordon.SortICMP] = cordon.Count{Packets: 5, Bytes: 5 * 48}
	want.Out[cordon.SortGRE] = cordon.Count{Packets: 5, Bytes: 5 * 24}
	want.Out[cordon.SortOther] = cordon.Count{Packets: 5, Bytes: 5 * 80}
	if got != want {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	if at := time.Duration(got.At) % Interval; at != 0 {
		t.Errorf("the interval ended at %v", at)
	}
	if n := all[laptop.mac].Out[cordon.SortUDP]; n.Packets != 5 {
		t.Errorf("laptop sent %d, want 5", n.Packets)
	}
	if again := r.round(); len(again) != 0 {
		t.Errorf("told again: %v", again)
	}
}

// TestSpoofed: what a device sends from an address that is not the home's, flow or
// not, also when the home's prefixes change under a flow.
func TestSpoofed(t *testing.T) {
	r := newRig(t, 1)
	r.round()
	r.still()
	forged := station{camera.mac, addr("203.0.113.99"), addr("2001:db8:9::1")}
	for i := range 4 {
		r.send(0, r.tcp(forged, uint16(4000+i), server, 80, frame.SYN, nil))
		r.send(0, append([]byte(nil), r.frame.UDP(ends(forged, server), net6(forged, server), 1, 2, payload)...))
	}
	link := station{camera.mac, addr("169.254.1.1"), addr("fe80::1")}
	r.send(0, r.udp(link, 1, server, 9, payload))
	r.send(0, r.udp(camera, 1, server, 9, payload))
	if n := r.round()[camera.mac].Spoofed; n.Packets != 8 || n.Bytes != 4*(40+48+uint64(len(payload))) {
		t.Errorf("%+v spoofed, want 8 packets", n)
	}
	if err := r.SetHome(append(home, netip.MustParsePrefix("203.0.113.0/24"))); err != nil {
		t.Fatal(err)
	}
	r.still()
	r.send(0, r.tcp(forged, 4000, server, 80, frame.SYN, nil))
	r.send(0, append([]byte(nil), r.frame.UDP(ends(forged, server), net6(forged, server), 1, 2, payload)...))
	if n := r.round()[camera.mac].Spoofed; n.Packets != 1 {
		t.Errorf("%+v spoofed, want the IPv6 packet", n)
	}
	if err := r.SetHome(append(make([]netip.Prefix, 16), home[0])); err == nil {
		t.Error("17 prefixes were taken")
	}
}

// TestTop: the network that gets most, the address and port if there is one.
func TestTop(t *testing.T) {
	for _, c := range []struct {
		name string
		to   func(i int) (dst uint32, port uint16)
		want cordon.Top
	}{
		{"one host", func(int) (uint32, uint16) { return 0xc6336407, 80 },
			cordon.Top{Net: netip.MustParsePrefix("198.51.100.0/24"), Addr: addr("198.51.100.7"), Port: 80, Packets: 100}},
		{"its ports", func(i int) (uint32, uint16) { return 0xc6336407, uint16(i) },
			cordon.Top{Net: netip.MustParsePrefix("198.51.100.0/24"), Addr: addr("198.51.100.7"), Packets: 100}},
		{"a carpet", func(i int) (uint32, uint16) { return 0xc6336400 + uint32(i), 80 },
			cordon.Top{Net: netip.MustParsePrefix("198.51.100.0/24"), Port: 80, Packets: 100}},
		{"three of four", func(i int) (uint32, uint16) { return 0xc6336407 + uint32(i%4/3)<<8, 80 },
			cordon.Top{Net: netip.MustParsePrefix("198.51.100.0/24"), Addr: addr("198.51.100.7"), Port: 80, Packets: 75}},
		{"everywhere", func(i int) (uint32, uint16) { return uint32(0x08000000 + i<<8), 80 }, cordon.Top{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 1)
			r.round()
			r.still()
			f := r.udp(camera, 5000, server, 9, payload)
			for i := range 100 {
				dst, port := c.to(i)
				binary.BigEndian.PutUint32(f[30:], dst)
				binary.BigEndian.PutUint16(f[36:], port)
				r.send(0, f)
			}
			if got := r.round()[camera.mac].Top[cordon.SortUDP]; got != c.want {
				t.Errorf("top %+v, want %+v", got, c.want)
			}
		})
	}
	t.Run("IPv6", func(t *testing.T) {
		r := newRig(t, 1)
		r.round()
		r.still()
		for range 10 {
			r.send(0, append([]byte(nil), r.frame.UDP(ends(camera, server), net6(camera, server), 1, 2, payload)...))
		}
		want := cordon.Top{Net: netip.MustParsePrefix("2001:db8:1::/48"), Addr: server.v6, Port: 2, Packets: 10}
		if got := r.round()[camera.mac].Top[cordon.SortUDP]; got != want {
			t.Errorf("top %+v, want %+v", got, want)
		}
	})
}

// TestDistinct: the estimates are near the truth up to a few hundred.
func TestDistinct(t *testing.T) {
	for _, n := range []int{1, 2, 10, 50, 200, 400} {
		r := newRig(t, 1, func(c *Config) { c.Rate, c.Burst = 1, 8 })
		r.round()
		r.still()
		f := r.udp(camera, 5000, server, 9, payload)
		for i := range n {
			binary.BigEndian.PutUint32(f[30:], uint32(0x08000000+i*7919))
			binary.BigEndian.PutUint16(f[36:], uint16(1000+i%20))
			if err := r.pairs[0].Device.Send(f); err != nil {
				t.Fatal(err)
			}
			r.sent++
		}
		r.seen()
		got := r.round()[camera.mac]
		if d := float64(got.Dests) / float64(n); d < 0.8 || d > 1.25 {
			t.Errorf("%d destinations estimated as %d", n, got.Dests)
		}
		if p := float64(got.Ports) / float64(min(n, 20)); p < 0.8 || p > 1.25 {
			t.Errorf("%d ports estimated as %d", min(n, 20), got.Ports)
		}
	}
}
