package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cordon"
	"cordon/core/store"
	"cordon/internal/ident"
	"cordon/lab/postgres"
)

// suite is every test of what a store does. All of them run on both databases.
var suite = []struct {
	name string
	run  func(*testing.T, *bench)
}{
	{"accounts", testAccounts}, {"sites", testSites}, {"routers", testRouters}, {"import", testImport}, {"people", testPeople}, {"touch", testTouch},
	{"records", testRecords}, {"devices", testDevices}, {"incidents", testIncidents}, {"order", testOrder}, {"doubles", testDoubles}, {"identities", testIdentities},
	{"in force", testInForce}, {"hostile", testHostile}, {"desired", testDesired}, {"shadows", testShadows}, {"behind", testBehind}, {"census", testCensus},
	{"presence", testPresence}, {"audit", testAudit}, {"lists", testLists}, {"scopes", testScopes}, {"search", testSearch},
	{"cursors", testCursors}, {"plans", testPlans}, {"retention", testRetention}, {"erase", testErase}, {"dump", testDump}, {"migrate", testMigrate},
	{"race", testRace}, {"kill", testKill}, {"away", testAway},
}

// bench is a database under test.
type bench struct {
	*store.Store
	t        *testing.T
	database string
	fresh    func() string // makes another database
	postgres *postgres.Server
	clock    *clock
}

// clock is a clock that stands until it is set on.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

var start = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)

func (b *bench) open(database string) *store.Store {
	b.t.Helper()
	s, err := store.Open(b.t.Context(), store.Config{Database: database, Now: b.clock.now})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.Close() })
	return s
}

func TestSQLite(t *testing.T) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := &bench{t: t, clock: &clock{at: start}}
			b.fresh = func() string { return filepath.Join(t.TempDir(), "core.db") }
			b.database = b.fresh()
			b.Store = b.open(b.database)
			c.run(t, b)
		})
	}
}

func TestPostgres(t *testing.T) {
	server := postgres.Start(t)
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{t: t, clock: &clock{at: start}, postgres: server}
			b.fresh = server.Database
			b.database = b.fresh()
			b.Store = b.open(b.database)
			c.run(t, b)
		})
	}
}

func TestSecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "core.db")
	s, err := store.Open(t.Context(), store.Config{Database: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), store.Config{Database: path}); !errors.Is(err, cordon.ErrUnavailable) {
		t.Errorf("a file that is open is opened again: %v", err)
	}
	s.Close()
	s, err = store.Open(t.Context(), store.Config{Database: path})
	if err != nil {
		t.Fatalf("a file that was closed: %v", err)
	}
	s.Close()
}

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get fails the test on an error, else returns v.
func get[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// wants fails the test unless err wraps the error that is wanted.
func wants(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want one that wraps %q", what, err, want)
	}
}

func (b *bench) at() cordon.Time { return cordon.TimeOf(b.clock.now()) }
func (b *bench) id() string      { return ident.New(b.clock.now()) }

// everyone sees everything.
var everyone = cordon.Scope{All: true}

// home is an account with a site and an enrolled router.
type home struct {
	account cordon.Account
	site    cordon.Site
	router  cordon.Router
	boot    uint32
	seq     uint64
}

// home makes a home.
func (b *bench) home(name string) *home {
	b.t.Helper()
	ctx := b.t.Context()
	h := &home{boot: 1}
	h.account = cordon.Account{ID: "A" + name, Name: "Account " + name, Reference: "ref-" + name, Sort: cordon.Household, Created: b.at()}
	must(b.t, b.PutAccount(ctx, &h.account))
	h.site = cordon.Site{ID: "S" + name, Account: h.account.ID, Name: "Home " + name, Reference: "line-" + name, Area: "north", Group: "pilot", Created: b.at()}
	must(b.t, b.PutSite(ctx, &h.site))
	h.router = cordon.Router{ID: "R" + name, Serial: "SN-" + name, Site: h.site.ID, Model: "M1", State: cordon.RouterExpected,
		Claim: cordon.Claim{SecretHash: [32]byte{1}}, Created: b.at()}
	must(b.t, b.PutRouter(ctx, &h.router))
	must(b.t, b.Enrol(ctx, h.router.ID, "U"+name, b.at()))
	h.router = get[cordon.Router](b.t)(b.Router(ctx, h.router.ID))
	return h
}

// report numbers reports of a home's router.
func (h *home) report(b *bench, r cordon.Report) cordon.Report {
	h.seq++
	r.ID = cordon.ReportID{Router: h.router.ID, Boot: h.boot, Seq: h.seq}
	if r.At == 0 {
		r.At = b.at()
	}
	return r
}

// ingest stores reports of a home's router, which get their numbers.
func (b *bench) ingest(h *home, reports ...cordon.Report) []cordon.Event {
	b.t.Helper()
	for i := range reports {
		reports[i] = h.report(b, reports[i])
	}
	events, err := b.Ingest(context.Background(), reports)
	must(b.t, err)
	return events
}
