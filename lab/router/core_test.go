package router_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cordon"
	"cordon/agent/control"
	"cordon/core/api/view"
	"cordon/lab/door"
	"cordon/lab/live"
	"cordon/lab/netns"
	core "cordon/lab/provider"
	"cordon/lab/router"
	"cordon/wire"
)

// provider puts a core into the internet of a home, and returns the configuration of
// an agent that belongs to it.
func provider(t *testing.T, home *netns.Home) (*door.Core, string) {
	t.Helper()
	at := netip.MustParseAddr("203.0.113.1")
	core := door.New(t, net.IP(at.AsSlice()))
	core.Set(func() { core.Bus = expose(t, home.Internet, at, core.Address()) })
	url := "https://" + expose(t, home.Internet, at, core.Door[len("https://"):])
	dir := t.TempDir()
	for name, text := range map[string][]byte{"ca.pem": core.PEM, "claim": []byte(door.Secret + "\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return core, fmt.Sprintf("[core]\nurl = %q\nca_file = %q\nserial = \"S1\"\nsecret_file = %q\n", url, dir+"/ca.pem", dir+"/claim")
}

// expose lets a host of the bed answer for a server of this process, and returns where.
func expose(t *testing.T, host *netns.Host, at netip.Addr, server string) string {
	t.Helper()
	var l net.Listener
	if err := host.Do(func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(at, 0).String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer a.Close()
				b, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer b.Close()
				go func() { defer b.Close(); io.Copy(b, a) }()
				io.Copy(a, b)
			}()
		}
	}()
	return l.Addr().String()
}

// desire has core want something of the site.
func desire(core *door.Core, d cordon.Desired) {
	core.Send(wire.Directive{Number: d.Version, Receiver: door.Router, Desired: &d}, "to."+door.Router+".directive")
}

// TestCore: the agent of a real router enrols, tells of an infection, carries out what
// core wants, also after it was killed, and ends it when core takes it back.
func TestCore(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 2})
	core, extra := provider(t, home)
	a := router.Start(t, home, extra) // observe, until core says otherwise
	site(t, home, somewhere)
	core.Wait("the router says hello", func() bool { return len(core.Hellos) == 1 })
	for i := range home.Devices {
		if !reaches(home.Devices[i], somewhere) {
			t.Fatalf("device %d does not reach the internet", i)
		}
	}
	core.Wait("both devices are told", func() bool { return count(core, func(r *cordon.Report) bool { return r.Device != nil }) >= 2 })

	wall := cordon.TimeOf(time.Now())
	order := cordon.Order{ID: "order-1", Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Device: home.Config.DeviceMAC(1)}, Reason: "It was asked for.",
		By: "Ada", At: wall, Expires: wall.Add(time.Hour)}
	harm := order
	harm.ID, harm.Verb, harm.Entity.Target = "order-2", cordon.VerbBlock, cordon.Target{Peer: netip.MustParseAddr("203.0.113.1")} // core
	desire(core, cordon.Desired{Version: 3, Policy: cordon.PolicyProtect, Orders: []cordon.Order{order, harm}})
	begin := time.Now()
	core.Wait("the order is in force", func() bool {
		return count(core, func(r *cordon.Report) bool {
			return r.Action != nil && r.Action.Action.ID == "order-1" && r.Action.Result == cordon.ResultDone
		}) == 1
	})
	t.Logf("an order is in force and told after %v", time.Since(begin).Round(time.Millisecond))
	if reaches(home.Devices[1], somewhere) {
		t.Error("the device still reaches the internet")
	}
	core.Wait("the harmful order is refused", func() bool {
		return count(core, func(r *cordon.Report) bool { return r.Enforced != nil && refuses(r.Enforced, "order-2") }) > 0
	})

	if _, err := (live.Scan{Bursts: 1}).Run(bounded(t, time.Minute), home.Devices[0]); err != nil {
		t.Fatal(err)
	}
	core.Wait("the infection is told", func() bool {
		return count(core, func(r *cordon.Report) bool { return r.Incident != nil && r.Incident.Level == cordon.Act }) > 0
	})
	quarantined(t, a, 0)
	released := cordon.Release{Device: home.Config.DeviceMAC(0), By: "Ada", At: cordon.TimeOf(time.Now()), Expires: wall.Add(time.Hour)}
	desire(core, cordon.Desired{Version: 4, Policy: cordon.PolicyProtect, Orders: []cordon.Order{order}, Released: []cordon.Release{released}})
	netns.Wait(t, inTime, "the infected device is released", func() bool { return a.Device(0).State != control.StateQuarantined })

	a.Process.Kill()
	<-a.Process.Done()
	a.Run()
	core.Wait("the router is back", func() bool {
		return len(core.Hellos) == 2 && core.Hellos[1].Desired == 4 && core.Hellos[1].Boot > core.Hellos[0].Boot
	})
	if a.Device(1).State != control.StateQuarantined || reaches(home.Devices[1], somewhere) {
		t.Errorf("the order did not survive: %+v", a.Device(1))
	}
	if _, err := a.Release(bounded(t, inTime), control.ReleaseRequest{What: "order-1"}); err != nil {
		t.Fatal(err)
	}
	core.Wait("what was released at the router is told", func() bool {
		return count(core, func(r *cordon.Report) bool { return r.Enforced != nil && refuses(r.Enforced, "order-1") }) > 0
	})
	if !reaches(home.Devices[1], somewhere) {
		t.Error("the device is still cut off")
	}
	s, err := a.Status(bounded(t, inTime))
	if err != nil || s.Core == nil || s.Core.State != "connected" || s.Core.Desired != 4 {
		t.Errorf("status %+v, %v", s.Core, err)
	}
	lines, err := a.Ledger(bounded(t, inTime), 100)
	if err != nil || len(lines) == 0 {
		t.Errorf("ledger of %d lines, %v", len(lines), err)
	}
}

func refuses(e *cordon.Enforced, what string) bool {
	for _, r := range e.Refused {
		if r.What == what {
			return true
		}
	}
	return false
}

// count counts reports. It is called within Wait.
func count(core *door.Core, f func(*cordon.Report) bool) (n int) {
	for i := range core.Reports {
		if f(&core.Reports[i]) {
			n++
		}
	}
	return n
}

// TestMemoryWithCore is TestMemory for an agent that reports to core.
func TestMemoryWithCore(t *testing.T) {
	if os.Getenv("CORDON_AGENT_CONFIG") != "" {
		t.Skip("a build for debugging takes more memory")
	}
	home := netns.NewHome(t, netns.HomeConfig{Devices: 30})
	core, extra := provider(t, home)
	a := router.Start(t, home, protect+extra+fmt.Sprintf("[indicators]\nfile = %q\n", indicators(t, 20_000)))
	site(t, home, somewhere)
	for i, d := range home.Devices {
		if !reaches(d, somewhere) {
			t.Fatalf("device %d does not reach the internet", i)
		}
	}
	if _, err := (live.Scan{Bursts: 1}).Run(bounded(t, time.Minute), home.Devices[0]); err != nil {
		t.Fatal(err)
	}
	quarantined(t, a, 0)
	core.Wait("30 devices and the infection are told", func() bool {
		devices := make(map[string]bool)
		act := false
		for _, r := range core.Reports {
			if r.Device != nil {
				devices[r.Device.ID] = true
			}
			act = act || r.Incident != nil && r.Incident.Level == cordon.Act
		}
		return len(devices) >= 30 && act
	})
	pid := a.Process.PID()
	within := netns.Holds(inTime, func() bool { return memory(t, pid, "VmRSS") <= budget })
	t.Logf("with core: %.1f MB resident, %.1f of it the program's file; %.1f MB at the most",
		float64(memory(t, pid, "VmRSS"))/1e6, float64(memory(t, pid, "RssFile"))/1e6, float64(memory(t, pid, "VmHWM"))/1e6)
	if !within {
		t.Errorf("more than %.0f MB resident", budget/1e6)
	}
}

// TestProvider: the agent of a real router and the real core. An infection in the home is
// in the API; a quarantine that is ordered there is in force in the kernel; an allowance
// and a release end it.
func TestProvider(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 2})
	p := core.NewIn(t, home.Internet, netip.MustParseAddr("203.0.113.1"), map[string]string{"policy": `default = "protect"`})
	p.Start()
	p.Import(1)
	a := router.Start(t, home, p.Agent(0))
	site(t, home, somewhere)
	for i := range home.Devices {
		if !reaches(home.Devices[i], somewhere) {
			t.Fatalf("device %d does not reach the internet", i)
		}
	}
	var devices []view.Device
	netns.Wait(t, inTime, "both devices are in the API", func() (there bool) {
		devices, _ = core.List[view.Device](p, "/v1/devices", nil)
		return len(devices) >= 2
	})
	at := func(i int) string {
		return "/v1/sites/" + devices[0].Site + "/devices/" + url.PathEscape(home.Config.DeviceMAC(i))
	}
	state := func(i int) (d view.Device) {
		if err := p.Ask(http.MethodGet, at(i), nil, &d); err != nil {
			t.Error(err)
		}
		return d
	}

	begin := time.Now()
	if err := p.Ask(http.MethodPost, at(1)+"/quarantine", map[string]string{"reason": "a test"}, nil); err != nil {
		t.Fatal(err)
	}
	netns.Wait(t, inTime, "the device is in quarantine", func() bool { return a.Device(1).State == control.StateQuarantined })
	t.Logf("a quarantine is in force after %v", time.Since(begin).Round(time.Millisecond))
	if reaches(home.Devices[1], somewhere) || !reaches(home.Devices[0], somewhere) {
		t.Error("the one device reaches the internet, or the other does not")
	}
	begin = time.Now()
	if err := p.Ask(http.MethodPost, at(1)+"/release", struct{}{}, nil); err != nil {
		t.Fatal(err)
	}
	netns.Wait(t, inTime, "the device is free", func() bool { return a.Device(1).State != control.StateQuarantined })
	t.Logf("a release is in force after %v", time.Since(begin).Round(time.Millisecond))
	if !reaches(home.Devices[1], somewhere) {
		t.Error("the device is still cut off")
	}

	if _, err := (live.Scan{Bursts: 1}).Run(bounded(t, time.Minute), home.Devices[0]); err != nil {
		t.Fatal(err)
	}
	netns.Wait(t, inTime, "the infection is in the API", func() bool {
		list, err := core.List[view.Incident](p, "/v1/incidents", url.Values{"level": {"act"}})
		return err == nil && len(list) == 1 && list[0].Device.ID == home.Config.DeviceMAC(0)
	})
	netns.Wait(t, inTime, "the API shows the quarantine", func() bool { return state(0).State == "quarantined" })
	quarantined(t, a, 0)
	p.Kill() // the home is protected without it
	if reaches(home.Devices[0], somewhere) || !reaches(home.Devices[1], somewhere) {
		t.Error("without core the one device reaches the internet, or the other does not")
	}
	p.Start()
	if err := p.Ask(http.MethodPost, at(0)+"/release", struct{}{}, nil); err != nil {
		t.Fatal(err)
	}
	netns.Wait(t, time.Minute, "the device is free", func() bool { return a.Device(0).State != control.StateQuarantined })
	netns.Wait(t, inTime, "the API shows that", func() bool { return state(0).State == "watched" })
}
