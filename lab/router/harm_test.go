package router_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cordon"
	"cordon/agent/control"
	"cordon/lab/live"
	"cordon/lab/netns"
	"cordon/lab/router"
)

// site is a web server on the internet.
func site(t *testing.T, home *netns.Home, at string) { t.Helper(); serve(t, home.Internet, at) }

// serve is a web server on a host.
func serve(t *testing.T, h *netns.Host, at string) {
	t.Helper()
	l, err := h.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) }))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
}

// reaches reports whether a device gets a page of a site.
func reaches(h *netns.Host, at string) bool {
	c := h.HTTPClient()
	c.Timeout = 2 * time.Second
	r, err := c.Get("http://" + at + "/")
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

const somewhere = "198.51.100.40:8088"

// TestItCannotHarm kills, stops and starves the agent: the other devices never
// notice, and who was cut off stays cut off.
func TestItCannotHarm(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 2})
	a := router.Start(t, home, protect)
	site(t, home, somewhere)
	bad, good := home.Devices[0], home.Devices[1]
	if !reaches(bad, somewhere) || !reaches(good, somewhere) {
		t.Fatalf("the site cannot be reached with the agent at work\n%s", a.Process.Output())
	}
	if _, err := (live.Scan{Bursts: 2}).Run(bounded(t, time.Minute), bad); err != nil {
		t.Fatal(err)
	}
	quarantined(t, a, 0)
	still := func(when string) {
		t.Helper()
		if !reaches(good, somewhere) {
			t.Errorf("%s: the other device is cut off", when)
		}
		if reaches(bad, somewhere) {
			t.Errorf("%s: the device in quarantine got out", when)
		}
	}
	still("at work")
	if err := a.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	still("stopped")
	a.Process.Kill()
	still("killed")
	a.Run()
	still("started again")
	if d := a.Device(0); d.State != control.StateQuarantined {
		t.Errorf("after the restart it is %q", d.State)
	}
	if err := a.Process.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	still("ended")

	files, err := filepath.Glob(filepath.Join(a.Dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no state was written: %v", err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			if err := os.WriteFile(f, []byte("{\x00 garbage"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.Run()
	still("with garbage for its state")
}

// TestByHand cuts a device off and lets it back in because somebody says so.
func TestByHand(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	a := router.Start(t, home, protect)
	site(t, home, somewhere)
	if !reaches(home.Devices[0], somewhere) {
		t.Fatal("the site cannot be reached")
	}
	if _, err := a.Quarantine(bounded(t, inTime), control.QuarantineRequest{Device: home.Config.DeviceMAC(0), For: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if reaches(home.Devices[0], somewhere) {
		t.Error("not cut off")
	}
	if _, err := a.Release(bounded(t, inTime), control.ReleaseRequest{What: home.Config.DeviceMAC(0)}); err != nil {
		t.Fatal(err)
	}
	netns.Wait(t, inTime, "the device is back", func() bool { return reaches(home.Devices[0], somewhere) })
	if d := a.Device(0); did(d, cordon.VerbQuarantine) {
		t.Errorf("still in force: %+v", d.Actions)
	}
}

// TestSafeMode crashes the agent three times: then it only keeps what is in force.
func TestSafeMode(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	a := router.Start(t, home, protect)
	for range 3 {
		a.Process.Kill()
		a.Run()
	}
	s, err := a.Status(bounded(t, inTime))
	if err != nil || s.Mode != "safe" || s.Why == "" || s.Eyes.State != control.PartOff {
		t.Errorf("mode %q, because %q, eyes %+v, %v", s.Mode, s.Why, s.Eyes, err)
	}
	if _, err := (live.Scan{Bursts: 1}).Run(bounded(t, time.Minute), home.Devices[0]); err != nil {
		t.Fatal(err)
	}
	if s, err = a.Status(bounded(t, inTime)); err != nil || s.Counters["frames"] != 0 || s.Devices.Known != 0 {
		t.Errorf("in safe mode %d frames of %d devices were looked at, %v", s.Counters["frames"], s.Devices.Known, err)
	}
}

// TestNetworkChanges renumbers the home under the agent and takes a port away: the
// new addresses are the home's, and who scans from there is stopped.
func TestNetworkChanges(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 2})
	a := router.Start(t, home, protect)
	site(t, home, somewhere)
	if !reaches(home.Devices[0], somewhere) {
		t.Fatal("the site cannot be reached")
	}
	home.Router.IP("addr add 192.168.88.1/24 dev br-lan", "addr del 192.168.77.1/24 dev br-lan")
	home.Devices[0].IP("addr add 192.168.88.10/24 dev eth0", "addr del 192.168.77.10/24 dev eth0", "route replace default via 192.168.88.1")
	netns.Wait(t, inTime, "the new addresses are the home's", func() bool { return reaches(home.Devices[0], somewhere) })
	if d := a.Device(0); len(d.Addresses) == 0 || d.Addresses[0].String() != "192.168.88.10" {
		t.Errorf("the agent knows it by %v", d.Addresses)
	}
	home.Router.IP("link set lan1 down", "link set lan1 nomaster", "link set lan1 up", "link set lan1 master br-lan")
	netns.Wait(t, inTime, "the port is watched again", func() bool {
		live.Scan{Source: 4000, Targets: netip.MustParsePrefix("198.18.0.0/16"), Bursts: 1}.Run(bounded(t, inTime), home.Devices[0])
		return a.Device(0).State == control.StateQuarantined
	})
}
