package dns

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cordon"
)

// maxNeighbours bounds the neighbours that are remembered; the kernel keeps 1,024
// of each family (gc_thresh3) unless told otherwise.
const maxNeighbours = 4096

// neighbours is the kernel's neighbour table as it is told of it: a device's
// address is in it before its first question comes, because it has asked for the
// router's. Safe for concurrent use.
type neighbours struct {
	mu     sync.RWMutex
	byAddr map[netip.Addr]cordon.MAC // guarded by mu
}

// of says whose an address is.
func (n *neighbours) of(a netip.Addr) (cordon.MAC, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	m, ok := n.byAddr[a]
	return m, ok
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
