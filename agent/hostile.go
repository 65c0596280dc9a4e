package agent

import (
	"context"
	"os"
	"time"

	"cordon"
	"cordon/agent/enforce/nft"
	"cordon/agent/hostile"
	"cordon/agent/indicator"
	"cordon/agent/indicator/feed"
	"cordon/agent/selftest"
	"cordon/internal/memory"
)

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

// hostile gives the kernel the addresses that nothing of the home may reach, or takes
// them out, and returns what it knows then. With them not even a first packet leaves.
// The kernel's list is for all devices: where the policy of one says otherwise, the
// detectors stop each device by itself.
func (l *live) hostile(ctx context.Context, in bool) hostile.State {
	list, err := l.hostilePlaces()
	if err != nil {
		l.log.Error("hostile addresses not read", "err", err)
		return hostile.Unknown
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
	after := hostile.In
	if !in {
		put, take, after = take, put, hostile.Out
	}
	switch l.test(ctx, "hostile addresses", put, take) {
	case selftest.RolledBack:
		if in {
			return hostile.Harm
		}
		return hostile.Unknown
	case selftest.NotMade, selftest.Stuck:
		return hostile.Unknown
	}
	return after
}

// followPolicy gives the kernel the hostile addresses while every device is to be
// protected, and takes them out when that is over.
func (l *live) followPolicy(ctx context.Context) error {
	if l.cfg.Indicators.File == "" || l.run.Safe() {
		return nil
	}
	tick := time.NewTicker(hostile.Again)
	defer tick.Stop()
	for k := hostile.Unknown; ; {
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
		if k.Due(want, again) {
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

// hostilePlaces reads from the file what the kernel is to stop.
func (l *live) hostilePlaces() (list []nft.Hostile, err error) {
	f, err := os.Open(l.cfg.Indicators.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	now := cordon.Time(l.epoch.Now())
	_, err = feed.Read(f, l.cfg.Indicators.File, now, func(i *cordon.Indicator) error {
		if p, ok := hostile.PlaceOf(i, now); ok && len(list) < hostile.MaxPlaces {
			list = append(list, nft.Hostile(p))
		}
		return nil
	})
	return list, err
}
