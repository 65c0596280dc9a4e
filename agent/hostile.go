package agent

import (
	"context"
	"os"
	"time"

	"cordon"
	"cordon/agent/enforce/nft"
	"cordon/agent/indicator"
	"cordon/agent/indicator/feed"
	"cordon/agent/selftest"
	"cordon/internal/memory"
)

// maxKernelIndicators is how many hostile addresses the kernel itself holds, the
// budget of design.md for a router. What is beyond is still recognised, by the
// first packet to it.
const maxKernelIndicators = 20_000

// openIndicators compiles the file of what is known to be hostile. A file that
// cannot be read is an error: the operator believes that it protects.
func (l *live) openIndicators() error {
	name := l.cfg.Indicators.File
	if name == "" {
		return nil
	}
	set, report, err := indicator.Load(indicator.Options{Now: cordon.Time(l.epoch.Now())}, name)
	if err != nil {
		return err
	}
	l.log.Info("indicators", "file", name, "taken", report.Taken, "refused", report.Refusals(), "expired", report.Expired)
	l.indicators = set
	return nil
}

// hostileState is what the kernel was told of hostile addresses.
type hostileState uint8

const (
	hostileUnknown hostileState = iota // or not all; those of an earlier agent may be there
	hostileIn                          // they are in force
	hostileOut                         // they are not
	hostileHarm                        // they cut the home off, and are not
)

// due reports whether the kernel is to be told again, since they are wanted or not.
// again says that some time has passed: what is in force has to be renewed, and what an
// earlier agent left is nobody's, which at the start is not known yet.
func (k hostileState) due(wanted, again bool) bool {
	switch {
	case wanted:
		return k == hostileUnknown || k == hostileOut || k == hostileIn && again
	case k == hostileUnknown:
		return again
	}
	return k != hostileOut
}

// hostile gives the kernel the addresses that nothing of the home may reach, or takes
// them out, and returns what it knows then. With them not even a first packet leaves.
// The kernel's list is for all devices: where the policy of one says otherwise, the
// detectors stop each device by itself.
func (l *live) hostile(ctx context.Context, in bool) hostileState {
	list, err := l.hostileAddresses()
	if err != nil {
		l.log.Error("hostile addresses not read", "err", err)
		return hostileUnknown
	}
	put := func() error {
		refused, err := l.kernel.Indicators(ctx, list, nil)
		l.log.Info("hostile addresses in the kernel", "count", len(list)-refused, "refused", refused)
		return err
	}
	take := func() error {
		_, err := l.kernel.Indicators(ctx, nil, list)
		return err
	}
	after := hostileIn
	if !in {
		put, take, after = take, put, hostileOut
	}
	switch l.test(ctx, "hostile addresses", put, take) {
	case selftest.RolledBack:
		if in {
			return hostileHarm
		}
		return hostileUnknown
	case selftest.NotMade, selftest.Stuck:
		return hostileUnknown
	}
	return after
}

// hostileAgain is how often the kernel is told anew what it forgets after maxHostile.
const hostileAgain = 12 * time.Hour

// followPolicy gives the kernel the hostile addresses while every device is to be
// protected, and takes them out when that is over.
func (l *live) followPolicy(ctx context.Context) error {
	if l.cfg.Indicators.File == "" || l.run.Safe() {
		return nil
	}
	tick := time.NewTicker(hostileAgain)
	defer tick.Stop()
	for k := hostileUnknown; ; {
		again := false
		select {
		case <-ctx.Done():
			return nil
		case <-l.reconsider:
		case <-tick.C:
			again = true
		}
		want := false
		if err := l.Do(ctx, func() { want = l.ProtectsAll() && len(l.network.LAN) > 0 }); err != nil {
			return nil
		}
		if k.due(want, again) {
			memory.GiveBack()
			k = l.hostile(ctx, want)
			memory.GiveBack()
		}
	}
}

// PolicyChanged says that how far the router may go has changed, or where.
func (l *live) PolicyChanged() {
	select {
	case l.reconsider <- struct{}{}:
	default:
	}
}

// hostileAddresses reads from the file what the kernel is to block.
func (l *live) hostileAddresses() (list []nft.Hostile, err error) {
	f, err := os.Open(l.cfg.Indicators.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	now := cordon.Time(l.epoch.Now())
	_, err = feed.Read(f, l.cfg.Indicators.File, now, func(i *cordon.Indicator) error {
		at, ok := i.Endpoint()
		if ok && mayBlock(i) && len(list) < maxKernelIndicators {
			list = append(list, nft.Hostile{Addr: at.Addr(), Port: at.Port(), Inbound: i.Role == cordon.RoleScanner,
				For: min(i.Expires.Sub(now), maxHostile)})
		}
		return nil
	})
	return list, err
}

// mayBlock reports whether an indicator may stop every device of the home by
// itself: a place that infected devices call or are attacked from, and sure. An
// address without a port may be shared by many, so it takes more.
func mayBlock(i *cordon.Indicator) bool {
	switch {
	case i.Scope != "" && i.Scope != "all", i.Role == cordon.RoleDGA, i.Role == cordon.RoleOther:
		return false
	case i.Type == cordon.IndicatorAddress:
		return i.Confidence >= sureAddress
	}
	return i.Confidence >= cordon.HighConfidence
}

const (
	// sureAddress is the confidence from which an address is blocked whatever the port.
	sureAddress = 90
	// maxHostile is the longest that an address is blocked without being told again:
	// addresses change hands (detection.md §A3: a day for an address, three for an
	// address with a port).
	maxHostile = 72 * time.Hour
)
