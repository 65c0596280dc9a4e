package observe

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/packet"
)

var (
	local6   = netip.MustParseAddr("fe80::7")
	servers6 = netip.MustParseAddr("ff02::1:2") // RFC 8415 §7.1
)

func TestLease6(t *testing.T) {
	const (
		id      = "\x00\x01\x00\x04\x00\x03ab"
		vendor  = "\x00\x10\x00\x0e\x00\x00\x01\x37\x00\x08MSFT 5.0"
		name    = "\x00\x27\x00\x0b\x00\x05Cam-7\x03lan"
		params  = "\x00\x06\x00\x06\x00\x17\x01\x00\x00\x18"
		address = "\x00\x03\x00\x20\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00" +
			"\x00\x05\x00\x10\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"
	)
	client := func(payload string) *packet.Packet {
		return udp(local6, 546, servers6, portDHCP6Server, []byte(payload))
	}
	tests := []struct {
		name  string
		in    *packet.Packet
		want  []fact
		stats Stats
	}{
		{"solicit", client("\x01xid" + id + params + vendor + name),
			[]fact{{Fact: cordon.FactDHCP, Peer: "ff02::1:2", Name: "cam-7", Vendor: "MSFT 5.0", Params: "\x17\x18", Client: "\x00\x03ab"}}, Stats{}},
		{"renewal", client("\x05xid" + id + address),
			[]fact{{Fact: cordon.FactDHCP, Peer: "ff02::1:2", Client: "\x00\x03ab", Addrs: "2001:db8::7"}}, Stats{}},
		{"long identifier", client("\x0bxid\x00\x01\x01\x2c" + strings.Repeat("a", 300)),
			[]fact{{Fact: cordon.FactDHCP, Peer: "ff02::1:2", Client: strings.Repeat("a", MaxText)}}, Stats{}},
		{"release", client("\x08xid" + id), nil, Stats{}},
		{"through a relay agent", client("\x0c\x00" + strings.Repeat("\x00", 32)), nil, Stats{Foreign: 1}},
		{"cut", client("\x01xid\x00\x01\x00\x04"), nil, Stats{Malformed: 1}},
		{"reply", udp(local6, portDHCP6Server, local6, 546, []byte("\x07xid"+id)), nil, Stats{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := New(Config{})
			if diff := cmp.Diff(tt.want, collect(r, tt.in)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
			if got := r.Stats(); got != tt.stats {
				t.Errorf("stats %+v, want %+v", got, tt.stats)
			}
		})
	}
}

// TestLease6Hostile asks for more options than a fact holds.
func TestLease6Hostile(t *testing.T) {
	p := udp(local6, 546, servers6, portDHCP6Server, []byte("\x01xid\x00\x06\x04\x00"+strings.Repeat("\x00a", 512)))
	r, told := New(Config{}), 0
	note := func(o *cordon.Observation) { told = len(o.Params) }
	n := testing.AllocsPerRun(10, func() { r.Facts(p, 0, note) })
	if n != 0 || told != MaxText {
		t.Errorf("%v allocations, %d options", n, told)
	}
}
