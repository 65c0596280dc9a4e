package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cordon"
)

// maxPorts bounds the interfaces of the home's side, bridges included.
const maxPorts = 256

// The program's filters at a clsact qdisc. A filter outlives the process that
// made it: the next finds it by these and puts its own in its place.
const (
	filterName     = "cordon"
	filterPriority = 1
	filterHandle   = 0xc0
)

// The two hooks of a port.
var hooks = [2]struct {
	parent uint32
	attach ebpf.AttachType
}{{netlink.HANDLE_MIN_INGRESS, ebpf.AttachTCXIngress}, {netlink.HANDLE_MIN_EGRESS, ebpf.AttachTCXEgress}}

// attachment is the program at one port.
type attachment struct {
	name  string
	links []link.Link // by tcx; none: by clsact
	qdisc bool        // we made the clsact qdisc
}

// SetPorts puts the program at the given ports, both directions, and takes it
// from all others. It is called again whenever the network changes; a port that
// was gone and is back is attached anew. A port that fails does not keep the
// others from being attached; the error names each.
//
// A frame that leaves by a port and came in by another, or by one of the bridges
// that the ports belong to, was seen when it came in.
func (s *Source) SetPorts(ports []cordon.Port) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return fs.ErrClosed
	}
	wanted := make(map[int]string, len(ports))
	inside := make(map[int]bool)
	for _, p := range ports {
		wanted[p.Index] = p.Name
		inside[p.Index] = true
		if p.Bridge == "" {
			continue
		}
		if bridge, err := netlink.LinkByName(p.Bridge); err == nil {
			inside[bridge.Attrs().Index] = true
		}
	}
	if len(inside) > maxPorts {
		return fmt.Errorf("kernel: %d ports and bridges: want at most %d", len(inside), maxPorts)
	}
	var errs []error
	for index, a := range s.attached {
		if name, ok := wanted[index]; !ok || name != a.name || !s.holds(index, a) {
			errs = append(errs, s.detach(index))
		}
	}
	errs = append(errs, s.tellPorts(inside))
	for index, name := range wanted {
		if s.attached[index] != nil {
			continue
		}
		if err := s.attach(index, name); err != nil {
			errs = append(errs, fmt.Errorf("watch port %s: %w", name, err))
		}
	}
	atomic.StoreUint32(&s.live.Ports, uint32(len(s.attached)))
	return errors.Join(errs...)
}

// tellPorts tells the program which interfaces are the home's side.
func (s *Source) tellPorts(inside map[int]bool) error {
	var index, value uint32
	var gone []uint32
	for all := s.objects.Ports.Iterate(); all.Next(&index, &value); {
		if !inside[int(index)] {
			gone = append(gone, index)
		}
	}
	var errs []error
	for _, index := range gone {
		errs = append(errs, s.objects.Ports.Delete(index))
	}
	for index := range inside {
		errs = append(errs, s.objects.Ports.Put(uint32(index), uint32(1)))
	}
	return errors.Join(errs...)
}

// programs returns what belongs at the two hooks.
func (s *Source) programs() [2]*ebpf.Program {
	return [2]*ebpf.Program{s.objects.Incoming, s.objects.Outgoing}
}

// attach puts the program at a port: by tcx, which ends with this process and is
// quicker, else by clsact.
func (s *Source) attach(index int, name string) error {
	a := &attachment{name: name}
	how, why := "tcx", "the kernel has it"
	err := s.attachLinks(index, a)
	switch {
	case s.cfg.Classic:
		how, why = "clsact", "asked for"
	case err == nil:
		removeFilters(index) // of a process before
	case errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EINVAL):
		how, why = "clsact", "the kernel has no tcx, which came with Linux 6.6"
	default:
		return err
	}
	if how == "clsact" {
		if err := s.attachFilters(index, a); err != nil {
			return err
		}
	}
	s.attached[index] = a
	s.cfg.Log.Info("watching port", "port", name, "index", index, "how", how, "why", why)
	return nil
}

// attachLinks attaches by tcx, before all others: what they drop is seen too.
func (s *Source) attachLinks(index int, a *attachment) error {
	if s.cfg.Classic {
		return nil
	}
	for i, program := range s.programs() {
		l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: program, Attach: hooks[i].attach, Anchor: link.Head()})
		if err != nil {
			closeLinks(a)
			return fmt.Errorf("attach by tcx: %w", err)
		}
		a.links = append(a.links, l)
	}
	return nil
}

// attachFilters attaches by filters of a clsact qdisc, which is made if need be.
func (s *Source) attachFilters(index int, a *attachment) error {
	qdisc := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index,
		Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}
	err := netlink.QdiscAdd(qdisc)
	switch {
	case err == nil:
		a.qdisc = true
	case !errors.Is(err, unix.EEXIST):
		return fmt.Errorf("make clsact qdisc: %w", err)
	}
	for i, program := range s.programs() {
		f := &netlink.BpfFilter{FilterAttrs: filterAttrs(index, hooks[i].parent), Fd: program.FD(), Name: filterName, DirectAction: true}
		if err := netlink.FilterReplace(f); err != nil {
			return errors.Join(fmt.Errorf("add clsact filter: %w", err), s.removeFiltersOf(index, a))
		}
	}
	return nil
}

func filterAttrs(index int, parent uint32) netlink.FilterAttrs {
	return netlink.FilterAttrs{LinkIndex: index, Parent: parent, Handle: filterHandle, Protocol: unix.ETH_P_ALL, Priority: filterPriority}
}

// holds reports whether what was attached still is. An interface may have gone
// and come back with the same index.
func (s *Source) holds(index int, a *attachment) bool {
	for _, l := range a.links {
		info, err := l.Info()
		if err != nil || info.TCX() == nil || int(info.TCX().Ifindex) != index {
			return false
		}
	}
	if len(a.links) > 0 {
		return true
	}
	for i := range hooks {
		if len(ourFilters(index, hooks[i].parent)) == 0 {
			return false
		}
	}
	return true
}

// detach takes the program from a port, which may be gone.
func (s *Source) detach(index int) error {
	a := s.attached[index]
	delete(s.attached, index)
	if len(a.links) > 0 {
		closeLinks(a)
		return nil
	}
	return s.removeFiltersOf(index, a)
}

func closeLinks(a *attachment) {
	for _, l := range a.links {
		_ = l.Close() // of a port that is gone, too: the link is ours alone
	}
	a.links = nil
}

// removeFiltersOf removes our filters, and the qdisc if we made it and nobody
// else uses it.
func (s *Source) removeFiltersOf(index int, a *attachment) error {
	nic, err := netlink.LinkByIndex(index)
	if err != nil || nic.Attrs().Name != a.name {
		return nil // gone, and all that was at it
	}
	removeFilters(index)
	if !a.qdisc {
		return nil
	}
	for i := range hooks {
		if others, err := netlink.FilterList(nic, hooks[i].parent); err != nil || len(others) > 0 {
			return err
		}
	}
	err = netlink.QdiscDel(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index,
		Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}})
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("remove clsact qdisc from %s: %w", a.name, err)
	}
	return nil
}

// removeFilters removes our filters from a port, if there are any.
func removeFilters(index int) {
	for i := range hooks {
		for _, f := range ourFilters(index, hooks[i].parent) {
			_ = netlink.FilterDel(f)
		}
	}
}

// ourFilters returns the filters at a hook that carry our name and number.
func ourFilters(index int, parent uint32) (ours []netlink.Filter) {
	all, err := netlink.FilterList(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: index}}, parent)
	if err != nil {
		return nil
	}
	for _, f := range all {
		if b, ok := f.(*netlink.BpfFilter); ok && b.Name == filterName && b.Attrs().Handle == filterHandle {
			ours = append(ours, f)
		}
	}
	return ours
}
