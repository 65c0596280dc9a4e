package kernel

import (
	"bytes"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
)

// The urgencies of program/device.h: how much of the burst each may use.
var shares = [3]float64{1, 7.0 / 8, 3.0 / 4}

// load puts the maps and the two programs into the kernel.
func (s *Source) load() error {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return fmt.Errorf("read the program: %w", err)
	}
	c := s.cfg
	for name, n := range map[string]int{"flows": c.Flows, "pending": c.Pending, "devices": c.Devices, "visitors": c.Devices / 4, "ring": c.Ring, "ports": maxPorts} {
		spec.Maps[name].MaxEntries = uint32(n)
	}
	var o objects
	if err := spec.LoadAndAssign(&o, nil); err != nil {
		return refused(err)
	}
	s.objects = o
	return nil
}

// limits are what the program is told of the configuration.
func (c *Config) limits() config {
	values := config{Sample: uint64(c.Sample), Forget: uint64(c.Forget), Stranger: uint64(strangerFor),
		Payloads: uint32(c.Payloads), Burst: uint32(c.FlowBurst), Seed: c.Seed}
	if c.Rate > 0 {
		values.Interval = uint64(time.Second) / uint64(c.Rate)
		for i, share := range shares {
			values.Limit[i] = uint64(float64(values.Interval) * float64(c.Burst) * share)
		}
	}
	return values
}

// strangerFor is how long a device shares its cap with all other new ones, so
// that a flood of invented MACs gets no cap for each.
const strangerFor = 10 * time.Second

// objects is what the object file holds.
type objects struct {
	Incoming *ebpf.Program `ebpf:"incoming"`
	Outgoing *ebpf.Program `ebpf:"outgoing"`
	Flows    *ebpf.Map     `ebpf:"flows"`
	Pending  *ebpf.Map     `ebpf:"pending"`
	Devices  *ebpf.Map     `ebpf:"devices"`
	Visitors *ebpf.Map     `ebpf:"visitors"`
	Ports    *ebpf.Map     `ebpf:"ports"`
	Ring     *ebpf.Map     `ebpf:"ring"`
	Memory   *ebpf.Map     `ebpf:".bss"`
	Blank    *ebpf.Map     `ebpf:"blank"`
	Desk     *ebpf.Map     `ebpf:"desk"`
}

// close takes everything out of the kernel that nothing else holds.
func (o *objects) close() {
	for _, p := range []*ebpf.Program{o.Incoming, o.Outgoing} {
		if p != nil {
			_ = p.Close()
		}
	}
	for _, m := range []*ebpf.Map{o.Flows, o.Pending, o.Devices, o.Visitors, o.Ports, o.Ring, o.Memory, o.Blank, o.Desk} {
		if m != nil {
			_ = m.Close()
		}
	}
}
