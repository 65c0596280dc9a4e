package desired

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon"
)

const cam = "44:19:b6:00:00:10"

var now = cordon.TimeOf(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC))

// home is a router on which plans are carried out.
type home struct {
	World
}

func newHome() *home {
	h := &home{}
	h.World = World{Now: now, Trusted: true, Names: []string{"core.provider.example"}, Spared: []netip.Addr{netip.MustParseAddr("192.0.2.53")},
		Device: func(id string) *cordon.Device { return &cordon.Device{ID: id, Gateway: id == "router"} },
		Pinned: func(id string) *cordon.DesiredDevice {
			if id == "pinned" {
				return &cordon.DesiredDevice{Policy: cordon.PolicyOff}
			}
			return nil
		}}
	return h
}

// make plans and does it.
func (h *home) make(t *testing.T, d *cordon.Desired) Plan {
	t.Helper()
	p := Make(d, nil, h.World)
	h.do(p)
	if again := Make(d, nil, h.World); len(again.Begin)+len(again.End) > 0 {
		t.Errorf("made again, the plan is not empty: %+v", again)
	}
	return p
}

func (h *home) do(p Plan) {
	for _, e := range p.End {
		for i := range h.InForce {
			if h.InForce[i].ID == e.ID {
				h.InForce = append(h.InForce[:i:i], h.InForce[i+1:]...)
				break
			}
		}
	}
	for _, b := range p.Begin {
		h.InForce = append(h.InForce, InForce{Action: b.Action, By: b.By, Order: true})
	}
	h.Held = p.Held
}

func (h *home) has(id string) bool {
	for _, a := range h.InForce {
		if a.ID == id {
			return true
		}
	}
	return false
}

func order(id string, v cordon.Verb, t cordon.Target) cordon.Order {
	return cordon.Order{ID: id, Verb: v, Entity: cordon.Entity{Device: cam, Target: t}, By: "Ada", At: now, Expires: now.Add(time.Hour)}
}

func TestOrders(t *testing.T) {
	h := newHome()
	d := &cordon.Desired{Version: 1, Orders: []cordon.Order{order("q", cordon.VerbQuarantine, cordon.Target{})}}
	h.make(t, d)
	if !h.has("q") {
		t.Fatal("not begun")
	}
	d.Orders[0].Expires = now.Add(2 * time.Hour)
	if p := h.make(t, d); len(p.End) != 1 || len(p.Begin) != 1 || p.Begin[0].Expires != d.Orders[0].Expires {
		t.Errorf("another end: %+v", p)
	}
	d.Orders = nil
	if h.make(t, d); h.has("q") {
		t.Error("not ended")
	}
	late := order("late", cordon.VerbQuarantine, cordon.Target{})
	late.Expires = now
	d.Orders = []cordon.Order{late}
	if h.make(t, d); h.has("late") {
		t.Error("begun after its end")
	}
}

// TestClock: with a clock that was not set nothing is begun that could last too
// long, and what is in force stays.
func TestClock(t *testing.T) {
	h := newHome()
	d := &cordon.Desired{Orders: []cordon.Order{order("a", cordon.VerbQuarantine, cordon.Target{})}}
	h.make(t, d)
	h.Trusted, h.Now = false, now.Add(-30*24*time.Hour)
	d.Orders = append(d.Orders, order("b", cordon.VerbBlock, cordon.Target{Name: "c2.example.com"}))
	if h.make(t, d); !h.has("a") || h.has("b") {
		t.Errorf("in force: %+v", h.InForce)
	}
	h.Trusted, h.Now = true, now
	if h.make(t, d); !h.has("b") {
		t.Error("not begun when the clock was set")
	}
}

func TestGuard(t *testing.T) {
	h := newHome()
	for want, o := range map[string]cordon.Order{
		"wider than a /24":    order("1", cordon.VerbBlock, cordon.Target{Net: netip.MustParsePrefix("198.51.0.0/16")}),
		"or a /48":            order("2", cordon.VerbBlock, cordon.Target{Net: netip.MustParsePrefix("2001:db8::/32")}),
		"cut off core":        order("0", cordon.VerbBlock, cordon.Target{Name: "provider.example."}),
		"public suffix":       order("3", cordon.VerbBlock, cordon.Target{Name: "co.uk"}),
		"no name of a host":   order("4", cordon.VerbBlock, cordon.Target{Name: "com"}),
		"resolvers":           order("5", cordon.VerbBlock, cordon.Target{Peer: netip.MustParseAddr("192.0.2.53")}),
		"its gateways":        order("6", cordon.VerbBlock, cordon.Target{Net: netip.MustParsePrefix("192.0.2.0/24")}),
		"is a quarantine":     order("7", cordon.VerbBlock, cordon.Target{}),
		"only a whole device": order("8", cordon.VerbQuarantine, cordon.Target{Name: "a.example"}),
		"needs a rate":        order("9", cordon.VerbLimit, cordon.Target{Name: "a.example"}),
		"does not know what":  order("10", "explode", cordon.Target{}),
		"the router itself":   {ID: "11", Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Device: "router"}, Expires: now.Add(1)},
		"longer than 90 days": {ID: "12", Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Device: cam}, Expires: now.Add(cordon.MaxLife + time.Hour)},
		"it has no end":       {ID: "14", Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Device: cam}},
		"it names no device":  {ID: "13", Verb: cordon.VerbQuarantine, Expires: now.Add(1)},
	} {
		p := h.make(t, &cordon.Desired{Orders: []cordon.Order{o}})
		if len(p.Begin) > 0 || len(p.Refused) != 1 || p.Refused[0].What != o.ID || !strings.Contains(p.Refused[0].Why, want) {
			t.Errorf("%s: %+v", want, p)
		}
	}
	p := Make(&cordon.Desired{}, []string{"weather"}, h.World)
	if len(p.Refused) != 1 || p.Refused[0].What != "weather" {
		t.Errorf("unknown part: %+v", p.Refused)
	}
}

// TestTooMany: core cuts off no more devices than a home has, whoever wrote the orders;
// what it cut off before stays so.
func TestTooMany(t *testing.T) {
	h := newHome()
	d := &cordon.Desired{}
	for i := range MaxQuarantines + 3 {
		o := order(fmt.Sprint("q", i), cordon.VerbQuarantine, cordon.Target{})
		o.Entity.Device = fmt.Sprint("device", i)
		d.Orders = append(d.Orders, o)
	}
	if p := h.make(t, d); len(p.Begin) != MaxQuarantines || len(p.Refused) != 3 || p.Refused[0].What != "q20" {
		t.Errorf("%d begun, refused %+v", len(p.Begin), p.Refused)
	}
	slices.Reverse(d.Orders)
	if p := h.make(t, d); len(p.Begin)+len(p.End) != 0 || len(p.Refused) != 3 {
		t.Errorf("in another order: %+v", p)
	}
	d.Orders = d.Orders[:MaxQuarantines] // the last three are released
	if p := h.make(t, d); len(p.End) != 3 || len(p.Refused) != 0 {
		t.Errorf("after a release: %+v", p)
	}
}

// TestReleased: what was released ends and does not begin again, until the release
// ends or is taken back.
func TestReleased(t *testing.T) {
	h := newHome()
	own := func(id string, v cordon.Verb, target cordon.Target) InForce {
		return InForce{Action: cordon.Action{ID: id, Verb: v, Mode: cordon.ModeDo, Entity: cordon.Entity{Device: cam, Target: target}, At: now - 10, Expires: now.Add(time.Hour)}}
	}
	telnet, c2 := cordon.Target{Ports: []uint16{23}}, cordon.Target{Name: "c2.example.com"}
	h.InForce = []InForce{own("x", cordon.VerbBlock, telnet), own("y", cordon.VerbBlock, c2), own("n", cordon.VerbNotify, cordon.Target{})}
	byHand := own("h", cordon.VerbQuarantine, cordon.Target{})
	byHand.By, byHand.At = "root", now+1
	h.InForce = append(h.InForce, byHand)
	d := &cordon.Desired{Released: []cordon.Release{{Action: "x", By: "Ada", At: now, Expires: now.Add(time.Hour)}}}
	h.make(t, d)
	if h.has("x") || !h.has("y") {
		t.Fatalf("in force: %+v", h.InForce)
	}
	again := own("x2", cordon.VerbBlock, telnet).Action // the same in another incident
	if _, held := Holds(h.Held, &again, now); !held {
		t.Error("the same begins again")
	}
	other := own("z", cordon.VerbBlock, c2).Action
	if _, held := Holds(h.Held, &other, now); held {
		t.Error("another block is held")
	}
	if _, held := Holds(h.Held, &again, now.Add(time.Hour)); held {
		t.Error("held after the release's end")
	}
	d.Released = append(d.Released, cordon.Release{Device: cam, By: "Ada", At: now, Expires: now.Add(time.Hour)})
	h.make(t, d)
	if h.has("y") || !h.has("n") || !h.has("h") {
		t.Errorf("in force: %+v; want the message, and what somebody ordered later", h.InForce)
	}
	cut := own("q", cordon.VerbQuarantine, cordon.Target{}).Action
	if _, held := Holds(h.Held, &cut, now); !held {
		t.Error("the device may be cut off again")
	}
	h.make(t, &cordon.Desired{})
	if _, held := Holds(h.Held, &cut, now); held || len(h.Held) > 0 {
		t.Error("held after the release was taken back")
	}
}

// TestLocalWord: what somebody at the router released stays so, and what its
// configuration says counts.
func TestLocalWord(t *testing.T) {
	h := newHome()
	h.Held = []Held{{ID: "q", By: "root", Expires: now.Add(time.Hour)}}
	iot := cordon.IoT
	d := &cordon.Desired{Policy: "strict", Orders: []cordon.Order{order("q", cordon.VerbQuarantine, cordon.Target{})},
		Devices: []cordon.DesiredDevice{{Device: "pinned", Policy: cordon.PolicyProtect, Name: "x"}, {Device: cam, Policy: "odd", Class: &iot}}}
	p := h.make(t, d)
	if len(p.Begin) > 0 || len(p.Refused) != 4 || !strings.Contains(p.Refused[3].Why, "released by root") {
		t.Errorf("%+v", p)
	}
	if p.Devices[cam].Policy != "" || p.Devices[cam].Class == nil || p.Policy != "" {
		t.Errorf("%+v", p)
	}
}

func TestAllowed(t *testing.T) {
	h := newHome()
	block := InForce{Action: cordon.Action{ID: "b", Verb: cordon.VerbBlock, Entity: cordon.Entity{Device: cam, Target: cordon.Target{Name: "c2.example.com"}}, Expires: now.Add(1e9)}}
	scan := InForce{Action: cordon.Action{ID: "s", Verb: cordon.VerbBlock, Entity: cordon.Entity{Device: cam, Target: cordon.Target{Ports: []uint16{23}}}, Expires: now.Add(1e9)}}
	h.InForce = []InForce{block, scan}
	p := h.make(t, &cordon.Desired{Allowed: []cordon.Permission{
		{ID: "1", Target: cordon.Target{Name: "c2.example.com"}, Expires: now.Add(time.Hour)},
		{ID: "2", Target: cordon.Target{Ports: []uint16{23}}, Expires: now.Add(time.Hour)},
		{ID: "3", Target: cordon.Target{Name: "old.example.com"}, Expires: now},
	}})
	if h.has("b") || !h.has("s") || len(p.Allowed) != 1 || len(p.Refused) != 1 || p.Refused[0].What != "2" {
		t.Errorf("%+v", p)
	}
}

func TestShadowed(t *testing.T) {
	shadows := []cordon.Shadow{{Kind: "dos.*", Model: "Cam 1", Expires: now.Add(1)}, {Kind: "c2.irc", Agent: "1.2", Expires: now.Add(1)}}
	for _, c := range []struct {
		kind         cordon.Kind
		model, agent string
		at           cordon.Time
		want         bool
	}{
		{cordon.DoSSYN, "Cam 1", "1.0", now, true},
		{cordon.DoSSYN, "Cam 2", "1.0", now, false},
		{cordon.DoSSYN, "Cam 1", "1.0", now.Add(1), false},
		{cordon.C2IRC, "", "1.2", now, true},
		{cordon.C2IRC, "", "1.3", now, false},
		{cordon.ScanMirai, "Cam 1", "1.2", now, false},
	} {
		if got := Shadowed(shadows, c.kind, c.model, c.agent, c.at); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
