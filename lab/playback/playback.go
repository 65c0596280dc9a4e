// Package playback sends captures through a real kernel to the agent: the same
// frames that a replay reads from a file pass a router's port, are seen by the
// agent's eyes there, and are judged. What is found must be the same.
//
// A capture of hours takes seconds, so a frame's time is that of the capture: the
// eyes' clock is set ahead, and a frame that they hand over gets the time of the
// frame that was sent. Frames go in short bursts, as on a real line, and everything
// that a burst gives is judged before the next: what the agent asks of its eyes
// comes in time, as it does between two packets of a dialogue in a real home.
package playback

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"cordon"
	"cordon/agent"
	"cordon/agent/capture/kernel"
	"cordon/agent/capture/ring"
	"cordon/agent/packet"
	"cordon/lab/cable"
	"cordon/lab/netns"
)

// The bounds of a burst before eyes that choose: no more than they hand over of a
// flow before anybody has asked for more, and short beside the second in which they
// show one packet of each flow. Before eyes that hand everything over, it is bounded
// by their memory.
const (
	burst     = 8
	burstTime = 100 * time.Millisecond
	burstRing = 1024
)

// patience is how long a frame may be under way before it counts as swallowed:
// the kernel drops some by itself, a cut VLAN tag for example.
const patience = 2 * time.Second

// Stats counts what became of a capture's frames.
type Stats struct {
	Frames    int // of the capture
	Wrapped   int // had no Ethernet header, and got one for the way
	Filled    int // were cut by the capture, and filled up with zeros for the way
	Unsent    int // cannot be sent: too short or too long for a wire
	Swallowed int // were sent and never seen
	Handed    int // by the eyes, to the agent
	Foreign   int // handed over, and never sent
}

// eyes are what a player looks with.
type eyes interface {
	agent.Source
	SetPorts([]cordon.Port) error
	SetRouter([]cordon.MAC)
	Close() error
}

// Player is the source of an agent.Run: a capture on its way through a kernel.
type Player struct {
	Stats Stats

	frames []sent // the capture
	next   int    // of frames: the first that was not sent
	ready  []packet.Frame
	last   int64 // time of the newest frame
	ahead  int64 // the newest time of the capture, for clocks that must not run backwards
	moment bool  // one is due

	most  int           // frames of a burst
	span  time.Duration // from its first to its last
	eyes  eyes
	seen  func() uint64 // frames that the eyes have seen
	count uint64        // frames that were sent
	pair  cable.Pair
	host  *netns.Host
}

// sent is a frame of the capture, and what goes over the cable for it.
type sent struct {
	frame  packet.Frame
	wire   []byte // nil: cannot be sent
	out    bool   // from the router
	handed bool
}

// KernelPlayer makes a Player whose frames are seen by eBPF.
func KernelPlayer(t netns.TB, capture agent.Source, home []netip.Prefix) *CountingPlayer {
	t.Helper()
	p := newPlayer(t, capture, home)
	var source *kernel.Source
	err := p.host.Do(func() (err error) {
		source, err = kernel.New(kernel.Config{Home: home, Poll: time.Nanosecond, Ring: 8 << 20, Seed: 1, Rate: -1})
		return err
	})
	if err != nil {
		t.Fatalf("open eyes: %v", err)
	}
	p.seen = func() uint64 { return source.Stats().Frames }
	p.most, p.span = burst, burstTime
	p.open(t, source)
	return &CountingPlayer{p, source}
}

// CountingPlayer is a Player whose eyes count.
type CountingPlayer struct {
	*Player
	source *kernel.Source
}

// Kernel returns the eyes.
func (p *CountingPlayer) Kernel() *kernel.Source { return p.source }

// Flows is agent.Counter.
func (p *CountingPlayer) Flows(tell func(*packet.FlowCount)) error { return p.source.Flows(tell) }

// Traffic is agent.Counter.
func (p *CountingPlayer) Traffic(now cordon.Time, tell func(*cordon.Traffic)) error {
	return p.source.Traffic(now, tell)
}

// Want is agent.Counter.
func (p *CountingPlayer) Want(src, dst netip.AddrPort, proto uint8, on bool) {
	p.source.Want(src, dst, proto, on)
}

// RingPlayer makes a Player whose frames are seen by AF_PACKET.
func RingPlayer(t netns.TB, capture agent.Source, home []netip.Prefix) *Player {
	t.Helper()
	p := newPlayer(t, capture, home)
	var source *ring.Source
	err := p.host.Do(func() (err error) {
		source, err = ring.New(ring.Config{Poll: time.Millisecond, Size: 16 << 20, Snap: cable.MTU})
		return err
	})
	if err != nil {
		t.Fatalf("open eyes: %v", err)
	}
	p.seen = func() uint64 { return source.Stats().Delivered }
	p.most, p.span = burstRing, time.Duration(1<<62)
	p.open(t, source)
	return p
}

// newPlayer reads the capture and lays the cable.
func newPlayer(t netns.TB, capture agent.Source, home []netip.Prefix) *Player {
	t.Helper()
	p := &Player{}
	if err := p.read(capture, home); err != nil {
		t.Fatalf("read capture: %v", err)
	}
	bed := netns.New(t)
	p.host = bed.Host("router")
	p.pair = cable.Lay(t, bed, p.host, "lan1", bed.Host("home"), "eth0")
	return p
}

// open puts the eyes at the router's port.
func (p *Player) open(t netns.TB, e eyes) {
	t.Helper()
	p.eyes = e
	t.Cleanup(func() { _ = p.host.Do(e.Close) })
	e.SetRouter(p.routers())
	if err := p.host.Do(func() error { return e.SetPorts([]cordon.Port{p.pair.Router.Port}) }); err != nil {
		t.Fatalf("watch port: %v", err)
	}
}

// read takes the whole capture. One that is damaged is read up to there.
func (p *Player) read(capture agent.Source, home []netip.Prefix) error {
	w := wrapper{home: home}
	for {
		var f packet.Frame
		if err := capture.Next(&f); err != nil {
			break // the end, or damage: what was before counts
		}
		f.Data = bytes.Clone(f.Data)
		p.frames = append(p.frames, sent{frame: f})
		w.learn(&f)
	}
	p.Stats.Frames = len(p.frames)
	if len(p.frames) == 0 {
		return errors.New("no frames")
	}
	for i := range p.frames {
		s := &p.frames[i]
		var wrapped, filled bool
		s.wire, s.out, wrapped, filled = w.wrap(&s.frame)
		p.Stats.Wrapped += one(wrapped)
		p.Stats.Filled += one(filled)
		p.Stats.Unsent += one(s.wire == nil)
	}
	return nil
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// routers returns the MACs that frames leave the router from.
func (p *Player) routers() (macs []cordon.MAC) {
	for _, s := range p.frames {
		if s.out {
			if mac := cordon.MAC(s.wire[6:12]); !slices.Contains(macs, mac) {
				macs = append(macs, mac)
			}
		}
	}
	return macs
}

// Next is agent.Source: what the eyes handed over of a burst, then the moment at
// which it was over.
func (p *Player) Next(f *packet.Frame) error {
	for {
		switch {
		case len(p.ready) > 0:
			*f, p.ready = p.ready[0], p.ready[1:]
			return nil
		case p.moment:
			p.moment = false
			*f = packet.Frame{Time: p.last}
			return nil
		case p.next == len(p.frames):
			return io.EOF
		}
		if err := p.play(); err != nil {
			return err
		}
	}
}

// play sends a burst and gathers what the eyes hand over of it.
func (p *Player) play() error {
	first := p.next
	begin := p.frames[first].frame.Time
	p.ahead = max(p.ahead, begin)
	if k, ok := p.eyes.(*kernel.Source); ok {
		k.SetAhead(0)
		k.SetAhead(p.ahead - k.Now())
	}
	for p.next < len(p.frames) && p.next-first < p.most {
		s := &p.frames[p.next]
		if d := s.frame.Time - begin; d < 0 || d > int64(p.span) {
			break
		}
		p.next++
		if s.wire == nil {
			continue
		}
		end := p.pair.Device
		if s.out {
			end = p.pair.Router
		}
		if err := end.Send(s.wire); err != nil {
			return err
		}
		p.count++
	}
	if p.next == first {
		p.next++ // cannot be: the first is at its own time
	}
	p.last = p.frames[p.next-1].frame.Time
	p.moment = true
	return p.gather(p.frames[first:p.next])
}

// gather waits until the eyes have seen the burst and takes what they hand over.
func (p *Player) gather(batch []sent) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	var got []handed
	for {
		all := p.seen() >= p.count
		quiet, err := p.take(batch, &got)
		if err != nil {
			return err
		}
		if all && quiet {
			break
		}
		select {
		case <-late.C:
			p.Stats.Swallowed += int(p.count - min(p.count, p.seen()))
			p.count = p.seen()
		default:
		}
	}
	slices.SortStableFunc(got, func(a, b handed) int { return a.index - b.index })
	p.ready = p.ready[:0]
	for _, h := range got {
		p.ready = append(p.ready, h.frame)
	}
	p.Stats.Handed += len(got)
	return nil
}

// handed is a frame that was handed over, and which of the burst it is.
type handed struct {
	index int
	frame packet.Frame
}

// take takes frames until there is none.
func (p *Player) take(batch []sent, got *[]handed) (quiet bool, err error) {
	for {
		var f packet.Frame
		if err := p.eyes.Next(&f); err != nil {
			return false, fmt.Errorf("look: %w", err)
		}
		if f.Data == nil {
			return true, nil
		}
		i := slices.IndexFunc(batch, func(s sent) bool {
			return !s.handed && s.wire != nil && len(s.wire) == f.Len && bytes.HasPrefix(s.wire, f.Data)
		})
		if i < 0 {
			p.Stats.Foreign++
			continue
		}
		batch[i].handed = true
		*got = append(*got, handed{i, batch[i].restore(len(f.Data))})
	}
}

// restore returns the frame of the capture, as far as n bytes of what was sent for
// it show it.
func (s *sent) restore(n int) packet.Frame {
	f := s.frame
	keep := n - (len(s.wire) - max(f.Len, len(f.Data))) // without the header that it was given
	f.Len = max(f.Len, len(f.Data))
	f.Data = f.Data[:min(max(keep, 0), len(f.Data))]
	return f
}
