package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"cordon"
	"cordon/core/store"
)

// child is the environment variable that makes the test binary a process that stores
// reports until it is killed: "database first".
const child = "CORDON_STORE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		if err := ingestUntilKilled(context.Background(), os.Getenv(child)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// numbered is the report of a number.
func numbered(n int) cordon.Report {
	d := cordon.Device{ID: "02:00:00:00:00:01"}
	r := cordon.Report{ID: cordon.ReportID{Router: "R1", Boot: 1, Seq: uint64(n)}, At: cordon.TimeOf(start)}
	if n%3 == 0 {
		r.Device = &d
		return r
	}
	r.Detection = &cordon.Detection{ID: strconv.Itoa(n), Kind: cordon.ScanMirai, Device: &d, At: r.At}
	return r
}

// atOnce is how many reports a batch of the child has.
const atOnce = 37

// ingestUntilKilled stores reports in order, from the first that the line names, and says
// after each batch how many there are.
func ingestUntilKilled(ctx context.Context, line string) error {
	var database string
	var n int
	if _, err := fmt.Sscan(line, &database, &n); err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Config{Database: database})
	if err != nil {
		return err
	}
	for {
		var reports []cordon.Report
		for range atOnce {
			reports = append(reports, numbered(n))
			n++
		}
		if _, err := s.Ingest(ctx, reports); err != nil {
			return err
		}
		fmt.Println(n - 1) // acknowledged
	}
}

// testKill kills a process that stores reports, 20 times. Everything that it
// acknowledged is there, and nothing twice.
func testKill(t *testing.T, b *bench) {
	b.home("1")
	must(t, b.Close())
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	acked := 0
	for range 20 {
		// What was acknowledged last comes again, as the bus does it.
		acked = max(acked, killed(t, b.database, max(1, acked-rng.IntN(200)), time.Duration(rng.IntN(150))*time.Millisecond))
	}
	s := b.open(b.database)
	found := walk(t, s.Detections, detectionKey, everyone, cordon.Query{Limit: cordon.MaxLimit})
	there := make(map[string]bool)
	for i := range found {
		there[found[i].Detection.ID] = true
	}
	var all []cordon.Report
	for n := 1; n <= acked; n++ {
		if n%3 != 0 && !there[strconv.Itoa(n)] {
			t.Errorf("report %d of %d was acknowledged and is not there", n, acked)
		}
		all = append(all, numbered(n))
	}
	events, err := s.Ingest(t.Context(), all)
	if err != nil || len(events) != 0 {
		t.Errorf("what was acknowledged is told again: %d events, %v", len(events), err)
	}
	t.Logf("%d reports were acknowledged, %d detections are there", acked, len(found))
}

// killed starts a child, kills it a while after its first acknowledgement, and returns its
// last one.
func killed(t *testing.T, database string, first int, after time.Duration) (acked int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", child, database, first))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	var timer *time.Timer
	for lines.Scan() {
		acked, err = strconv.Atoi(lines.Text())
		must(t, err)
		if timer == nil {
			timer = time.AfterFunc(after, func() { cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); timer == nil {
		t.Fatalf("the child stored nothing: %v", err)
	}
	return acked
}

// testAway ends the database under a store that works, and starts it again.
func testAway(t *testing.T, b *bench) {
	if b.postgres == nil {
		return // SQLite does not go away by itself
	}
	b.home("1")
	stop := make(chan struct{})
	type result struct {
		stored, failed int
		err            error
	}
	done := make(chan result)
	go func() {
		var r result
		for n := 1; ; n++ {
			select {
			case <-stop:
				done <- r
				return
			default:
			}
			for {
				_, err := b.Ingest(context.Background(), []cordon.Report{numbered(n)})
				if err == nil {
					r.stored = n
					break
				}
				if r.failed++; !errors.Is(err, cordon.ErrUnavailable) {
					r.err = err
				}
			}
		}
	}()
	for i := range 4 {
		until(t, func() bool { return b.Stats().Stored > uint64(20*(i+1)) })
		if i%2 == 0 {
			b.postgres.Kill()
		} else {
			b.postgres.Down()
		}
		wants(t, "check while the database is away", b.Check(t.Context()), cordon.ErrUnavailable)
		b.postgres.Up()
	}
	at := b.Stats().Stored
	until(t, func() bool { return b.Stats().Stored > at+20 })
	close(stop)
	r := <-done
	if r.err != nil || r.failed == 0 {
		t.Errorf("%d calls failed while the database was away; one that does not say so: %v", r.failed, r.err)
	}
	found := walk(t, b.Detections, detectionKey, everyone, cordon.Query{Limit: cordon.MaxLimit})
	if want := r.stored - r.stored/3; len(found) != want {
		t.Errorf("%d detections are there, want %d", len(found), want)
	}
}

// until waits for a condition of another goroutine.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(60 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}
