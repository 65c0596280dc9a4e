// Package order changes what a site's router should do. A cordon.Desired comes in and
// is changed; the API's handlers call it inside the store's transaction. Nothing here
// looks at records: whether a device is there, and who may, was found out before.
package order

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"cordon"

	"golang.org/x/net/publicsuffix"
)

// Bounds. They are what an agent takes (agent/desired): more would be refused there.
const (
	MaxDevices  = 256
	MaxOrders   = 64
	MaxAllowed  = 128
	MaxReleased = 128
	MaxLife     = cordon.MaxLife
	maxPorts    = 32
	// bits4 and bits6 are the networks that an agent's sets hold (agent/enforce/nft): a wider
	// one would harm too many, a narrower one would have to be widened.
	bits4, bits6 = 24, 48
	maxReason    = 500 // characters
)

// Life is how long an order lasts when nobody says how long. A day is long enough to
// sleep over it, and what was forgotten mends itself.
const Life = 24 * time.Hour

// invalid is an error that wraps cordon.ErrInvalid.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), cordon.ErrInvalid)
}

// Add adds an order. One with an id that is there already was added before, and an
// order of the same verb on the same traffic is replaced: the newer counts.
func Add(d *cordon.Desired, o cordon.Order) error {
	if err := checkOrder(&o); err != nil {
		return err
	}
	d.Prune(o.At)
	if slices.ContainsFunc(d.Orders, func(have cordon.Order) bool { return have.ID == o.ID }) {
		return nil
	}
	d.Orders = slices.DeleteFunc(d.Orders, func(have cordon.Order) bool {
		return have.Verb == o.Verb && have.Entity.Device == o.Entity.Device && have.Entity.Target.Equal(o.Entity.Target)
	})
	if o.Verb == cordon.VerbBlock {
		d.Allowed = slices.DeleteFunc(d.Allowed, func(p cordon.Permission) bool {
			return p.Device == o.Entity.Device && p.Target.Equal(o.Entity.Target)
		})
	}
	if len(d.Orders) >= MaxOrders {
		return invalid("%d orders are in force at this site: undo one first", len(d.Orders))
	}
	d.Orders = append(d.Orders, o)
	return nil
}

// checkOrder refuses an order that no agent would carry out.
func checkOrder(o *cordon.Order) error {
	if err := life(o.At, o.Expires); err != nil {
		return err
	}
	if err := reason(o.Reason); err != nil {
		return err
	}
	switch o.Verb {
	case cordon.VerbQuarantine:
		if !o.Entity.Target.Zero() || o.Rate != (cordon.Rate{}) {
			return invalid("a quarantine is of the whole device: block a target instead")
		}
		return nil
	case cordon.VerbBlock:
		if o.Entity.Target.Zero() {
			return invalid("a block needs a target: quarantine the device to cut all of it off")
		}
	case cordon.VerbLimit:
		if o.Rate == (cordon.Rate{}) {
			return invalid("a limit needs packets or connections a second")
		}
		if o.Entity.Target.Zero() {
			return invalid("a limit needs a target: say by peer, net, ports or protocol what is to be slowed down")
		}
		if o.Entity.Target.Name != "" || o.Entity.Target.LocalPort != 0 {
			return invalid("a limit is of a peer, a net, ports or a protocol: no router can tell a name's packets or a port of the device's own")
		}
	default:
		return invalid("order %q: want limit, block or quarantine", o.Verb)
	}
	return checkTarget(&o.Entity.Target)
}

// checkTarget refuses a target that is too wide or none, and writes its name as agents
// compare it.
func checkTarget(t *cordon.Target) error {
	t.Stray = false // only agents judge that
	t.Peer = t.Peer.Unmap().WithZone("")
	switch {
	case len(t.Ports) > maxPorts:
		return invalid("%d ports: want at most %d", len(t.Ports), maxPorts)
	case slices.Contains(t.Ports, 0):
		return invalid("port 0 is none")
	case t.Peer.IsValid() && t.Net.IsValid():
		return invalid("want a peer or a net, not both")
	case t.Peer.IsValid() && (t.Peer.IsUnspecified() || t.Peer.IsLoopback() || t.Peer.IsMulticast()):
		return invalid("peer %s is no host", t.Peer)
	case t.LocalPort != 0 && (t.Peer.IsValid() || t.Net.IsValid() || len(t.Ports) > 0):
		return invalid("a port of the device's own is blocked by itself: leave out peer, net and ports")
	case (len(t.Ports) > 0 || t.LocalPort > 0) && t.Proto != 0 && t.Proto != 6 && t.Proto != 17:
		return invalid("only TCP (6) and UDP (17) have ports")
	}
	if err := checkNet(t); err != nil {
		return err
	}
	return checkName(t)
}

func checkNet(t *cordon.Target) error {
	if !t.Net.IsValid() {
		return nil
	}
	bits := bits6
	if t.Net.Addr().Is4() {
		bits = bits4
	}
	if t.Net.Bits() != bits || t.Net.Addr().Is4In6() {
		return invalid("net %s: want a /%d or a /%d; say one address as peer", t.Net, bits4, bits6)
	}
	t.Net = t.Net.Masked()
	return nil
}

func checkName(t *cordon.Target) error {
	if t.Name == "" {
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(t.Name, "."))
	if _, err := netip.ParseAddr(name); err == nil {
		return invalid("name %q is an address: say so as peer", name)
	}
	if len(name) > 253 || !strings.Contains(name, ".") {
		return invalid("name %q: want a name with a dot", name)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
		}) {
			return invalid("name %q: want letters, digits and hyphens between dots; write others in Punycode", name)
		}
	}
	if suffix, _ := publicsuffix.PublicSuffix(name); suffix == name {
		return invalid("%q is a public suffix: too many live below it", name)
	}
	t.Name = name
	return nil
}

// life refuses an end that is none.
func life(at, expires cordon.Time) error {
	if expires <= at || expires.Sub(at) > MaxLife {
		return invalid("expires: want a time within %d days from now", MaxLife/(24*time.Hour))
	}
	return nil
}

func reason(s string) error {
	if utf8.RuneCountInString(s) > maxReason {
		return invalid("reason: want at most %d characters", maxReason)
	}
	return nil
}

// Allow adds a permission, which ends the blocks of the same place.
func Allow(d *cordon.Desired, p cordon.Permission) error {
	if err := life(p.At, p.Expires); err != nil {
		return err
	}
	if err := reason(p.Reason); err != nil {
		return err
	}
	if err := checkTarget(&p.Target); err != nil {
		return err
	}
	if !p.Target.Peer.IsValid() && p.Target.Name == "" {
		return invalid("a permission needs one place: peer or name")
	}
	d.Prune(p.At)
	if slices.ContainsFunc(d.Allowed, func(have cordon.Permission) bool { return have.ID == p.ID }) {
		return nil
	}
	d.Allowed = slices.DeleteFunc(d.Allowed, func(have cordon.Permission) bool {
		return have.Device == p.Device && have.Target.Equal(p.Target)
	})
	d.Orders = slices.DeleteFunc(d.Orders, func(o cordon.Order) bool {
		return o.Verb == cordon.VerbBlock && (p.Device == "" || o.Entity.Device == p.Device) && o.Entity.Target.Equal(p.Target)
	})
	if len(d.Allowed) >= MaxAllowed {
		return invalid("%d places are allowed at this site: take one back first", len(d.Allowed))
	}
	d.Allowed = append(d.Allowed, p)
	return nil
}

// ReleaseDevice ends everything that is in force against a device: what people ordered,
// and what the agent does by itself.
func ReleaseDevice(d *cordon.Desired, r cordon.Release) error {
	d.Orders = slices.DeleteFunc(d.Orders, func(o cordon.Order) bool { return o.Entity.Device == r.Device })
	r.Action = ""
	return release(d, r)
}

// Undo ends one thing by its id: an order, a permission, or else an action of the
// agent's own on that device.
func Undo(d *cordon.Desired, r cordon.Release) error {
	before := len(d.Orders) + len(d.Allowed)
	d.Orders = slices.DeleteFunc(d.Orders, func(o cordon.Order) bool { return o.ID == r.Action })
	d.Allowed = slices.DeleteFunc(d.Allowed, func(p cordon.Permission) bool { return p.ID == r.Action })
	if len(d.Orders)+len(d.Allowed) < before {
		d.Prune(r.At)
		return nil
	}
	return release(d, r)
}

func release(d *cordon.Desired, r cordon.Release) error {
	if err := life(r.At, r.Expires); err != nil {
		return err
	}
	d.Prune(r.At)
	d.Released = slices.DeleteFunc(d.Released, func(have cordon.Release) bool {
		return have.Device == r.Device && have.Action == r.Action
	})
	if len(d.Released) >= MaxReleased { // the oldest has had its effect
		d.Released = slices.Delete(d.Released, 0, len(d.Released)-MaxReleased+1)
	}
	d.Released = append(d.Released, r)
	return nil
}

// Say sets what people said about a device; a device of which nothing is said is left
// out.
func Say(d *cordon.Desired, said cordon.DesiredDevice) error {
	i := slices.IndexFunc(d.Devices, func(have cordon.DesiredDevice) bool { return have.Device == said.Device })
	nothing := said.Name == "" && said.Class == nil && said.Policy == ""
	switch {
	case i >= 0 && nothing:
		d.Devices = slices.Delete(d.Devices, i, i+1)
	case i >= 0:
		d.Devices[i] = said
	case nothing:
	case len(d.Devices) >= MaxDevices:
		return invalid("something was said about %d devices of this site: more do not fit a router", len(d.Devices))
	default:
		d.Devices = append(d.Devices, said)
	}
	return nil
}
