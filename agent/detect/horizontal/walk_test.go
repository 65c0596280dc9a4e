package horizontal_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"cordon"
	"cordon/agent/detect/horizontal"
)

// contact is one first contact with a stranger, and how it went.
type contact struct {
	port     uint16
	outcome  cordon.Outcome // Pending: nothing came of it yet
	late     bool
	resolved bool
	again    bool // not a first contact
}

// walker feeds contacts to a detector as the flow table would.
type walker struct {
	t      *testing.T
	d      *horizontal.Detector
	device *cordon.Device
	now    cordon.Time
	n      uint32
	got    []cordon.Detection
	down   bool
}

func newWalker(t *testing.T, class cordon.Class) *walker {
	w := &walker{t: t, device: &cordon.Device{ID: "d", Generation: 1, Class: class}, now: cordon.Time(1e18)}
	w.d = horizontal.New(horizontal.Config{Down: func(*cordon.Device, cordon.Time) bool { return w.down },
		Report: func(d cordon.Detection) { w.got = append(w.got, d) }})
	return w
}

// make plays n contacts, one every step.
func (w *walker) make(n int, c contact, step time.Duration) {
	for range n {
		w.n++
		f := &cordon.Flow{Device: w.device, Proto: 6, Direction: cordon.Outbound, PeerPort: c.port,
			Peer: address(w.n), First: !c.again, Resolved: c.resolved, Begin: w.now}
		w.d.Flow(cordon.FlowOpened, f, w.now)
		f.Outcome, f.Late = c.outcome, c.late
		switch c.outcome {
		case cordon.Answered:
			w.d.Flow(cordon.FlowAnswered, f, w.now)
		case cordon.Refused:
			w.d.Flow(cordon.FlowRefused, f, w.now)
		case cordon.Silent:
			w.d.Flow(cordon.FlowSilent, f, w.now)
		}
		w.now = w.now.Add(step)
	}
}

func address(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0x2d000000+n)
	return netip.AddrFrom4(b)
}

// level returns the strongest thing reported.
func (w *walker) level() string {
	s := "nothing"
	for _, d := range w.got {
		if d.Confirmed {
			return "scan"
		}
		s = "sign"
	}
	return s
}

func TestWalk(t *testing.T) {
	silent, answered, refused := contact{port: 23}, contact{port: 23, outcome: cordon.Answered}, contact{port: 23, outcome: cordon.Refused}
	const fast = 6 * time.Millisecond
	for _, c := range []struct {
		name  string
		class cordon.Class
		play  func(*walker)
		want  string
	}{
		{"six failures are nothing", cordon.IoT, func(w *walker) { w.make(6, silent, fast) }, "nothing"},
		{"seven are a sign", cordon.IoT, func(w *walker) { w.make(7, silent, fast) }, "sign"},
		{"eleven still are", cordon.IoT, func(w *walker) { w.make(11, silent, fast) }, "sign"},
		{"twelve are a scan", cordon.IoT, func(w *walker) { w.make(12, silent, fast) }, "scan"},
		{"refusals count once, at the attempt", cordon.IoT, func(w *walker) { w.make(11, refused, fast) }, "sign"},
		{"answers undo attempts", cordon.IoT, func(w *walker) { w.make(14, answered, fast) }, "nothing"},
		{"an answer pays for a failure", cordon.IoT, func(w *walker) {
			for range 40 {
				w.make(1, silent, time.Second)
				w.make(1, answered, time.Second)
			}
		}, "nothing"},
		{"a long healthy past is no shield", cordon.IoT, func(w *walker) {
			w.make(500, answered, time.Second)
			w.make(12, silent, fast)
		}, "scan"},
		{"many hosts in seconds, all answering, are a sign only", cordon.IoT, func(w *walker) { w.make(40, answered, 100*time.Millisecond) }, "sign"},
		{"a scan between contacts to other ports", cordon.IoT, func(w *walker) {
			for p := range uint16(12) {
				w.make(1, silent, fast)
				for q := range uint16(40) {
					w.make(1, contact{port: 20000 + 100*p + q}, fast)
				}
			}
		}, "scan"},
		{"people's computers scan telnet no more than things do", cordon.Personal, func(w *walker) { w.make(12, silent, time.Second) }, "scan"},
		{"attempts again at the same hosts", cordon.IoT, func(w *walker) { w.make(50, contact{port: 23, again: true}, fast) }, "nothing"},
		{"hosts that DNS led to", cordon.IoT, func(w *walker) { w.make(50, contact{port: 23, resolved: true}, fast) }, "nothing"},
		{"a walk that idled begins again", cordon.IoT, func(w *walker) {
			w.make(6, silent, fast)
			w.now = w.now.Add(6 * time.Minute)
			w.make(6, silent, fast)
		}, "nothing"},
		{"nothing counts while the line is down", cordon.IoT, func(w *walker) {
			w.down = true
			w.make(50, silent, fast)
		}, "nothing"},
		{"telnet's ports are one class", cordon.IoT, func(w *walker) {
			w.make(6, silent, fast)
			w.make(6, contact{port: 2323}, fast)
		}, "scan"},
		{"telnet and ssh are two", cordon.IoT, func(w *walker) {
			w.make(6, silent, fast)
			w.make(6, contact{port: 22}, fast)
		}, "nothing"},

		{"web attempts wait for their failure", cordon.IoT, func(w *walker) { w.make(50, contact{port: 8080}, fast) }, "nothing"},
		{"web failures of a thing", cordon.IoT, func(w *walker) { w.make(12, contact{port: 8080, outcome: cordon.Silent}, fast) }, "scan"},
		{"web failures of who knows what", cordon.Unknown, func(w *walker) { w.make(500, contact{port: 443, outcome: cordon.Silent}, fast) }, "sign"},
		{"a page of which every second attempt goes nowhere, answers first", cordon.Unknown, func(w *walker) {
			w.make(30, contact{port: 443, outcome: cordon.Answered}, fast)
			w.now = w.now.Add(3 * time.Second)
			w.make(30, contact{port: 443, outcome: cordon.Silent}, fast)
		}, "nothing"},
		{"answers of long ago are no credit", cordon.IoT, func(w *walker) {
			w.make(30, contact{port: 443, outcome: cordon.Answered}, fast)
			w.now = w.now.Add(time.Minute)
			w.make(12, contact{port: 443, outcome: cordon.Silent}, fast)
		}, "scan"},
		{"web failures of a person's computer", cordon.Personal, func(w *walker) { w.make(500, contact{port: 443, outcome: cordon.Silent}, fast) }, "sign"},
		{"restored tabs, half of them dead", cordon.Personal, func(w *walker) {
			for range 30 {
				w.make(1, contact{port: 443, outcome: cordon.Silent}, fast)
				w.make(1, contact{port: 443, outcome: cordon.Answered}, fast)
			}
		}, "nothing"},

		{"file sharing: dead peers on every port", cordon.IoT, func(w *walker) {
			for p := range uint16(2000) {
				w.make(1, contact{port: 20000 + 7*p}, 20*time.Millisecond)
			}
		}, "nothing"},
		{"file sharing: a sixth of them on its usual port", cordon.Personal, func(w *walker) {
			for p := range uint16(600) {
				w.make(1, contact{port: 6881}, 20*time.Millisecond)
				for q := range uint16(5) {
					w.make(1, contact{port: 20000 + 7*(5*p+q)}, 20*time.Millisecond)
				}
			}
		}, "nothing"},
		{"a port that malware is not known for, and nothing else", cordon.IoT, func(w *walker) { w.make(24, contact{port: 40404}, fast) }, "scan"},
		{"the same from a person's computer", cordon.Personal, func(w *walker) { w.make(100, contact{port: 40404}, fast) }, "sign"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWalker(t, c.class)
			c.play(w)
			if got := w.level(); got != c.want {
				t.Errorf("judged %q, want %q", got, c.want)
			}
		})
	}
}

func TestDetection(t *testing.T) {
	w := newWalker(t, cordon.IoT)
	begin := w.now
	w.make(12, contact{port: 2323}, 6*time.Millisecond)
	got := w.got[len(w.got)-1]
	if got.Since != begin || got.At != begin.Add(66*time.Millisecond) {
		t.Errorf("since %v at %v, want %v and 66 ms later", got.Since, got.At, begin)
	}
	if got.Target.Proto != 6 || len(got.Target.Ports) == 0 || got.Target.Ports[0] != 23 {
		t.Errorf("target %+v, want telnet's ports", got.Target)
	}
	if len(got.Samples) != 5 || got.Samples[0] != "45.0.0.1:2323" {
		t.Errorf("samples %v", got.Samples)
	}
	if got.Evidence[0].Value != 12 || got.Evidence[1].Threshold != 12 {
		t.Errorf("evidence %+v", got.Evidence)
	}
}

func TestToldAgainWhileItGoesOn(t *testing.T) {
	w := newWalker(t, cordon.IoT)
	w.make(3600, contact{port: 23}, time.Second)
	scans := 0
	for _, d := range w.got {
		if d.Confirmed {
			scans++
		}
	}
	if scans != 6 {
		t.Errorf("an hour's scan was told %d times, want every ten minutes", scans)
	}
}

// TestStateIsBounded scans a new port every time.
func TestStateIsBounded(t *testing.T) {
	w := newWalker(t, cordon.IoT)
	allocs := testing.AllocsPerRun(50_000, func() {
		w.make(1, contact{port: uint16(10000 + w.n%40000)}, time.Millisecond)
	})
	if allocs > 4 {
		t.Errorf("%.1f allocations a contact", allocs)
	}
}
