// Package network is the router's view of its own network: which ports devices
// are behind, where the internet is, which addresses belong to whom, and what of
// it can be neither seen nor cut.
//
// It asks the kernel (rtnetlink, ethtool, nftables, sysfs) and the router's own
// configuration files, and gives a cordon.Network to whoever needs one: at start,
// and again whenever it has changed. Nothing is cached between two readings but
// which interface has been the way to the internet.
package network

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"cordon"
)

// Config configures a Reader. The zero Config finds everything by itself.
type Config struct {
	// LAN names bridges or interfaces that devices are behind. Empty: every bridge
	// and every Ethernet interface that has a private address and is not on the way
	// to the internet.
	LAN []string
	// WAN names the interfaces towards the internet. Empty: those of the default
	// routes.
	WAN []string
	// Spared is what else no block may ever name, the provider's core for one.
	Spared []netip.Addr
	// Root is the file system with /sys, /proc and the configuration; nil: the
	// machine's.
	Root fs.FS
	// Lookup resolves the names of time servers, so that they can be spared; nil:
	// the system's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	Log    *slog.Logger // nil: nothing is logged
}

// How often the network is read.
const (
	// settle is how long changes are collected after the first one before they are
	// read: netifd and NetworkManager change an interface in a dozen steps.
	settle = 150 * time.Millisecond
	// idle is how long it is left alone after a reading that found nothing new: Wi-Fi
	// drivers tell of every scan, and a reading costs 1.6 ms here, ten times as much
	// on a small router.
	idle = time.Second
	// again is how often it is read without being told of a change: resolv.conf, the
	// access point's configuration, loaded modules and flowtables tell nobody.
	again = 30 * time.Second
)

// Reader reads the network. Its methods must not run at the same time.
type Reader struct {
	cfg     Config
	log     *slog.Logger
	wasWAN  map[string]bool // found by itself earlier: does not become a LAN when the line is down
	servers servers
	quiet   map[string]bool // what was found unreadable and told, so that it is told once
}

// New returns a Reader. It does nothing yet.
func New(cfg Config) (*Reader, error) {
	for _, name := range slices.Concat(cfg.LAN, cfg.WAN) {
		// IFNAMSIZ of linux/if.h is 16 with the final zero.
		if name == "" || len(name) > 15 {
			return nil, fmt.Errorf("interface %q: want a name of 1 to 15 bytes", name)
		}
	}
	for _, name := range cfg.LAN {
		if slices.Contains(cfg.WAN, name) {
			return nil, fmt.Errorf("interface %q: cannot be both LAN and WAN", name)
		}
	}
	if cfg.Root == nil {
		cfg.Root = os.DirFS("/")
	}
	if cfg.Lookup == nil {
		cfg.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Reader{cfg: cfg, log: cfg.Log, wasWAN: make(map[string]bool), quiet: make(map[string]bool),
		servers: servers{known: make(map[string]answer)}}, nil
}

// Read reads the network once.
func (r *Reader) Read() (cordon.Network, error) {
	n, _, err := r.read()
	return n, err
}

// Notes are what Read found that takes nothing from what Cordon sees or does, but
// that an operator may ask about.
func (r *Reader) Notes() ([]cordon.Shortcoming, error) {
	n, f, err := r.read()
	if err != nil {
		return nil, err
	}
	return f.notes(n), nil
}

// read reads the network, and beside it what the hardware may do behind the
// kernel's back.
func (r *Reader) read() (cordon.Network, facts, error) {
	v, err := readView()
	if err != nil {
		return cordon.Network{}, facts{}, fmt.Errorf("read network: %w", err)
	}
	v.pppoe = pppoePorts(r.cfg.Root)
	resolvers, times := configured(r.cfg.Root)
	spared := slices.Concat(r.cfg.Spared, resolvers, r.servers.addrs(times))
	n := build(v, r.cfg.LAN, r.cfg.WAN, spared, r.wasWAN)
	f := r.facts(v)
	f.judge(&n)
	return n, f, nil
}

// Run calls told with the network as it is, and again whenever it has changed,
// until ctx is done or told fails. A network that cannot be read for a while keeps
// what was told last. All calls come from Run's own goroutine.
func (r *Reader) Run(ctx context.Context, told func(cordon.Network) error) error {
	w, err := watch(r.log)
	if err != nil {
		return fmt.Errorf("watch network: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	resolved := make(chan struct{}, 1)
	running.Go(func() { w.run(ctx) })
	running.Go(func() { r.servers.run(ctx, r.cfg.Lookup, resolved) })

	tick := time.NewTicker(again)
	defer tick.Stop()
	var last *cordon.Network
	for {
		was := last
		if last, err = r.tell(last, told); err != nil {
			return err
		}
		rest := time.Now().Add(settle)
		if was == last {
			rest = rest.Add(idle - settle)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			continue
		case <-resolved:
		case <-w.changed:
		}
		select { // the change comes in many pieces
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(settle, time.Until(rest))):
		}
	}
}

// tell reads the network and calls told if it differs from last. It returns what
// was told last.
func (r *Reader) tell(last *cordon.Network, told func(cordon.Network) error) (*cordon.Network, error) {
	n, err := r.Read()
	if err != nil {
		r.once("network not readable", "err", err)
		return last, nil
	}
	if last != nil && reflect.DeepEqual(*last, n) {
		return last, nil
	}
	r.log.Info("network read", "lan", names(n.LAN), "wan", names(n.WAN), "home", n.Home, "spared", len(n.Spared))
	return &n, told(n)
}

// once logs a warning that was not logged before.
func (r *Reader) once(message string, args ...any) {
	if key := message + fmt.Sprint(args...); !r.quiet[key] && len(r.quiet) < 64 {
		r.quiet[key] = true
		r.log.Warn(message, args...)
	}
}

// names returns the ports' names.
func names(ports []cordon.Port) (list []string) {
	for _, p := range ports {
		list = append(list, p.Name)
	}
	return list
}
