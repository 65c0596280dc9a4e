package uplink

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/lab/door"
	"cordon/wire"
)

// TestReports: reports go up with ids that never change, what is urgent first.
func TestReports(t *testing.T) {
	c := door.New(t)
	dir := t.TempDir()
	l := start(t, configOf(c, dir), func(l *Uplink) {
		l.Report(cordon.Report{Device: &cordon.Device{ID: "0", Name: "caf\xe9"}}, false)
		l.Report(detection(cordon.ScanMirai), true)
	})
	c.Wait("it says hello", func() bool { return len(c.Hellos) == 1 })
	c.Wait("the detection arrives", func() bool { return len(c.Reports) > 0 })
	c.Set(func() {
		if c.Reports[0].Detection == nil {
			t.Errorf("what is urgent does not come first: %+v", c.Reports[0])
		}
	})
	for i := range 499 {
		l.Report(cordon.Report{Device: &cordon.Device{ID: fmt.Sprint(i), Name: "caf\xe9"}}, false)
	}
	c.Wait("all arrive", func() bool { return len(c.Reports) == 501 })
	door.Wait(t, "all are acknowledged", func() bool { return l.Status().Waiting == 0 })
	s := l.Status()
	if s.State != StateConnected || s.Sent != 501 || s.Router != door.Router || s.Acked == 0 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
	for _, r := range c.Reports {
		if r.Device != nil && r.Device.Name != "caf\uFFFD" {
			t.Fatalf("name %q", r.Device.Name)
		}
	}
	lines := l.Ledger(1000)
	if len(lines) != 501 || lines[0].Sort != "detection" || lines[0].Device != "cam" || !strings.HasPrefix(lines[0].Text, "scan.mirai at act") {
		t.Errorf("%d lines, the first %+v", len(lines), lines[0])
	}
	l.stop()
	if files, _ := filepath.Glob(filepath.Join(dir, "queue", "*")); len(files) > 0 {
		t.Errorf("flash was used for what was acknowledged: %v", files)
	}
	if again := openLedger(dir, nil, l.ledger.uptime).lines(1000); len(again) != 501 {
		t.Errorf("%d lines of the ledger survive", len(again))
	}
	if info, err := os.Stat(filepath.Join(dir, identityName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("identity: %v, %v", info, err)
	}
}

// TestAway: what happens while core is away arrives when it is back, once each, also
// through a restart of the agent; without core nothing waits for it.
func TestAway(t *testing.T) {
	c := door.New(t)
	dir := t.TempDir()
	l := start(t, configOf(c, dir))
	l.Report(detection(cordon.ScanMirai), true)
	c.Wait("the first arrives", func() bool { return len(c.Reports) == 1 })
	c.Set(func() { c.Mute = true })
	l.Report(detection(cordon.C2IRC), true)
	c.Wait("the second arrives and is not acknowledged", func() bool { return len(c.Reports) == 2 })
	port := c.StopBus()
	door.Wait(t, "core is away", func() bool { return l.Status().State == StateAway })
	if s := l.Status(); s.Why == "" || s.Mend == "" {
		t.Errorf("%+v", s)
	}
	for range 100 {
		l.Report(detection(cordon.DoSSYN), true)
	}
	l.stop()
	c.Set(func() { c.Mute = false })
	c.StartBus(port)
	cfg := configOf(c, dir)
	cfg.Start = 2
	l = start(t, cfg)
	l.Report(detection(cordon.DoSUDP), true)
	c.Wait("everything arrives", func() bool { return len(c.Reports) == 103 })
	door.Wait(t, "all is acknowledged", func() bool { return l.Status().Waiting == 0 && l.Status().OnFlash == 0 })
	c.Set(func() {
		seen := make(map[uint64]bool)
		for _, n := range c.Batches {
			if seen[n] {
				t.Errorf("batch %d came twice: an acknowledgement of the one would be taken for the other's", n)
			}
			seen[n] = true
		}
		boots := make(map[uint32]int)
		for _, r := range c.Reports {
			boots[r.ID.Boot]++
		}
		if len(boots) != 2 || c.Enrols != 1 {
			t.Errorf("boots %v, enrolled %d times", boots, c.Enrols)
		}
		if first, last := c.Hellos[0], c.Hellos[len(c.Hellos)-1]; last.Boot != first.Boot+1 || last.Queued < 101 {
			t.Errorf("hello %+v, then %+v", first, last)
		}
	})
}

// TestDirectives: what core signed for this router counts, in its order, and survives;
// nothing else does.
func TestDirectives(t *testing.T) {
	c := door.New(t)
	dir := t.TempDir()
	l := start(t, configOf(c, dir))
	c.Wait("it is there", func() bool { return len(c.Hellos) == 1 })
	to := "to." + door.Router + ".directive"
	desired := func(n uint64) wire.Directive {
		return wire.Directive{Number: n, Receiver: door.Router, Desired: &cordon.Desired{Version: n, Policy: cordon.PolicyProtect}}
	}
	told := func(n int) {
		t.Helper()
		door.Wait(t, fmt.Sprintf("it was told %d times", n), func() (ok bool) { l.look(func() { ok = len(l.desired) == n }); return ok })
	}
	c.Send(desired(5), to)
	told(1)
	c.Send(desired(4), to) // old
	_, stranger, _ := ed25519.GenerateKey(rand.Reader)
	own := c.Key
	c.Key = stranger
	c.Send(desired(6), to)
	c.Key = own
	other := desired(7)
	other.Receiver = "another"
	c.Send(other, to)
	late := desired(8)
	late.Expires = cordon.TimeOf(time.Now().Add(-time.Second))
	c.Send(late, to)
	c.Send(desired(9), to)
	told(2)
	door.Wait(t, "the number is noted", func() bool { return l.Status().Desired == 9 })
	if s := l.Status(); s.Refused != 4 {
		t.Errorf("%+v", s)
	}
	shadows := wire.Directive{Number: 3, Receiver: wire.All, Shadows: &wire.Shadows{List: []cordon.Shadow{{ID: "s", Kind: "dos.*", Expires: 1}}}}
	c.Send(shadows, "to.all.directive")
	c.Send(wire.Directive{Number: 4, Receiver: wire.All, Indicators: &wire.Indicators{Base: 1}}, "to.all.directive")
	newer := desired(10)
	newer.Least = wire.Version + 1
	c.Send(newer, to)
	door.Wait(t, "what is unknown is refused", func() (ok bool) { l.look(func() { ok = len(l.unknown) == 2 }); return ok })
	l.look(func() {
		if !slices.Equal(l.shared, []uint64{3, 4}) || len(l.shadows) != 1 || l.unknown[0] != "indicators" {
			t.Errorf("shared %v, shadows %v, unknown %q", l.shared, l.shadows, l.unknown)
		}
	})
	door.Wait(t, "the numbers are noted", func() bool { return l.Status().Desired == 10 && l.Status().Shared == 4 })
	l.stop()

	// After a restart the agent is told again what it knows, which is what it claims to
	// have, and old numbers stay old.
	cfg := configOf(c, dir)
	cfg.Start = 2
	l = start(t, cfg)
	c.Wait("it is there again", func() bool { return len(c.Hellos) == 2 })
	if h := c.Hellos[1]; h.Desired != 9 || h.Shared != 3 {
		t.Errorf("hello %+v", h)
	}
	l.look(func() {
		if len(l.desired) != 1 || l.desired[0].Version != 9 || len(l.shadows) != 1 || !slices.Equal(l.shared, []uint64{3}) {
			t.Errorf("told %+v, %v, %v", l.desired, l.shadows, l.shared)
		}
	})
	c.Send(desired(9), to)
	c.Send(desired(11), to)
	told(2)
}

// TestUnkept: what is too much to be kept is in force until the next start, and not
// claimed after it.
func TestUnkept(t *testing.T) {
	c := door.New(t)
	cfg := configOf(c, t.TempDir())
	l := start(t, cfg)
	c.Wait("it is there", func() bool { return len(c.Hellos) == 1 })
	d := &cordon.Desired{Version: 5}
	for i := range 2_000 {
		d.Orders = append(d.Orders, cordon.Order{ID: fmt.Sprint("order ", i, " of this home"), Verb: cordon.VerbBlock, By: "Ada"})
	}
	c.Send(wire.Directive{Number: 5, Receiver: door.Router, Desired: d}, "to."+door.Router+".directive")
	door.Wait(t, "it was told", func() bool { return l.Status().Desired == 5 })
	l.stop()
	cfg.Start = 2
	l = start(t, cfg)
	c.Wait("it is there again", func() bool { return len(c.Hellos) == 2 })
	if h := c.Hellos[1]; h.Desired != 0 || l.Status().Desired != 0 {
		t.Errorf("hello %+v", h)
	}
	c.Send(wire.Directive{Number: 5, Receiver: door.Router, Desired: d}, "to."+door.Router+".directive")
	door.Wait(t, "it was told again", func() bool { return l.Status().Desired == 5 })
}

// TestHelloAgain: core may ask all routers what they have.
func TestHelloAgain(t *testing.T) {
	c := door.New(t)
	l := start(t, configOf(c, ""))
	c.Wait("it is there", func() bool { return len(c.Hellos) == 1 })
	c.Send(wire.Directive{Number: 7, Receiver: door.Router, Desired: &cordon.Desired{Version: 7}}, "to."+door.Router+".directive")
	door.Wait(t, "it was told something", func() bool { return l.Status().Desired == 7 })
	if err := c.Conn.Publish("to.all.hello", nil); err != nil {
		t.Fatal(err)
	}
	c.Wait("it says hello again", func() bool { return len(c.Hellos) == 2 })
	if h := c.Hellos[1]; h.Desired != 7 || h.Boot != c.Hellos[0].Boot {
		t.Errorf("hello %+v", h)
	}
}

// TestPing: the line works as long as core answers.
func TestPing(t *testing.T) {
	c := door.New(t)
	l := start(t, configOf(c, ""))
	ping := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		return l.Ping(ctx)
	}
	door.Wait(t, "core answers", func() bool { return ping() == nil })
	c.StopBus()
	door.Wait(t, "core is away", func() bool { return l.Status().State == StateAway })
	if ping() == nil {
		t.Error("core is away and answers")
	}
}

func TestQuestions(t *testing.T) {
	c := door.New(t)
	l := start(t, configOf(c, ""))
	c.Wait("it is there", func() bool { return len(c.Hellos) == 1 })
	ask := func(id, what string, receiver string) {
		b, err := wire.SignQuestion(wire.Question{ID: id, Receiver: receiver, What: what, Device: "cam", Expires: cordon.TimeOf(time.Now().Add(wire.QuestionLife))}, c.Key)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Conn.Publish("to."+door.Router+".ask", b); err != nil {
			t.Fatal(err)
		}
	}
	ask("0", "devices", "another")
	ask("1", "devices", door.Router)
	c.Wait("it answers", func() bool { return len(c.Answers) == 1 })
	ask("2", "why", door.Router)
	c.Wait("it answers", func() bool { return len(c.Answers) == 2 })
	ask("3", "ledger", door.Router)
	c.Wait("it answers", func() bool { return len(c.Answers) == 3 })
	if a := c.Answers; a[0].ID != "1" || string(a[0].JSON) != `"devices cam"` || a[1].Error == "" || string(a[2].JSON) != "[]" {
		t.Errorf("%+v", a)
	}
	if s := l.Status(); s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

// TestRefused: a router that core does not want says why, and what to do.
func TestRefused(t *testing.T) {
	c := door.New(t)
	away := httptest.NewServer(nil)
	away.Close()
	_, others, _ := door.Certificate(t, time.Now())
	for _, x := range []struct {
		name   string
		change func(*Config)
		refuse string
		want   string
	}{
		{"wrong secret", func(cfg *Config) { cfg.Secret = "guessed" }, "", "refused its claim"},
		{"revoked", func(*Config) {}, wire.RefusedRevoked, "is revoked"},
		{"busy", func(*Config) {}, wire.RefusedBusy, "too many requests"},
		{"unknown code", func(*Config) {}, "weather", "core has failed"},
		{"another CA", func(cfg *Config) { cfg.Roots = others }, "", "not signed by the CA that is pinned"},
		{"nobody there", func(cfg *Config) { cfg.URL = strings.Replace(away.URL, "http:", "https:", 1) }, "", "nobody answers"},
		{"another server", func(cfg *Config) { cfg.URL = c.Door + "/portal" }, "", "core answered 404"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c.Set(func() { c.Refuse = x.refuse })
			cfg := configOf(c, t.TempDir())
			x.change(&cfg)
			l := start(t, cfg)
			door.Wait(t, "it says why", func() bool { return l.Status().Why != "" })
			if s := l.Status(); s.State != StateEnrolling || !strings.Contains(s.Why, x.want) || s.Mend == "" {
				t.Errorf("%+v", s)
			}
			l.stop()
		})
	}
	if f := Examine(t.Context(), configOf(c, "")); !f.OK {
		t.Errorf("%+v", f)
	}
	cfg := configOf(c, "")
	cfg.Roots = others
	if f := Examine(t.Context(), cfg); f.OK || !strings.Contains(f.Text, "pinned") || f.Mend == "" {
		t.Errorf("%+v", f)
	}
}

// TestMakersKey enrols by a signature of the maker's key.
func TestMakersKey(t *testing.T) {
	c := door.New(t)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.Claim = cordon.Claim{Key: [32]byte(public)}
	cfg := configOf(c, "")
	cfg.Secret, cfg.Key = "", private
	start(t, cfg)
	c.Wait("it is there", func() bool { return len(c.Hellos) == 1 })
}

// TestRenewal: a credential is renewed at half of its life, and the connection made
// with the new one; nothing is lost on the way.
func TestRenewal(t *testing.T) {
	c := door.New(t)
	c.Life = 4 * time.Second
	l := start(t, configOf(c, t.TempDir()))
	c.Wait("it is there", func() bool { return len(c.Hellos) == 1 })
	for i := range 3 {
		l.Report(detection(cordon.ScanMirai), false)
		c.Wait("it renews and comes back", func() bool { return c.Renews > i && len(c.Hellos) > i+1 })
	}
	c.Wait("all arrived", func() bool { return len(c.Reports) == 3 })
	if c.Enrols != 1 {
		t.Errorf("enrolled %d times", c.Enrols)
	}
}

// TestReset: a router that core has forgotten enrols again with the key that it has,
// and its report ids never come again.
func TestReset(t *testing.T) {
	c := door.New(t)
	dir := t.TempDir()
	l := start(t, configOf(c, dir))
	l.Report(detection(cordon.ScanMirai), true)
	c.Wait("it is there", func() bool { return len(c.Reports) == 1 })
	l.stop()
	first := c.Reports[0].ID

	// What counted the starts was lost: the number comes again, the id does not.
	cfg := configOf(c, dir)
	cfg.Fresh = true
	l = start(t, cfg)
	l.Report(detection(cordon.ScanMirai), true)
	c.Wait("it is there", func() bool { return len(c.Reports) == 2 })
	l.stop()
	if again := c.Reports[1].ID; again.Boot <= first.Boot || again.Seq == first.Seq {
		t.Errorf("after %v comes %v", first, again)
	}

	// The same without anybody noticing.
	l = start(t, configOf(c, dir))
	l.Report(detection(cordon.ScanMirai), true)
	c.Wait("it is there", func() bool { return len(c.Reports) == 3 })
	l.stop()
	if c.Reports[2].ID.Boot <= c.Reports[1].ID.Boot {
		t.Errorf("after %v comes %v", c.Reports[1].ID, c.Reports[2].ID)
	}

	// A factory reset makes another key, which needs the operator's consent.
	l = start(t, configOf(c, t.TempDir()))
	door.Wait(t, "it is refused", func() bool { return strings.Contains(l.Status().Why, "refused its claim") })
	l.stop()
	c.Set(func() { c.Known = "" })
	l = start(t, configOf(c, t.TempDir()))
	c.Wait("it is let in", func() bool { return len(c.Hellos) == 4 })
}

// TestClock: a router in 1970 recognises core, takes its time, and what it reported
// with a doubt is corrected.
func TestClock(t *testing.T) {
	c := door.New(t)
	cfg := configOf(c, t.TempDir())
	cfg.Now = func() (time.Time, bool) { return time.Unix(100, 0), false }
	cfg.Floor = time.Now().Add(-30 * time.Minute)
	learned := make(chan time.Time, 100)
	cfg.Learned = func(t time.Time) { learned <- t }
	r := detection(cordon.ScanMirai)
	r.At, r.Doubt = 1000, time.Hour
	l := start(t, cfg)
	c.Wait("it is there", func() bool { return len(c.Hellos) == 1 })
	if got := <-learned; time.Since(got) > time.Minute {
		t.Errorf("learned %v", got)
	}
	l.Report(r, true)
	c.Wait("the doubt is told", func() bool { return len(c.Reports) == 1 && c.Reports[0].Doubt == time.Hour })
	l.Corrected(5 * time.Second)
	l.Report(r, true)
	c.Wait("it is corrected", func() bool {
		return len(c.Reports) == 2 && c.Reports[1].Doubt == 0 && c.Reports[1].At == cordon.Time(1000).Add(5*time.Second)
	})
	c.Send(wire.Directive{Number: 1, Receiver: door.Router, Expires: cordon.TimeOf(time.Now().Add(-time.Minute)), Desired: &cordon.Desired{Version: 1}}, "to."+door.Router+".directive")
	door.Wait(t, "what has expired is refused by core's time", func() bool { return l.Status().Refused == 1 })
}

// TestSilentBus: a bus that accepts connections and keeps silent does not hold up the
// end of the agent, which has to write what is not delivered.
func TestSilentBus(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := door.New(t)
	c.Bus = silent.Addr().String()
	dir := t.TempDir()
	l := start(t, configOf(c, dir))
	l.Report(detection(cordon.ScanMirai), true)
	conn, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begin := time.Now()
	l.stop()
	if took := time.Since(begin); took > dialWithin/3 {
		t.Errorf("it ended after %v", took)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "queue", "*")); len(files) == 0 {
		t.Error("what was not delivered is not written")
	}
}

// TestBackoff: waits are spread, grow, and start anew.
func TestBackoff(t *testing.T) {
	var sum time.Duration
	early := 0
	for range 1000 {
		b := Backoff{Spread: DefaultSpread}
		w := b.Lost()
		sum += w
		if w < time.Second {
			early++
		}
		if w > DefaultSpread {
			t.Fatalf("waited %v", w)
		}
	}
	if mean := sum / 1000; mean < 13*time.Second || mean > 17*time.Second || early > 80 {
		t.Errorf("mean wait %v, %d of 1000 in the first second", mean, early)
	}
	b := Backoff{}
	var most time.Duration
	for i := range 40 {
		w := b.Next()
		if i < 3 && w > time.Second<<i {
			t.Errorf("wait %d is %v", i, w)
		}
		most = max(most, w)
	}
	if most > waitMost || most < waitMost/3 {
		t.Errorf("longest wait %v", most)
	}
}
