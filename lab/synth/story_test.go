package synth

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"cordon"
	"cordon/lab/synth/message"
)

// said is the payload of one packet.
type said struct {
	at       cordon.Time
	src, dst netip.AddrPort
	bytes    []byte
}

// sayings returns the payloads of TCP and UDP over IPv4 to and from addr.
func sayings(t *testing.T, file []byte, addr netip.Addr) (all []said) {
	t.Helper()
	each(t, file, func(info gopacket.CaptureInfo, data []byte) {
		p := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.NoCopy)
		ip, _ := p.NetworkLayer().(*layers.IPv4)
		if ip == nil || p.TransportLayer() == nil || len(p.TransportLayer().LayerPayload()) == 0 {
			return
		}
		var ports [2]uint16
		switch l := p.TransportLayer().(type) {
		case *layers.TCP:
			ports = [2]uint16{uint16(l.SrcPort), uint16(l.DstPort)}
		case *layers.UDP:
			ports = [2]uint16{uint16(l.SrcPort), uint16(l.DstPort)}
		}
		src, _ := netip.AddrFromSlice(ip.SrcIP)
		dst, _ := netip.AddrFromSlice(ip.DstIP)
		if src == addr || dst == addr {
			all = append(all, said{cordon.TimeOf(info.Timestamp), netip.AddrPortFrom(src, ports[0]), netip.AddrPortFrom(dst, ports[1]),
				bytes.Clone(p.TransportLayer().LayerPayload())})
		}
	})
	return all
}

// first returns the first saying from i on that fits, or the end.
func first(all []said, i int, fits func(*said) bool) int {
	for ; i < len(all); i++ {
		if fits(&all[i]) {
			return i
		}
	}
	return i
}

// contains fits what has text in it.
func contains(text string) func(*said) bool {
	return func(s *said) bool { return bytes.Contains(s.bytes, []byte(text)) }
}

// The whole story is there and in order: refused, let in, loaded, logged in at
// the server that the truth names, spreading, commanded.
func TestInfectionIsToldInOrder(t *testing.T) {
	file, report := capture(t, "infection", Options{Seed: 7, Duration: 6 * time.Minute})
	var kinds []cordon.Kind
	for _, truth := range report.Truth {
		kinds = append(kinds, truth.Kind)
	}
	want := []cordon.Kind{cordon.BruteforceInbound, cordon.InfectionChain, cordon.C2Keepalive, cordon.ScanMirai, cordon.ScanHorizontal, cordon.BruteforceOutbound}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Fatal(diff)
	}
	server := netip.MustParseAddrPort(report.Truth[2].Subject)
	all := sayings(t, file, report.Truth[0].Address)
	at := 0
	for _, step := range []struct {
		name  string
		truth int // that it belongs to: not before its At, and before Within has passed
		fits  func(*said) bool
	}{
		{"refused", 0, contains("Login incorrect")},
		{"let in", 0, contains("MIRAI: applet not found")},
		{"loader", -1, contains("ECCHI: applet not found")},
		{"order to fetch", -1, contains("wget http://")},
		{"fetched", 1, contains("User-Agent: Wget")},
		{"binary", 1, contains("\x7fELF\x01\x02\x01")},
		{"question at 8.8.8.8", 1, func(s *said) bool { return s.dst.String() == "8.8.8.8:53" }},
		{"log-in", 2, func(s *said) bool { return s.dst == server && bytes.Equal(s.bytes, message.MiraiLogin()) }},
		{"keep-alive", 2, func(s *said) bool { return s.dst == server && bytes.Equal(s.bytes, message.MiraiAlive()) }},
		{"echo", 2, func(s *said) bool { return s.src == server && bytes.Equal(s.bytes, message.MiraiAlive()) }},
		{"guess", 5, func(s *said) bool { return s.dst.Port() == 23 && bytes.HasPrefix(s.bytes, []byte("guess")) }},
		{"refusal", 5, contains("Login incorrect")},
		{"report", -1, func(s *said) bool { return s.dst.Port() == 48101 }},
		{"command", -1, func(s *said) bool { return s.src == server && len(s.bytes) > 8 }},
		{"attack", -1, func(s *said) bool { return s.dst.Port() == 7777 }},
	} {
		if at = first(all, at, step.fits); at == len(all) {
			t.Fatalf("%s: not there, or not in order", step.name)
		}
		if step.truth >= 0 {
			truth := report.Truth[step.truth]
			if late := all[at].at.Sub(truth.At); late < 0 || late > truth.Within {
				t.Errorf("%s: %v after its truth %s, which gives %v", step.name, late, truth.Kind, truth.Within)
			}
		}
	}
}

// A keep-alive comes every minute for an hour, each answered with its like, and
// its server is known by address only.
func TestKeepAliveForAnHour(t *testing.T) {
	file, report := capture(t, "c2-only", Options{Seed: 7})
	server := netip.MustParseAddrPort(report.Truth[0].Subject)
	var sent []cordon.Time
	echoed := 0
	for _, s := range sayings(t, file, report.Truth[0].Address) {
		switch {
		case s.dst == server && bytes.Equal(s.bytes, message.MiraiAlive()):
			sent = append(sent, s.at)
		case s.src == server && bytes.Equal(s.bytes, message.MiraiAlive()):
			echoed++
		case s.dst.Port() == 53 && contains("loader")(&s):
			t.Error("the server was asked for by name")
		}
	}
	if len(sent) < 55 || echoed != len(sent) {
		t.Fatalf("%d keep-alives, %d echoed, want 55 and as many", len(sent), echoed)
	}
	for i := range len(sent) - 1 {
		if gap := sent[i+1].Sub(sent[i]); gap < 59*time.Second || gap > 61*time.Second {
			t.Errorf("keep-alive %d comes after %v", i+1, gap)
		}
	}
}

// What makes each attacker an attacker is on the wire within the time that its
// truth gives, and the twin beside it has the same words without that.
func TestDeedsOnTheWire(t *testing.T) {
	for _, c := range []struct {
		scenario, word string
		at             int // how often at least
		twin           string
	}{
		{"telnet-guess", "Login incorrect", 5, ""},
		{"ssh-guess", "SSH-2.0-libssh2", 5, "twin-guess"},
		{"ssh-guessed", "SSH-2.0-libssh2", 5, "twin-guess"},
		{"ftp-guess", "530 Login incorrect", 10, ""},
		{"http-guess", "401 Unauthorized", 10, ""},
		{"exploit", "/bins/mirai.mips", 2, ""},
		{"exploited", "/GponForm/", 1, ""},
		{"irc-bot", ".udp ", 1, "twin-irc"},
		{"dht-bot", "d1:ad2:id20:88888888", 10, "twin-p2p"},
	} {
		o := Options{Seed: 7, Duration: 3 * time.Minute}
		file, report := capture(t, c.scenario, o)
		truth, found := report.Truth[0], 0
		for _, s := range sayings(t, file, truth.Address) {
			if s.at >= truth.At && s.at.Sub(truth.At) < truth.Within && contains(c.word)(&s) {
				found++
			}
		}
		if found < c.at {
			t.Errorf("%s: %q %d times while its truth holds, want %d", c.scenario, c.word, found, c.at)
		}
		if c.twin == "" {
			continue
		}
		twin, report := capture(t, c.twin, o)
		if bytes.Contains(twin, []byte(c.word)) || len(report.Truth) > 0 {
			t.Errorf("%s says %q, too", c.twin, c.word)
		}
	}
}

// The twins have what a careless detector would stumble over.
func TestTwinsAreTemptations(t *testing.T) {
	for _, c := range []struct {
		scenario string
		words    []string
	}{
		{"twin-downloader", []string{"User-Agent: Wget", "\x7fELF", ".ipk"}},
		{"twin-telnet", []string{"Login incorrect"}},
		{"twin-guess", []string{"530 Login incorrect", "401 Unauthorized", "SSH-2.0-OpenSSH_8.4p1"}},
		{"twin-exploit", []string{"/boaform/admin/formLogin", "/HNAP1/", "wget+http://", "/bin/busybox"}},
		{"twin-keepalive", []string{"\xa5\x01", "\xc0\x00", "\xd0\x00"}},
		{"twin-irc", []string{"PRIVMSG #gardening"}},
		{"twin-p2p", []string{"d1:ad2:id20:", "BitTorrent protocol"}},
		{"twin-admin", []string{"SSH-2.0-OpenSSH_9.6"}},
		{"twin-nvr", []string{"Authorization: Basic", "401 Unauthorized"}},
		{"twin-irc-help", []string{" :!help", " :.get it", " :@update please"}},
		{"twin-openport", []string{"GET /part/"}},
		{"twin-dmz", []string{"d1:ad2:id20:", "OPTIONS sip:"}},
	} {
		file, _ := capture(t, c.scenario, Options{Seed: 7, Duration: 4 * time.Minute})
		for _, word := range c.words {
			if !bytes.Contains(file, []byte(word)) {
				t.Errorf("%s does not say %q", c.scenario, word)
			}
		}
	}
}

// Hide and Seek: nine bytes a second, always the same, from one port, each to
// somebody else, and nobody answers.
func TestHideAndSeekOnTheWire(t *testing.T) {
	file, report := capture(t, "p2p-bot", short(0))
	var hello []byte
	var peers []netip.AddrPort
	for _, s := range sayings(t, file, report.Truth[0].Address) {
		if len(s.bytes) != 9 {
			continue
		}
		if hello == nil {
			hello = s.bytes
		}
		if !bytes.Equal(hello, s.bytes) || slices.Contains(peers, s.dst) {
			t.Fatalf("% x to %v", s.bytes, s.dst)
		}
		peers = append(peers, s.dst)
	}
	if len(peers) < 38 || len(peers) > 42 {
		t.Errorf("%d datagrams in 40 s", len(peers))
	}
}
