package home

import (
	"net/netip"
	"testing"
	"time"

	"cordon"
	"cordon/agent/mend"
)

// listed is an indicator list of one name.
type listed string

func (l listed) Name(name []byte, _ cordon.Time) (cordon.Indicator, bool) {
	return cordon.Indicator{Type: cordon.IndicatorName, Value: string(l), Role: cordon.RoleC2, Confidence: 90}, string(name) == string(l)
}
func (listed) Endpoint(netip.Addr, uint16, cordon.Time) (i cordon.Indicator, ok bool) { return }
func (listed) URL(_, _ []byte, _ cordon.Time) (i cordon.Indicator, ok bool)           { return }

func TestQuestion(t *testing.T) {
	hosts, err := mend.New("portal.example")
	if err != nil {
		t.Fatal(err)
	}
	cam := &cordon.Device{ID: "44:19:b6:00:00:10", MAC: cordon.MAC{0x44, 0x19, 0xb6, 0, 0, 0x10}, HasMAC: true, Class: cordon.IoT,
		Maker: "Hikvision", Addrs: []netip.Addr{netip.MustParseAddr("192.168.1.10")}}
	until := cordon.Time(0).Add(time.Hour)
	block := cordon.Action{ID: "b", Verb: cordon.VerbBlock, Mode: cordon.ModeDo, Expires: until,
		Entity: cordon.Entity{Device: cam.ID, Target: cordon.Target{Name: "bad.example"}}}
	cut := cordon.Action{ID: "q", Verb: cordon.VerbQuarantine, Mode: cordon.ModeDo, Expires: until, Entity: cordon.Entity{Device: cam.ID}}
	asked := cut
	asked.Mode = cordon.ModeAsk
	for _, c := range []struct {
		name, asks string
		policy     cordon.Policy
		inForce    []cordon.Action
		want       Answer
	}{
		{"nothing in force", "bad.example", cordon.PolicyProtect, nil, AnswerPass},
		{"a blocked name", "bad.example", cordon.PolicyProtect, []cordon.Action{block}, AnswerRefuse},
		{"below a blocked name", "x.bad.example", cordon.PolicyProtect, []cordon.Action{block}, AnswerRefuse},
		{"beside a blocked name", "notbad.example", cordon.PolicyProtect, []cordon.Action{block}, AnswerPass},
		{"known to be hostile", "c2.example", cordon.PolicyProtect, nil, AnswerRefuse},
		{"known to be hostile, only observed", "c2.example", cordon.PolicyObserve, nil, AnswerPass},
		{"cut off", "example.com", cordon.PolicyProtect, []cordon.Action{cut}, AnswerRefuse},
		{"cut off by hand under observe", "example.com", cordon.PolicyObserve, []cordon.Action{cut}, AnswerRefuse},
		{"cut off, asks for the portal", "portal.example", cordon.PolicyProtect, []cordon.Action{cut}, AnswerResolve},
		{"cut off, asks for its maker's firmware", "www.hikvision.com", cordon.PolicyProtect, []cordon.Action{cut}, AnswerResolve},
		{"cutting off is only asked for", "example.com", cordon.PolicyAsk, []cordon.Action{asked}, AnswerPass},
	} {
		v := NewView([]*cordon.Device{cam}, c.inForce, nil, func(*cordon.Device) cordon.Policy { return c.policy })
		for how, r := range map[string]*Resident{"MAC": v.Find(netip.Addr{}, cam.MAC), "address": v.Find(cam.Addrs[0], cordon.MAC{})} {
			if got := v.Question(r, []byte(c.asks), listed("c2.example"), hosts, 0); got != c.want {
				t.Errorf("%s, found by %s: answer %d, want %d", c.name, how, got, c.want)
			}
		}
	}
}

// TestQuarantineOutlivesTheTable: a device that was cut off before a restart is
// known to be so before it is heard again.
func TestQuarantineOutlivesTheTable(t *testing.T) {
	cut := cordon.Action{Verb: cordon.VerbQuarantine, Mode: cordon.ModeDo, Entity: cordon.Entity{Device: "44:19:b6:00:00:10"}}
	v := NewView(nil, []cordon.Action{cut}, nil, func(*cordon.Device) cordon.Policy { return cordon.PolicyProtect })
	if r := v.Find(netip.Addr{}, cordon.MAC{0x44, 0x19, 0xb6, 0, 0, 0x10}); r == nil || r.Quarantine == nil {
		t.Error("forgotten")
	}
}

// TestStub makes a device of an ID and finds it again in what it is.
func TestStub(t *testing.T) {
	if d := Stub("44:19:b6:00:00:10"); !d.HasMAC || d.MAC.String() != d.ID || d.Maker == "" {
		t.Errorf("by MAC: %+v", d)
	}
	if d := Stub("192.168.1.10"); d.HasMAC || len(d.Addrs) != 1 || d.Addrs[0].String() != d.ID {
		t.Errorf("by address: %+v", d)
	}
	for _, id := range []string{"", "44:19:b6:00:00:zz", "00-00-00-00-00-00-00-01"} {
		if d := Stub(id); d.HasMAC || len(d.Addrs) > 0 {
			t.Errorf("%q is no device: %+v", id, d)
		}
	}
}

func TestQuestionDoesNotAllocate(t *testing.T) {
	hosts, _ := mend.New()
	d := &cordon.Device{ID: "192.168.1.10", Addrs: []netip.Addr{netip.MustParseAddr("192.168.1.10")}}
	block := cordon.Action{Verb: cordon.VerbBlock, Mode: cordon.ModeDo, Entity: cordon.Entity{Device: d.ID, Target: cordon.Target{Name: "bad.example"}}}
	v := NewView([]*cordon.Device{d}, []cordon.Action{block}, nil, func(*cordon.Device) cordon.Policy { return cordon.PolicyProtect })
	name := []byte("www.example.com")
	if n := testing.AllocsPerRun(100, func() { v.Question(v.Find(d.Addrs[0], cordon.MAC{}), name, nil, hosts, 0) }); n > 0 {
		t.Errorf("%v allocations for a name that passes", n)
	}
}
