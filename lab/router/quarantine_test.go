package router_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"cordon/agent/control"
	"cordon/lab/netns"
	"cordon/lab/router"
)

// TestQuarantine cuts a device off and looks at what it still reaches: its address,
// the names that it needs to be mended, the places behind them, and a page that says
// what happened. It cannot release itself, and it reaches no neighbour.
func TestQuarantine(t *testing.T) {
	for _, name := range []string{"dnsmasq", "dig", "curl"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("needs " + name)
		}
	}
	home := netns.NewHome(t, netns.HomeConfig{Devices: 2})
	home.Router.Go("dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=",
		"--bind-dynamic", "--interface=br-lan", "--interface=lo", "--address=/portal.example/198.51.100.40", "--address=/other.example/198.51.100.41")
	a := router.Start(t, home, protect+"[page]\nportal = \"http://portal.example/\"\n")
	site(t, home, "198.51.100.40:80")
	site(t, home, "198.51.100.41:80")
	site(t, home, "198.51.100.40:8443")
	cam, tv := home.Devices[0], home.Devices[1]

	resolve := func(name string) string {
		out, _ := cam.Run("dig", "+time=2", "+tries=2", "+noall", "+comments", "+answer", "@192.168.77.1", name, "A")
		return out
	}
	get := func(url string, args ...string) string {
		out, err := cam.Run("curl", append(args, "-s", "-m", "3", "-o", "-", "-H", "Accept: text/html", url)...)
		if err != nil {
			return err.Error()
		}
		return out
	}
	netns.Wait(t, inTime, "names are resolved", func() bool { return strings.Contains(resolve("other.example"), "198.51.100.41") })
	if got := get("http://198.51.100.41/"); got != "hello" {
		t.Fatalf("before: %q", got)
	}
	camAt, tvAt, tv6 := netns.DeviceIP(0).String()+":81", netns.DeviceIP(1).String()+":81", "["+netns.DeviceIP6(1).String()+"]:81"
	serve(t, cam, camAt)
	serve(t, tv, tvAt)
	serve(t, tv, tv6)
	if !reaches(cam, tvAt) || !reaches(cam, tv6) || !reaches(tv, camAt) {
		t.Fatal("before: the neighbours do not reach each other")
	}
	if _, err := a.Quarantine(bounded(t, inTime), control.QuarantineRequest{Device: home.Config.DeviceMAC(0), For: time.Hour}); err != nil {
		t.Fatal(err)
	}

	if got := resolve("other.example"); !strings.Contains(got, "NXDOMAIN") {
		t.Errorf("another name: %s", got)
	}
	if got := get("http://198.51.100.41/"); !strings.Contains(got, "disconnected from the internet") {
		t.Errorf("another place is no page: %q", got)
	}
	begun := time.Now()
	if _, err := cam.Run("curl", "-sk", "-m", "10", "https://198.51.100.41:443/"); err == nil {
		t.Error("HTTPS to another place")
	}
	t.Logf("HTTPS was refused after %v", time.Since(begun))
	for who, reached := range map[string]bool{
		"the device reaches its neighbour": reaches(cam, tvAt),
		"its neighbour reaches the device": reaches(tv, camAt),
		"the device reaches it by IPv6":    reaches(cam, tv6),
	} {
		if reached {
			t.Error(who)
		}
	}
	if !reaches(tv, "198.51.100.41:80") {
		t.Error("the neighbour is cut off from the internet")
	}
	if got := get("http://198.51.100.40:8443/"); got == "hello" {
		t.Error("the portal's address is open before anybody asked for its name")
	}
	if got := resolve("portal.example"); !strings.Contains(got, "198.51.100.40") {
		t.Errorf("the portal's name: %s", got)
	}
	if got := get("http://198.51.100.40/"); got != "hello" {
		t.Errorf("the portal: %q", got)
	}
	if out, err := cam.Run("curl", "-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "http://198.51.100.41/release"); err != nil || out != "405" {
		t.Errorf("a form sent to the page: %s %v", out, err)
	}

	if _, err := a.Release(bounded(t, inTime), control.ReleaseRequest{What: home.Config.DeviceMAC(0)}); err != nil {
		t.Fatal(err)
	}
	netns.Wait(t, inTime, "the device is back", func() bool { return get("http://198.51.100.41/") == "hello" })
	netns.Wait(t, inTime, "names are resolved again", func() bool { return strings.Contains(resolve("other.example"), "198.51.100.41") })
}

// TestReleaseAfterRestart: a device that was cut off before a restart and has not
// spoken since is free after its release, with all its addresses.
func TestReleaseAfterRestart(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	a := router.Start(t, home, protect)
	site(t, home, somewhere)
	if !reaches(home.Devices[0], somewhere) {
		t.Fatal("the site cannot be reached")
	}
	if _, err := a.Quarantine(bounded(t, inTime), control.QuarantineRequest{Device: home.Config.DeviceMAC(0), For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if err := a.Process.Stop(); err != nil {
		t.Fatal(err)
	}
	a.Run()
	if _, err := a.Release(bounded(t, inTime), control.ReleaseRequest{What: home.Config.DeviceMAC(0)}); err != nil {
		t.Fatal(err)
	}
	netns.Wait(t, inTime, "the device is back", func() bool { return reaches(home.Devices[0], somewhere) })
}
