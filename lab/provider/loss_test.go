package provider_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
	"time"

	"cordon/core/api/view"
	"cordon/lab/disk"
	"cordon/lab/door"
	"cordon/lab/postgres"
	"cordon/lab/provider"
)

// patience is how long something may take on a machine that does much else.
const patience = 3 * time.Minute

// How many routers report how much, all of them together, a second.
const routers, rate = 200, 2000

// talking starts a core with routers that report all the time, and does something to it
// meanwhile. Then everything that was reported must be there once.
func talking(t *testing.T, p *provider.Provider, meanwhile func(*provider.Fleet)) {
	t.Helper()
	p.Start()
	p.Import(routers)
	f := p.NewFleet(routers)
	door.WaitFor(t, patience, "all routers are connected", func() bool { return f.Connected() == routers })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.Talk(ctx, rate) }()
	meanwhile(f)
	cancel()
	<-done
	settled(t, p, f)
}

// settled waits until everything is acknowledged and stored, and compares.
func settled(t *testing.T, p *provider.Provider, f *provider.Fleet) {
	t.Helper()
	door.WaitFor(t, patience, "all is acknowledged", func() bool { waiting, _ := f.Waiting(); return waiting == 0 })
	if _, lost := f.Waiting(); lost > 0 {
		t.Errorf("routers had no room for %d reports", lost)
	}
	said := f.Said()
	stored := kept(t, p)
	t.Logf("%d reports were acknowledged", len(said))
	compare(t, said, stored)
}

// kept returns the detections that the API shows, once nothing waits on the bus.
func kept(t *testing.T, p *provider.Provider) []string {
	t.Helper()
	begin := time.Now()
	door.WaitFor(t, patience, "nothing waits on the bus", func() bool {
		waiting, err := p.Waiting()
		return err == nil && waiting == 0
	})
	t.Logf("all is stored %v after it was acknowledged", time.Since(begin).Round(time.Millisecond))
	list, err := provider.List[view.Detection](p, "/v1/detections", url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	return ids
}

// compare finds what is missing and what is there twice.
func compare(t *testing.T, said, stored []string) {
	t.Helper()
	slices.Sort(said)
	slices.Sort(stored)
	missing, doubled := 0, len(stored)-len(slices.Compact(slices.Clone(stored)))
	for _, id := range said {
		if _, there := slices.BinarySearch(stored, id); !there {
			missing++
		}
	}
	if missing > 0 || doubled > 0 {
		t.Errorf("of %d reports that were acknowledged %d are missing, %d are there twice", len(said), missing, doubled)
	}
}

// TestKilled kills core at twenty moments by chance, also while it starts.
func TestKilled(t *testing.T) {
	p := provider.New(t, "", nil)
	talking(t, p, func(f *provider.Fleet) {
		for range 20 {
			at := f.Acknowledged() + rand.IntN(3000)
			until := time.Now().Add(time.Duration(rand.IntN(3000)) * time.Millisecond) // it may not get so far
			door.WaitFor(t, patience, "the moment has come", func() bool { return f.Acknowledged() >= at || time.Now().After(until) })
			p.Kill()
			p.Launch()
		}
		p.Kill()
		p.Start()
	})
}

// TestDatabaseAway takes the database away for as long as 40,000 reports take, twenty
// seconds: they are acknowledged all the same, and are in the database when it is back.
func TestDatabaseAway(t *testing.T) {
	db := postgres.Start(t)
	p := provider.New(t, "", map[string]string{"database": fmt.Sprintf("url = %q", db.Database())})
	talking(t, p, func(f *provider.Fleet) {
		wait(t, f, 2_000)
		db.Kill()
		before := f.Acknowledged()
		wait(t, f, 20*rate)
		behind, err := p.Waiting()
		t.Logf("without database for %d reports: %d acknowledged, %v messages wait on the bus", 20*rate, f.Acknowledged()-before, behind)
		if err != nil || behind == 0 {
			t.Errorf("%v messages wait on the bus, %v", behind, err)
		}
		db.Up()
		wait(t, f, 1_000)
	})
}

// TestBusRestarted restarts the servers of an external cluster, which 'cordon-core bus'
// has prepared, under core and its routers.
func TestBusRestarted(t *testing.T) {
	p := provider.New(t, "", nil)
	c := p.Cluster()
	talking(t, p, func(f *provider.Fleet) {
		for range 3 {
			wait(t, f, 2_000)
			c.Stop()
			wait(t, f, 1_000)
			c.Start()
		}
	})
}

// TestPowerCut takes away, three times, what core had not made the disk keep.
func TestPowerCut(t *testing.T) {
	d := disk.New(t, 1024)
	p := provider.New(t, d.Dir, nil)
	talking(t, p, func(f *provider.Fleet) {
		d.Sync() // a core that has run before: files that are made once are there
		for range 3 {
			at := f.Acknowledged() + 1 + rand.IntN(4000)
			door.WaitFor(t, patience, "the moment has come", func() bool { return f.Acknowledged() >= at })
			p.Kill()
			d.Cut()
			p.Start()
		}
	})
}

// wait waits until n more reports were made.
func wait(t *testing.T, f *provider.Fleet, n int) {
	t.Helper()
	until := f.Spoken() + n
	for tick := time.Tick(5 * time.Millisecond); f.Spoken() < until; {
		<-tick
	}
}
