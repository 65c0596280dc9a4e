package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"cordon/agent/enforce/dns/detour"
)

const (
	// maxStreams bounds the TCP connections, and maxStreamsOfOne those of one
	// device: about 20 KB of memory each. RFC 7766 §6.2.2 wants clients to have
	// one.
	maxStreams      = 128
	maxStreamsOfOne = 16
	// dialIn is how long the server has to accept. A device gives up after 10 s.
	dialIn = 5 * time.Second
	// lentFor is how long an address is lent at most: a connection needs it until its
	// first packet has left.
	lentFor = 2 * dialIn
	// idleAfter ends a stream of DNS on which nothing happens: RFC 7766 §6.2.3
	// leaves it to the server, which does not keep them for longer than this.
	idleAfter = 60 * time.Second
	// idleOther ends a stream of something else.
	idleOther = 10 * time.Minute
)

// proxy takes the TCP connections that devices open to port 53 and continues
// each to the server that the device asked.
type proxy struct {
	g         *Guard
	resolver  *resolver
	listeners map[int]*net.TCPListener // by family

	mu   sync.Mutex
	all  int                // streams; guarded by mu
	ofIt map[netip.Addr]int // streams of a device; guarded by mu
	wait sync.WaitGroup
}

func newProxy(g *Guard, r *resolver) *proxy {
	return &proxy{g: g, resolver: r, listeners: make(map[int]*net.TCPListener), ofIt: make(map[netip.Addr]int)}
}

// listen opens the listener of a family. Like that for UDP it is reached by
// tproxy only.
func (p *proxy) listen(family int) error {
	network, at, level, option := "tcp4", "127.0.0.1:0", unix.SOL_IP, unix.IP_TRANSPARENT
	if family == unix.AF_INET6 {
		network, at, level, option = "tcp6", "[::1]:0", unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd int) error {
			return errors.Join(unix.SetsockoptInt(fd, level, option, 1),
				unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(p.g.marks.Answer)))
		})
	}}
	config.SetMultipathTCP(false) // tproxy finds plain sockets only
	l, err := config.Listen(context.Background(), network, at)
	if err != nil {
		return fmt.Errorf("listen for intercepted tcp: %w", err)
	}
	p.listeners[family] = l.(*net.TCPListener)
	return nil
}

// control does something to a connection's socket.
func control(c syscall.RawConn, do func(fd int) error) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = do(int(fd)) }); e != nil {
		return e
	}
	return err
}

// port returns where the proxy listens for a family.
func (p *proxy) port(family int) uint16 {
	return p.listeners[family].Addr().(*net.TCPAddr).AddrPort().Port()
}

// run takes connections until ctx is done, and ends those that it has then.
func (p *proxy) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, p.close)
	defer stop()
	var accepting sync.WaitGroup
	for _, l := range p.listeners {
		accepting.Go(func() { p.accept(ctx, l) })
	}
	accepting.Wait()
	p.wait.Wait()
	return nil
}

// close closes the listeners: new connections fall through.
func (p *proxy) close() {
	for _, l := range p.listeners {
		_ = l.Close()
	}
}

// accept takes the connections of one listener. It backs off when there are no
// descriptors left.
func (p *proxy) accept(ctx context.Context, l *net.TCPListener) {
	for ctx.Err() == nil {
		c, err := l.AcceptTCP()
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		p.g.count.streams.Add(1)
		device := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
		if !p.enter(device) {
			p.shut(c)
			continue
		}
		p.wait.Go(func() {
			defer p.leave(device)
			p.serve(ctx, c)
		})
	}
}

// enter counts a stream of a device, if it may have another.
func (p *proxy) enter(device netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= maxStreams || p.ofIt[device] >= maxStreamsOfOne {
		return false
	}
	p.all++
	p.ofIt[device]++
	return true
}

// leave ends what enter began.
func (p *proxy) leave(device netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.ofIt[device]--; p.ofIt[device] <= 0 {
		delete(p.ofIt, device)
	}
}

// shut closes a connection as a server does that is not there.
func (p *proxy) shut(c *net.TCPConn) {
	p.g.count.shut.Add(1)
	_ = c.SetLinger(0)
	_ = c.Close()
}

// serve continues a device's connection to the server that it is for.
func (p *proxy) serve(ctx context.Context, device *net.TCPConn) {
	to := device.LocalAddr().(*net.TCPAddr).AddrPort()
	from := device.RemoteAddr().(*net.TCPAddr).AddrPort()
	if to.Port() != detour.Port {
		p.shut(device)
		return
	}
	src := netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
	server, err := p.dial(ctx, src, to)
	if err != nil {
		p.g.log.DebugContext(ctx, "dns server not reached", "device", from, "server", to, "err", err)
		p.shut(device)
		return
	}
	s := &stream{p: p, device: device, server: server, down: newDown(device), judge: judge{g: p.g},
		src: src,
		dst: netip.AddrPortFrom(to.Addr().Unmap().WithZone(""), to.Port())}
	s.run(ctx)
}

// dial connects to the server, under the device's own address where that is not
// hidden anyway, so that the server knows whom it serves.
func (p *proxy) dial(ctx context.Context, device, to netip.AddrPort) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialIn)
	defer cancel()
	end := func() {}
	dialer := net.Dialer{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd int) (err error) {
			if device.Addr().IsLinkLocalUnicast() { // is not routed
				return nil
			}
			end, err = p.under(fd, device.Addr())
			return err
		})
	}}
	dialer.SetMultipathTCP(false)
	c, err := dialer.DialContext(ctx, "tcp", to.String())
	end()
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// under prepares a socket for a connection under a device's address. Without, the
// connection goes under the router's.
func (p *proxy) under(fd int, device netip.Addr) (end func(), err error) {
	var at unix.Sockaddr = &unix.SockaddrInet4{}
	if device.Is6() {
		at = &unix.SockaddrInet6{}
	}
	if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(p.g.marks.Query)), unix.Bind(fd, at)); err != nil {
		return nil, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	port := 0
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		port = a.Port
	case *unix.SockaddrInet6:
		port = a.Port
	}
	end, err = detour.Lend(uint16(port), device, lentFor)
	if err != nil {
		p.g.log.Debug("dns server asked under the router's address", "err", err)
		return func() {}, nil
	}
	return end, nil
}
