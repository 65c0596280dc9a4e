package dns

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cordon"
)

// maxNeighbours bounds the neighbours that are remembered; the kernel keeps 1,024
// of each family (gc_thresh3) unless told otherwise.
const maxNeighbours = 4096

// A device's first question may overtake the news of it; then the kernel is
// asked. So that a device that invents addresses does not have it asked for each,
// that happens maxLooks times at once, and once in lookEvery after that.
const (
	lookEvery = 100 * time.Millisecond
	maxLooks  = 16
)

// neighbours is the kernel's neighbour table as it is told of it: a device's
// address is in it before its first question comes, because it has asked for the
// router's. Safe for concurrent use.
type neighbours struct {
	now func() int64 // nanoseconds

	mu     sync.RWMutex
	byAddr map[netip.Addr]cordon.MAC // guarded by mu
	full   int64                     // when maxLooks looks are left again; guarded by mu
}

// of says whose an address is.
func (n *neighbours) of(a netip.Addr) (cordon.MAC, bool) {
	n.mu.RLock()
	m, ok := n.byAddr[a]
	n.mu.RUnlock()
	if ok || !n.look(a) {
		return m, ok
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	m, ok = n.byAddr[a]
	return m, ok
}

// look asks the kernel for its neighbours of an address's family, if it was not
// asked too often.
func (n *neighbours) look(a netip.Addr) bool {
	n.mu.Lock()
	now := n.now()
	if n.full-now > (maxLooks-1)*int64(lookEvery) {
		n.mu.Unlock()
		return false
	}
	n.full = max(n.full, now) + int64(lookEvery)
	n.mu.Unlock()
	family := unix.AF_INET6
	if a.Is4() {
		family = unix.AF_INET
	}
	there, err := netlink.NeighList(0, family)
	for i := range there {
		n.learn(&netlink.NeighUpdate{Type: unix.RTM_NEWNEIGH, Neigh: there[i]})
	}
	return err == nil
}

// follow lets the kernel tell of its neighbours until ctx is done.
func (n *neighbours) follow(ctx context.Context, failed func(error)) error {
	updates := make(chan netlink.NeighUpdate, 64)
	err := netlink.NeighSubscribeWithOptions(updates, ctx.Done(), netlink.NeighSubscribeOptions{
		ListExisting: true, ErrorCallback: func(err error) {
			if ctx.Err() == nil {
				failed(err)
			}
		}})
	if err != nil {
		return fmt.Errorf("subscribe to neighbours: %w", err)
	}
	go func() { // ends when ctx is done and netlink closes the channel
		for u := range updates {
			n.learn(&u)
		}
	}()
	return nil
}

// learn takes in one change.
func (n *neighbours) learn(u *netlink.NeighUpdate) {
	addr, ok := netip.AddrFromSlice(u.IP)
	if !ok {
		return
	}
	addr = addr.Unmap()
	n.mu.Lock()
	defer n.mu.Unlock()
	if u.Type == unix.RTM_DELNEIGH || len(u.HardwareAddr) != 6 || u.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) != 0 {
		delete(n.byAddr, addr)
		return
	}
	if _, known := n.byAddr[addr]; known || len(n.byAddr) < maxNeighbours {
		n.byAddr[addr] = cordon.MAC(u.HardwareAddr)
	}
}
