package router_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"cordon"
	"cordon/lab/live"
	"cordon/lab/netns"
	"cordon/lab/router"
)

// eyes are the two ways to see packets; all that follows holds for both.
var eyes = map[string]string{
	"eBPF":      "[capture]\nmode = \"ebpf\"\n",
	"AF_PACKET": "[capture]\nmode = \"afpacket\"\n",
}

// TestInfection lets Mirai into a camera: it calls its command server, and then it
// scans. Of the scan only the first burst leaves the router; the open connection to
// the command server dies; the neighbour's download arrives whole.
func TestInfection(t *testing.T) {
	for name, capture := range eyes {
		t.Run(name, func(t *testing.T) {
			home := netns.NewHome(t, netns.HomeConfig{Devices: 2})
			a := router.Start(t, home, protect+capture)
			ctx := bounded(t, time.Minute)
			at := netip.MustParseAddrPort("198.51.100.7:23")
			c2, err := live.StartC2(home.Internet, at)
			if err != nil {
				t.Fatal(err)
			}
			defer c2.Close()
			meter, err := live.StartMeter(home.Internet, "eth0", live.ScanSYN)
			if err != nil {
				t.Fatal(err)
			}
			defer meter.Stop()

			whole := make(chan error, 1)
			go func() {
				_, err := live.Download{Server: home.Internet, At: netip.MustParseAddrPort("198.51.100.9:8000"), Bytes: 8 << 20, Rate: 1 << 20}.Run(ctx, home.Devices[1])
				whole <- err
			}()
			bot, stop := context.WithCancel(ctx)
			defer stop()
			ended := make(chan error, 1)
			go func() {
				_, err := live.Bot{C2: at, ID: "test", Alive: 200 * time.Millisecond}.Run(bot, home.Devices[0])
				ended <- err
			}()
			netns.Wait(t, inTime, "the bot keeps its connection alive", func() bool { n, _ := c2.Alive(); return n >= 2 })

			sent, err := live.Scan{Bursts: 4}.Run(ctx, home.Devices[0])
			if err != nil {
				t.Fatal(err)
			}
			quarantined(t, a, 0)
			n, _ := c2.Alive()
			live.Scan{Bursts: 2}.Run(ctx, home.Devices[0]) // time passes, and the device goes on
			if m, _ := c2.Alive(); m > n+1 {
				t.Errorf("%d signs of life reached the command server after the device was cut off", m-n)
			}
			arrived, err := meter.Stop()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("of %d SYNs %d left the router, within %v", sent.Packets, len(arrived), live.Between(arrived))
			if len(arrived) > 160 {
				t.Errorf("%d SYNs left the router: more than the first burst", len(arrived))
			}
			if err := <-whole; err != nil {
				t.Errorf("the neighbour's download: %v", err)
			}
			stop()
			<-ended
		})
	}
}

// TestObserve shows what the agent does where it may only look: nothing.
func TestObserve(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	a := router.Start(t, home, "")
	meter, err := live.StartMeter(home.Internet, "eth0", live.ScanSYN)
	if err != nil {
		t.Fatal(err)
	}
	sent, err := live.Scan{Bursts: 3}.Run(bounded(t, time.Minute), home.Devices[0])
	if err != nil {
		t.Fatal(err)
	}
	netns.Wait(t, inTime, "the scan is detected", func() bool { return a.Device(0).Incident != "" })
	meter.WaitQuiet(bounded(t, inTime), 200*time.Millisecond)
	arrived, err := meter.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if uint64(len(arrived)) != sent.Packets {
		t.Errorf("%d of %d packets arrived", len(arrived), sent.Packets)
	}
	for _, act := range a.Device(0).Actions {
		if act.Mode == cordon.ModeDo && act.Verb != cordon.VerbNotify {
			t.Errorf("%s was done", act.Verb)
		}
	}
}
