package selftest_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"cordon/agent/selftest"
	"cordon/lab/netns"
)

func addrs(list ...netip.Addr) func() []netip.Addr { return func() []netip.Addr { return list } }

// TestProbes asks real hosts, and nobody.
func TestProbes(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	dns, err := home.Internet.ListenPacket("udp", "198.51.100.53:53")
	if err != nil {
		t.Fatal(err)
	}
	defer dns.Close()
	go func() { // a resolver that refuses
		buf := make([]byte, 512)
		for {
			n, from, err := dns.ReadFrom(buf)
			if err != nil {
				return
			}
			buf[2], buf[3] = 0x80, 5
			dns.WriteTo(buf[:n], from)
		}
	}()
	asker := selftest.Asker{Dial: home.Router.DialContext}
	resolver, dark := netip.MustParseAddr("198.51.100.53"), netip.MustParseAddr("198.18.0.1")
	for _, c := range []struct {
		name  string
		probe selftest.Probe
		ok    bool
	}{
		{"a resolver", asker.Uplink(addrs(dark, resolver), addrs()), true},
		{"a host without a resolver", asker.Uplink(addrs(netns.InternetIP), addrs()), true},
		{"a gateway", asker.Uplink(addrs(dark), addrs(netns.InternetIP)), true},
		{"a gateway by IPv6", asker.Uplink(addrs(), addrs(netns.InternetIP6)), true},
		{"a device", asker.LAN(addrs(netns.DeviceIP(9), netns.DeviceIP(0))), true},
		{"a device by IPv6", asker.LAN(addrs(netns.DeviceIP6(0))), true},
		{"no device there", asker.LAN(addrs(netns.DeviceIP(9))), false},
		{"nobody", asker.LAN(addrs()), false},
		{"the dark", asker.Uplink(addrs(dark), addrs(dark)), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			if err := c.probe.Run(ctx); (err == nil) != c.ok {
				t.Errorf("probe: %v, want success %t", err, c.ok)
			}
		})
	}
}

// TestRollback undoes a real rule that cuts the router off, and keeps one that
// cuts off a device only.
func TestRollback(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 2})
	asker := selftest.Asker{Dial: home.Router.DialContext}
	probes := []selftest.Probe{asker.Uplink(addrs(), addrs(netns.InternetIP)), asker.LAN(addrs(netns.DeviceIP(0), netns.DeviceIP(1)))}
	for _, c := range []struct {
		name, rule string
		want       selftest.Outcome
	}{
		{"the internet", `iifname "wan" drop`, selftest.RolledBack},
		{"the home", `iifname "br-lan" drop`, selftest.RolledBack},
		{"one device", `ip saddr 192.168.77.10 drop`, selftest.Passed},
	} {
		t.Run(c.name, func(t *testing.T) {
			tester := selftest.New(selftest.Config{Probes: probes, Wait: 400 * time.Millisecond, Pause: 50 * time.Millisecond})
			nft := func(text string) func() error {
				return func() error {
					_, err := home.Router.Run("nft", text)
					return err
				}
			}
			got, err := tester.Around(t.Context(),
				nft("add table inet t; add chain inet t c { type filter hook input priority 0; }; add rule inet t c "+c.rule),
				nft("delete table inet t"))
			if err != nil || got.Outcome != c.want {
				t.Errorf("%+v, %v, want %s", got, err, c.want)
			}
			out, _ := home.Router.Run("nft", "list", "tables")
			if there := len(out) > len("table inet nat\n"); there != (c.want == selftest.Passed) {
				t.Errorf("tables afterwards: %s", out)
			}
		})
	}
}
