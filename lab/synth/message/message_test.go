package message

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var addr = netip.MustParseAddr("192.0.2.7")

func chance() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func TestDNS(t *testing.T) {
	for _, c := range []struct {
		name      string
		message   []byte
		questions int
		answers   int
	}{
		{"query", DNSQuery(7, "www.example.com", TypeA), 1, 0},
		{"answer", DNSAnswer(7, "www.example.com", TypeA, 0, 300, addr), 1, 1},
		{"no such address", DNSAnswer(7, "www.example.com", TypeAAAA, 0, 300), 1, 0},
		{"mDNS query", MDNSQuery("_ipp._tcp.local", "_hap._tcp.local"), 2, 0},
		{"mDNS announcement", MDNSAnnounce("hub", "_hap._tcp.local", "Hub", 80, addr, "md=BSB002"), 0, 4},
	} {
		var d layers.DNS
		if err := d.DecodeFromBytes(c.message, gopacket.NilDecodeFeedback); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if len(d.Questions) != c.questions || len(d.Answers) != c.answers {
			t.Errorf("%s: %d questions and %d answers, want %d and %d", c.name, len(d.Questions), len(d.Answers), c.questions, c.answers)
		}
		if c.name == "answer" && (string(d.Answers[0].Name) != "www.example.com" || d.Answers[0].IP.String() != addr.String() || d.Answers[0].TTL != 300) {
			t.Errorf("answer: %+v", d.Answers[0])
		}
	}
}

func TestDHCP(t *testing.T) {
	l := Lease{Transaction: 9, Addr: addr, Server: netip.MustParseAddr("192.168.1.1"), Seconds: 600, Host: "cam", Vendor: "udhcp", Params: []byte{1, 3, 6}}
	for kind, want := range map[byte]layers.DHCPMsgType{
		DHCPDiscover: layers.DHCPMsgTypeDiscover, DHCPOffer: layers.DHCPMsgTypeOffer,
		DHCPRequest: layers.DHCPMsgTypeRequest, DHCPAck: layers.DHCPMsgTypeAck,
	} {
		var d layers.DHCPv4
		if err := d.DecodeFromBytes(DHCP(kind, l), gopacket.NilDecodeFeedback); err != nil {
			t.Fatal(err)
		}
		found := map[layers.DHCPOpt][]byte{}
		for _, o := range d.Options {
			found[o.Type] = o.Data
		}
		if layers.DHCPMsgType(found[layers.DHCPOptMessageType][0]) != want || d.Xid != 9 {
			t.Errorf("type %d: %+v", kind, d)
		}
		client := want == layers.DHCPMsgTypeDiscover || want == layers.DHCPMsgTypeRequest
		if got := string(found[layers.DHCPOptHostname]) == "cam"; got != client {
			t.Errorf("type %d has the host name: %v, want %v", kind, got, client)
		}
		if !client && d.YourClientIP.String() != addr.String() {
			t.Errorf("type %d offers %v, want %v", kind, d.YourClientIP, addr)
		}
	}
}

// The lengths of a TLS message nest; the server's name stands in the hello.
func TestTLS(t *testing.T) {
	hello := ClientHello(chance(), "camera.example.com", "h2")
	if int(be.Uint16(hello[3:])) != len(hello)-5 || int(be.Uint16(hello[7:])) != len(hello)-9 {
		t.Errorf("hello of %d bytes: lengths %d and %d", len(hello), be.Uint16(hello[3:]), be.Uint16(hello[7:]))
	}
	if !bytes.Contains(hello, []byte("\x00\x12camera.example.com")) {
		t.Error("the hello names no server")
	}
	for _, b := range [][]byte{hello, ServerHello(chance(), 2500), Finished(chance()), Sealed(chance(), 40000)} {
		records := 0
		for ; len(b) >= 5 && len(b) >= 5+int(be.Uint16(b[3:])); records++ {
			b = b[5+int(be.Uint16(b[3:])):]
		}
		if records == 0 || len(b) != 0 {
			t.Errorf("%d records, then %d bytes left", records, len(b))
		}
	}
	if n := len(Sealed(chance(), 40000)); n != 40000+3*5 {
		t.Errorf("40,000 bytes become %d, want three records", n)
	}
	if n := len(QUICInitial(chance(), make([]byte, 8), make([]byte, 8))); n != 1200 {
		t.Errorf("the first QUIC datagram has %d bytes, want 1,200 (RFC 9000 §14.1)", n)
	}
}

func TestSTUNReplyHidesTheAddress(t *testing.T) {
	b := STUNReply([12]byte{1}, netip.AddrPortFrom(addr, 4660))
	port, ip := be.Uint16(b[26:])^0x2112, be.Uint32(b[28:])^0x2112a442
	if len(b) != 32 || port != 4660 || ip != 0xc0000207 {
		t.Errorf("% x: port %d, address %08x", b, port, ip)
	}
}

// The two bytes of a ping tell MQTT from a bot's keep-alive (detection.md §A3).
func TestMQTT(t *testing.T) {
	if !bytes.Equal(MQTTPing(), []byte{0xc0, 0}) || !bytes.Equal(MQTTPong(), []byte{0xd0, 0}) {
		t.Errorf("% x, % x", MQTTPing(), MQTTPong())
	}
	want := []byte{0x10, 15, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 3, 'd', 'e', 'v'}
	if got := MQTTConnect("dev", 60); !bytes.Equal(got, want) {
		t.Errorf("connect: % x, want % x", got, want)
	}
}
