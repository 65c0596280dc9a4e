package kernel

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"time"

	"cordon"
)

// rounds is the room in which devices are read.
type rounds struct {
	keys    []uint64
	devices []device
	traffic cordon.Traffic
}

// Interval is for how long a device's packets are counted together. A flood must be
// slowed down within a second of its beginning, so it must not take one to see it.
const Interval = 500 * time.Millisecond

// deviceBatch is how many devices are read by one system call: a home's.
const deviceBatch = 64

// Traffic tells what each device sent to the outside of the home and received
// from it in each full Interval since the last call, at most the last two; a
// device without such traffic is not told of. Device is left nil. The Traffic is
// lent for the call.
func (s *Source) Traffic(now cordon.Time, tell func(*cordon.Traffic)) error {
	if s.closed.Load() {
		return nil
	}
	r := &s.rounds
	if r.keys == nil {
		r.keys, r.devices = make([]uint64, deviceBatch), make([]device, deviceBatch)
	}
	until := uint64(int64(now) - s.cfg.Base)
	until -= until % uint64(Interval)
	if until <= s.told {
		return nil
	}
	visit := func(mac *uint64, d *device) {
		first := 0
		if d.Intervals[0].End > d.Intervals[1].End {
			first = 1
		}
		for _, i := range [2]int{first, 1 - first} {
			if n := &d.Intervals[i]; n.End > s.told && n.End <= until {
				s.fill(&r.traffic, *mac, n)
				tell(&r.traffic)
			}
		}
	}
	// One that moves from the second to the first meanwhile misses an interval.
	err := errors.Join(each(s.objects.Devices, r.keys, r.devices, visit), each(s.objects.Visitors, r.keys, r.devices, visit))
	s.told = until
	if err != nil {
		return fmt.Errorf("read devices: %w", err)
	}
	return nil
}

// fill makes the traffic of a device's interval.
func (s *Source) fill(t *cordon.Traffic, mac uint64, n *interval) {
	*t = cordon.Traffic{MAC: macOf(mac), At: cordon.Time(int64(n.End) + s.cfg.Base), Span: Interval, Heard: true,
		Spoofed: cordon.Count(n.Spoofed), Dests: distinct(&n.Dests), Ports: distinct(&n.Ports)}
	for i := range t.Out {
		t.Out[i], t.In[i] = cordon.Count(n.Out[i]), cordon.Count(n.In[i])
		t.Top[i] = topOf(&n.Top[i], t.Out[i].Packets)
	}
}

// distinct estimates how many different values set the bits: linear counting
// (Whang, Vander-Zanden, Taylor, 1990, (1)).
func distinct(set *[4]uint64) int {
	const size = 256
	zeros := size
	for _, w := range set {
		zeros -= bits.OnesCount64(w)
	}
	return int(math.Round(-size * math.Log(float64(max(zeros, 1))/size)))
}

// topOf returns the network that got the majority of a sort's packets. The
// candidate of Boyer and Moore got all hits since it became the candidate: if
// those are no majority, there is none that is sure.
func topOf(t *top, all uint64) (is cordon.Top) {
	if 2*uint64(t.Hits) <= all || t.Hits == 0 {
		return is
	}
	addr, length := address(t.Hi, t.Lo), 48
	if addr.Is4() {
		length = 24
	}
	is.Net, is.Packets, is.Back = netip.PrefixFrom(addr, length).Masked(), uint64(t.Hits), uint64(t.Back)
	if t.Addrs == 0 {
		is.Addr = addr
	}
	if t.Ports == 0 {
		is.Port = t.Port
	}
	return is
}
