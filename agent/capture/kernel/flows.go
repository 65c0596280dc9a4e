package kernel

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"cordon/agent/packet"
)

// batch is how many entries are read by one system call: 16,384 flows took 5 ms
// in batches and 37 ms one by one.
const batch = 512

// sweep is the room in which flows are read.
type sweep struct {
	keys  []key
	flows []flow
	count packet.FlowCount
}

// Flows tells what was counted of flows and not handed over since the last call;
// the count that it gives is lent for the call. Each direction of a flow is told
// by itself. What is counted while Flows begins may be told by neither this call
// nor the next, at most a packet for each processor.
//
// A flow has two slots of counters, and the epoch says which is counted in; so
// the program needs no lock and user space no memory of its own.
func (s *Source) Flows(tell func(*packet.FlowCount)) error {
	if s.closed.Load() {
		return nil
	}
	if s.sweep.keys == nil {
		s.sweep.keys, s.sweep.flows = make([]key, batch), make([]flow, batch)
	}
	epoch := atomic.AddUint32(&s.live.Epoch, 1) - 1
	var present [2]int
	for i, m := range []*ebpf.Map{s.objects.Flows, s.objects.Pending} {
		err := each(m, s.sweep.keys, s.sweep.flows, func(k *key, f *flow) {
			present[i]++
			s.tellFlow(k, f, epoch, tell)
		})
		if err != nil {
			return fmt.Errorf("read flows: %w", err)
		}
	}
	opened := s.Stats().Opened
	s.mu.Lock()
	s.present = presence{present[0], present[1], opened - min(opened, uint64(present[0]+present[1]))}
	s.mu.Unlock()
	return nil
}

// tellFlow tells of both directions of a flow.
func (s *Source) tellFlow(k *key, f *flow, epoch uint32, tell func(*packet.FlowCount)) {
	for way := range 2 {
		c := &f.Half[way].Slots[epoch&1]
		if c.Epoch != uint16(epoch) || c.Packets == 0 {
			continue
		}
		src, dst := &k.A, &k.B
		if way == 1 {
			src, dst = dst, src
		}
		srcPort, dstPort := portsOf(uint8(k.Proto), src, dst)
		s.sweep.count = packet.FlowCount{Src: address(src.Hi, src.Lo), Dst: address(dst.Hi, dst.Lo), SrcPort: srcPort, DstPort: dstPort,
			Proto: uint8(k.Proto), Flags: c.Flags, Packets: uint64(c.Packets), Bytes: c.Bytes, Last: int64(c.Last) + s.cfg.Base}
		tell(&s.sweep.count)
	}
}

// each reads a whole map, in batches or, where the kernel has none for its sort
// of map, one by one. An entry that comes while it is read may be left out.
func each[K, V any](m *ebpf.Map, keys []K, values []V, tell func(*K, *V)) error {
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		for i := range n {
			tell(&keys[i], &values[i])
		}
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			return nil
		case errors.Is(err, ebpf.ErrNotSupported):
			return singly(m, tell)
		case err != nil:
			return err
		}
	}
}

// singly is each without batches.
func singly[K, V any](m *ebpf.Map, tell func(*K, *V)) error {
	var k K
	var v V
	all := m.Iterate()
	for all.Next(&k, &v) {
		tell(&k, &v)
	}
	if err := all.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return err
	}
	return nil
}
