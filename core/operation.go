package core

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics is what core counts. Each says in /metrics what it is.
type metrics struct {
	registry *prometheus.Registry
	reports  prometheus.Counter
	dropped  *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		reports: prometheus.NewCounter(prometheus.CounterOpts{Name: "cordon_reports_stored_total",
			Help: "Reports of routers that were taken into the database, doubled ones included."}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cordon_reports_dropped_total",
			Help: "Reports that could not be taken, by reason."}, []string{"reason"}),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.reports, m.dropped)
	return m
}

// checkWithin is how long a part may take to say that it is ready.
const checkWithin = 3 * time.Second

// operation answers /healthz (the process lives), /readyz (it can work) and /metrics.
func operation(m *metrics, parts map[string]func(context.Context) error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkWithin)
		defer cancel()
		var wrong []error
		for name, check := range parts {
			if err := check(ctx); err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
			}
		}
		if err := errors.Join(wrong...); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry}))
	return mux
}
