package core

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cordon"
	"cordon/wire"
)

// shelf stores reports, but for those that it can never take, and none while away.
type shelf struct {
	away   bool
	gone   time.Time // until then there is no database
	bad    []uint64
	stored []uint64
	most   int // reports in one call
}

func (s *shelf) Ingest(_ context.Context, reports []cordon.Report) (events []cordon.Event, err error) {
	if s.away {
		return nil, errors.New("the database is not itself")
	}
	if time.Now().Before(s.gone) {
		return nil, cordon.ErrUnavailable
	}
	s.most = max(s.most, len(reports))
	for _, r := range reports {
		if slices.Contains(s.bad, r.ID.Seq) {
			return nil, cordon.ErrInvalid // nothing of the transaction is stored
		}
	}
	for _, r := range reports {
		s.stored = append(s.stored, r.ID.Seq)
		events = append(events, cordon.Event{Sort: cordon.EventDevice, ID: r.Device.ID})
	}
	return events, nil
}

// message is what the gateway appends to the bus.
func message(t *testing.T, from, to uint64) []byte {
	t.Helper()
	var list []cordon.Report
	for seq := from; seq <= to; seq++ {
		list = append(list, cordon.Report{ID: cordon.ReportID{Router: "r", Boot: 1, Seq: seq}, Device: &cordon.Device{ID: "d"}})
	}
	data, err := wire.EncodeReports(0, list)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestIngest stores all that can be stored, leaves out what never can, and gives back
// what cannot be stored now.
func TestIngest(t *testing.T) {
	s := &shelf{bad: []uint64{7, 230}}
	told := 0
	watched := 0
	i := &ingest{store: s, metrics: newMetrics(), log: slog.New(slog.DiscardHandler),
		tell: func(events []cordon.Event) { told += len(events) }, watch: func(list []cordon.Report) { watched += len(list) }}
	if err := i.handle(t.Context(), [][]byte{message(t, 1, 150), []byte("garbage"), message(t, 151, 300)}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(s.stored)
	if len(s.stored) != 298 || len(slices.Compact(s.stored)) != 298 || slices.Contains(s.stored, 7) || s.most > maxIngest || told != 298 || watched != 298 {
		t.Errorf("%d stored, %d told, %d at once", len(s.stored), told, s.most)
	}
	s.away = true
	if err := i.handle(t.Context(), [][]byte{message(t, 301, 301)}); err == nil {
		t.Error("a message is acknowledged that was not stored")
	}
	body := get(t, operationOf(i.metrics, nil), "/metrics", 200)
	for _, want := range []string{"cordon_reports_stored_total 298", `cordon_reports_dropped_total{reason="invalid"} 2`, `reason="unreadable"} 1`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q among the metrics", want)
		}
	}
}

// TestAway holds reports while the database is away, and gives them back if that takes
// long.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{gone: time.Now().Add(holdFor / 2)}
		var log strings.Builder
		i := &ingest{store: s, metrics: newMetrics(), log: slog.New(slog.NewTextHandler(&log, nil)), tell: func([]cordon.Event) {}, watch: func([]cordon.Report) {}}
		if err := i.handle(t.Context(), [][]byte{message(t, 1, 10)}); err != nil || len(s.stored) != 10 {
			t.Errorf("%v, %d stored", err, len(s.stored))
		}
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("%d lines in the log, want that it is away, and back:\n%s", n, log.String())
		}
		s.gone = time.Now().Add(time.Hour)
		if err := i.handle(t.Context(), [][]byte{message(t, 11, 20)}); err == nil || len(s.stored) != 10 {
			t.Errorf("%v, %d stored", err, len(s.stored))
		}
	})
}

func operationOf(m *metrics, err error) *httptest.Server {
	return httptest.NewServer(operation(m, map[string]func(context.Context) error{"database": func(context.Context) error { return err }}, false))
}

func get(t *testing.T, s *httptest.Server, path string, status int) string {
	t.Helper()
	defer s.Close()
	resp, err := s.Client().Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		t.Errorf("%s: %s, %v", path, resp.Status, err)
	}
	return string(body)
}

// TestReady says which part is not.
func TestReady(t *testing.T) {
	m := newMetrics()
	get(t, operationOf(m, nil), "/readyz", 200)
	if body := get(t, operationOf(m, errors.New("away")), "/readyz", 503); !strings.Contains(body, "database: away") {
		t.Errorf("%q", body)
	}
	get(t, operationOf(m, errors.New("away")), "/healthz", 200)
}

// TestMetricsPage holds docs/reference/metrics.md to the metrics that there are.
func TestMetricsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	described := make(chan *prometheus.Desc, 100)
	m := newMetrics()
	for _, c := range []prometheus.Collector{m.reports, m.dropped, m.refused, m.webhooks, m.retired, m.requests, &state{}} {
		c.Describe(described)
	}
	close(described)
	for d := range described {
		name := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]
		have = append(have, name)
		if !strings.Contains(string(page), name) {
			t.Errorf("the page does not explain %s", name)
		}
	}
	for _, name := range regexp.MustCompile(`cordon_[a-z_]+`).FindAllString(string(page), -1) {
		if !slices.Contains(have, name) {
			t.Errorf("the page explains %s, which is none", name)
		}
	}
}
