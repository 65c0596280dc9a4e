package keepalive_test

import (
	"net/netip"
	"testing"
	"time"

	"cordon"
	"cordon/agent/detect/keepalive"
)

// bot is a device with one connection.
type bot struct {
	d *keepalive.Detector
	f cordon.Flow
}

func newBot(d *keepalive.Detector, slot int) *bot {
	return &bot{d: d, f: cordon.Flow{Device: &cordon.Device{ID: string(rune('a' + slot)), Slot: slot, Generation: 1},
		Proto: 6, Direction: cordon.Outbound, Peer: netip.MustParseAddr("192.0.2.7"), PeerPort: 4441, LocalPort: 40000}}
}

func (b *bot) says(data string, opener bool, now cordon.Time) {
	b.d.Observe(&cordon.Observation{Fact: cordon.FactSmall, Flow: &b.f, Device: b.f.Device, Opener: opener, Data: []byte(data)}, now)
}

// beats plays n beats of a message, a period apart, sent back or not.
func (b *bot) beats(n int, data string, period time.Duration, echo bool, now cordon.Time) cordon.Time {
	for range n {
		b.says(data, true, now)
		if echo {
			b.says(data, false, now.Add(100*time.Millisecond))
		}
		now = now.Add(period)
	}
	return now
}

func TestBeats(t *testing.T) {
	const t0 = cordon.Time(1e18)
	zero := "\x00\x00"
	for _, c := range []struct {
		name string
		play func(*bot)
		want int
	}{
		{"greeted, two beats", func(b *bot) {
			b.says("\x00\x00\x00\x01", true, t0)
			b.beats(2, zero, time.Minute, true, t0.Add(10*time.Second))
		}, 1},
		{"greeted, one beat", func(b *bot) { b.says("\x00\x00\x00\x01", true, t0); b.beats(1, zero, time.Minute, true, t0) }, 0},
		{"not greeted, three beats", func(b *bot) { b.beats(3, zero, time.Minute, true, t0) }, 1},
		{"not greeted, two", func(b *bot) { b.beats(2, zero, time.Minute, true, t0) }, 0},
		{"never sent back", func(b *bot) { b.beats(60, zero, time.Minute, false, t0) }, 0},
		{"every thirty-five seconds", func(b *bot) { b.beats(60, zero, 35*time.Second, true, t0) }, 0},
		{"every five minutes", func(b *bot) { b.beats(60, zero, 5*time.Minute, true, t0) }, 0},
		{"MQTT pings", func(b *bot) { b.beats(60, "\xc0\x00", time.Minute, true, t0) }, 0},
		{"a named host, not greeted", func(b *bot) { b.f.Resolved = true; b.beats(60, zero, time.Minute, true, t0) }, 0},
		{"from the internet", func(b *bot) { b.f.Direction = cordon.Inbound; b.beats(60, zero, time.Minute, true, t0) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			b := newBot(keepalive.New(keepalive.Config{Report: func(cordon.Detection) { n++ }}), 0)
			c.play(b)
			if n != c.want {
				t.Errorf("%d detections, want %d", n, c.want)
			}
		})
	}
}

// TestDevicesDoNotHideEachOther: however many connections one device beats on,
// another's bot is found.
func TestDevicesDoNotHideEachOther(t *testing.T) {
	found := make(map[string]bool)
	d := keepalive.New(keepalive.Config{Report: func(det cordon.Detection) { found[det.Device.ID] = true }})
	loud, quiet := newBot(d, 1), newBot(d, 2)
	now := cordon.Time(1e18)
	for range 4 {
		quiet.beats(1, "\x00\x00", 0, true, now)
		for port := range uint16(500) {
			loud.f.LocalPort = 1024 + port
			loud.beats(1, "\x00\x00", 0, true, now.Add(time.Second))
		}
		now = now.Add(time.Minute)
	}
	if !found[quiet.f.Device.ID] {
		t.Error("the quiet device's bot was not found")
	}
}
