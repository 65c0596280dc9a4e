package order_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"cordon"
	"cordon/core/api/order"

	"pgregory.net/rapid"
)

const now = cordon.Time(1_700_000_000e9)

var (
	tomorrow = now.Add(24 * time.Hour)
	tv       = "02:00:00:00:00:01"
	c2       = cordon.Target{Proto: 6, Ports: []uint16{23}, Peer: netip.MustParseAddr("203.0.113.9")}
)

func block(id string, t cordon.Target) cordon.Order {
	return cordon.Order{ID: id, Verb: cordon.VerbBlock, Entity: cordon.Entity{Device: tv, Target: t}, At: now, Expires: tomorrow}
}

func limit(t cordon.Target) cordon.Order {
	o := block("1", t)
	o.Verb, o.Rate = cordon.VerbLimit, cordon.Rate{Packets: 10}
	return o
}

func quarantine(id string) cordon.Order {
	return cordon.Order{ID: id, Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Device: tv}, At: now, Expires: tomorrow}
}

// TestAdd does the same order once, and the newer of two alike.
func TestAdd(t *testing.T) {
	var d cordon.Desired
	for _, o := range []cordon.Order{quarantine("1"), quarantine("1"), quarantine("2"), block("3", c2), block("4", c2)} {
		if err := order.Add(&d, o); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.Orders) != 2 || d.Orders[0].ID != "2" || d.Orders[1].ID != "4" {
		t.Errorf("%+v", d.Orders)
	}
}

// TestBlockAndAllow contradict each other: the newer counts.
func TestBlockAndAllow(t *testing.T) {
	var d cordon.Desired
	allow := cordon.Permission{ID: "5", Device: tv, Target: c2, At: now, Expires: tomorrow}
	for n, step := range []struct {
		do              error
		orders, allowed int
	}{
		{order.Add(&d, block("1", c2)), 1, 0},
		{order.Allow(&d, allow), 0, 1},
		{order.Allow(&d, allow), 0, 1},
	} {
		if step.do != nil {
			t.Fatal(n, step.do)
		}
	}
	if len(d.Orders) != 0 || len(d.Allowed) != 1 {
		t.Errorf("%+v", d)
	}
	if err := order.Add(&d, block("2", c2)); err != nil || len(d.Orders) != 1 || len(d.Allowed) != 0 {
		t.Errorf("%v %+v", err, d)
	}
}

// TestRelease ends orders, permissions and the agent's own.
func TestRelease(t *testing.T) {
	d := cordon.Desired{Orders: []cordon.Order{quarantine("1"), block("2", c2)}, Allowed: []cordon.Permission{{ID: "3", Target: c2, Expires: tomorrow}}}
	r := cordon.Release{Device: tv, By: "Anna", At: now, Expires: tomorrow}
	for _, id := range []string{"2", "3"} {
		r.Action = id
		if err := order.Undo(&d, r); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.Orders) != 1 || len(d.Allowed) != 0 || len(d.Released) != 0 {
		t.Errorf("undo: %+v", d)
	}
	r.Action = "of-the-agent"
	if err := errors.Join(order.Undo(&d, r), order.Undo(&d, r)); err != nil || len(d.Released) != 1 || d.Released[0].Action != "of-the-agent" {
		t.Errorf("%v %+v", err, d)
	}
	if err := order.ReleaseDevice(&d, r); err != nil || len(d.Orders) != 0 || len(d.Released) != 2 {
		t.Errorf("%v %+v", err, d)
	}
}

// TestRefused is what no agent would do.
func TestRefused(t *testing.T) {
	net := func(s string) cordon.Target { return cordon.Target{Net: netip.MustParsePrefix(s)} }
	for name, o := range map[string]cordon.Order{
		"no end":            {ID: "1", Verb: cordon.VerbQuarantine, At: now},
		"no such end":       {ID: "1", Verb: cordon.VerbQuarantine, At: now, Expires: now.Add(91 * 24 * time.Hour)},
		"over":              {ID: "1", Verb: cordon.VerbQuarantine, At: now, Expires: now - 1},
		"verb":              {ID: "1", Verb: "burn", At: now, Expires: tomorrow},
		"quarantine a part": {ID: "1", Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Target: c2}, At: now, Expires: tomorrow},
		"block all":         block("1", cordon.Target{}),
		"wide":              block("1", net("192.0.2.0/23")),
		"wide IPv6":         block("1", net("2001:db8::/47")),
		"the internet":      block("1", net("::/0")),
		"mapped":            block("1", net("::ffff:192.0.2.0/120")),
		"suffix":            block("1", cordon.Target{Name: "co.uk"}),
		"one label":         block("1", cordon.Target{Name: "localhost"}),
		"an address":        block("1", cordon.Target{Name: "192.0.2.1"}),
		"no name":           block("1", cordon.Target{Name: "a b.example"}),
		"two places":        block("1", cordon.Target{Peer: netip.MustParseAddr("192.0.2.1"), Net: netip.MustParsePrefix("192.0.2.0/24")}),
		"no host":           block("1", cordon.Target{Peer: netip.MustParseAddr("0.0.0.0")}),
		"ports of ICMP":     block("1", cordon.Target{Proto: 1, Ports: []uint16{80}}),
		"port 0":            block("1", cordon.Target{Ports: []uint16{0}}),
		"narrow":            block("1", net("192.0.2.0/25")),
		"own port of one":   block("1", cordon.Target{LocalPort: 5555, Peer: c2.Peer}),
		"limit without":     {ID: "1", Verb: cordon.VerbLimit, Entity: cordon.Entity{Target: c2}, At: now, Expires: tomorrow},
		"limit all":         limit(cordon.Target{}),
		"limit a name":      limit(cordon.Target{Name: "example.com"}),
		"limit an own port": limit(cordon.Target{LocalPort: 5555}),
	} {
		var d cordon.Desired
		if err := order.Add(&d, o); !errors.Is(err, cordon.ErrInvalid) || len(d.Orders) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []cordon.Order{limit(c2), block("1", net("192.0.2.0/24")), block("1", net("2001:db8::/48")), block("1", cordon.Target{LocalPort: 5555})} {
		if err := order.Add(new(cordon.Desired), o); err != nil {
			t.Errorf("%s %v: %v", o.Verb, o.Entity.Target, err)
		}
	}
	for name, p := range map[string]cordon.Permission{
		"everything": {ID: "1", At: now, Expires: tomorrow},
		"ports only": {ID: "1", At: now, Expires: tomorrow, Target: cordon.Target{Ports: []uint16{80}}},
		"no end":     {ID: "1", At: now, Target: c2},
	} {
		var d cordon.Desired
		if err := order.Allow(&d, p); !errors.Is(err, cordon.ErrInvalid) || len(d.Allowed) > 0 {
			t.Errorf("allow %s: %v", name, err)
		}
	}
}

// TestBounded keeps a desired state within what an agent takes, whatever is asked.
func TestBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d cordon.Desired
		at := now
		for n := range rapid.IntRange(0, 400).Draw(t, "n") {
			at = at.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "s")) * time.Second)
			device := fmt.Sprintf("d%d", rapid.IntRange(0, 300).Draw(t, "device"))
			id := fmt.Sprint(rapid.IntRange(0, 30).Draw(t, "id"), n%200)
			target := cordon.Target{Peer: netip.AddrFrom4([4]byte{203, 0, 113, byte(n)})}
			ends := at.Add(order.Life)
			switch rapid.IntRange(0, 4).Draw(t, "do") {
			case 0:
				order.Add(&d, cordon.Order{ID: id, Verb: cordon.VerbBlock, Entity: cordon.Entity{Device: device, Target: target}, At: at, Expires: ends})
			case 1:
				order.Allow(&d, cordon.Permission{ID: id, Device: device, Target: target, At: at, Expires: ends})
			case 2:
				order.Undo(&d, cordon.Release{Action: id, Device: device, At: at, Expires: ends})
			case 3:
				order.ReleaseDevice(&d, cordon.Release{Device: device, At: at, Expires: ends})
			case 4:
				order.Say(&d, cordon.DesiredDevice{Device: device, Name: rapid.SampledFrom([]string{"", "x"}).Draw(t, "name")})
			}
			if len(d.Orders) > order.MaxOrders || len(d.Allowed) > order.MaxAllowed || len(d.Released) > order.MaxReleased || len(d.Devices) > order.MaxDevices {
				t.Fatalf("%d orders, %d allowed, %d released, %d devices", len(d.Orders), len(d.Allowed), len(d.Released), len(d.Devices))
			}
		}
	})
}
