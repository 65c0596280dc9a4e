package kernels_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cordon"
	"cordon/agent/capture/kernel"
	"cordon/agent/enforce/nft"
	"cordon/agent/packet"
	"cordon/lab/netns"
)

// sink is where the devices send to.
var sink = netip.MustParseAddr("198.51.100.7")

// soon is how long the kernel may take until what was done to it shows.
const soon = 5 * time.Second

// home is a home whose router has eyes and hands.
type home struct {
	*netns.Home
	t     *testing.T
	table *nft.Table
	eyes  *kernel.Source
	net   cordon.Network
	seen  map[netip.AddrPort]uint64 // packets, by where they came from
}

// newHome makes a home. classic eyes are attached by clsact.
func newHome(t *testing.T, classic bool, config netns.HomeConfig) *home {
	t.Helper()
	h := &home{Home: netns.NewHome(t, config), t: t, seen: map[netip.AddrPort]uint64{}}
	h.look()
	var err error
	h.eyes, err = kernel.New(kernel.Config{Home: h.net.Home, Classic: classic, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.on(h.eyes.Close) })
	if h.table, err = nft.New(nft.Config{}); err != nil {
		t.Fatal(err)
	}
	h.on(func() error { return h.table.Open(context.Background()) })
	t.Cleanup(func() { h.table.Close() })
	h.tell()
	return h
}

// on runs fn on the router.
func (h *home) on(fn func() error) {
	h.t.Helper()
	if err := h.Router.Do(fn); err != nil {
		h.t.Fatal(err)
	}
}

// look reads the network anew, as agent/network would.
func (h *home) look() {
	h.t.Helper()
	h.net = cordon.Network{Home: []netip.Prefix{netns.LAN, netns.LAN6},
		Addrs: []netip.Addr{netns.RouterLAN, netns.RouterLAN6}, Spared: []netip.Addr{netns.RouterWAN, netns.InternetIP}}
	h.on(func() error {
		ports, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, p := range ports {
			port := cordon.Port{Name: p.Name, Index: p.Index}
			copy(port.MAC[:], p.HardwareAddr)
			switch {
			case p.Name == "wan":
				h.net.WAN = append(h.net.WAN, port)
			case strings.HasPrefix(p.Name, "lan"):
				if !h.Config.NoBridge {
					port.Bridge = "br-lan"
				}
				h.net.LAN = append(h.net.LAN, port)
			}
		}
		return nil
	})
}

// tell tells eyes and hands of the network.
func (h *home) tell() {
	h.t.Helper()
	h.on(func() error {
		if err := h.eyes.SetPorts(h.net.LAN); err != nil {
			return err
		}
		return h.table.SetNetwork(context.Background(), h.net)
	})
}

// device returns device i as the agent would know it.
func (h *home) device(i int) *cordon.Device {
	d := &cordon.Device{ID: h.Config.DeviceMAC(i), Addrs: []netip.Addr{netns.DeviceIP(i), netns.DeviceIP6(i)}}
	m, err := net.ParseMAC(d.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	copy(d.MAC[:], m)
	return d
}

// apply puts an action in force for an hour.
func (h *home) apply(i int, verb cordon.Verb, target cordon.Target) {
	h.t.Helper()
	a := &cordon.Action{ID: fmt.Sprint(verb, i), Verb: verb, Mode: cordon.ModeDo, Reason: "a test",
		Entity: cordon.Entity{Device: h.device(i).ID, Target: target}, Expires: cordon.Time(time.Hour)}
	if _, err := h.table.Apply(context.Background(), h.device(i), a); err != nil {
		h.t.Fatal(err)
	}
}

// saw returns how many packets from a source the eyes saw since the home was made:
// those handed over and those counted.
func (h *home) saw(from netip.AddrPort) uint64 {
	h.t.Helper()
	var parsed packet.Packet
	for {
		var f packet.Frame
		if err := h.eyes.Next(&f); err != nil {
			h.t.Fatal(err)
		}
		if f.Data == nil {
			break
		}
		if parsed.Parse(&f) == nil {
			h.seen[netip.AddrPortFrom(parsed.Src, parsed.SrcPort)]++
		}
	}
	err := h.eyes.Flows(func(c *packet.FlowCount) { h.seen[netip.AddrPortFrom(c.Src, c.SrcPort)] += c.Packets })
	if err != nil {
		h.t.Fatal(err)
	}
	return h.seen[from]
}

// stream is a TCP connection on which a device sends without a pause.
type stream struct {
	from    netip.AddrPort
	arrived atomic.Int64 // bytes
}

// stream lets device i send to a port of the sink until the test ends.
func (h *home) stream(i int, port uint16) *stream {
	h.t.Helper()
	to := netip.AddrPortFrom(sink, port).String()
	s := &stream{}
	l, err := h.Internet.Listen("tcp", to)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for b := make([]byte, 64<<10); ; {
			n, err := c.Read(b)
			s.arrived.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	c, err := h.Devices[i].Dial("tcp", to)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	s.from = c.LocalAddr().(*net.TCPAddr).AddrPort()
	go pour(c)
	return s
}

// pour sends a thousand small packets a second until the connection ends.
func pour(c net.Conn) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for b := make([]byte, 100); ; <-tick.C {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// runs waits until something more of a stream arrives.
func (h *home) runs(s *stream) {
	h.t.Helper()
	before := s.arrived.Load()
	netns.Wait(h.t, soon, "the stream to go on", func() bool { return s.arrived.Load() > before })
}

// stops waits until nothing more of a stream arrives for half a second.
func (h *home) stops(s *stream) {
	h.t.Helper()
	before, since := s.arrived.Load(), time.Now()
	netns.Wait(h.t, soon, "the stream to stop", func() bool {
		if now := s.arrived.Load(); now != before {
			before, since = now, time.Now()
		}
		return time.Since(since) > 500*time.Millisecond
	})
}

// reaches reports whether a host has an answer from an address that listens.
func reaches(from, to *netns.Host, at string) bool {
	l, err := to.Listen("tcp", at)
	if err != nil {
		return false
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "x")
			c.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c, err := from.DialContext(ctx, "tcp", at)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	_, err = io.ReadFull(c, make([]byte, 1))
	return err == nil
}
