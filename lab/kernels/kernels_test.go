package kernels_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/lab/netns"
)

// TestEyes: the program is taken by this kernel's verifier, attached by clsact and,
// where the kernel has it, by tcx, and counts each packet once.
func TestEyes(t *testing.T) {
	for _, classic := range []bool{true, false} {
		t.Run(fmt.Sprintf("clsact %t", classic), func(t *testing.T) {
			h := newHome(t, classic, netns.HomeConfig{Devices: 2})
			s := h.stream(0, 4000)
			netns.Wait(t, soon, "a thousand packets to be counted", func() bool { return h.saw(s.from) >= 1000 })
			out, err := h.Router.Run("tc", "filter", "show", "dev", "lan1", "ingress")
			if err != nil {
				t.Fatal(err)
			}
			if classic && !strings.Contains(out, "bpf") {
				t.Errorf("no program at lan1:\n%s", out)
			}
			sent := h.sent(0)
			if saw := h.saw(s.from); saw < sent/2 || saw > sent+1000 {
				t.Errorf("the eyes saw %d packets of the device, which sent %d", saw, sent)
			}
		})
	}
}

// TestOffloaded: what the forwarding path's flowtable takes past the firewall is
// seen by the eyes all the same, and ends when the hands block it.
func TestOffloaded(t *testing.T) {
	needFlowtable(t)
	for _, bridge := range []bool{false, true} {
		t.Run(fmt.Sprintf("bridge %t", bridge), func(t *testing.T) {
			devices := 1
			if bridge {
				devices = 2
			}
			h := newHome(t, true, netns.HomeConfig{Devices: devices, NoBridge: !bridge})
			h.offload()
			blocked, other := h.stream(0, 4000), h.stream(devices-1, 4001)
			h.offloaded(blocked)
			h.offloaded(other)

			passed, saw, sent := h.forwarded(), h.saw(blocked.from), blocked.arrived.Load()
			netns.Wait(t, soon, "a second of the stream", func() bool { return blocked.arrived.Load() > sent+100_000 })
			if more := h.saw(blocked.from) - saw; more < 500 {
				t.Errorf("the eyes saw %d packets of an offloaded flow of about 1000", more)
			}
			if more := h.forwarded() - passed; more > 100 {
				t.Errorf("the firewall saw %d packets: the flows are not offloaded", more)
			}

			begin := time.Now()
			h.apply(0, cordon.VerbBlock, cordon.Target{Peer: sink, Ports: []uint16{4000}})
			netns.Wait(t, soon, "the entry to go", func() bool { return !h.tracked(blocked, "ESTABLISHED", "OFFLOAD") })
			h.stops(blocked)
			t.Logf("an offloaded flow ended %v after the block", time.Since(begin)-500*time.Millisecond)
			h.runs(other)
			if !h.tracked(other, "OFFLOAD") {
				t.Error("the other flow is not offloaded any more")
			}
		})
	}
}

// TestBridge: what neighbours on one bridge say to each other is seen and stopped.
func TestBridge(t *testing.T) {
	h := newHome(t, true, netns.HomeConfig{Devices: 3})
	neighbour := netns.DeviceIP(1).String()
	for port := range 3 {
		if !reaches(h.Devices[0], h.Devices[1], fmt.Sprintf("%s:%d", neighbour, 80+port)) {
			t.Fatal("neighbours do not reach each other")
		}
	}
	netns.Wait(t, soon, "the neighbours to be seen", func() bool { h.saw(loopless); return h.eyes.Stats().Opened >= 3 })
	h.apply(0, cordon.VerbQuarantine, cordon.Target{})
	if reaches(h.Devices[0], h.Devices[1], neighbour+":90") || reaches(h.Devices[1], h.Devices[0], netns.DeviceIP(0).String()+":90") {
		t.Error("a quarantined device and its neighbour reach each other")
	}
	if !reaches(h.Devices[2], h.Devices[1], neighbour+":91") {
		t.Error("other neighbours do not reach each other")
	}
}

// TestPortBack: a port that goes and comes back under another number is watched
// and guarded again.
func TestPortBack(t *testing.T) {
	h := newHome(t, true, netns.HomeConfig{Devices: 2})
	h.apply(0, cordon.VerbBlock, cordon.Target{Peer: sink, Ports: []uint16{4000}})
	first := h.stream(0, 4001)
	h.runs(first)
	old := h.port("lan1")
	h.Router.IP("link del lan1")
	h.look()
	h.tell()
	h.runs(h.stream(1, 4002))

	h.Router.IP("link add name lan1 type veth peer name eth0 address "+h.device(0).ID+" netns "+h.Devices[0].Namespace,
		"link set lan1 master br-lan up")
	h.Devices[0].IP("link set eth0 up", "addr add 192.168.77.10/24 dev eth0", "route add default via 192.168.77.1")
	h.look()
	if h.port("lan1").Index == old.Index {
		t.Fatal("the port is back under its old number")
	}
	h.tell()
	if reaches(h.Devices[0], h.Internet, sink.String()+":4000") {
		t.Error("the block does not hold at the port that came back")
	}
	again := h.stream(0, 4003)
	h.runs(again)
	netns.Wait(t, soon, "packets at the port that came back", func() bool { return h.saw(again.from) >= 100 })
}
