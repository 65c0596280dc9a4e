package respond_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/respond"
)

func id(prefix string, parts ...string) string {
	for _, p := range parts {
		prefix += "/" + p
	}
	return prefix
}

func TestDecide(t *testing.T) {
	telnet := cordon.Target{Proto: 6, Ports: []uint16{23, 2323}}
	iot := cordon.Device{ID: "camera", Class: cordon.IoT}
	type want = map[cordon.Verb]cordon.Mode
	for _, c := range []struct {
		name       string
		device     cordon.Device
		policy     cordon.Policy
		incident   cordon.Level
		alone      cordon.Level
		quarantine bool
		target     cordon.Target
		want       want
	}{
		{"a watched incident disturbs nobody", iot, cordon.PolicyProtect, cordon.Watch, cordon.Watch, false, telnet, want{}},
		{"notify only tells", iot, cordon.PolicyProtect, cordon.Notify, cordon.Notify, false, telnet, want{cordon.VerbNotify: cordon.ModeDo}},
		{"act blocks and tells", iot, cordon.PolicyProtect, cordon.Act, cordon.Act, false, telnet,
			want{cordon.VerbBlock: cordon.ModeDo, cordon.VerbNotify: cordon.ModeDo}},
		{"a weaker detection of an incident at act does not block", iot, cordon.PolicyProtect, cordon.Act, cordon.Watch, false, telnet,
			want{cordon.VerbNotify: cordon.ModeDo}},
		{"a detection without a target blocks nothing", iot, cordon.PolicyProtect, cordon.Act, cordon.Act, false, cordon.Target{},
			want{cordon.VerbNotify: cordon.ModeDo}},
		{"a thing may be quarantined", iot, cordon.PolicyProtect, cordon.Act, cordon.Act, true, telnet,
			want{cordon.VerbBlock: cordon.ModeDo, cordon.VerbQuarantine: cordon.ModeDo, cordon.VerbNotify: cordon.ModeDo}},
		{"observe shows what it would do", iot, cordon.PolicyObserve, cordon.Act, cordon.Act, true, telnet,
			want{cordon.VerbBlock: cordon.ModeWould, cordon.VerbQuarantine: cordon.ModeWould, cordon.VerbNotify: cordon.ModeWould}},
		{"ask asks, and tells", iot, cordon.PolicyAsk, cordon.Act, cordon.Act, true, telnet,
			want{cordon.VerbBlock: cordon.ModeAsk, cordon.VerbQuarantine: cordon.ModeAsk, cordon.VerbNotify: cordon.ModeDo}},
		{"off does nothing", iot, cordon.PolicyOff, cordon.Act, cordon.Act, true, telnet, want{}},
		{"never quarantined: personal", cordon.Device{ID: "phone", Class: cordon.Personal}, cordon.PolicyProtect, cordon.Act, cordon.Act, true, telnet,
			want{cordon.VerbBlock: cordon.ModeDo, cordon.VerbNotify: cordon.ModeDo}},
		{"never quarantined: unknown", cordon.Device{ID: "x"}, cordon.PolicyProtect, cordon.Act, cordon.Act, true, telnet,
			want{cordon.VerbBlock: cordon.ModeDo, cordon.VerbNotify: cordon.ModeDo}},
		{"never quarantined: life-line", cordon.Device{ID: "alarm", Class: cordon.LifeLine}, cordon.PolicyProtect, cordon.Act, cordon.Act, true, telnet,
			want{cordon.VerbBlock: cordon.ModeDo, cordon.VerbNotify: cordon.ModeDo}},
		{"never quarantined: infrastructure", cordon.Device{ID: "switch", Class: cordon.Infrastructure}, cordon.PolicyProtect, cordon.Act, cordon.Act, true, telnet,
			want{cordon.VerbBlock: cordon.ModeDo, cordon.VerbNotify: cordon.ModeDo}},
		{"never quarantined: a relay, whatever its class", cordon.Device{ID: "repeater", Class: cordon.IoT, Relay: true}, cordon.PolicyProtect, cordon.Act, cordon.Act, true, telnet,
			want{cordon.VerbBlock: cordon.ModeDo, cordon.VerbNotify: cordon.ModeDo}},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := cordon.Time(1e18)
			got := respond.Decide(respond.Case{
				Detection:  &cordon.Detection{Device: &c.device, At: at, Target: c.target, Sentence: "because"},
				Incident:   &cordon.Incident{ID: "inc", Device: &c.device, Level: c.incident},
				Level:      c.alone,
				Quarantine: c.quarantine,
			}, c.policy, id)
			modes := want{}
			for _, a := range got {
				modes[a.Verb] = a.Mode
				if a.Reason == "" || a.Purpose == "" || a.ID == "" || a.Entity.Device != c.device.ID || a.Incident != "inc" {
					t.Errorf("incomplete action: %+v", a)
				}
				if a.Expires <= at || a.Expires > at.Add(31*24*time.Hour) {
					t.Errorf("%s lasts until %v", a.Verb, a.Expires)
				}
			}
			if diff := cmp.Diff(c.want, modes); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLimit: a first sign of a flood is slowed down silently, a confirmed one
// blocked, and so is a first sign of a device that is known to be infected.
func TestLimit(t *testing.T) {
	camera := cordon.Device{ID: "camera", Class: cordon.IoT}
	target, rate := cordon.Target{Proto: 17}, cordon.Rate{Packets: 100}
	scanned := cordon.Mark{Kind: cordon.ScanMirai, Level: cordon.Act}
	flooded := cordon.Mark{Kind: cordon.DoSUDP, Level: cordon.Act}
	type want = map[cordon.Verb]cordon.Mode
	for _, c := range []struct {
		name     string
		policy   cordon.Policy
		incident cordon.Level
		alone    cordon.Level
		marks    []cordon.Mark
		target   cordon.Target
		want     want
	}{
		{"a first sign", cordon.PolicyProtect, cordon.Watch, cordon.Watch, nil, target, want{cordon.VerbLimit: cordon.ModeDo}},
		{"confirmed", cordon.PolicyProtect, cordon.Act, cordon.Act, []cordon.Mark{flooded}, target,
			want{cordon.VerbBlock: cordon.ModeDo, cordon.VerbNotify: cordon.ModeDo}},
		{"a first sign of one that has flooded before", cordon.PolicyProtect, cordon.Act, cordon.Watch, []cordon.Mark{flooded}, target,
			want{cordon.VerbLimit: cordon.ModeDo, cordon.VerbNotify: cordon.ModeDo}},
		{"a first sign of an infected device", cordon.PolicyProtect, cordon.Act, cordon.Watch, []cordon.Mark{scanned}, target,
			want{cordon.VerbBlock: cordon.ModeDo, cordon.VerbNotify: cordon.ModeDo}},
		{"observed", cordon.PolicyObserve, cordon.Watch, cordon.Watch, nil, target, want{cordon.VerbLimit: cordon.ModeWould}},
		{"nobody is asked about a first sign", cordon.PolicyAsk, cordon.Watch, cordon.Watch, nil, target, want{}},
		{"but about what there is to tell", cordon.PolicyAsk, cordon.Act, cordon.Watch, []cordon.Mark{flooded}, target,
			want{cordon.VerbLimit: cordon.ModeAsk, cordon.VerbNotify: cordon.ModeDo}},
		{"off", cordon.PolicyOff, cordon.Act, cordon.Act, nil, target, want{}},
		{"nothing to limit", cordon.PolicyProtect, cordon.Watch, cordon.Watch, nil, cordon.Target{}, want{}},
	} {
		got := respond.Decide(respond.Case{
			Detection: &cordon.Detection{Kind: cordon.DoSUDP, Device: &camera, At: 1e18, Target: c.target, Rate: rate, Life: 80 * time.Second, Sentence: "because"},
			Incident:  &cordon.Incident{ID: "inc", Device: &camera, Level: c.incident, Marks: c.marks},
			Level:     c.alone,
		}, c.policy, id)
		modes := want{}
		for _, a := range got {
			modes[a.Verb] = a.Mode
			if a.Verb != cordon.VerbNotify && a.Expires.Sub(a.At) != 80*time.Second {
				t.Errorf("%s: %s lasts %v", c.name, a.Verb, a.Expires.Sub(a.At))
			}
			if limits := a.Verb == cordon.VerbLimit; limits != (a.Rate == rate) {
				t.Errorf("%s: %s leaves %+v", c.name, a.Verb, a.Rate)
			}
		}
		if diff := cmp.Diff(c.want, modes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestSameDecisionSameID(t *testing.T) {
	d := cordon.Device{ID: "camera", Class: cordon.IoT}
	decide := func(at cordon.Time) []cordon.Action {
		return respond.Decide(respond.Case{
			Detection: &cordon.Detection{Device: &d, At: at, Target: cordon.Target{Ports: []uint16{23}}},
			Incident:  &cordon.Incident{ID: "inc", Device: &d, Level: cordon.Act}, Level: cordon.Act,
		}, cordon.PolicyProtect, id)
	}
	a, b := decide(1e18), decide(2e18)
	for i := range a {
		if a[i].ID != b[i].ID {
			t.Errorf("%s has two ids: %s and %s", a[i].Verb, a[i].ID, b[i].ID)
		}
	}
}
