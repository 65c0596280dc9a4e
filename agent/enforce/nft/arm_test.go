package nft

import (
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/lab/netns"
)

// TestRest: the chains for devices are there while something is in force, also
// what an earlier run put there, and no longer; a home in which nothing is has
// one chain on a packet's way, and nothing at its ports.
func TestRest(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	network := cordon.Network{LAN: []cordon.Port{{Name: "lan1", Index: 2, Bridge: "br-lan"}},
		WAN: []cordon.Port{{Name: "wan", Index: 1}}, MACs: []cordon.MAC{{0x02, 0xc0, 0x4d, 0, 0, 1}}}
	open := func() *Table {
		t.Helper()
		table, err := New(Config{})
		if err == nil {
			err = home.Router.Do(func() error { return table.Open(t.Context()) })
		}
		if err == nil {
			err = table.SetNetwork(t.Context(), network)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { table.Close() })
		return table
	}
	is := func(when string, armed bool) {
		t.Helper()
		ports, err := home.Router.Run("nft", "list", "table", "netdev", "cordon")
		if err != nil {
			t.Fatal(err)
		}
		forward, err := home.Router.Run("nft", "list", "chain", "inet", "cordon", "forward")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(ports, "hook ingress") != armed || strings.Contains(forward, "@guarded4") != armed {
			t.Errorf("%s: armed at the ports %t, in forward %t, want %t", when, strings.Contains(ports, "hook ingress"),
				strings.Contains(forward, "@guarded4"), armed)
		}
	}
	check := func(table *Table) {
		t.Helper()
		if d, err := table.Check(t.Context()); err != nil || len(d.Found) > 0 {
			t.Fatalf("check: %+v, %v", d, err)
		}
	}
	table := open()
	is("at first", false)
	now := cordon.TimeOf(time.Now())
	d := &cordon.Device{ID: "44:19:b6:00:00:10", MAC: cordon.MAC{0x44, 0x19, 0xb6, 0, 0, 0x10}, HasMAC: true}
	a := &cordon.Action{ID: "a", Verb: cordon.VerbBlock, Mode: cordon.ModeDo, At: now, Expires: now.Add(time.Hour),
		Entity: cordon.Entity{Device: d.ID, Target: cordon.Target{Proto: 6, Ports: []uint16{23}}}}
	if _, err := table.Apply(t.Context(), d, a); err != nil {
		t.Fatal(err)
	}
	table.rest = 0
	check(table)
	is("with a block", true)
	table.Close()
	table = open()
	table.rest = 0
	check(table)
	is("with what an earlier run left", true)
	if _, err := table.Apply(t.Context(), d, a); err != nil {
		t.Fatal(err)
	}
	if err := table.Release(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	table.rest = time.Hour
	check(table)
	is("just released", true)
	table.rest = 0
	check(table)
	check(table)
	is("at rest", false)
	table.Close()
	open()
	is("opened again", false)
}
