package store_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cordon"
	"cordon/core/store"
	"cordon/lab/postgres"
	"cordon/lab/records"
)

// The size of what BenchmarkLists fills a database with: -homes=50000 is a million
// devices.
var (
	benchHomes   = flag.Int("homes", 1_000, "BenchmarkLists: homes, with 20 devices each")
	benchClients = flag.Int("clients", 50, "BenchmarkLists: who asks at once")
	benchThink   = flag.Duration("think", 0, "BenchmarkLists: how long a client waits before it asks again")
	benchLoad    = flag.Int("load", 500, "BenchmarkLists: reports a second that are stored meanwhile")
)

// tuned are settings of a server of some size; PostgreSQL's defaults are of 1996.
var tuned = []string{"shared_buffers = 2GB", "max_wal_size = 4GB", "checkpoint_timeout = 15min", "work_mem = 16MB", "effective_cache_size = 8GB", "random_page_cost = 1.1"}

func benchStores(b *testing.B, run func(*testing.B, *store.Store)) {
	open := func(b *testing.B, database string) *store.Store {
		s, err := store.Open(b.Context(), store.Config{Database: database})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		return s
	}
	b.Run("sqlite", func(b *testing.B) { run(b, open(b, filepath.Join(b.TempDir(), "core.db"))) })
	b.Run("postgres", func(b *testing.B) { run(b, open(b, postgres.Start(b, tuned...).Database())) })
}

// BenchmarkIngest stores reports of 2,000 homes, as four instances of core would. One
// turn is a batch of 200.
func BenchmarkIngest(b *testing.B) {
	benchStores(b, func(b *testing.B, s *store.Store) {
		size := records.Size{Seed: 1, Homes: 2_000, Devices: 10, Incidents: 2_000}
		if err := records.Fill(b.Context(), s, size, nil); err != nil {
			b.Fatal(err)
		}
		p, err := newPlayer(b.Context(), s, size)
		if err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		before := cpu()
		b.SetParallelism(2)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Ingest(context.Background(), p.batch(200)); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)*200/b.Elapsed().Seconds(), "reports/s")
		b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N)/200, "cpu-µs/report")
	})
}

// cpu is the time of processors that this process took; PostgreSQL's is not in it.
func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// player makes reports of homes that exist, as they come in life: most of what is known,
// some of what is new.
type player struct {
	mu      sync.Mutex
	rng     *rand.Rand
	routers []string
	devices [][]*cordon.Device
	seq     []uint64
	open    map[int]*cordon.Incident // by home
	n       int
}

func newPlayer(ctx context.Context, s *store.Store, size records.Size) (*player, error) {
	p := &player{rng: rand.New(rand.NewPCG(1, 1)), open: make(map[int]*cordon.Incident)}
	for h := range min(size.Homes, 5_000) {
		r, err := s.RouterBySerial(ctx, records.Serial(h))
		if err != nil {
			return nil, err
		}
		var devices []*cordon.Device
		for _, m := range records.Home(size, h, r.ID) {
			if m.Device != nil {
				devices = append(devices, m.Device)
			}
		}
		p.routers, p.devices, p.seq = append(p.routers, r.ID), append(p.devices, devices), append(p.seq, 0)
	}
	return p, nil
}

// bunch is how many reports of a router come in a batch: what an agent notices in a
// moment is several things.
const bunch = 4

func (p *player) batch(n int) (out []cordon.Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := cordon.TimeOf(time.Now())
	for range n / bunch {
		h := p.rng.IntN(len(p.routers))
		which := p.rng.IntN(len(p.devices[h]))
		for range bunch {
			p.seq[h]++
			p.n++
			r := cordon.Report{ID: cordon.ReportID{Router: p.routers[h], Boot: 2, Seq: p.seq[h]}, At: now}
			p.fill(&r, h, which)
			out = append(out, r)
		}
	}
	return out
}

// fill makes a report: of 20, 6 are of a device that was seen again, 5 of an incident that
// grows, 4 detections, 2 of the agent's health and one each of an action, of what is in
// force and of a device's day.
func (p *player) fill(r *cordon.Report, home, which int) {
	d := p.devices[home][which]
	entity := cordon.Entity{Device: d.ID, Target: cordon.Target{Proto: 6, Ports: []uint16{23, 2323}}}
	done := cordon.Action{ID: fmt.Sprint("p", p.n), Verb: cordon.VerbBlock, Mode: cordon.ModeDo, Entity: entity, At: r.At, Expires: r.At.Add(time.Hour), Reason: "It scans."}
	switch n := p.rng.IntN(20); {
	case n < 6:
		again := *d
		again.LastSeen = r.At
		r.Device = &again
	case n < 11:
		r.Incident = p.incident(home, r.At)
	case n < 15:
		r.Detection = &cordon.Detection{ID: fmt.Sprint("p", p.n), Kind: cordon.ScanMirai, Device: d, At: r.At, Since: r.At, Level: cordon.Act, Sentence: "It scans.",
			Subject: "telnet (23, 2323)", Target: entity.Target, Samples: []string{"192.0.2.1:23", "192.0.2.2:23"},
			Evidence: []cordon.Evidence{{Name: "targets", Value: 120, Threshold: 12, Unit: "hosts", Window: time.Minute}, {Name: "answered", Value: 0.01, Threshold: 0.2}}}
	case n < 17:
		r.Health = &cordon.Health{At: r.At, Mode: "normal", Policy: cordon.PolicyProtect, Eyes: "kernel", Boot: 2, Uptime: 3600, Resident: 21e6, Devices: 12, Clock: true,
			Parts:    []cordon.Part{{Name: "eyes", State: "ok"}, {Name: "hands", State: "ok"}, {Name: "guard", State: "ok"}, {Name: "flash", State: "ok"}},
			Counters: map[string]uint64{"frames": 123456789, "flows": 123456, "observations": 12345, "lost": 0, "detections": 12, "blocked": 3}}
	case n < 18:
		r.Action = &cordon.ActionReport{Result: cordon.ResultDone, Action: done}
	case n < 19:
		r.Enforced = &cordon.Enforced{InForce: []cordon.Action{done}}
	default:
		r.Summary = &cordon.Summary{Day: r.At - r.At%cordon.Time(24*time.Hour), Device: fmt.Sprint(d.ID, p.n), Class: cordon.IoT, Maker: d.Maker, Model: d.Model,
			Domains: []cordon.DomainCount{{Domain: "time.example", Count: 24}, {Domain: "api.example", Count: 1440}}, Other: 3}
	}
}

// incident is the one incident of a home, with a moment more each time.
func (p *player) incident(home int, now cordon.Time) *cordon.Incident {
	d := p.devices[home][0]
	i := p.open[home]
	if i == nil {
		i = &cordon.Incident{ID: fmt.Sprint("p-", home), Device: d, Level: cordon.Notify, Opened: now, Kinds: []cordon.Kind{cordon.ScanMirai, cordon.ScanHorizontal},
			Verbs: []cordon.Verb{cordon.VerbBlock}, Story: "It opened connections to many hosts on ports that such devices never use.", Told: "A device does what it should not."}
		p.open[home] = i
	}
	grown := *i
	grown.Last = now
	grown.Timeline = append(slices.Clone(i.Timeline), cordon.Moment{At: now, Level: cordon.Notify, Kind: cordon.ScanMirai, Technique: "T1595.001", Subject: "telnet (23, 2323)",
		Text: "It opened connections to 120 hosts within a minute.", Ref: fmt.Sprint("p", p.n), Count: 1})
	p.open[home] = &grown
	return &grown
}

// BenchmarkLists asks for random pages of devices and incidents, many at once, while
// reports come in. It tells the latencies by the kind of question.
func BenchmarkLists(b *testing.B) {
	benchStores(b, func(b *testing.B, s *store.Store) {
		size := records.Size{Seed: 1, Homes: *benchHomes, Devices: 20, Incidents: *benchHomes * 2, Workers: 8}
		began := time.Now()
		if err := records.Fill(b.Context(), s, size, nil); err != nil {
			b.Fatal(err)
		}
		b.Logf("filled %d homes in %.0f s", size.Homes, time.Since(began).Seconds())
		p, err := newPlayer(b.Context(), s, size)
		if err != nil {
			b.Fatal(err)
		}
		ctx, stop := context.WithCancel(b.Context())
		var writer sync.WaitGroup
		writer.Go(func() {
			for tick := time.NewTicker(time.Second / 10); ; {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if _, err := s.Ingest(ctx, p.batch(*benchLoad/10)); err != nil && ctx.Err() == nil {
					b.Error(err)
				}
			}
		})
		b.ResetTimer()
		var next atomic.Int64
		var mu sync.Mutex
		took := make(map[string][]time.Duration)
		var clients sync.WaitGroup
		for c := range *benchClients {
			clients.Go(func() {
				rng := rand.New(rand.NewPCG(2, uint64(c)))
				for int(next.Add(1)) <= b.N {
					kind, ask := question(rng, s, size)
					at := time.Now()
					if err := ask(ctx); err != nil {
						b.Errorf("%s: %v", kind, err)
						return
					}
					spent := time.Since(at)
					if *benchThink > 0 {
						<-time.After(time.Duration(rng.Int64N(int64(2 * *benchThink))))
					}
					mu.Lock()
					took[kind] = append(took[kind], spent)
					took["all"] = append(took["all"], spent)
					mu.Unlock()
				}
			})
		}
		clients.Wait()
		b.StopTimer()
		stop()
		writer.Wait()
		p99 := func(kind string) time.Duration { return took[kind][len(took[kind])*99/100] }
		for _, all := range took {
			slices.Sort(all)
		}
		kinds := slices.SortedFunc(maps.Keys(took), func(a, b string) int { return int(p99(b) - p99(a)) })
		for _, kind := range kinds[:min(5, len(kinds))] {
			b.Logf("%s: p99 %.1f ms of %d", kind, ms(p99(kind)), len(took[kind]))
		}
		b.ReportMetric(ms(took["all"][len(took["all"])/2]), "p50-ms")
		b.ReportMetric(ms(p99("all")), "p99-ms")
	})
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// question makes up what somebody asks: a page, and the one behind it.
func question(rng *rand.Rand, s *store.Store, size records.Size) (string, func(context.Context) error) {
	q := cordon.Query{Limit: 50}
	all := cordon.Scope{All: true}
	name := ""
	for _, f := range []struct {
		name  string
		every int // one in
		set   func()
	}{
		{"area", 3, func() { q.Area = records.Area(rng.IntN(1000)) }},
		{"level", 3, func() { q.Level = cordon.Level(1 + rng.IntN(3)) }},
		{"group", 6, func() { q.Group = records.Group(rng.IntN(1000)) }},
	} {
		if rng.IntN(f.every) == 0 {
			f.set()
			name += " " + f.name
		}
	}
	if rng.IntN(2) == 0 {
		switch rng.IntN(5) {
		case 0:
			q.Model, name = records.Model(rng.IntN(1000)), name+" model"
		case 1:
			q.Text, name = []string{"c", "cam-1", "acme", "02:00:00:01", "192.168.1"}[rng.IntN(5)], name+" text"
		case 2:
			q.State, name = "quarantined", name+" state"
		}
		return "devices" + name, func(ctx context.Context) error { return pages(ctx, s.Devices, all, q) }
	}
	switch rng.IntN(5) {
	case 0:
		q.State, name = "open", name+" open"
	case 1:
		q.Kind, name = cordon.Kinds()[rng.IntN(len(cordon.Kinds()))], name+" kind"
	case 2:
		q.Since, name = cordon.TimeOf(time.Now().AddDate(0, 0, -rng.IntN(90))), name+" since"
	}
	return "incidents" + name, func(ctx context.Context) error { return pages(ctx, s.Incidents, all, q) }
}

func pages[T any](ctx context.Context, list func(context.Context, cordon.Scope, cordon.Query) (cordon.Page[T], error), scope cordon.Scope, q cordon.Query) error {
	p, err := list(ctx, scope, q)
	if err != nil || p.Next == "" {
		return err
	}
	q.Cursor = p.Next
	_, err = list(ctx, scope, q)
	return err
}
