package netns_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cordon/lab/netns"
)

// TestHome shows that every device reaches its neighbour, the router and the
// internet by IPv4 and IPv6, masqueraded, at once.
func TestHome(t *testing.T) {
	t.Parallel()
	began := time.Now()
	home := netns.NewHome(t, netns.HomeConfig{Devices: 3})
	t.Logf("a home of 3 devices took %v", time.Since(began))
	l, err := home.Internet.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "%s", c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap())
			c.Close()
		}
	}()
	for to, from := range map[string]netip.Addr{
		"203.0.113.1:80":       netns.RouterWAN,
		"198.19.3.4:80":        netns.RouterWAN,
		"[2001:db8:203::1]:80": netns.RouterWAN6,
		"[2001:db8:1:2::3]:80": netns.RouterWAN6,
	} {
		for _, d := range home.Devices {
			if got := read(t, d, to); got != from.String() {
				t.Errorf("from %s to %s: came from %s, want %s", d.Name, to, got, from)
			}
		}
	}
	neighbour, err := home.Devices[1].Listen("tcp", ":8080")
	if err != nil {
		t.Fatal(err)
	}
	defer neighbour.Close()
	for _, to := range []netip.Addr{netns.DeviceIP(1), netns.DeviceIP6(1)} {
		c, err := home.Devices[0].Dial("tcp", netip.AddrPortFrom(to, 8080).String())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

// TestHomePlain shows a home without a bridge and without address translation.
func TestHomePlain(t *testing.T) {
	t.Parallel()
	off := false
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1, NoNAT: true, NoBridge: true, Offload: &off,
		MACs: []string{"02:11:22:33:44:55"}})
	c, err := home.Internet.ListenPacket("udp", "203.0.113.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d, err := home.Devices[0].Dial("udp", "203.0.113.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	n, from, err := c.ReadFrom(b)
	if err != nil || string(b[:n]) != "hello" || from.(*net.UDPAddr).AddrPort().Addr() != netns.DeviceIP(0) {
		t.Fatalf("got %q from %v, %v", b[:n], from, err)
	}
	out, err := home.Devices[0].Run("ip", "-o", "link", "show", "eth0")
	if err != nil || !strings.Contains(out, "02:11:22:33:44:55") {
		t.Errorf("device has %s, %v", out, err)
	}
	out, err = home.Devices[0].Run("ethtool", "-k", "eth0")
	if err != nil || !strings.Contains(out, "generic-segmentation-offload: off") {
		t.Errorf("offload is %s, %v", out, err)
	}
}

// TestDark shows that a dark address answers nothing and a live one refuses.
func TestDark(t *testing.T) {
	t.Parallel()
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	if _, err := home.Devices[0].Dial("tcp", "198.19.0.1:23"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a live address without a listener: %v, want refused", err)
	}
	dial := home.Devices[0].Command("timeout", "0.3", "bash", "-c", "</dev/tcp/198.18.0.1/23")
	if err := dial.Run(); err == nil || dial.ProcessState.ExitCode() != 124 {
		t.Errorf("a dark address: %v, want silence until the time is over", err)
	}
}

// TestProcess shows that what was started is ended with the bed, and that its
// namespaces are gone then.
func TestProcess(t *testing.T) {
	t.Parallel()
	var p *netns.Process
	var namespace string
	t.Run("bed", func(t *testing.T) {
		h := netns.New(t).Host("host")
		namespace = h.Namespace
		p = h.Go("sh", "-c", "echo $"+netns.Marker+"; ls /sys/class/net; exec sleep 1000")
		netns.Wait(t, 5*time.Second, "output comes", func() bool {
			return p.Output() == h.Namespace+"\nlo\n"
		})
		if out, err := exec.Command("ip", "netns", "exec", namespace, "true").CombinedOutput(); err != nil {
			t.Errorf("enter by name: %v %s", err, out)
		}
	})
	<-p.Done()
	if err := unix.Kill(p.PID(), 0); err != unix.ESRCH {
		t.Errorf("process %d still there: %v", p.PID(), err)
	}
	if _, err := os.Stat("/run/netns/" + namespace); !os.IsNotExist(err) {
		t.Errorf("namespace %s still there: %v", namespace, err)
	}
}

// TestLeftover shows that the namespaces and processes of a killed run are
// removed by the next.
func TestLeftover(t *testing.T) {
	t.Parallel()
	bed := netns.New(t) // also makes the directory and skips
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("cordon-lab-%d-1-left", gone.ProcessState.Pid())
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	sleeper := exec.Command("ip", "netns", "exec", name, "sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	host := bed.Host("other")
	netns.Wait(t, 5*time.Second, "the sleeper sleeps", func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", sleeper.Process.Pid))
		return string(b) == "sleep\n"
	})
	netns.New(t)
	if err := sleeper.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the sleeper ended with %v, want killed", err)
	}
	if _, err := os.Stat("/run/netns/" + name); !os.IsNotExist(err) {
		t.Errorf("leftover still there: %v", err)
	}
	if _, err := host.Run("true"); err != nil {
		t.Errorf("a living bed was harmed: %v", err)
	}
}

// TestRun shows that a program gets the error and the cleaning.
func TestRun(t *testing.T) {
	t.Parallel()
	netns.New(t)
	var namespace string
	err := netns.Run(func(t netns.TB) error {
		h := netns.New(t).Host("host")
		namespace = h.Namespace
		h.IP("link set nothing up")
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("got %v, want the error of ip", err)
	}
	if _, err := os.Stat("/run/netns/" + namespace); !os.IsNotExist(err) {
		t.Errorf("namespace still there: %v", err)
	}
}

// read dials the address from the host and returns all that comes.
func read(t *testing.T, h *netns.Host, address string) string {
	t.Helper()
	c, err := h.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}
