package vertical_test

import (
	"net/netip"
	"testing"
	"time"

	"cordon"
	"cordon/agent/detect/vertical"
	"cordon/agent/packet"
)

// play tries ports of one host, one every 10 ms, and counts detections. answered
// says whether the host answers a port, one attempt later.
func play(t *testing.T, ports []uint16, proto uint8, answered func(uint16) bool) int {
	t.Helper()
	n := 0
	d := vertical.New(vertical.Config{Report: func(cordon.Detection) { n++ }})
	device := &cordon.Device{ID: "d", Generation: 1}
	now := cordon.Time(1e18)
	var before *cordon.Flow
	for _, p := range ports {
		f := &cordon.Flow{Device: device, Proto: proto, Direction: cordon.Outbound, Peer: netip.MustParseAddr("192.0.2.1"), PeerPort: p}
		d.Flow(cordon.FlowOpened, f, now)
		switch {
		case before != nil && answered(before.PeerPort):
			d.Flow(cordon.FlowAnswered, before, now)
		case before != nil:
			d.Flow(cordon.FlowRefused, before, now)
		}
		before, now = f, now.Add(10*time.Millisecond)
	}
	return n
}

func TestPorts(t *testing.T) {
	sequence := func(from, n uint16) (ports []uint16) {
		for i := range n {
			ports = append(ports, from+i)
		}
		return ports
	}
	mixed := func() (ports []uint16) {
		for i := range uint16(100) {
			ports = append(ports, 1000+i, 80)
		}
		return ports
	}
	none, all := func(uint16) bool { return false }, func(uint16) bool { return true }
	for _, c := range []struct {
		name     string
		ports    []uint16
		proto    uint8
		answered func(uint16) bool
		want     int
	}{
		{"fifteen closed ports", sequence(1, 15), packet.ProtoTCP, none, 1},
		{"fourteen", sequence(1, 14), packet.ProtoTCP, none, 0},
		{"many at once, before any can answer", sequence(1, 15), packet.ProtoTCP, func(p uint16) bool { return p > 1 }, 0},
		{"open ports", sequence(1, 200), packet.ProtoTCP, all, 0},
		{"one port again and again", make([]uint16, 500), packet.ProtoTCP, none, 0},
		{"closed ports, an open one in between", mixed(), packet.ProtoTCP, func(p uint16) bool { return p == 80 }, 1},
		{"UDP ports that are refused", sequence(1, 17), packet.ProtoUDP, none, 1},
		{"a traced route", sequence(33434, 90), packet.ProtoUDP, none, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := play(t, c.ports, c.proto, c.answered); got != c.want {
				t.Errorf("%d detections, want %d", got, c.want)
			}
		})
	}
}
