package synth

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"cordon"
	"cordon/lab/synth/world"
)

// segments calls f with every TCP segment over IP and the address it comes from.
func segments(t *testing.T, file []byte, f func(at cordon.Time, src, dst netip.Addr, tcp *layers.TCP)) {
	t.Helper()
	each(t, file, func(info gopacket.CaptureInfo, data []byte) {
		p := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.NoCopy)
		tcp, _ := p.TransportLayer().(*layers.TCP)
		if tcp == nil {
			return
		}
		src, _ := netip.AddrFromSlice(p.NetworkLayer().NetworkFlow().Src().Raw())
		dst, _ := netip.AddrFromSlice(p.NetworkLayer().NetworkFlow().Dst().Raw())
		f(cordon.TimeOf(info.Timestamp), src, dst, tcp)
	})
}

// inside reports whether addr is of the home.
func inside(addr netip.Addr) bool {
	return world.Prefix4.Contains(addr) || world.Prefix6.Contains(addr)
}

// In the home of a dead server nothing comes from the internet but a few resets,
// and the server is asked for by name before it is tried.
func TestDeadServerOnTheWire(t *testing.T) {
	file, report := capture(t, "scan-deadc2", short(0))
	var in, scan, server int
	segments(t, file, func(_ cordon.Time, src, dst netip.Addr, tcp *layers.TCP) {
		switch {
		case !inside(src):
			in++
		case tcp.DstPort == 1312 && tcp.SYN:
			server++
		case tcp.DstPort == 23 && tcp.SYN:
			scan++
		}
	})
	if in > 3 || server < 10 || scan < 40*15 {
		t.Errorf("%d segments came in, %d SYNs to the server, %d to telnet", in, server, scan)
	}
	if all := sayings(t, file, report.Truth[0].Address); first(all, 0, contains("gone")) == len(all) {
		t.Error("nobody asked for the server's name")
	}
}

// A block is scanned on 200 ports of 64 addresses, 200 a second, and the junk of
// a hidden scan is forty times its telnet.
func TestWideScansOnTheWire(t *testing.T) {
	for _, c := range []struct {
		scenario     string
		rate         int // SYNs a second, the first of each connection
		hosts, ports int // at least
		telnet       float64
	}{
		{"scan-block", 200, 64, 200, 1.0 / 200},
		{"scan-hidden", 100, 3000, 41, 1.0 / 41},
	} {
		file, report := capture(t, c.scenario, short(0))
		hosts, ports, seqs := map[netip.Addr]bool{}, map[layers.TCPPort]int{}, map[uint32]bool{}
		segments(t, file, func(at cordon.Time, src, dst netip.Addr, tcp *layers.TCP) {
			if at < report.Truth[0].At || src != report.Truth[0].Address || inside(dst) || !tcp.SYN || seqs[tcp.Seq] {
				return
			}
			seqs[tcp.Seq], hosts[dst] = true, true
			ports[tcp.DstPort]++
		})
		count := float64(len(seqs)) / 40
		if count < 0.9*float64(c.rate) || count > 1.1*float64(c.rate) || len(hosts) < c.hosts || len(ports) < c.ports {
			t.Errorf("%s: %.0f SYNs a second to %d hosts on %d ports", c.scenario, count, len(hosts), len(ports))
		}
		if share := float64(ports[23]) / float64(len(seqs)); share < c.telnet/2 || share > c.telnet*2 {
			t.Errorf("%s: a share of %.4f goes to telnet, want about %.4f", c.scenario, share, c.telnet)
		}
	}
}

// A FIN scan is FINs alone, one a port; closed ports reset them, open ones are
// silent.
func TestFINScanOnTheWire(t *testing.T) {
	file, report := capture(t, "scan-fin", short(0))
	tried, closed := map[layers.TCPPort]bool{}, map[layers.TCPPort]bool{}
	var nas netip.Addr
	var last cordon.Time
	segments(t, file, func(at cordon.Time, src, dst netip.Addr, tcp *layers.TCP) {
		switch {
		case tcp.FIN && !tcp.ACK && src == report.Truth[0].Address:
			tried[tcp.DstPort], nas, last = true, dst, at
			if tcp.SYN || tcp.RST || len(tcp.Options) > 0 {
				t.Fatalf("not a bare FIN: %v", tcp)
			}
		case tcp.RST && src == nas && dst == report.Truth[0].Address:
			closed[tcp.SrcPort] = true
		}
	})
	if len(tried) != 1000 || len(closed) != 1000-5 || closed[22] { // 22, 80, 139, 443, 445
		t.Errorf("%d ports tried, %d closed", len(tried), len(closed))
	}
	if took := last.Sub(report.Truth[0].At); took > report.Truth[0].Within {
		t.Errorf("it takes %v, its truth gives %v", took, report.Truth[0].Within)
	}
}

// In the home without IPv6 nobody asks the router's resolver on behalf of a page,
// and every host is tried over IPv6 in vain.
func TestPrivatePagesOnTheWire(t *testing.T) {
	file, _ := capture(t, "twin-eyeballs-doh", short(0))
	six, in6, four := map[netip.Addr]bool{}, 0, map[netip.Addr]bool{}
	segments(t, file, func(_ cordon.Time, src, dst netip.Addr, tcp *layers.TCP) {
		switch {
		case src.Is6() && !inside(src):
			in6++
		case tcp.DstPort != 443 || !tcp.SYN:
		case dst.Is6():
			six[dst] = true
		default:
			four[dst] = true
		}
	})
	if in6 != 0 || len(six) < 60 || len(four) < 60 {
		t.Errorf("%d hosts over IPv6, %d over IPv4, %d segments came back over IPv6", len(six), len(four), in6)
	}
	if all := sayings(t, file, netip.MustParseAddr("192.168.1.1")); first(all, 0, contains("part")) < len(all) {
		t.Error("the resolver of the home was asked for part of a page")
	}
}

// The exposed camera answers nothing but with resets.
func TestExposedOnTheWire(t *testing.T) {
	o := Options{Seed: 7, Duration: 2 * time.Minute}
	file, _ := capture(t, "twin-dmz", o)
	const camera = "192.168.1.20"
	var asked, reset, forged int
	segments(t, file, func(_ cordon.Time, src, dst netip.Addr, tcp *layers.TCP) {
		switch {
		case dst.String() == camera && tcp.SYN && tcp.ACK && tcp.SrcPort == 25565:
			forged++
		case src.String() == camera && tcp.RST:
			reset++
		}
	})
	for _, s := range sayings(t, file, netip.MustParseAddr(camera)) {
		switch {
		case s.dst.Port() == 6881 || s.dst.Port() == 5060:
			asked++
		case s.src.Port() == 6881 || s.src.Port() == 5060:
			t.Fatalf("it answers %v", s.dst)
		}
	}
	if asked < 40 || reset < 30 || forged < 3 {
		t.Errorf("%d questions, %d resets, %d forged", asked, reset, forged)
	}
}
