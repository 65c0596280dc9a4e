// Package kernel is the eyes in the kernel: a program at each port of the home's
// side counts every packet of every flow there, and hands over the few frames
// that mean something.
//
// Frames come out of Next, as from any source of agent.Run; what was counted and
// not handed over comes out of Flows every few seconds and, for each device, out
// of Traffic twice a second. Want tells the program that somebody reads a flow and
// so needs more than its beginning. The program only sees; it never drops,
// changes or delays a packet, and it ends with this process where the kernel has
// tcx (Linux 6.6).
//
// What is handed over: the first packet of a flow in each direction, and the
// first few with payload; SYN, FIN and RST; ICMP errors; DNS, DHCP, ARP, NDP,
// mDNS, SSDP; what is wanted; one packet a second of each direction of a flow
// while it lasts, and small payloads of slow flows. All of it under a cap for
// each device, so that nobody is blinded by somebody else's scan. What is over
// the cap is counted.
//
// The program is in program/, compiled for both byte orders; layout.go has its
// layouts. kernel.go opens, attach.go puts it at ports, ring.go reads frames.
package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"cordon"
	"cordon/agent/packet"
)

//go:generate program/build.sh

// Config configures a Source. The zero Config is ready to use.
type Config struct {
	// Base is added to the kernel's monotonic time to make a Frame's, ns.
	Base int64
	// Home is the home's side until SetHome; empty: the private ranges.
	Home []netip.Prefix
	// Flows is how many answered flows are counted at once, default 8192 as
	// agent/flow keeps; Pending how many that nobody has answered, default 2048:
	// a scan of 160 SYNs a second has 500 of them until it falls silent.
	Flows, Pending int
	// Devices is how many devices are counted at once, default 512, and a quarter
	// more that came in the last ten seconds.
	Devices int
	// Ring is the room for frames in bytes, a power of two; default 1 MiB, which
	// is 40 ms of the fastest device's frames at the cap, and many of usual ones.
	Ring int
	// Rate and Burst cap the frames that are handed over of each direction of a
	// device, per second and at once; defaults 2000 and 4000. A negative Rate
	// means no cap.
	Rate, Burst int
	// FlowBurst caps what one direction of one flow may use of that in a second;
	// default a quarter of Rate.
	FlowBurst int
	// Payloads is how many packets with payload of each direction of a flow are
	// handed over from its beginning; default 8: a TLS hello takes up to three, a
	// login dialogue begins within that.
	Payloads int
	// Sample is how often one packet of each direction of a flow is handed over
	// while it lasts; default 1 s. Whether the line works is judged in steps of 3 s.
	Sample time.Duration
	// Forget is how long a flow must be silent until its beginning is handed over
	// again; default 10 s, the shortest after which agent/flow forgets one.
	Forget time.Duration
	// Poll is how long Next waits for frames; default 20 ms.
	Poll time.Duration
	// Seed of the program's hashes; 0: a random one.
	Seed uint32
	// Classic attaches by clsact also where the kernel has tcx.
	Classic bool
	Log     *slog.Logger // nil: nothing is logged
}

// complete fills in what was left out and checks the rest.
func (c *Config) complete() error {
	c.Flows, c.Pending, c.Devices = cmp.Or(c.Flows, 8192), cmp.Or(c.Pending, 2048), cmp.Or(c.Devices, 512)
	c.Ring, c.Rate, c.Burst = cmp.Or(c.Ring, 1<<20), cmp.Or(c.Rate, 2000), cmp.Or(c.Burst, 4000)
	c.FlowBurst, c.Payloads = cmp.Or(c.FlowBurst, max(c.Rate/4, 1)), cmp.Or(c.Payloads, 8)
	if c.Rate < 0 {
		c.FlowBurst = 1<<31 - 1
	}
	c.Sample, c.Forget = cmp.Or(c.Sample, time.Second), cmp.Or(c.Forget, 10*time.Second)
	c.Poll, c.Seed = cmp.Or(c.Poll, 20*time.Millisecond), cmp.Or(c.Seed, rand.Uint32()|1)
	if len(c.Home) == 0 {
		c.Home = private
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Flows < 16 || c.Pending < 16 || c.Devices < 16:
		return fmt.Errorf("kernel: %d flows, %d pending, %d devices: want at least 16 each", c.Flows, c.Pending, c.Devices)
	case c.Ring < 1<<16 || c.Ring&(c.Ring-1) != 0:
		return fmt.Errorf("kernel: a ring of %d bytes: want a power of two of at least 65536", c.Ring)
	case c.Burst < 8:
		return fmt.Errorf("kernel: a burst of %d frames: want at least 8", c.Burst)
	}
	return nil
}

// private is the private ranges: RFC 1918, RFC 6598, RFC 4193.
var private = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fc00::/7")}

// Stats counts what the program did since New.
type Stats struct {
	Frames   uint64 // seen at the ports, each once
	Copies   uint64 // group frames of the router that a bridge sent to several ports; not counted again
	Odd      uint64 // neither ARP nor IP, or with lying lengths; not looked at
	Handed   uint64 // frames handed over
	Full     uint64 // frames that were not handed over because the ring was full
	Capped   uint64 // that were not because their device had reached its cap
	Limited  uint64 // that were not because their flow had
	Opened   uint64 // flows
	Answered uint64 // of these that were answered
	Flows    int    // answered flows there at the last sweep
	Pending  int    // others
	Evicted  uint64 // flows that were not there any more at the last sweep
}

// Source is the program, loaded, and what it hands over. Next, Flows, Traffic,
// Want and SetHome are for one goroutine; SetPorts, Stats and Close for any.
type Source struct {
	cfg  Config
	seed uint32

	objects objects
	live    *live
	ring    *ring

	last   int64  // time of the newest frame or moment
	told   uint64 // until when Traffic has told
	sweep  sweep
	rounds rounds
	timer  *time.Timer
	closed atomic.Bool
	done   chan struct{}

	mu       sync.Mutex // guards what follows, and the maps from Close
	attached map[int]*attachment
	present  presence
}

// presence is what the last sweep found.
type presence struct {
	flows, pending int
	evicted        uint64
}

// New loads the program. It sees nothing until SetPorts. The error says in one
// sentence what is missing.
func New(cfg Config) (*Source, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, seed: cfg.Seed, done: make(chan struct{}), attached: make(map[int]*attachment), timer: time.NewTimer(time.Hour)}
	s.timer.Stop()
	if err := s.load(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		s.objects.close()
		return nil, err
	}
	return s, nil
}

// open maps what is shared with the program and sets its beginning.
func (s *Source) open() (err error) {
	if s.ring, err = newRing(s.objects.Ring); err != nil {
		return err
	}
	if s.live, err = s.share(); err != nil {
		return err
	}
	s.live.Config = s.cfg.limits()
	for proto := range 256 {
		for flag := range 2 {
			s.live.Sort[2*proto+flag] = uint8(sortOf(uint8(proto), flag == 1))
		}
	}
	s.live.Epoch = 1
	return s.SetHome(s.cfg.Home)
}

func sortOf(proto uint8, syn bool) cordon.Sort {
	switch proto {
	case packet.ProtoTCP:
		if syn {
			return cordon.SortSYN
		}
		return cordon.SortTCP
	case packet.ProtoUDP:
		return cordon.SortUDP
	case packet.ProtoICMP, packet.ProtoICMPv6:
		return cordon.SortICMP
	case packet.ProtoGRE:
		return cordon.SortGRE
	}
	return cordon.SortOther
}

// SetHome says which addresses are the home's: traffic between two of them is not
// counted for Traffic, and what a device sends from any other is counted as
// spoofed. Link-local addresses are always the home's. Of more than 16 prefixes
// the first 16 are taken, with an error.
func (s *Source) SetHome(prefixes []netip.Prefix) error {
	for i := range s.live.Home {
		s.live.Home[i] = nowhere
		if i < len(prefixes) && prefixes[i].IsValid() {
			s.live.Home[i] = prefixOf(prefixes[i].Masked())
		}
	}
	atomic.AddUint32(&s.live.HomeTime, 1)
	if len(prefixes) > homes {
		return fmt.Errorf("kernel: %d prefixes of the home: the first %d are looked at", len(prefixes), homes)
	}
	return nil
}

// SetRouter does nothing: the program knows by the way a frame takes whether the
// router sent it.
func (s *Source) SetRouter([]cordon.MAC) {}

// SetAhead lets the program's clock run ahead of the kernel's by so many
// nanoseconds, for tests that play hours in seconds.
func (s *Source) SetAhead(ns int64) { atomic.StoreUint64(&s.live.Shift, uint64(ns)) }

// Next gives the next frame that was handed over. When there is none for
// Config.Poll, it gives a moment: a frame of which only Time is set. After Close
// it returns io.EOF. Data is valid until the next call. Times never run
// backwards: several processors see frames, a little out of order.
func (s *Source) Next(f *packet.Frame) error {
	for waited := false; ; waited = true {
		if s.closed.Load() {
			return io.EOF
		}
		for b := s.ring.next(); b != nil; b = s.ring.next() {
			if r, ok := recordOf(b); ok {
				s.last = max(s.last, int64(r.time)+s.cfg.Base)
				*f = packet.Frame{Time: s.last, Link: packet.LinkEthernet, Len: r.len, Data: r.data}
				return nil
			}
		}
		if waited {
			s.last = max(s.last, s.Now())
			*f = packet.Frame{Time: s.last, Link: packet.LinkEthernet}
			return nil
		}
		s.wait()
	}
}

// wait waits until it is worth looking again. The program wakes nobody, because
// that costs more than all the rest of it.
func (s *Source) wait() {
	s.timer.Reset(s.cfg.Poll)
	select {
	case <-s.timer.C:
	case <-s.done:
	}
}

// Now returns the time that a frame would have that is seen now.
func (s *Source) Now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return s.last
	}
	return ts.Nano() + int64(atomic.LoadUint64(&s.live.Shift)) + s.cfg.Base
}

// Stats returns what the program did so far.
func (s *Source) Stats() (st Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return st
	}
	var n [stats]uint64
	var desks []desk // one for each processor
	for way := range uint32(2) {
		if err := s.objects.Desk.Lookup(way, &desks); err != nil {
			continue
		}
		for i := range desks {
			for k, v := range desks[i].Stats {
				n[k] += v
			}
		}
	}
	return Stats{Frames: n[statFrames], Copies: n[statCopied], Odd: n[statOdd], Handed: n[statHanded], Full: n[statFull],
		Capped: n[statCapped], Limited: n[statLimited], Opened: n[statOpened], Answered: n[statAnswered],
		Flows: s.present.flows, Pending: s.present.pending, Evicted: s.present.evicted}
}

// Close takes the program from all ports. A Next that waits returns io.EOF.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Swap(true) {
		return nil
	}
	close(s.done)
	var errs []error
	for index := range s.attached {
		errs = append(errs, s.detach(index))
	}
	s.objects.close()
	return errors.Join(errs...)
}

// share maps the program's variables.
func (s *Source) share() (*live, error) {
	size := int(s.objects.Memory.ValueSize())
	if size < int(unsafe.Sizeof(live{})) {
		return nil, fmt.Errorf("kernel: the program's variables have %d bytes: the object is another version's", size)
	}
	b, err := unix.Mmap(s.objects.Memory.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the program's variables: %w", err)
	}
	l := (*live)(unsafe.Pointer(&b[0]))
	runtime.AddCleanup(s, func(b []byte) { _ = unix.Munmap(b) }, b)
	return l, nil
}
