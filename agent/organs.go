package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"

	"cordon"
	"cordon/agent/capture/blindfold"
	"cordon/agent/capture/kernel"
	"cordon/agent/capture/ring"
	"cordon/agent/config"
	"cordon/agent/control"
	"cordon/agent/enforce/dns"
	"cordon/agent/enforce/nft"
	"cordon/agent/home"
	"cordon/agent/page"
)

// openKernel takes over what an agent of before left in force in the kernel.
func (l *live) openKernel(ctx context.Context) (err error) {
	l.kernel, err = nft.New(nft.Config{PagePort: l.cfg.Page.Port, Quarantines: l.cfg.Limits.Quarantines, Log: l.log,
		Done: func(id string, cut int, err error) {
			if err != nil {
				l.log.Warn("connections could not be cut", "id", id, "err", err)
			} else if cut > 0 {
				l.log.Info("connections cut", "id", id, "count", cut)
			}
		}})
	if err != nil {
		return err
	}
	return l.kernel.Open(ctx)
}

// openEyes opens the best eyes that the configuration and the kernel allow, and
// notes which and why. In safe mode they stay closed.
func (l *live) openEyes() error {
	if l.run.Safe() {
		l.source, l.seen = blindfold.New(l.epoch.Now), control.Part{State: control.PartOff, Why: "safe mode"}
		return nil
	}
	why := "the configuration says so"
	if l.cfg.Capture.Mode != config.EyesAFPacket {
		source, err := kernel.New(kernel.Config{Base: l.epoch.Base(), Rate: l.cfg.Capture.DeviceFrames,
			Burst: 2 * l.cfg.Capture.DeviceFrames, Home: l.cfg.Network.Home, Log: l.log})
		if err == nil {
			l.source = source
			l.seen = control.Part{Name: "ebpf", State: control.PartOK, Why: "the kernel can"}
			return nil
		}
		if l.cfg.Capture.Mode == config.EyesEBPF {
			return fmt.Errorf("eBPF eyes: %w; set capture.mode to auto to do without", err)
		}
		why = "eBPF cannot be used: " + err.Error()
	}
	source, err := ring.New(ring.Config{Base: l.epoch.Base()})
	if err != nil {
		return fmt.Errorf("AF_PACKET eyes: %w", err)
	}
	l.source = source
	l.seen = control.Part{Name: "afpacket", State: control.PartOK, Why: why}
	if l.cfg.Capture.Mode == config.EyesAuto {
		l.seen.State = control.PartDegraded
	}
	return nil
}

// watchPorts points the eyes at the network's ports.
func (l *live) watchPorts(n cordon.Network) error {
	switch s := l.source.(type) {
	case *kernel.Source:
		s.SetHome(n.Home)
	case *ring.Source:
		s.SetRouter(n.MACs)
	}
	return l.source.SetPorts(n.LAN)
}

// openGuard makes the DNS guard.
func (l *live) openGuard() (err error) {
	if !l.cfg.DNS.Guard || l.run.Safe() {
		if err := dns.Clear(); err != nil {
			l.log.Warn("what an earlier DNS guard left is still there", "err", err)
		}
		return nil
	}
	l.guard, err = dns.New(dns.Config{Decide: l.decide, Opened: l.opened, Resolver: l.resolvers, Log: l.log})
	return err
}

// runGuard runs the DNS guard until ctx is done. Without it names are not guarded;
// everything else is.
func (l *live) runGuard(ctx context.Context) error {
	if l.guard == nil {
		return nil
	}
	if err := l.guard.Run(ctx); err != nil && ctx.Err() == nil {
		l.log.Error("the DNS guard has stopped", "err", err)
	}
	return nil
}

// guardPart says how the DNS guard is.
func (l *live) guardPart() control.Part {
	if l.guard == nil {
		return control.Part{State: control.PartOff}
	}
	if open := l.guard.Stats().Open; open != "" {
		return control.Part{State: control.PartDegraded, Why: "names are not guarded: " + open}
	}
	return control.Part{State: control.PartOK}
}

// decide says what becomes of a question. The guard's goroutines call it.
func (l *live) decide(q *dns.Query) dns.Verdict {
	v := l.view.Load()
	r := v.Find(q.Src.Addr(), q.MAC)
	switch v.Question(r, q.Name, l.indicators, l.hosts, cordon.Time(l.epoch.Now())) {
	case home.AnswerResolve:
		return dns.Verdict{Do: dns.Resolve}
	case home.AnswerRefuse:
		if l.cfg.DNS.Blocked == config.AnswerPage {
			return dns.Verdict{Do: dns.Redirect, EDE: dns.EDEBlocked, Page: l.pageAddresses()}
		}
		return dns.Verdict{Do: dns.Refuse, EDE: dns.EDEBlocked, Text: "blocked for your security"}
	}
	return dns.Verdict{Do: dns.Pass}
}

// pageAddresses returns where the page is: as configured, else the router's own.
func (l *live) pageAddresses() (page [2]netip.Addr) {
	addrs := l.cfg.DNS.Addresses
	if n := l.around.Load(); len(addrs) == 0 && n != nil {
		addrs = n.Addrs
	}
	for _, a := range addrs {
		i := 0
		if a.Is6() {
			i = 1
		}
		if !page[i].IsValid() && !a.IsLinkLocalUnicast() {
			page[i] = a
		}
	}
	return page
}

// openedWithin is how long the guard waits for the way to be opened before the
// device gets its answer.
const openedWithin = time.Second

// opened opens the way to the addresses of a name that a device in quarantine may
// have. The guard's goroutines call it.
func (l *live) opened(mac cordon.MAC, src netip.Addr, _ string, addrs []netip.Addr, ttl time.Duration) error {
	r := l.view.Load().Find(src, mac)
	if r == nil {
		return errors.New("nobody knows the device")
	}
	ctx, cancel := context.WithTimeout(l.ctx, openedWithin)
	defer cancel()
	var errs []error
	for _, a := range addrs {
		errs = append(errs, l.kernel.Hole(ctx, &r.Device, a, ttl))
	}
	return errors.Join(errs...)
}

// resolvers returns the router's own.
func (l *live) resolvers() (list []netip.AddrPort) {
	return []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
}

// servePage answers devices that are cut off, on every address of the router; only
// they are led there.
func (l *live) servePage(ctx context.Context) error {
	handler, err := page.New(page.Config{Lookup: l.notice, Brand: l.cfg.Page.Brand, PortalURL: l.cfg.Page.Portal, Languages: l.cfg.Page.Languages})
	if err != nil {
		return err
	}
	if l.cfg.Page.Port == 0 {
		return nil
	}
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{Port: int(l.cfg.Page.Port)})
	if err != nil { // somebody else has the port: the page is missed, nothing else
		l.log.Error("no page for devices that are cut off", "err", err)
		return nil
	}
	return handler.Serve(ctx, listener)
}

// notice is what the page tells a device that is cut off.
func (l *live) notice(remote netip.AddrPort) (page.Notice, bool) {
	r := l.view.Load().Find(remote.Addr().Unmap(), cordon.MAC{})
	if r == nil || r.Quarantine == nil {
		return page.Notice{}, false
	}
	q := r.Quarantine
	return page.Notice{Device: r.Device.Label(), Kinds: r.Kinds, Reason: q.Reason, Since: q.At, Until: q.Expires, ByHand: q.Incident == "",
		Updates: l.hosts.Knows(r.Device.Maker)}, true
}

// portalHost returns the name of the customer's portal.
func portalHost(portal string) []string {
	if u, err := url.Parse(portal); err == nil && u.Hostname() != "" {
		return []string{u.Hostname()}
	}
	return nil
}
