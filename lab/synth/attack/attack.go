// Package attack is what infected devices do, and what is done to them: scanning,
// guessing passwords, old exploits, loaders, bots of servers and of swarms.
// Everything is a [world.Behaviour] and consists of packets in a capture file:
// no program is here, and nothing that is fetched could run. lab/synth calls it.
package attack

import (
	"time"

	"cordon"
	"cordon/lab/synth/world"
)

// Deed is something that really happens, as the truth about a capture.
type Deed struct {
	Kind      cordon.Kind
	Or        cordon.Kind   // a second name that serves as well; empty: none
	At        cordon.Time   // its first packet is not before
	Within    time.Duration // from At until a router should know
	Subject   string        // what the detection must be about; empty: anything
	ActWithin time.Duration // from At until the device must be stopped; 0: says nothing of that
}

// Tell hears of a deed when it begins.
type Tell func(Deed)

// stranger is a host on the internet that nobody has a name for.
func stranger(p *world.Proc, mood world.Mood) world.End {
	return p.World.Far(p.World.Net.Stranger(p.Rand, mood), false)
}

// lair is a host of the attackers, with an address of the documentation ranges
// and, for the devices of the home, without a name.
func lair(p *world.Proc, name string) world.End {
	return p.World.Far(p.World.Net.Named(name), false)
}

// sometimes is a mood: silent in one of n cases.
func sometimes(p *world.Proc, n int) world.Mood {
	if p.IntN(n) == 0 {
		return world.Silent
	}
	return world.Answers
}
