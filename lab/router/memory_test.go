package router_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/agent/control"
	"cordon/lab/cable"
	"cordon/lab/live"
	"cordon/lab/netns"
	"cordon/lab/router"
	"cordon/lab/synth/frame"
)

// indicators writes a feed of n hostile places.
func indicators(t *testing.T, n int) (file string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("type,value,source,role,confidence,expires\n")
	until := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	for i := range n {
		a := netip.AddrFrom4([4]byte{45, byte(i >> 16), byte(i >> 8), byte(i)})
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "name,c2-%d.example,test,c2,90,%s\n", i, until)
		case 1:
			fmt.Fprintf(&b, "address,%s,test,c2,95,%s\n", a, until)
		default:
			fmt.Fprintf(&b, "address-port,%s:%d,test,c2,90,%s\n", a, 1024+i%60000, until)
		}
	}
	file = filepath.Join(t.TempDir(), "feed.csv")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// memory returns a line of /proc/PID/status in bytes.
func memory(t *testing.T, pid int, name string) (n int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			fmt.Sscan(rest, &n)
		}
	}
	return n << 10
}

// TestMemory gives the agent a large home and much to know, and holds it to its
// budget, also in the worst moment of its start.
func TestMemory(t *testing.T) {
	if os.Getenv("CORDON_AGENT_CONFIG") != "" {
		t.Skip("a build for debugging takes more memory")
	}
	home := netns.NewHome(t, netns.HomeConfig{Devices: 30})
	a := router.Start(t, home, protect+fmt.Sprintf("[indicators]\nfile = %q\n", indicators(t, 20_000)))
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
	s, err := a.Status(bounded(t, inTime))
	if err != nil {
		t.Fatal(err)
	}
	if s.Devices.Known < 30 {
		t.Errorf("%d devices known", s.Devices.Known)
	}
	pid := a.Process.PID()
	within := netns.Holds(inTime, func() bool { return memory(t, pid, "VmRSS") <= budget })
	t.Logf("%d devices: %.1f MB resident, %.1f of it the program's file; %.1f MB at the most", s.Devices.Known,
		float64(memory(t, pid, "VmRSS"))/1e6, float64(memory(t, pid, "RssFile"))/1e6, float64(memory(t, pid, "VmHWM"))/1e6)
	if !within {
		t.Errorf("more than %.0f MB resident", budget/1e6)
	}
}

// budget is the resident memory that the agent may take in such a home, once what only
// its start needed was given back.
const budget = 25e6

// TestHostile: to a place that is known to be hostile not even the first packet
// leaves, and its name has no address.
func TestHostile(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	at := netip.MustParseAddrPort("198.51.100.66:8066")
	feed := filepath.Join(t.TempDir(), "feed.csv")
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	if err := os.WriteFile(feed, []byte("type,value,source,role,confidence,expires\naddress-port,"+at.String()+",test,c2,90,"+until+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := router.Start(t, home, protect+fmt.Sprintf("[indicators]\nfile = %q\n", feed))
	site(t, home, at.String())
	site(t, home, somewhere)
	if !reaches(home.Devices[0], somewhere) {
		t.Fatal("the harmless site cannot be reached")
	}
	netns.Wait(t, inTime, "the place cannot be reached", func() bool { return !reaches(home.Devices[0], at.String()) })
	netns.Wait(t, inTime, "it is an incident", func() bool { return did(a.Device(0), cordon.VerbBlock) })
	if !reaches(home.Devices[0], somewhere) {
		t.Error("the harmless site cannot be reached any more")
	}
}

// crowd is how many devices the worst home has, and crowdBudget the resident memory
// that the agent may take while they all attack.
const (
	crowd       = 250
	crowdBudget = 40e6
)

// TestMemoryUnderAttack lets 250 devices of one home scan the internet at once, until
// half of them are incidents. That takes a while: devices that have just come share
// one cap on what is looked into, so that invented ones blind nobody.
func TestMemoryUnderAttack(t *testing.T) {
	if os.Getenv("CORDON_AGENT_CONFIG") != "" {
		t.Skip("a build for debugging takes more memory")
	}
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	a := router.Start(t, home, protect+fmt.Sprintf("[indicators]\nfile = %q\n", indicators(t, 20_000)))
	nic := cable.Plug(t, home.Devices[0], "eth0")
	var b frame.Buffer
	rt := cordon.MAC{0x02, 0xc0, 0x4d, 0, 0, 1} // netns.RouterMAC
	round := 0
	attack := func() {
		for n := range 20 {
			round++
			for i := range crowd {
				mac := cordon.MAC{0x44, 0x19, 0xb6, 1, 0, byte(i)}
				src, dst := netip.AddrFrom4([4]byte{192, 168, 77, byte(2 + i)}), netip.AddrFrom4([4]byte{198, 18, byte(round), byte(i)})
				f := b.TCP(frame.Link{Src: mac, Dst: rt}, frame.Net{Src: src, Dst: dst, TTL: 64, ID: uint16(n)},
					frame.Segment{SrcPort: uint16(1024 + n), DstPort: 23, Flags: frame.SYN, Window: 1000, Seq: uint32(n)}, nil)
				if err := nic.Send(f); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	var s control.Status
	netns.Wait(t, time.Minute, "half of the crowd are incidents", func() (done bool) {
		attack()
		var err error
		s, err = a.Status(bounded(t, inTime))
		return err == nil && s.Devices.Known >= crowd/2 && s.Incidents >= crowd/2
	})
	peak := float64(memory(t, a.Process.PID(), "VmHWM"))
	t.Logf("%+v, %d incidents, %v in force: %.1f MB resident at the most", s.Devices, s.Incidents, s.InForce, peak/1e6)
	if peak > crowdBudget {
		t.Errorf("%.1f MB resident at the most, want at most %.0f", peak/1e6, crowdBudget/1e6)
	}
}
