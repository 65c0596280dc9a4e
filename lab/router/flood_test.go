package router_test

import (
	"net/netip"
	"testing"
	"time"

	"cordon"
	"cordon/agent/packet"
	"cordon/lab/live"
	"cordon/lab/netns"
	"cordon/lab/router"
)

// TestFloods attacks from one device while another has a call. What reaches the
// internet in the fourth second of the flood is next to nothing.
func TestFloods(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 8})
	a := router.Start(t, home, protect)
	for i, kind := range []live.FloodKind{live.SYN, live.UDP, live.ACK, live.GRE, live.ICMP, live.DNS} {
		t.Run(string(kind), func(t *testing.T) {
			device := i
			mine := netns.RouterWAN
			targets, port := netns.Dark[0], uint16(0)
			switch kind {
			case live.DNS:
				targets = netip.PrefixFrom(netns.InternetIP, 32)
			case live.SYN:
				targets, port = netip.MustParsePrefix("198.18.7.7/32"), 80
			}
			meter, err := live.StartMeter(home.Internet, "eth0", func(p *packet.Packet) bool { return p.Src == mine && targets.Contains(p.Dst) })
			if err != nil {
				t.Fatal(err)
			}
			called := make(chan live.CallReport, 1)
			go func() {
				r, _ := live.Call{Server: home.Internet, At: netip.MustParseAddrPort("198.51.100.20:5000"), Duration: 5 * time.Second}.Run(bounded(t, time.Minute), home.Devices[7])
				called <- r
			}()
			sent, err := live.Flood{Kind: kind, Targets: targets, Port: port, Rate: 2000, Duration: 6 * time.Second}.Run(bounded(t, time.Minute), home.Devices[device])
			if err != nil {
				t.Fatal(err)
			}
			arrived, err := meter.Stop()
			if err != nil {
				t.Fatal(err)
			}
			seconds := make([]int, 8)
			for _, p := range arrived {
				if s := int(p.At.Sub(sent.First) / time.Second); s >= 0 && s < len(seconds) {
					seconds[s]++
				}
			}
			t.Logf("%d packets sent; arrived in each second: %v; the call: %+v", sent.Packets, seconds, <-called)
			if len(arrived) == 0 {
				t.Error("nothing arrived at all: the test shows nothing")
			}
			if late := seconds[4] + seconds[5]; late > 200 {
				t.Errorf("%d packets arrived in the fifth and sixth second", late)
			}
			if d := a.Device(device); !did(d, cordon.VerbLimit) && !did(d, cordon.VerbBlock) {
				t.Errorf("nothing was done: %+v", d.Actions)
			}
		})
	}
}
