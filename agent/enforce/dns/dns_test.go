package dns

import (
	"net/netip"
	"slices"
	"testing"

	miekg "github.com/miekg/dns"

	"cordon"
	"cordon/agent/enforce/dns/datagram"
)

func pass(*Query) Verdict { return Verdict{} }

func TestNew(t *testing.T) {
	for what, cfg := range map[string]Config{
		"nobody decides":   {},
		"two bits":         {Decide: pass, Mark: 3},
		"no room for more": {Decide: pass, Mark: 1 << 31},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	g, err := New(Config{Decide: pass})
	if err != nil {
		t.Fatal(err)
	}
	if s := g.Stats(); s.Open != reasonNotRunning {
		t.Errorf("a guard that does not run is %q", s.Open)
	}
}

func TestSetNetwork(t *testing.T) {
	g, err := New(Config{Decide: pass})
	if err != nil {
		t.Fatal(err)
	}
	g.SetNetwork(&cordon.Network{LAN: []cordon.Port{{Name: "lan2", Bridge: "br-lan"}, {Name: "eth3"}, {Name: "lan1", Bridge: "br-lan"},
		{Name: "much-too-long-a-name"}}})
	if got := *g.lan.Load(); !slices.Equal(got, []string{"br-lan", "eth3"}) {
		t.Errorf("interfaces %q", got)
	}
}

// TestAllocations shows that a question that passes allocates nothing in the
// guard, and one that is refused neither.
func TestAllocations(t *testing.T) {
	for what, v := range map[string]Verdict{"pass": {}, "refuse": {Do: Refuse, EDE: EDEBlocked, Text: "no"}} {
		g, err := New(Config{Decide: func(q *Query) Verdict {
			if string(q.Name) != "some.name.example.test" || q.Type != miekg.TypeA {
				t.Errorf("asked about %q", q.Name)
			}
			return v
		}, MAC: func(netip.Addr) (cordon.MAC, bool) { return cordon.MAC{1}, true }})
		if err != nil {
			t.Fatal(err)
		}
		m := new(miekg.Msg)
		m.SetQuestion("Some.Name.example.test.", miekg.TypeA)
		m.SetEdns0(1232, true)
		wire, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		r := &reader{g: g, queries: datagram.NewSender(-1, 1), answers: datagram.NewSender(-1, 1), judge: judge{g: g}}
		r.datagram = datagram.Datagram{Src: netip.MustParseAddrPort("[fd77::a]:4000"), Dst: netip.MustParseAddrPort("[fd77::1]:53"), Payload: wire}
		if n := testing.AllocsPerRun(100, func() {
			r.take(r.forged[0][:0])
			r.report(r.queries.Flush() + r.answers.Flush())
		}); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}
