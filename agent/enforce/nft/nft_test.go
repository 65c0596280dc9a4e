package nft_test

import (
	"context"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/enforce/nft"
	"cordon/lab/netns"
)

var update = flag.Bool("update", false, "write generated files instead of comparing them")

const (
	pagePort    = 8099 // where the router's page would be
	quarantines = 3    // that the agent may begin by itself in an hour
)

// bed is a home with Cordon's hands on its router.
type bed struct {
	*netns.Home
	t     *testing.T
	table *nft.Table
	net   cordon.Network
	cuts  chan cut
}

type cut struct {
	id  string
	n   int
	err error
}

func newBed(t *testing.T, config netns.HomeConfig) *bed {
	t.Helper()
	b := &bed{Home: netns.NewHome(t, config), t: t, cuts: make(chan cut, 100)}
	b.net = networkOf(b.Home)
	b.open()
	return b
}

// networkOf is what agent/network would say of the home.
func networkOf(h *netns.Home) cordon.Network {
	n := cordon.Network{
		WAN:    []cordon.Port{{Name: "wan", Index: 1}},
		Home:   []netip.Prefix{prefix(netns.LAN.String()), prefix(netns.LAN6.String()), prefix("2001:db8:77::/48")},
		MACs:   []cordon.MAC{mac(netns.RouterMAC)},
		Addrs:  addrs("192.168.77.1", "fd77::1"),
		Spared: addrs("192.168.77.1", "fd77::1", "203.0.113.1", "203.0.113.2"),
	}
	for i := range h.Devices {
		n.LAN = append(n.LAN, cordon.Port{Name: "lan" + string(rune('1'+i)), Index: i + 2, Bridge: "br-lan"})
	}
	return n
}

// open starts the hands as the agent would.
func (b *bed) open() {
	b.t.Helper()
	table, err := nft.New(nft.Config{PagePort: pagePort, Quarantines: quarantines, Done: func(id string, n int, err error) {
		b.cuts <- cut{id, n, err}
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.Router.Do(func() error { return table.Open(context.Background()) }); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { table.Close() })
	b.table = table
	if err := table.SetNetwork(context.Background(), b.net); err != nil {
		b.t.Fatal(err)
	}
}

// list returns the tables as nft prints them, without what changes by itself.
func (b *bed) list() string {
	b.t.Helper()
	var all []string
	for _, family := range []string{"netdev", "inet"} {
		out, err := b.Router.Run("nft", "list", "table", family, "cordon")
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, out)
	}
	return changing.ReplaceAllString(strings.Join(all, "\n"), "")
}

var changing = regexp.MustCompile(` (timeout|expires) [0-9a-z]+|packets \d+ bytes \d+`)

func TestLayout(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 2})
	a := action(0, cordon.VerbQuarantine, cordon.Target{})
	b.apply(0, a)
	if err := b.table.Release(context.Background(), a.ID); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "layout.nft")
	got := b.list()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the tables differ; if that is meant, run the test with -update (-want +got):\n%s", diff)
	}
}

// device is device i as the agent knows it.
func device(i int) *cordon.Device {
	c := netns.HomeConfig{}
	m := mac(c.DeviceMAC(i))
	return &cordon.Device{ID: m.String(), MAC: m, HasMAC: true,
		Addrs: []netip.Addr{netns.DeviceIP(i), netns.DeviceIP6(i)}, Class: cordon.IoT}
}

// action is an action against device i for an hour.
func action(i int, v cordon.Verb, target cordon.Target) *cordon.Action {
	now := cordon.TimeOf(time.Now())
	e := cordon.Entity{Device: device(i).ID, Target: target}
	return &cordon.Action{ID: string(v) + " " + e.String(), Verb: v, Mode: cordon.ModeDo, Entity: e, At: now, Expires: now.Add(time.Hour)}
}

func (b *bed) apply(i int, a *cordon.Action) {
	b.t.Helper()
	if _, err := b.table.Apply(context.Background(), device(i), a); err != nil {
		b.t.Fatal(err)
	}
}
