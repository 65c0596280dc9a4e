package flow

import (
	"math/rand/v2"
	"testing"
	"time"

	"cordon"
	"cordon/agent/packet"
)

// check fails the test unless the table's parts agree with each other.
func (r *rig) check() {
	r.t.Helper()
	used, pending, talks := 0, 0, 0
	perOwner := make(map[*owner][2]int)
	for i := range r.entries {
		e := &r.entries[i]
		if !e.used {
			if e.talk > 0 {
				r.t.Fatalf("unused entry %d is being read", i)
			}
			continue
		}
		used++
		if !r.reachable(int32(i)) {
			r.t.Fatalf("entry %d cannot be found by its hash", i)
		}
		if e.flow.Outcome == cordon.Pending {
			pending++
		}
		if e.talk > 0 {
			talks++
		}
		o := r.owner(e.flow.Device)
		n := perOwner[o]
		if e.settled {
			n[1]++
		} else {
			n[0]++
		}
		perOwner[o] = n
	}
	r.checkOwners(used, perOwner)
	r.checkList("pending", &r.pending, pending, func(e *entry) bool { return e.flow.Outcome == cordon.Pending })
	free := 0
	for i := r.free; i != 0; i = r.entries[i].chain {
		if free++; r.entries[i].used || free > len(r.entries) {
			r.t.Fatalf("the free list holds entry %d, which is in use, or does not end", i)
		}
	}
	if used+free != len(r.entries)-1 {
		r.t.Fatalf("%d used and %d free of %d entries", used, free, len(r.entries)-1)
	}
	if l, ok := r.cfg.Talk.(*listener); ok && len(l.open) != talks {
		r.t.Fatalf("%d flows are being read, %d are open", talks, len(l.open))
	}
}

func (r *rig) checkOwners(used int, perOwner map[*owner][2]int) {
	r.t.Helper()
	size, sum := len(r.entries)-1, 0
	for _, o := range r.bySlot {
		if o == nil {
			continue
		}
		n := perOwner[o]
		r.checkList("unanswered", &o.unanswered, n[0], func(e *entry) bool { return !e.settled && r.owner(e.flow.Device) == o })
		r.checkList("answered", &o.answered, n[1], func(e *entry) bool { return e.settled && r.owner(e.flow.Device) == o })
		if o.n() > size/deviceShare || o.unanswered.n > size/unansweredShare {
			r.t.Fatalf("an owner holds %d + %d of %d flows", o.unanswered.n, o.answered.n, size)
		}
		sum += o.n()
	}
	if sum != used {
		r.t.Fatalf("owners hold %d flows, %d are in use", sum, used)
	}
}

// checkList walks a list both ways.
func (r *rig) checkList(name string, l *list, n int, ok func(*entry) bool) {
	r.t.Helper()
	seen, prev := 0, int32(0)
	for i := l.head; i != 0; prev, i = i, r.entries[i].links[l.which].next {
		if seen++; seen > len(r.entries) {
			r.t.Fatalf("the %s list does not end", name)
		}
		if e := &r.entries[i]; !e.used || !ok(e) || e.links[l.which].prev != prev {
			r.t.Fatalf("entry %d does not belong in the %s list, or its link back is wrong", i, name)
		}
	}
	if seen != n || l.n != n || l.tail != prev {
		r.t.Fatalf("the %s list has %d entries, says %d, should have %d", name, seen, l.n, n)
	}
}

func (r *rig) reachable(i int32) bool {
	for c := *r.bucket(&r.entries[i]); c != 0; c = r.entries[c].chain {
		if c == i {
			return true
		}
	}
	return false
}

// steps feeds packets made of b to a small table and checks it after each.
func steps(t testing.TB, b []byte) *rig {
	r := newRig(t, 16*4, func(c *Config) {
		l := newListener(t)
		l.enough = 3
		c.Talk = l
	})
	ends := []string{camera, laptop, router, server, victim, camera6, server6, "192.168.1.99", "192.168.1.255"}
	flags := []uint8{syn, synack, ack, rst, fin, rst | ack, 0, 0xff}
	payload := make([]byte, 300)
	last := tcp(camera, 200, server, 400, syn)
	for n := 0; len(b) >= 6; b, n = b[6:], n+1 {
		src, dst := ends[int(b[0])%len(ends)], ends[int(b[1])%len(ends)]
		if addr(src).Is6() != addr(dst).Is6() {
			dst = src
		}
		sport, dport := uint16(b[2]%8)*200, uint16(b[3]%8)*200
		switch b[4] % 16 {
		case 0, 1, 2, 3, 4, 5, 6:
			last = tcp(src, sport, dst, dport, flags[b[5]%8], payload[:int(b[5])]...)
			r.send(last)
		case 7, 8:
			last = udp(src, sport, dst, dport, payload[:int(b[5])]...)
			r.send(last)
		case 9:
			r.send(echo(src, dst, sport, b[5]%2 == 0))
		case 10:
			if last.Src.Is4() {
				r.send(unreachable(ends[int(b[5])%5], b[5]%16, last))
			}
		case 11, 12:
			last.Src, last.Dst, last.SrcPort, last.DstPort = last.Dst, last.Src, last.DstPort, last.SrcPort
			last.TCPFlags = flags[b[5]%8]
			r.send(last, ip(src, dst, b[5], 100))
		case 13:
			r.Advance(r.now.Add(time.Duration(b[5]) * time.Second))
		case 14:
			r.Advance(r.now.Add(time.Duration(b[5]) * time.Minute))
		case 15:
			r.churn(b[5])
		}
		r.check()
	}
	r.Close(r.now)
	r.check()
	opened := r.count(cordon.FlowOpened, nil)
	ended := r.count(cordon.FlowClosed, nil) + r.count(cordon.FlowEvicted, nil)
	if opened != ended || uint64(opened) != r.Stats().Opened {
		t.Fatalf("%d flows opened, %d counted, %d ended", opened, r.Stats().Opened, ended)
	}
	return r
}

// churn gives a device's slot to another device, now or while the next packet is
// looked at.
func (r *rig) churn(b byte) {
	a := addr([]string{camera, laptop, router}[b%3])
	replace := func() {
		d := r.devices[a]
		r.Forget(d)
		r.devices[a] = &cordon.Device{ID: d.ID, Slot: d.Slot, Generation: d.Generation + 1, Gateway: d.Gateway}
		if a == addr(camera) {
			r.devices[addr(camera6)] = r.devices[a]
		}
	}
	if b < 128 {
		replace()
		return
	}
	r.ends = func(*packet.Packet) {
		r.ends = nil
		replace()
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 3, 1, 2, 0, 0, 3, 0, 2, 1, 0, 1})
	rng := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		b := make([]byte, 6*60)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { steps(t, b[:min(len(b), 6*100)]) })
}

// TestManySteps is the fuzz target over enough random packets that the table is
// full and everything happens.
func TestManySteps(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	seen := make(map[cordon.FlowEvent]int)
	for range 20 {
		b := make([]byte, 6*1000)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		for _, e := range steps(t, b).events {
			seen[e.ev]++
		}
	}
	for ev := cordon.FlowOpened; ev <= cordon.FlowClosed; ev++ {
		if seen[ev] == 0 {
			t.Errorf("no flow was ever %s", eventNames[ev])
		}
	}
}
