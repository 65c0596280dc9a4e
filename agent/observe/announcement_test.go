package observe

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	peer "github.com/miekg/dns"

	"cordon"
	"cordon/agent/packet"
)

// lamp is what a HomeKit lamp at the test device's address announces.
func lamp(t testing.TB) []byte {
	return message(t, "", 0,
		"_hap._tcp.local. 4500 IN PTR Mr\\.\\ Lamp._hap._tcp.local.",
		"--",
		"Mr\\.\\ Lamp._hap._tcp.local. 120 IN SRV 0 0 80 Lamp-1.local.",
		"Mr\\.\\ Lamp._hap._tcp.local. 4500 IN TXT \"id=1\" \"MD=Lamp X1\"",
		"lamp-1.local. 120 IN A 192.168.1.10",
		"lamp-1.local. 120 IN AAAA fe80::10",
	)
}

func mdns(name, service, model, addrs string) fact {
	return fact{Fact: cordon.FactMDNS, Peer: multi.String(), Name: name, Service: service, Model: model, Addrs: addrs}
}

func TestAnnouncement(t *testing.T) {
	from := func(src string, records ...string) *packet.Packet {
		return udp(netip.MustParseAddr(src), portMDNS, multi, portMDNS, message(t, "", 0, records...))
	}
	query := udp(device, portMDNS, multi, portMDNS, message(t, "lamp-1.local.", peer.TypeA))
	unicast := udp(device, 5000, multi, portMDNS, lamp(t))
	llmnr := udp(device, portLLMNR, resolver, 5000, message(t, "PC-7.", peer.TypeA, "PC-7. 30 IN A 192.168.1.10"))
	llmnrOther := udp(device, portLLMNR, resolver, 5000, message(t, "PC-7.", peer.TypeA, "PC-7. 30 IN A 192.168.1.11"))
	many := []string{"h.local. 120 IN A 192.168.1.10"}
	for i := range 20 {
		many = append(many, "x._s"+string(rune('a'+i))+"._tcp.local. 120 IN SRV 0 0 80 h.local.")
	}
	tests := []struct {
		name string
		in   *packet.Packet
		want []fact
	}{
		{"service", udp(device, portMDNS, multi, portMDNS, lamp(t)), []fact{mdns("lamp-1", "_hap._tcp", "Lamp X1", "192.168.1.10 fe80::10")}},
		{"over IPv6", udp(netip.MustParseAddr("fe80::10"), portMDNS, multi, portMDNS, lamp(t)),
			[]fact{mdns("lamp-1", "_hap._tcp", "Lamp X1", "192.168.1.10 fe80::10")}},
		{"name only", from("192.168.1.10", "TV.local. 120 IN A 192.168.1.10"), []fact{mdns("tv", "", "", "192.168.1.10")}},
		{"several services", from("192.168.1.10", "tv.local. 120 IN A 192.168.1.10",
			"a._airplay._tcp.local. 120 IN TXT \"model=TV5,3\"", "a._raop._tcp.local. 120 IN TXT \"md=0,1,2\" \"am=TV5,3\"",
			"_services._dns-sd._udp.local. 120 IN PTR _companion-link._tcp.local."),
			[]fact{mdns("tv", "_airplay._tcp", "TV5,3", "192.168.1.10"), mdns("tv", "_raop._tcp", "TV5,3", "192.168.1.10"),
				mdns("tv", "_companion-link._tcp", "", "192.168.1.10")}},
		{"subtype", from("192.168.1.10", "_printer._sub._http._tcp.local. 120 IN PTR P._http._tcp.local.", "P._http._tcp.local. 9 IN SRV 0 0 80 p.local."),
			[]fact{mdns("p", "_http._tcp", "", "")}},
		{"model before maker", from("192.168.1.10", "p._ipp._tcp.local. 120 IN TXT \"usb_MFG=Ink\" \"ty=Ink Jet 5\" \"model=\""),
			[]fact{mdns("", "_ipp._tcp", "Ink Jet 5", "")}},
		{"sleep proxy", from("192.168.1.2", "_ssh._tcp.local. 9 IN PTR mac._ssh._tcp.local.", "mac._ssh._tcp.local. 9 IN SRV 0 0 22 mac.local.",
			"mac.local. 120 IN A 192.168.1.10"), nil},
		{"proxy with itself", from("192.168.1.2", "mac._ssh._tcp.local. 9 IN SRV 0 0 22 mac.local.", "mac.local. 120 IN A 192.168.1.10",
			"box._sleep-proxy._udp.local. 9 IN SRV 0 0 1 box.local.", "box.local. 120 IN A 192.168.1.2"),
			[]fact{mdns("box", "_sleep-proxy._udp", "", "192.168.1.2")}},
		{"two hosts, no addresses", from("192.168.1.2", "a._ssh._tcp.local. 9 IN SRV 0 0 22 a.local.", "b._ssh._tcp.local. 9 IN SRV 0 0 22 b.local."),
			[]fact{mdns("", "_ssh._tcp", "", "")}},
		{"other family only", from("fe80::10", "tv.local. 120 IN A 192.168.1.10"), []fact{mdns("tv", "", "", "192.168.1.10")}},
		{"goodbye", from("192.168.1.10", "tv.local. 0 IN A 192.168.1.10", "a._ssh._tcp.local. 0 IN SRV 0 0 22 tv.local."), nil},
		{"not a local name", from("192.168.1.10", "tv.example. 120 IN A 192.168.1.10"), nil},
		{"no service type", from("192.168.1.10", "1.0.0.10.in-addr.arpa. 120 IN PTR tv.local."), nil},
		{"query", query, nil},
		{"response from another port", unicast, nil},
		{"LLMNR", llmnr, []fact{{Fact: cordon.FactMDNS, Peer: "192.168.1.1", Name: "pc-7", Addrs: "192.168.1.10"}}},
		{"LLMNR for another", llmnrOther, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, collect(New(Config{}), tt.in)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
	if got := collect(New(Config{}), from("192.168.1.10", many...)); len(got) != maxServices {
		t.Errorf("20 services: told %d, want %d", len(got), maxServices)
	}
}

// lease is a DHCP message with the given options.
func lease(op byte, options string) []byte {
	b := make([]byte, 240)
	b[0], b[1], b[2] = op, 1, 6
	copy(b[28:], mac[:])
	copy(b[236:], "\x63\x82\x53\x63")
	return append(b, options...)
}

func TestLease(t *testing.T) {
	zero, all := netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("255.255.255.255")
	client := func(b []byte) *packet.Packet { return udp(zero, portDHCPClient, all, portDHCPServer, b) }
	server := func(b []byte) *packet.Packet { return udp(resolver, portDHCPServer, all, portDHCPClient, b) }
	const all4 = "255.255.255.255"
	relayed := lease(1, "\x35\x01\x01")
	relayed[24] = 10
	renewing := lease(1, "\x35\x01\x03")
	copy(renewing[12:], "\xc0\xa8\x01\x0a")
	repeater := client(lease(1, "\x35\x01\x01"))
	repeater.SrcMAC = packet.MAC{2, 0, 0, 0, 0, 9}
	tests := []struct {
		name string
		in   *packet.Packet
		want []fact
	}{
		{"discover", client(lease(1, "\x35\x01\x01\x0c\x05Cam-7\x3c\x05udhcp\x37\x02\x01\x03\x3d\x03\x00ab\x32\x04\xc0\xa8\x01\x0a\xff")),
			[]fact{{Fact: cordon.FactDHCP, Peer: all4, Name: "cam-7", Vendor: "udhcp", Params: "\x01\x03", Client: "\x00ab", Addrs: "192.168.1.10"}}},
		{"renewal", client(renewing), []fact{{Fact: cordon.FactDHCP, Peer: all4, Addrs: "192.168.1.10"}}},
		{"through a repeater", repeater, []fact{{Fact: cordon.FactDHCP, Peer: all4, Client: "\x01\x02\x00\x00\x00\x00\x07"}}},
		{"acknowledgement", server(lease(2, "\x35\x01\x05\x36\x04\xc0\xa8\x01\x02\x03\x04\xc0\xa8\x01\x01")),
			[]fact{{Fact: cordon.FactDHCPServer, Peer: all4, Addrs: "192.168.1.2 192.168.1.1"}}},
		{"offer without identifier", server(lease(2, "\x35\x01\x02")), []fact{{Fact: cordon.FactDHCPServer, Peer: all4, Addrs: "192.168.1.1"}}},
		{"refusal", server(lease(2, "\x35\x01\x06")), nil},
		{"release", client(lease(1, "\x35\x01\x07")), nil},
		{"through a relay agent", client(relayed), nil},
		{"a client that calls itself server", client(lease(2, "\x35\x01\x05")), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, collect(New(Config{}), tt.in)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	text := func(lines ...string) *packet.Packet {
		return udp(device, portSSDP, multi, portSSDP, []byte(strings.Join(lines, "\r\n")+"\r\n\r\n"))
	}
	told := func(service, model string) []fact {
		return []fact{{Fact: cordon.FactSSDP, Peer: multi.String(), Service: service, Model: model}}
	}
	const server = "SERVER: Linux UPnP/1.0 TV/2"
	tests := []struct {
		name string
		in   *packet.Packet
		want []fact
	}{
		{"alive", text("NOTIFY * HTTP/1.1", "NT: urn:Dial:service:1", "LOCATION: http://192.168.1.10:80/d", server), told("urn:dial:service:1", "TV/2")},
		{"uuid", text("NOTIFY * HTTP/1.1", "NT: uuid:7", server), told("", "TV/2")},
		{"nothing said", text("NOTIFY * HTTP/1.1", "NT: uuid:7"), nil},
		{"response", text("HTTP/1.1 200 OK", "ST: upnp:rootdevice", "LOCATION: http://192.168.1.10"), told("upnp:rootdevice", "")},
		{"for another", text("HTTP/1.1 200 OK", "ST: upnp:rootdevice", "LOCATION: http://192.168.1.11/", server), nil},
		{"location by name", text("HTTP/1.1 200 OK", "ST: a", "LOCATION: http://192.168.1.11.example/", server), told("a", "TV/2")},
		{"search", text("M-SEARCH * HTTP/1.1", "ST: SSDP:all", server), told("search:ssdp:all", "")},
		{"search for nothing", text("M-SEARCH * HTTP/1.1", server), nil},
		{"byebye", text("NOTIFY * HTTP/1.1", "NT: a", "NTS: ssdp:byebye", server), nil},
		{"long", text("M-SEARCH * HTTP/1.1", "ST: "+strings.Repeat("a", 300)), told("search:"+strings.Repeat("a", MaxText-7), "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, collect(New(Config{}), tt.in)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}
