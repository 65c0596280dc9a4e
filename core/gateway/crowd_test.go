package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cordon"
	"cordon/wire"
)

// run runs a gateway until the bubble's test ends.
func run(t *testing.T, g *Gateway) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	synctest.Wait()
}

// TestMassReturn answers the hellos of 18,000 routers that come at once, few at a time,
// and notes them in few calls to the store.
func TestMassReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const routers = 18_000
		g, s, l := newGateway(t)
		for i := range routers {
			id := fmt.Sprintf("r%d", i)
			s.routers[id] = &cordon.Router{ID: id, State: cordon.RouterEnrolled}
		}
		var now, most, all atomic.Int64
		g.cfg.Hello = func(context.Context, string, wire.Hello) error {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Millisecond) // a store that is asked three things
			now.Add(-1)
			all.Add(1)
			return nil
		}
		run(t, g)
		data, err := wire.Hello{Version: 1, Agent: "1.0", Boot: 7}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for i := range routers {
			l.hear["hello"](fmt.Sprintf("r%d", i), data)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if all.Load() != routers || most.Load() > greeters {
			t.Errorf("%d hellos were answered, up to %d at once", all.Load(), most.Load())
		}
		t.Logf("all were answered within %v of a store that takes 1 ms", time.Since(begin)-10*time.Second)
		told := 0
		for _, p := range s.present {
			if p.Agent == "1.0" && p.Wire == 1 && p.Boot == 7 && p.Online {
				told++
			}
		}
		if told != routers {
			t.Errorf("of %d routers it is known what they run, want %d", told, routers)
		}
	})
}

// TestHelloFlood takes only some of the hellos of a router that says nothing else.
func TestHelloFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, l := newGateway(t)
		var all atomic.Int64
		g.cfg.Hello = func(context.Context, string, wire.Hello) error { all.Add(1); return nil }
		run(t, g)
		data, err := wire.Hello{Version: 1}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			l.hear["hello"]("known", data)
		}
		synctest.Wait()
		if all.Load() != hellosBurst {
			t.Errorf("%d hellos were answered, want %d", all.Load(), hellosBurst)
		}
	})
}

// TestReportFlood takes no more of a router than it may say, and everything of another.
func TestReportFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s, l := newGateway(t)
		s.routers["calm"] = &cordon.Router{ID: "calm", State: cordon.RouterEnrolled}
		run(t, g)
		seq := uint64(0)
		batchOf := func(router string, n int) []byte {
			list := make([]cordon.Report, n)
			for i := range list {
				seq++
				list[i] = cordon.Report{ID: cordon.ReportID{Router: router, Boot: 1, Seq: seq}, Health: &cordon.Health{}}
			}
			data, err := wire.EncodeReports(seq, list)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		for range 100 {
			l.hear["report"]("known", batchOf("known", wire.MaxReports))
			time.Sleep(gatherFor)
			synctest.Wait()
		}
		l.hear["report"]("calm", batchOf("calm", 1))
		time.Sleep(2 * gatherFor)
		synctest.Wait()
		if n := len(l.acks["known"]) * wire.MaxReports; n < reportsBurst || n > reportsBurst+2*reportsPer {
			t.Errorf("%d reports of a flood were taken, want about %d", n, reportsBurst)
		}
		if len(l.acks["calm"]) != 1 {
			t.Error("the report of a calm router was not taken")
		}
	})
}

// TestRefusedIsNoted writes one line about a router that forges, not one a batch, and
// takes a router off the bus that the store has revoked.
func TestRefusedIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s, l := newGateway(t)
		s.routers["gone"].Key = "UGONE"
		run(t, g)
		data, err := wire.EncodeReports(1, []cordon.Report{{ID: cordon.ReportID{Router: "gone", Boot: 1, Seq: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			l.hear["report"]("known", data)      // says it is another
			l.hear["report"]("known", []byte{1}) // says nothing
			l.hear["report"]("gone", data)
		}
		synctest.Wait()
		if len(s.audits) != 3 || len(l.acks) != 0 || len(l.appended) != 0 {
			t.Errorf("%d lines, acknowledged %v, %d messages", len(s.audits), l.acks, len(l.appended))
		}
		if len(l.revoked) != 1 || l.revoked[0] != "UGONE" {
			t.Errorf("revoked %q, want UGONE once", l.revoked)
		}
	})
}

// TestForget lets one instance of core tell all that a router is not enrolled any more.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s, l := newGateway(t)
		other, _, ol := newGateway(t)
		ol.wire, other.cfg.Store = l.wire, s // two instances of core
		run(t, g)
		run(t, other)
		data, err := wire.EncodeReports(1, []cordon.Report{{ID: cordon.ReportID{Router: "known", Boot: 1, Seq: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		say := func() {
			ol.hear["report"]("known", data)
			time.Sleep(2 * gatherFor)
			synctest.Wait()
		}
		say()
		s.mu.Lock()
		s.routers["known"].State = cordon.RouterRevoked
		s.mu.Unlock()
		g.Forget("known") // one instance is told
		say()
		if n := len(ol.acks["known"]); n != 1 {
			t.Errorf("%d batches were taken at the other, want 1", n)
		}
	})
}

// TestAnswerElsewhere gives an answer to the instance that has asked.
func TestAnswerElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, l := newGateway(t)
		other, _, ol := newGateway(t)
		ol.wire = l.wire
		run(t, g)
		run(t, other)
		key := newKeyFromSeed([32]byte{1})
		l.asked = func(router string, data []byte) {
			q, err := wire.OpenQuestion(data, keysOf(key), router, cordon.TimeOf(time.Now()))
			if err != nil {
				t.Error(err)
				return
			}
			forged, _ := wire.Answer{ID: q.ID, JSON: []byte("forged")}.Encode()
			honest, _ := wire.Answer{ID: q.ID, JSON: []byte("honest")}.Encode()
			other.answer(t.Context(), "other", forged)
			other.answer(t.Context(), router, honest)
		}
		a, err := g.Ask(t.Context(), key, "known", "status", "")
		if err != nil || string(a.JSON) != "honest" {
			t.Errorf("%q, %v", a.JSON, err)
		}
	})
}

// TestSweep notes that a router is gone which went while core was away.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s, _ := newGateway(t)
		g.cfg.Routers = func(_ context.Context, _ cordon.Scope, q cordon.Query) (cordon.Page[cordon.Router], error) {
			if q.Cursor == "" {
				return cordon.Page[cordon.Router]{Items: []cordon.Router{{ID: "known", Online: true}, {ID: "new"}}, Next: "more"}, nil
			}
			return cordon.Page[cordon.Router]{Items: []cordon.Router{{ID: "late", Online: true}}}, nil
		}
		run(t, g)
		time.Sleep(sweepAfter + time.Second)
		synctest.Wait()
		if len(s.present) != 2 || s.present[1].Router != "late" || s.present[1].Online {
			t.Errorf("noted %+v, want that late is gone", s.present)
		}
	})
}

// TestClaimTheft keeps out who shows a claim that was used, notes each try though the
// record is flooded with guesses, and asks for a reset before anybody may enrol again.
func TestClaimTheft(t *testing.T) {
	g, s, l := newGateway(t)
	server := httptest.NewServer(g.Handler())
	defer server.Close()
	for g.door.audits.Allow() { // guesses have filled the record
	}
	owner, thief := newPerson(t, server.URL), newPerson(t, server.URL)
	if _, code := owner.enrol("S-new", "secret", nil); code != "" {
		t.Fatal(code)
	}
	before := len(s.audits)
	if _, code := thief.enrol("S-new", "secret", nil); code != wire.RefusedClaim {
		t.Errorf("a thief got %q", code)
	}
	if _, code := thief.enrol("S-new", "guess", nil); code != wire.RefusedClaim {
		t.Errorf("a guess got %q", code)
	}
	if len(s.audits) != before+1 || s.audits[before].Verb != "router.enrol" || s.audits[before].Result == "ok" {
		t.Errorf("%+v, want one more line about a refusal", s.audits[before:])
	}
	if s.routers["new"].Key != owner.key {
		t.Error("the router's key was changed")
	}
	s.routers["new"].State = cordon.RouterReset // the operator agrees
	if _, code := thief.enrol("S-new", "secret", nil); code != "" {
		t.Errorf("after the reset: %q", code)
	}
	if s.routers["new"].Key != thief.key || len(l.revoked) != 1 || l.revoked[0] != owner.key {
		t.Errorf("revoked %q, want the key from before the reset", l.revoked)
	}
}

// TestNonceOfAnother takes what another instance with the same secret has made.
func TestNonceOfAnother(t *testing.T) {
	for _, same := range []bool{true, false} {
		var doors [2]door
		for i := range doors {
			cfg := Config{AddressRate: 1}
			if same {
				cfg.Secret[0] = 1
			}
			if err := doors[i].init(&cfg); err != nil {
				t.Fatal(err)
			}
		}
		now := time.Now()
		if got := doors[1].fresh("S", doors[0].nonce("S", now), now); got != same {
			t.Errorf("same secret %v: taken %v", same, got)
		}
	}
}

// TestDoorCrowd works on some requests of a crowd at once, and asks the rest to come
// again.
func TestDoorCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d door
		if err := d.init(&Config{AddressRate: 1}); err != nil {
			t.Fatal(err)
		}
		var in, out atomic.Int64
		var wg sync.WaitGroup
		for range 3 * atOnce {
			wg.Go(func() {
				done, err := d.work(t.Context())
				if err != nil {
					out.Add(1)
					return
				}
				in.Add(1)
				time.Sleep(2 * queueFor)
				done()
			})
		}
		wg.Wait()
		if in.Load() != atOnce || out.Load() != 2*atOnce {
			t.Errorf("%d in, %d out", in.Load(), out.Load())
		}
	})
}

// TestAddressLimit stops one address and lets another in.
func TestAddressLimit(t *testing.T) {
	g, _, _ := newGateway(t)
	now := time.Now()
	g.cfg.Now = func() time.Time { return now }
	code := func(addr string) int {
		r := httptest.NewRequest(http.MethodPost, wire.PathChallenge, nil)
		r.RemoteAddr = addr
		w := httptest.NewRecorder()
		g.Handler().ServeHTTP(w, r)
		return w.Code
	}
	for range perAddress * addressTimes {
		code("192.0.2.1:1")
	}
	if c := code("192.0.2.1:2"); c != http.StatusTooManyRequests {
		t.Errorf("status %d for one request too many", c)
	}
	if c := code("192.0.2.2:1"); c != http.StatusBadRequest {
		t.Errorf("status %d for another address", c)
	}
}
