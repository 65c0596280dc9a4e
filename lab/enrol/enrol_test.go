package enrol_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"cordon"
	"cordon/agent"
	"cordon/agent/capture/file"
	"cordon/agent/control"
	"cordon/agent/uplink"
	"cordon/core/bus"
	"cordon/core/gateway"
	"cordon/core/push/agents"
	"cordon/lab/door"
	"cordon/lab/pace"
	"cordon/lab/synth"
	"cordon/wire"
)

// shelf is what core knows: routers by id, and what is desired.
type shelf struct {
	mu      sync.Mutex
	routers map[string]*cordon.Router
	desired map[string]cordon.Desired
	shadows []cordon.Shadow
	number  uint64
}

func (s *shelf) Router(_ context.Context, id string) (cordon.Router, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.routers[id]; r != nil {
		return *r, nil
	}
	return cordon.Router{}, cordon.ErrNotFound
}

func (s *shelf) RouterBySerial(ctx context.Context, serial string) (cordon.Router, error) {
	return s.Router(ctx, "r-"+serial)
}

func (s *shelf) RouterOfSite(ctx context.Context, site string) (cordon.Router, error) {
	return s.Router(ctx, "r-"+site)
}

func (s *shelf) Enrol(_ context.Context, id, key string, _ cordon.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.routers[id]
	r.Key, r.State = key, cordon.RouterEnrolled
	return nil
}

func (s *shelf) Presence(context.Context, []cordon.Presence) error { return nil }

func (s *shelf) Audit(context.Context, cordon.Audit) error { return nil }

func (s *shelf) Desired(_ context.Context, site string) (cordon.Desired, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.desired[site], nil
}

func (s *shelf) Shadows(context.Context) ([]cordon.Shadow, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shadows, s.number, nil
}

func (s *shelf) Behind(context.Context, int) ([]cordon.Lag, error) { return nil, nil }

// provider is core's half.
type provider struct {
	*shelf
	t       *testing.T
	key     ed25519.PrivateKey
	bus     *bus.Bus
	gateway *gateway.Gateway
	push    *agents.Pusher
	config  uplink.Config // of routers, without a serial

	got map[string][]cordon.Report // by router; guarded by mu
	at  map[cordon.ReportID]time.Time
}

func newProvider(t *testing.T, routers int) *provider {
	t.Helper()
	p := &provider{t: t, shelf: &shelf{routers: make(map[string]*cordon.Router), desired: make(map[string]cordon.Desired)},
		got: make(map[string][]cordon.Report), at: make(map[cordon.ReportID]time.Time)}
	for i := range routers {
		serial := fmt.Sprint("s", i)
		p.routers["r-"+serial] = &cordon.Router{ID: "r-" + serial, Serial: serial, Site: serial, State: cordon.RouterExpected,
			Claim: cordon.Claim{SecretHash: sha256.Sum256([]byte("secret " + serial))}}
	}
	var err error
	if _, p.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	_, roots, tls := door.Certificate(t, time.Now())
	if p.bus, err = bus.Open(t.Context(), bus.Config{Dir: t.TempDir(), Listen: netip.MustParseAddrPort("127.0.0.1:0"), TLS: tls}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.bus.Close() })
	if p.push, err = agents.New(agents.Config{Key: p.key, Store: p, Bus: p.bus}); err != nil {
		t.Fatal(err)
	}
	public := p.key.Public().(ed25519.PublicKey)
	p.gateway, err = gateway.New(gateway.Config{Store: p, Bus: p.bus, Subject: "core.report", Servers: []string{"tls://" + p.bus.Addr().String()},
		Keys: wire.Keys{wire.KeyID(public): public}, Hello: p.push.Hello})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(p.gateway.Handler())
	server.TLS, server.Config.ErrorLog = tls, log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	p.config = uplink.Config{URL: server.URL, Roots: roots, Spread: time.Second}
	p.background(p.gateway.Run)
	p.background(func(ctx context.Context) error { return p.bus.Consume(ctx, "test", "core.report", p.take) })
	return p
}

// background runs f until the test ends.
func (p *provider) background(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	p.t.Cleanup(func() { cancel(); <-done })
}

// take keeps reports, each once.
func (p *provider) take(_ context.Context, messages [][]byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range messages {
		_, list, err := wire.DecodeReports(m)
		if err != nil {
			return err
		}
		for _, r := range list {
			if _, twice := p.at[r.ID]; !twice {
				p.at[r.ID] = time.Now()
				p.got[r.ID.Router] = append(p.got[r.ID.Router], r)
			}
		}
	}
	return nil
}

// wait waits until f holds of a router's reports.
func (p *provider) wait(what string, f func(map[string][]cordon.Report) bool) {
	p.t.Helper()
	door.Wait(p.t, what, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return f(p.got)
	})
}

// desire changes what is desired of a site and sends it.
func (p *provider) desire(serial string, change func(*cordon.Desired)) {
	p.t.Helper()
	p.mu.Lock()
	d := p.desired[serial]
	d.Version++
	d.Site = serial
	change(&d)
	p.desired[serial] = d
	p.mu.Unlock()
	if err := p.push.Site(p.t.Context(), serial); err != nil {
		p.t.Fatal(err)
	}
}

// captures are what was made already: homes may share one.
var captures sync.Map

// captured returns a scenario's capture.
func captured(scenario string, seed uint64) ([]byte, error) {
	key := fmt.Sprint(scenario, " ", seed)
	if b, ok := captures.Load(key); ok {
		return b.([]byte), nil
	}
	var b bytes.Buffer
	_, err := synth.Write(&b, scenario, synth.Options{Seed: seed, Duration: 4 * time.Minute, Snap: 400})
	captures.Store(key, b.Bytes())
	return b.Bytes(), err
}

// agent starts a simulated agent on a scenario, of which the first lead is over.
func (p *provider) agent(serial, scenario string, seed uint64, lead time.Duration, change func(*agent.SimulationConfig)) *agent.Simulation {
	p.t.Helper()
	capture, err := captured(scenario, seed)
	if err != nil {
		p.t.Fatal(err)
	}
	frames, err := file.NewReader(bytes.NewReader(capture), scenario, file.Config{})
	if err != nil {
		p.t.Fatal(err)
	}
	cfg := agent.SimulationConfig{Source: pace.New(frames, lead), Line: p.config, Policy: cordon.PolicyProtect}
	cfg.Line.Dir, cfg.Line.Serial, cfg.Line.Secret, cfg.Line.Start = p.t.TempDir(), serial, "secret "+serial, 1
	if change != nil {
		change(&cfg)
	}
	s, err := agent.NewSimulation(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	p.background(s.Run)
	return s
}

// TestNeighbourhood lets twenty routers enrol. One of them is infected: that is known
// at core at once; what is ordered is done at once; what is released, too.
func TestNeighbourhood(t *testing.T) {
	const routers = 20
	p := newProvider(t, routers)
	sick := "r-s0"
	patient := p.agent("s0", "mirai", 3, 79*time.Second, nil) // its scan begins at 80 s
	for i := 1; i < routers; i++ {
		p.agent(fmt.Sprint("s", i), "calm", uint64(i%3), 3*time.Minute, nil)
	}
	p.wait("all routers tell their health", func(got map[string][]cordon.Report) bool { return len(got) == routers })
	var incident cordon.Report
	p.wait("the infection is known", func(got map[string][]cordon.Report) bool {
		for _, r := range got[sick] {
			if r.Incident != nil && r.Incident.Level == cordon.Act {
				incident = r
				return true
			}
		}
		return false
	})
	raised := incident.Incident.Raised[len(incident.Incident.Raised)-1].At
	p.mu.Lock()
	known := p.at[incident.ID]
	p.mu.Unlock()
	t.Logf("from the decision to the consumer of the bus: %v", known.Sub(raised.Std()).Round(time.Millisecond))

	device := incident.Incident.Device.ID
	begin := time.Now()
	p.desire("s0", func(d *cordon.Desired) {
		d.Policy = cordon.PolicyProtect
		d.Released = []cordon.Release{{Device: device, By: "Ada", At: cordon.TimeOf(begin), Expires: cordon.TimeOf(begin.Add(time.Hour))}}
	})
	p.wait("what the agent did is ended", func(got map[string][]cordon.Report) bool {
		for _, r := range got[sick] {
			if r.Enforced != nil && r.Enforced.Version == 1 && len(r.Enforced.InForce) == 0 {
				return true
			}
		}
		return false
	})
	t.Logf("a release is done and told after %v", time.Since(begin).Round(time.Millisecond))

	begin = time.Now()
	p.desire("s1", func(d *cordon.Desired) {
		d.Orders = []cordon.Order{{ID: "order-1", Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Device: "02:00:00:00:00:99"}, By: "Ada",
			At: cordon.TimeOf(begin), Expires: cordon.TimeOf(begin.Add(time.Hour))}}
	})
	p.wait("the order is done", func(got map[string][]cordon.Report) bool {
		for _, r := range got["r-s1"] {
			if r.Action != nil && r.Action.Action.ID == "order-1" && r.Action.Result == cordon.ResultDone && r.Action.By == "Ada" {
				return true
			}
		}
		return false
	})
	t.Logf("an order is done and told after %v", time.Since(begin).Round(time.Millisecond))

	answer, err := p.gateway.Ask(t.Context(), p.key, sick, "destinations", device)
	var list []agent.Destination
	if err != nil || answer.Error != "" || json.Unmarshal(answer.JSON, &list) != nil || len(list) == 0 {
		t.Errorf("destinations: %v, %q, %d", err, answer.Error, len(list))
	}
	devices, err := patient.Devices(t.Context())
	if err != nil || len(devices) == 0 {
		t.Errorf("%d devices, %v", len(devices), err)
	}
	for _, d := range devices {
		if d.State == control.StateQuarantined {
			t.Errorf("%s is in quarantine", d.ID)
		}
	}
}

// TestShadow: a rule in shadow does nothing anywhere.
func TestShadow(t *testing.T) {
	p := newProvider(t, 1)
	p.shadows = []cordon.Shadow{{ID: "x", Kind: "*", Expires: cordon.TimeOf(time.Now().Add(time.Hour))}}
	p.number = 1
	s := p.agent("s0", "mirai", 3, 70*time.Second, nil) // the scan begins in ten seconds
	p.wait("it is told of the shadow", func(got map[string][]cordon.Report) bool {
		for _, r := range got["r-s0"] {
			if r.Enforced != nil && r.Enforced.Shared == 1 {
				return true
			}
		}
		return false
	})
	p.wait("what lies in shadow is told", func(got map[string][]cordon.Report) bool {
		for _, r := range got["r-s0"] {
			if r.Shadowed {
				return true
			}
		}
		return false
	})
	st, err := s.Status(t.Context())
	if err != nil || len(st.InForce) > 0 || st.Incidents > 0 {
		t.Errorf("in force %v, %d incidents, %v", st.InForce, st.Incidents, err)
	}
}

// TestStrangers: who was not imported, or has another claim, is not let in, and says
// what to do.
func TestStrangers(t *testing.T) {
	p := newProvider(t, 1)
	for name, change := range map[string]func(*agent.SimulationConfig){
		"unknown serial": func(c *agent.SimulationConfig) { c.Line.Serial = "s7" },
		"wrong claim":    func(c *agent.SimulationConfig) { c.Line.Secret = "guessed" },
	} {
		s := p.agent("s0", "calm", 1, time.Minute, change)
		door.Wait(t, "it says why", func() bool { return s.Line().Status().Why != "" })
		if st := s.Line().Status(); st.State != uplink.StateEnrolling || st.Mend == "" || st.Router != "" {
			t.Errorf("%s: %+v", name, st)
		}
	}
	if len(p.got) > 0 {
		t.Errorf("reports of strangers: %v", p.got)
	}
}
