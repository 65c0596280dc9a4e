package synth

import (
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"cordon"
	"cordon/lab/synth/attack"
	"cordon/lab/synth/world"
)

// doubts is what Wireshark must not find, with all checksums checked: damaged
// messages, segments that do not follow from each other, wrong sums.
const doubts = "_ws.malformed || tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment || " +
	"tcp.analysis.out_of_order || tcp.analysis.duplicate_ack || tcp.analysis.window_full || " +
	"ip.checksum.status==0 || tcp.checksum.status==0 || udp.checksum.status==0 || " +
	"icmp.checksum.status==0 || icmpv6.checksum.status==0"

func TestWiresharkHasNoDoubts(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("needs tshark: apt-get install tshark")
	}
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			o := short(40000)
			if s.Name == "infection" {
				o = Options{Seed: 7, Duration: 6 * time.Minute} // the whole story
			}
			file, _ := capture(t, s.Name, o)
			path := filepath.Join(t.TempDir(), "home.pcap")
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(tshark, "-n", "-r", path, "-o", "ip.check_checksum:TRUE",
				"-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-Y", doubts).Output()
			if err != nil {
				t.Fatalf("tshark: %v", err)
			}
			if len(out) > 0 {
				t.Errorf("tshark doubts:\n%.2000s", out)
			}
		})
	}
}

// A SYN of Mirai's scanner as detection.md §A1 describes it: 40 bytes, the
// destination as its sequence number, one source port, TTL 64, 160 a second,
// every tenth to 2323, all in one burst.
func TestMiraiOnTheWire(t *testing.T) {
	file, report := capture(t, "mirai", short(0))
	start := report.Truth[0].At
	var first, count, other, spread int
	sources := map[layers.TCPPort]bool{}
	each(t, file, func(info gopacket.CaptureInfo, data []byte) {
		tcp, ip := syn(data)
		if tcp == nil || tcp.DstPort != 23 && tcp.DstPort != 2323 {
			return
		}
		count++
		sources[tcp.SrcPort] = true
		dst := binary.BigEndian.Uint32(ip.DstIP.To4())
		if ip.Length != 40 || tcp.Seq != dst || ip.TTL != 64 || ip.SrcIP.String() != report.Truth[0].Address.String() {
			t.Fatalf("SYN %d is not Mirai's: %v %v", count, ip, tcp)
		}
		if tcp.DstPort == 2323 {
			other++
		}
		since := cordon.TimeOf(info.Timestamp).Sub(start)
		if since < time.Second {
			first++
		}
		if since%time.Second > 20*time.Millisecond {
			spread++
		}
	})
	if first != attack.MiraiBurst || len(sources) != 1 || count < 39*attack.MiraiBurst {
		t.Errorf("%d SYNs in the first second from %d source ports, %d in all", first, len(sources), count)
	}
	if share := float64(other) / float64(count); share < 0.08 || share > 0.12 {
		t.Errorf("a share of %.3f goes to 2323, want a tenth", share)
	}
	if spread > count/10 {
		t.Errorf("%d of %d SYNs are outside of the bursts", spread, count)
	}
}

// syn returns the headers of an initial SYN over IPv4, nil for anything else.
func syn(data []byte) (*layers.TCP, *layers.IPv4) {
	p := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.NoCopy)
	ip, _ := p.NetworkLayer().(*layers.IPv4)
	tcp, _ := p.TransportLayer().(*layers.TCP)
	if ip == nil || tcp == nil || !tcp.SYN || tcp.ACK {
		return nil, nil
	}
	return tcp, ip
}

// No SYN of an ordinary device is bare or carries its destination.
func TestOrdinarySYNsHaveOptions(t *testing.T) {
	for _, s := range []string{"busy", "twin-mirai", "twin-horizontal", "scan-horizontal"} {
		file, _ := capture(t, s, short(0))
		each(t, file, func(_ gopacket.CaptureInfo, data []byte) {
			if tcp, ip := syn(data); tcp != nil && (len(tcp.Options) == 0 || tcp.Seq == binary.BigEndian.Uint32(ip.DstIP.To4())) {
				t.Fatalf("%s: a bare SYN: %v %v", s, ip, tcp)
			}
		})
	}
}

// While the line is cut nothing comes in from the internet. What was under way
// in its first quarter of a second may.
func TestOutage(t *testing.T) {
	o := Options{Seed: 3, Duration: 2 * time.Minute}
	file, report := capture(t, "outage", o)
	from := cordon.TimeOf(Epoch).Add(40 * time.Second)
	var before, during, after, tried int
	each(t, file, func(info gopacket.CaptureInfo, data []byte) {
		p := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.NoCopy)
		ip, _ := p.NetworkLayer().(*layers.IPv4)
		if ip == nil {
			return
		}
		src, _ := netip.AddrFromSlice(ip.SrcIP)
		inside := world.Prefix4.Contains(src) || src.IsUnspecified()
		switch since := cordon.TimeOf(info.Timestamp).Sub(from); {
		case inside && since > 0 && since < 40*time.Second:
			tried++
		case inside:
		case since < 250*time.Millisecond:
			before++
		case since < 40*time.Second:
			during++
		default:
			after++
		}
	})
	if during != 0 || before < 1000 || after < 1000 || tried < 100 {
		t.Errorf("in: %d before, %d during, %d after; out: %d during (%d packets)", before, during, after, tried, report.Packets)
	}
}

// Every conversation of a device with the internet goes through the router's MAC
// and has lost hops on the way in.
func TestRouterForwards(t *testing.T) {
	file, _ := capture(t, "busy", short(40000))
	router := "3c:a6:2f"
	each(t, file, func(_ gopacket.CaptureInfo, data []byte) {
		p := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.NoCopy)
		eth := p.LinkLayer().(*layers.Ethernet)
		ip, _ := p.NetworkLayer().(*layers.IPv4)
		if ip == nil {
			return
		}
		src, _ := netip.AddrFromSlice(ip.SrcIP)
		outside := !world.Prefix4.Contains(src) && !src.IsUnspecified()
		if outside && (!strings.HasPrefix(eth.SrcMAC.String(), router) || ip.TTL >= 64) {
			t.Fatalf("from the internet, but not through the router: %v", p)
		}
	})
}
