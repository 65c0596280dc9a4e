package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"cordon"
	"cordon/agent/enforce/dns/datagram"
	"cordon/agent/enforce/dns/detour"
)

// ErrTwice means that another guard runs in this network namespace; it is left
// alone.
var ErrTwice = errors.New("another dns guard is running")

// lockName is the abstract Unix socket by which a guard knows of another in its
// network namespace. It ends with its process.
const lockName = "@cordon-dns-guard"

// Run guards until ctx is done. It removes what it made in the kernel before it
// returns; what a killed guard left is replaced. With an error at the start
// nothing was changed, and devices' DNS goes its way without a guard.
func (g *Guard) Run(ctx context.Context) error {
	unlock, err := lock()
	if err != nil {
		return fmt.Errorf("run dns guard: %w", err)
	}
	defer unlock()
	r := &running{g: g}
	defer r.close()
	if err := r.open(); err != nil {
		return fmt.Errorf("run dns guard: %w", err)
	}
	g.Beat()
	return r.run(ctx)
}

// lock keeps other guards out of the network namespace of the calling thread.
func lock() (unlock func() error, err error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: lockName, Net: "unix"})
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return nil, ErrTwice
	case err != nil:
		return nil, fmt.Errorf("lock: %w", err)
	}
	return l.Close, nil
}

// Clear removes what a guard that was killed left in the kernel, where no guard is to
// run: it does nothing any more, but each packet passes it. It is about the marks, the
// table and the priority that a guard has by default.
func Clear() error {
	unlock, err := lock()
	if err != nil {
		return fmt.Errorf("clear dns guard: %w", err)
	}
	defer unlock()
	if err := detour.Clear(detour.Config{Marks: detour.MarksFrom(defaultMark), Table: defaultTable, Priority: defaultPriority}); err != nil {
		return fmt.Errorf("clear dns guard: %w", err)
	}
	return nil
}

// running is what one Run has open.
type running struct {
	g        *Guard
	sockets  map[int]*datagram.Sockets // by family
	readers  []*reader
	proxy    *proxy
	resolver *resolver
	heart    *heart
}

// open opens the sockets of each family that there is; IPv4 has to be.
func (r *running) open() error {
	g := r.g
	r.resolver = newResolver(g)
	r.proxy = newProxy(g, r.resolver)
	r.sockets = make(map[int]*datagram.Sockets)
	if err := r.openFamily(unix.AF_INET); err != nil {
		return err
	}
	p := detour.Ports{UDP4: r.sockets[unix.AF_INET].Port, TCP4: r.proxy.port(unix.AF_INET)}
	if err := r.openIPv6(); err != nil {
		g.log.Info("dns guard without ipv6", "err", err)
	} else {
		p.UDP6, p.TCP6 = r.sockets[unix.AF_INET6].Port, r.proxy.port(unix.AF_INET6)
	}
	r.heart = &heart{g: g, readers: r.readers, way: detour.New(detour.Config{Marks: g.marks, Ports: p,
		Table: g.cfg.Table, Priority: g.cfg.Priority, Routed: g.cfg.Routed, Log: g.log})}
	return nil
}

// openFamily opens the sockets of one family.
func (r *running) openFamily(family int) error {
	s, err := datagram.Listen(family, r.g.marks.Query, r.g.marks.Answer)
	if err != nil {
		return err
	}
	r.sockets[family] = s
	if err := r.proxy.listen(family); err != nil {
		return err
	}
	reader, err := newReader(r.g, s, r.resolver)
	if err != nil {
		return err
	}
	r.readers = append(r.readers, reader)
	return nil
}

// noIPv6 is not 0 where nothing can be routed to the loopback interface by IPv6,
// although transparent sockets can still be bound to its address.
const noIPv6 = "/proc/sys/net/ipv6/conf/lo/disable_ipv6"

// openIPv6 is openFamily for IPv6, where the router has it.
func (r *running) openIPv6() error {
	if b, err := os.ReadFile(noIPv6); err != nil {
		return fmt.Errorf("look for ipv6: %w", err)
	} else if strings.TrimSpace(string(b)) != "0" {
		return fmt.Errorf("%s is not 0", noIPv6)
	}
	return r.openFamily(unix.AF_INET6)
}

// run runs until ctx is done. The heart stops first, so that nothing more is
// intercepted, then the readers, when they have read what was.
func (r *running) run(ctx context.Context) error {
	whole, stop := context.WithCancel(ctx)
	defer stop()
	if r.g.cfg.MAC == nil {
		if err := r.know(whole); err != nil {
			return fmt.Errorf("run dns guard: %w", err)
		}
	}
	var opened atomic.Bool
	parts, failed := errgroup.WithContext(whole)
	for _, reader := range r.readers {
		parts.Go(func() error { return reader.run(opened.Load) })
	}
	parts.Go(func() error {
		defer opened.Store(true)
		r.heart.run(failed, r.heart.way.Watch(failed))
		return r.heart.stop()
	})
	for range resolvers {
		parts.Go(func() error {
			r.resolver.run(failed, r.senders())
			return nil
		})
	}
	parts.Go(func() error { return r.proxy.run(failed) })
	if err := parts.Wait(); err != nil {
		return fmt.Errorf("run dns guard: %w", err)
	}
	return nil
}

// know makes the guard know its neighbours by the kernel's table.
func (r *running) know(ctx context.Context) error {
	n := &neighbours{now: r.g.now, byAddr: make(map[netip.Addr]cordon.MAC)}
	r.g.known.Store(n)
	return n.follow(ctx, func(err error) { r.g.log.Warn("neighbours are not told any more", "err", err) })
}

// senders returns a function that gives one goroutine its senders of answers.
func (r *running) senders() func(netip.Addr) *datagram.Sender {
	own := make(map[int]*datagram.Sender)
	for family, s := range r.sockets {
		own[family] = datagram.NewSender(s.Answers, 1)
	}
	return func(a netip.Addr) *datagram.Sender {
		if a.Is4() {
			return own[unix.AF_INET]
		}
		return own[unix.AF_INET6]
	}
}

// close closes what is open.
func (r *running) close() {
	if r.proxy != nil {
		r.proxy.close()
	}
	for _, reader := range r.readers {
		reader.in.Close()
	}
	for _, s := range r.sockets {
		s.Close()
	}
}
