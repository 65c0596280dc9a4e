package core

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics is what core counts. docs/reference/metrics.md lists all of it.
type metrics struct {
	registry *prometheus.Registry
	reports  prometheus.Counter
	dropped  *prometheus.CounterVec
	refused  *prometheus.CounterVec
	webhooks *prometheus.CounterVec
	retired  *prometheus.CounterVec
	requests *prometheus.HistogramVec
}

func newMetrics() *metrics {
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		reports: prometheus.NewCounter(prometheus.CounterOpts{Name: "cordon_reports_stored_total",
			Help: "Reports of routers that were taken into the database, doubled ones included."}),
		dropped:  vec("cordon_reports_dropped_total", "Reports that could not be taken into the database, by reason.", "reason"),
		refused:  vec("cordon_gateway_refused_total", "What routers said or asked for and was not taken, by reason.", "reason"),
		webhooks: vec("cordon_webhook_calls_total", "Tries to tell customers' programs, by outcome.", "outcome"),
		retired:  vec("cordon_records_deleted_total", "Records that were older than they are kept, by kind.", "kind"),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "cordon_api_request_seconds",
			Help:    "Time until the API had answered, by route, method and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}}, []string{"route", "method", "status"}),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.reports, m.dropped, m.refused, m.webhooks, m.retired, m.requests)
	return m
}

// request notes an answer of the API.
func (m *metrics) request(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Observe(took.Seconds())
}

// state is what core is asked for whenever somebody reads the metrics.
type state struct{ *Core }

var (
	described = func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }

	routersConnected = described("cordon_routers_connected", "Routers that are connected to the bus.")
	waitingReports   = described("cordon_bus_waiting_messages", "Messages with reports that are on disk and not in the database yet.")
	waitingBytes     = described("cordon_bus_waiting_bytes", "Bytes of those messages.")
	busLost          = described("cordon_bus_lost_total", "Messages that came faster than they were handled; routers send theirs again.")
	busBusy          = described("cordon_bus_busy_total", "Connections of routers that were sent away because too many began at once; they come again.")
	storeNew         = described("cordon_store_reports_total", "Reports that were new to the database.")
	storeDoubled     = described("cordon_store_reports_doubled_total", "Reports that had been stored before.")
	storeRefused     = described("cordon_store_reports_refused_total", "Reports of routers that are unknown, not enrolled or without a site.")
	storeOpen        = described("cordon_store_connections", "Connections to the database.")
	storeBusy        = described("cordon_store_connections_busy", "Connections to the database that are in use.")
	streamsOpen      = described("cordon_api_streams", "Event streams that are open.")
	streamsCut       = described("cordon_api_streams_cut_total", "Event streams that were cut because their reader was too slow.")
	breakerDropped   = described("cordon_breaker_unseen_total", "Reports that the circuit breaker did not look at because too many came at once.")
)

// Describe says what Collect gives.
func (s *state) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{routersConnected, waitingReports, waitingBytes, busLost, busBusy, storeNew, storeDoubled, storeRefused,
		storeOpen, storeBusy, streamsOpen, streamsCut, breakerDropped} {
		to <- d
	}
}

// Collect gives the state. What the bus cannot say now is left out.
func (s *state) Collect(to chan<- prometheus.Metric) {
	give := func(d *prometheus.Desc, t prometheus.ValueType, v float64) {
		to <- prometheus.MustNewConstMetric(d, t, v)
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
	defer cancel()
	b, err := s.bus.Stats(ctx)
	give(routersConnected, prometheus.GaugeValue, float64(b.Routers))
	give(busLost, prometheus.CounterValue, float64(b.Lost))
	give(busBusy, prometheus.CounterValue, float64(b.Busy))
	if err == nil {
		give(waitingReports, prometheus.GaugeValue, float64(b.Messages))
		give(waitingBytes, prometheus.GaugeValue, float64(b.Bytes))
	}
	st := s.store.Stats()
	give(storeNew, prometheus.CounterValue, float64(st.Stored))
	give(storeDoubled, prometheus.CounterValue, float64(st.Doubled))
	give(storeRefused, prometheus.CounterValue, float64(st.Refused))
	give(storeOpen, prometheus.GaugeValue, float64(st.Open))
	give(storeBusy, prometheus.GaugeValue, float64(st.Busy))
	open, cut := s.events.Stats()
	give(streamsOpen, prometheus.GaugeValue, float64(open))
	give(streamsCut, prometheus.CounterValue, float64(cut))
	give(breakerDropped, prometheus.CounterValue, float64(s.breaker.Dropped()))
}

// checkWithin is how long a part may take to say that it is ready.
const checkWithin = 3 * time.Second

// operation answers /healthz (the process lives), /readyz (it can work) and /metrics,
// and /debug/pprof if profile is set.
func operation(m *metrics, parts map[string]func(context.Context) error, profile bool) http.Handler {
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
	if profile {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}
