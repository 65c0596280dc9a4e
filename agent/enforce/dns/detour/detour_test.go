package detour_test

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cordon/agent/enforce/dns/detour"
	"cordon/lab/netns"
)

// config is a Way like the guard's own.
func config(routed bool) detour.Config {
	return detour.Config{Marks: detour.MarksFrom(1 << 24), Ports: detour.Ports{UDP4: 4001, UDP6: 4002, TCP4: 4003, TCP6: 4004},
		Table: 20053, Priority: 530, Routed: routed, Log: slog.New(slog.DiscardHandler)}
}

// router is a network namespace that nothing is in, seen as nft and ip show it.
type router struct {
	*testing.T
	*netns.Host
}

func newRouter(t *testing.T) router { return router{t, netns.New(t).Host("router")} }

// do does something in the namespace.
func (r router) do(what string, f func() error) {
	r.Helper()
	if err := r.Host.Do(f); err != nil {
		r.Fatalf("%s: %v", what, err)
	}
}

// shows demands that a command prints something, or that it does not.
func (r router) shows(command, part string, want bool) {
	r.Helper()
	words := strings.Fields(command)
	out, err := r.Host.Run(words[0], words[1:]...)
	if got := err == nil && strings.Contains(out, part); got != want {
		r.Errorf("%s: %q there: %t, want %t; %v\n%s", command, part, got, want, err, out)
	}
}

// TestWay: what is renewed is there, also when somebody has removed it; what is
// lifted stays, and takes nothing; what is removed leaves nothing.
func TestWay(t *testing.T) {
	for name, routed := range map[string]bool{"duplicated": false, "routed": true} {
		t.Run(name, func(t *testing.T) {
			r := newRouter(t)
			w := detour.New(config(routed))
			r.do("lift what is not there", w.Lift)
			r.shows("nft list tables", "cordon-dns", false)
			stands := func(lan ...string) {
				t.Helper()
				r.do("renew", func() error { return w.Renew(lan) })
				r.shows("nft list table ip cordon-dns", `"br-lan"`, true)
				r.shows("nft list table ip cordon-dns", "dup to 127.0.0.1", !routed)
				r.shows("nft list table ip6 cordon-dns", `"br-lan"`, true)
				r.shows("nft list table ip6 cordon-dns", "tproxy to", true)
				r.shows("ip rule", "iif br-lan", routed)
				r.shows("ip -6 rule", "iif br-lan", true)
				r.shows("ip -6 route show table 20053", "local default dev lo", true)
			}
			stands("br-guest", "br-lan")
			stands("br-lan")
			r.shows("ip -6 rule", "br-guest", false)
			r.shows("nft list table ip cordon-dns", `"br-guest"`, false)
			for _, command := range []string{"nft delete table ip cordon-dns", "nft flush chain ip6 cordon-dns intercept",
				"ip -6 rule del lookup 20053", "ip -6 route flush table 20053"} {
				words := strings.Fields(command)
				if _, err := r.Host.Run(words[0], words[1:]...); err != nil {
					t.Fatal(err)
				}
				stands("br-lan")
			}
			r.do("lift", w.Lift)
			r.shows("nft list table ip cordon-dns", `"br-lan"`, false)
			r.shows("nft list table ip cordon-dns", "tproxy to", true)
			for range 2 {
				r.do("remove", w.Remove)
				r.shows("nft list tables", "cordon-dns", false)
				r.shows("ip rule", "20053", false)
				r.shows("ip -6 rule", "20053", false)
				r.shows("ip -6 route show table all", "20053", false)
			}
		})
	}
}

// TestClear: what a guard left that was killed is removed, of IPv6 too.
func TestClear(t *testing.T) {
	r := newRouter(t)
	r.do("renew", func() error { return detour.New(config(true)).Renew([]string{"br-lan"}) })
	own := config(false)
	own.Ports = detour.Ports{}
	for range 2 {
		r.do("clear", func() error { return detour.Clear(own) })
		r.shows("nft list tables", "cordon-dns", false)
		r.shows("ip rule", "20053", false)
		r.shows("ip -6 rule", "20053", false)
	}
}

// TestLend: an address is lent until that is ended, of either family.
func TestLend(t *testing.T) {
	r := newRouter(t)
	r.do("renew", func() error { return detour.New(config(false)).Renew([]string{"br-lan"}) })
	for table, device := range map[string]string{"ip": "192.168.77.10", "ip6": "fd77::10"} {
		command := "nft list map " + table + " cordon-dns lent"
		var end func()
		r.do("lend", func() (err error) {
			end, err = detour.Lend(40000, netip.MustParseAddr(device), time.Minute)
			return err
		})
		r.shows(command, device, true)
		r.do("end", func() error { end(); return nil })
		r.shows(command, device, false)
	}
}
