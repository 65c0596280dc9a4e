package agent

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"cordon"
	"cordon/agent/selftest"
)

// newTester returns what watches over changes that could cut the home off: they
// are undone if what worked just before does not just after.
func (l *live) newTester() *selftest.Tester {
	var ask selftest.Asker
	return selftest.New(selftest.Config{Probes: []selftest.Probe{ask.Uplink(l.beyond, l.beyond), ask.LAN(l.untouched), {Name: "core", Run: l.pingCore}}})
}

// pingCore asks core whether it is still there.
func (l *live) pingCore(ctx context.Context) error {
	if l.line == nil {
		return errNoLine
	}
	return l.line.Ping(ctx)
}

// beyond returns who can be asked whether the line works: the router's resolvers
// and gateways.
func (l *live) beyond() (list []netip.Addr) {
	n := l.around.Load()
	if n == nil {
		return nil
	}
	for _, a := range n.Spared {
		if !slices.Contains(n.Addrs, a) {
			list = append(list, a)
		}
	}
	return list
}

// untouched returns addresses of devices that nothing is done about.
func (l *live) untouched() []netip.Addr { return l.view.Load().Untouched() }

// networkChanged follows the router's network. First come the kernel's tables, so
// that nothing is open for a moment, watched by the self-test; then the stages.
func (l *live) networkChanged(ctx context.Context, n cordon.Network) error {
	n.Home = slices.Concat(n.Home, l.cfg.Network.Home)
	l.renumbering.Lock()
	defer l.renumbering.Unlock()
	if a := l.coreAddr.Load(); a != nil {
		n.Spared = append(slices.Clone(n.Spared), *a)
	}
	l.around.Store(&n)
	l.test(ctx, "the network", func() error { return l.kernel.SetNetwork(ctx, n) }, func() error { return l.kernel.Reset(ctx) })
	first := false
	err := l.Do(ctx, func() {
		first = len(l.network.LAN) == 0
		l.setNetwork(n)
	})
	if err == nil && first && len(n.LAN) > 0 {
		l.PolicyChanged()
	}
	return err
}

// checkEvery is how often changes that were made in a hurry are tested.
const checkEvery = 5 * time.Second

// checkChanges tests what was changed while another change was being tested.
func (l *live) checkChanges(ctx context.Context) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if result, err := l.tester.Check(ctx); err != nil || result.Outcome == selftest.RolledBack || result.Outcome == selftest.Stuck {
			l.log.Error("changes of rules cut the home off", "outcome", result.Outcome, "failed", result.Failed, "err", err)
		}
	}
}

// test makes a change under the eyes of the self-test, and says what came of it.
func (l *live) test(ctx context.Context, what string, do, undo func() error) selftest.Outcome {
	result, err := l.tester.Around(ctx, do, undo)
	switch {
	case err != nil:
		l.Do(ctx, func() { l.Check(doingTables, err) })
	case result.Outcome == selftest.RolledBack, result.Outcome == selftest.Stuck:
		l.log.Error("a change of rules cut the home off", "change", what, "outcome", result.Outcome, "failed", result.Failed)
	default:
		l.log.Info("rules changed", "change", what, "test", result.Outcome, "why", result.Why)
	}
	return result.Outcome
}

// setNetwork tells every stage what the router connects now.
func (l *live) setNetwork(n cordon.Network) {
	l.network = n
	l.Pipeline.Devices.SetNetwork(n, l.Pipeline.Now)
	l.Check("watch the ports", l.watchPorts(n))
	if l.guard != nil {
		l.guard.SetNetwork(&n)
	}
	l.touched()
}
