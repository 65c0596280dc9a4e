package provider

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"cordon"
	"cordon/agent/uplink"
)

// Fleet is routers that only report, each over the real line of an agent.
type Fleet struct {
	p       *Provider
	routers []*uplink.Uplink
	said    []int // by router: detections that were reported; owned by Talk
	spoken  atomic.Int64
}

// nobody takes what core wants, and does nothing.
type nobody struct{}

func (nobody) Desired(context.Context, *cordon.Desired, []string) error { return nil }
func (nobody) Shared(context.Context, uint64, []cordon.Shadow, bool, []string) error {
	return nil
}
func (nobody) Answer(context.Context, string, string) ([]byte, error) { return []byte("{}"), nil }

// NewFleet connects the first n routers of the list. They end with the test.
func (p *Provider) NewFleet(n int) *Fleet {
	p.T.Helper()
	f := &Fleet{p: p, said: make([]int, n)}
	for i := range n {
		l, err := uplink.New(p.Line(i))
		p.must(err)
		l.Attach(nobody{})
		p.Background(l.Run)
		f.routers = append(f.routers, l)
	}
	return f
}

// Connected returns how many routers are.
func (f *Fleet) Connected() (n int) {
	for _, l := range f.routers {
		if l.Status().State == uplink.StateConnected {
			n++
		}
	}
	return n
}

// Talk reports detections at a rate a second over all routers, until ctx is done.
func (f *Fleet) Talk(ctx context.Context, rate int) {
	const step = 50 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	for at, owed := 0, 0.0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for owed += float64(rate) * step.Seconds(); owed >= 1; owed-- {
			f.say(at % len(f.routers))
			at++
		}
	}
}

// say reports one detection.
func (f *Fleet) say(i int) {
	f.said[i]++
	f.spoken.Add(1)
	now := cordon.TimeOf(time.Now())
	d := &cordon.Device{ID: "02:00:00:00:00:01", MAC: cordon.MAC{2, 0, 0, 0, 0, 1}, HasMAC: true, Class: cordon.IoT, FirstSeen: now, LastSeen: now}
	f.routers[i].Report(cordon.Report{At: now, Detection: &cordon.Detection{ID: Detection(i, f.said[i]), Kind: cordon.ScanMirai, Device: d, At: now, Since: now,
		Level: cordon.Watch, Subject: "telnet (23)", Sentence: "It scans."}}, true)
}

// Fires has router i tell of a detection of a kind that alarms, of a device of a model.
func (f *Fleet) Fires(i int, kind cordon.Kind, model string) {
	now := cordon.TimeOf(time.Now())
	d := &cordon.Device{ID: "02:00:00:00:00:02", MAC: cordon.MAC{2, 0, 0, 0, 0, 2}, HasMAC: true, Class: cordon.IoT, Model: model, FirstSeen: now, LastSeen: now}
	f.routers[i].Report(cordon.Report{At: now, Detection: &cordon.Detection{ID: fmt.Sprintf("f-%05d", i), Kind: kind, Device: d, At: now, Since: now,
		Level: cordon.Act, Subject: "many", Sentence: "It scans."}}, true)
}

// Shared returns how many routers were told what core says to all.
func (f *Fleet) Shared() (n int) {
	for _, l := range f.routers {
		if l.Status().Shared > 0 {
			n++
		}
	}
	return n
}

// Detection names the detection of a router and number.
func Detection(router, n int) string { return fmt.Sprintf("d-%05d-%06d", router, n) }

// Spoken returns how many detections were reported so far.
func (f *Fleet) Spoken() int { return int(f.spoken.Load()) }

// Acknowledged returns how many reports core has acknowledged.
func (f *Fleet) Acknowledged() (n int) {
	for _, l := range f.routers {
		n += int(l.Status().Sent)
	}
	return n
}

// Said returns every detection that was reported. Nobody may be talking.
func (f *Fleet) Said() (ids []string) {
	for i, n := range f.said {
		for k := range n {
			ids = append(ids, Detection(i, k+1))
		}
	}
	return ids
}

// Waiting returns how many reports are not acknowledged, and how many had to go.
func (f *Fleet) Waiting() (waiting int, lost uint64) {
	for _, l := range f.routers {
		s := l.Status()
		waiting += s.Waiting
		lost += s.Lost
	}
	return waiting, lost
}
