package load

import (
	"context"
	"fmt"
	"time"

	"cordon/internal/pause"
	"cordon/lab/program"
)

// returnRate is how many reports a second come while core is ended, so that some are on
// their way.
const returnRate = 200

// returns measures how long it takes until all routers are back after core was away.
func (m *measure) returns(ctx context.Context) error {
	if !m.cfg.Returns {
		return nil
	}
	for _, end := range []struct {
		name string
		do   func() error
	}{{"SIGTERM", m.core.Stop}, {"kill -9", func() error { m.core.Kill(); return nil }}} {
		if err := m.back(ctx, end.name, end.do); err != nil {
			return err
		}
	}
	return nil
}

// back ends core, starts it again and waits until all routers are back.
func (m *measure) back(ctx context.Context, name string, end func() error) error {
	m.doing("%s", name)
	driving, stop := context.WithCancel(ctx)
	driven := make(chan struct{})
	go func() {
		defer close(driven)
		m.drive(driving, returnRate, func(map[string]float64) {})
	}()
	pause.For(ctx, time.Second)
	began := time.Now()
	err := end()
	ended := time.Since(began)
	stop()
	<-driven
	m.crowd.troubles()
	m.crowd.life.Add(1)
	m.crowd.greeted.Store(0)
	if err == nil {
		err = m.core.Start(ctx)
	}
	if err != nil {
		return err
	}
	ready := time.Since(began)
	start, err := m.usage()
	if err != nil {
		return err
	}
	if err := m.crowd.gathered(ctx, "back", m.doing); err != nil {
		return err
	}
	there := time.Since(began)
	if err := m.heard(ctx); err != nil {
		return err
	}
	known := time.Since(began)
	spent, err := m.usage()
	if err != nil {
		return err
	}
	m.line(name+": ended, ready again after", seconds(ended)+", "+seconds(ready), "")
	m.line(name+": all back and their hellos said, after", seconds(there), "60 s")
	m.line(name+": and in the database", seconds(known), "")
	m.line(name+": CPU of core meanwhile", share(spent.CPU-start.CPU, known-ready), "")
	if wrong := m.crowd.troubles(); wrong != "" {
		m.line(name+": what routers met", wrong, "")
	}
	return m.settle(ctx)
}

// heard waits until the database has every router's hello.
func (m *measure) heard(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, gatherWithin)
	defer cancel()
	for {
		n := 0
		err := program.Each(ctx, m.core, "/v1/routers", nil, func(r *struct {
			Agent  string
			Online bool
		}) {
			if r.Online && r.Agent == m.crowd.version() {
				n++
			}
		})
		if err != nil {
			return err
		}
		m.doing("%d of %d hellos in the database", n, len(m.crowd.routers))
		if n == len(m.crowd.routers) {
			return nil
		}
		if !pause.For(ctx, 200*time.Millisecond) {
			return fmt.Errorf("%d of %d hellos are in the database: %w", n, len(m.crowd.routers), ctx.Err())
		}
	}
}

// verify looks whether what was acknowledged is there, each once.
func (m *measure) verify(ctx context.Context) error {
	if err := m.settle(ctx); err != nil {
		return err
	}
	m.doing("looking for everything that was sent")
	type place struct{ Site, ID string }
	found := make(map[place]int)
	err := program.Each(ctx, m.core, "/v1/detections", nil, func(d *place) { found[*d]++ })
	if err != nil {
		return err
	}
	want, once := 0, 0
	for _, r := range m.crowd.routers {
		want += r.found
		for n := 1; n <= r.found; n++ {
			if found[place{r.site, fmt.Sprintf("d-%d-%d", r.home, n)}] == 1 {
				once++
			}
		}
	}
	m.line("detections sent, found once, found in all", fmt.Sprintf("%d, %d, %d", want, once, len(found)), fmt.Sprint(want))
	if want != once || want != len(found) {
		return fmt.Errorf("%d detections were acknowledged, %d are there once, %d in all", want, once, len(found))
	}
	return nil
}
