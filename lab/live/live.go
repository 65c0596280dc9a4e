// Package live is what devices, attackers and the internet do in a bed of
// lab/netns: real sockets, real TCP, real time. Tests of the agent on a live
// router use it, and so does cordon-lab.
//
// Attackers (Scan, Bot, Flood) refuse to run outside a bed and towards addresses
// that no bed routes. What is said is bounded in time and number, and nothing of
// it works on anybody: the names and passwords are those of the bed, the loader
// is a text.
//
// On the internet's side a Meter writes down what arrives and when.
package live

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"cordon/lab/netns"
)

// The bounds on what one call of an attacker does.
const (
	// MaxPackets is the most packets of one attack.
	MaxPackets = 5_000_000
	// MaxDuration is the longest attack.
	MaxDuration = 5 * time.Minute
	// MaxRate is the most packets a second.
	MaxRate = 200_000
)

// ErrOutside means that an attacker was told to act where it must not.
var ErrOutside = errors.New("outside of the test bed")

// ranges is what a bed routes and nobody else owns.
var ranges = slices.Concat(netns.Alive, netns.Dark, []netip.Prefix{netns.LAN, netns.LAN6,
	netip.PrefixFrom(netns.InternetIP, 24).Masked(), netip.PrefixFrom(netns.InternetIP6, 64).Masked()})

// guard returns ErrOutside unless h is in a namespace of its own and every
// target is inside what a bed routes.
func guard(h *netns.Host, targets ...netip.Prefix) error {
	for _, t := range targets {
		inside := func(r netip.Prefix) bool { return r.Contains(t.Addr()) && r.Bits() <= t.Bits() }
		if !t.IsValid() || !slices.ContainsFunc(ranges, inside) {
			return fmt.Errorf("target %v: %w", t, ErrOutside)
		}
	}
	machine := make(chan os.FileInfo, 1)
	go func() { // a new goroutine is on no thread that is away from home
		at, _ := os.Stat(threadNamespace)
		machine <- at
	}()
	outside := <-machine
	return h.Do(func() error {
		here, err := os.Stat(threadNamespace)
		if err != nil {
			return err
		}
		if outside == nil || os.SameFile(here, outside) {
			return fmt.Errorf("the machine's own namespace: %w", ErrOutside)
		}
		return nil
	})
}

// threadNamespace is the network namespace of the thread that looks.
const threadNamespace = "/proc/thread-self/ns/net"

// single is the prefix of one address.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// Sent is what an attack sent.
type Sent struct {
	Packets     uint64
	First, Last time.Time // just before the first and just after the last packet, by the wall
}

// source returns the address from which h speaks to another.
func source(h *netns.Host, to netip.Addr) (netip.Addr, error) {
	c, err := h.Dial("udp", netip.AddrPortFrom(to, 9).String())
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// closeWith closes c when ctx ends; the caller calls the returned function when
// c is no longer needed.
func closeWith(ctx context.Context, c interface{ Close() error }) func() {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	return func() {
		stop()
		c.Close()
	}
}
