package slow_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"cordon"
	"cordon/agent/detect/slow"
)

// home feeds contacts of one device to a detector.
type home struct {
	d   *slow.Detector
	f   cordon.Flow
	now cordon.Time
	n   uint32
	got int
}

func newHome() *home {
	h := &home{now: cordon.Time(1e18), f: cordon.Flow{Proto: 6, Direction: cordon.Outbound, PeerPort: 23,
		Device: &cordon.Device{ID: "d", Generation: 1}}}
	h.d = slow.New(slow.Config{Report: func(cordon.Detection) { h.got++ }})
	return h
}

// contact plays n contacts with different hosts, one every step.
func (h *home) contact(n int, ev cordon.FlowEvent, step time.Duration) {
	for range n {
		h.n++
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], 0x2d000000+h.n)
		h.f.Peer = netip.AddrFrom4(b)
		h.d.Flow(ev, &h.f, h.now)
		h.now = h.now.Add(step)
	}
}

func TestHosts(t *testing.T) {
	for _, c := range []struct {
		name string
		play func(*home)
		want int
	}{
		{"eight in an hour", func(h *home) { h.contact(8, cordon.FlowSilent, 7*time.Minute) }, 1},
		{"seven", func(h *home) { h.contact(7, cordon.FlowSilent, 7*time.Minute) }, 0},
		{"one every four hours", func(h *home) { h.contact(30, cordon.FlowSilent, 4*time.Hour) }, 0},
		{"all at once is another detector's", func(h *home) { h.contact(8, cordon.FlowSilent, time.Second) }, 0},
		{"others that answered today excuse them", func(h *home) {
			h.contact(4, cordon.FlowAnswered, time.Minute)
			h.contact(8, cordon.FlowSilent, 7*time.Minute)
		}, 0},
		{"others that answered weeks ago do not", func(h *home) {
			h.contact(4, cordon.FlowAnswered, time.Minute)
			h.now = h.now.Add(30 * 24 * time.Hour)
			h.contact(8, cordon.FlowSilent, 7*time.Minute)
		}, 1},
		{"a web port", func(h *home) { h.f.PeerPort = 443; h.contact(20, cordon.FlowSilent, 7*time.Minute) }, 0},
		{"hosts that DNS led to", func(h *home) { h.f.Resolved = true; h.contact(20, cordon.FlowSilent, 7*time.Minute) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHome()
			c.play(h)
			if h.got != c.want {
				t.Errorf("%d detections, want %d", h.got, c.want)
			}
		})
	}
}
