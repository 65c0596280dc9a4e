package provider_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cordon"
	"cordon/agent"
	"cordon/agent/control"
	"cordon/agent/uplink"
	"cordon/core/api/view"
	"cordon/lab/door"
	"cordon/lab/postgres"
	"cordon/lab/provider"
)

// protects is a core that lets routers stop attacks.
var protects = map[string]string{"policy": `default = "protect"`}

// site returns the home of a router, as core calls it.
func site(t *testing.T, p *provider.Provider, i int) string {
	t.Helper()
	list, err := provider.List[view.Router](p, "/v1/routers", url.Values{"serial": {provider.Serial(i)}})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d routers, %v", len(list), err)
	}
	return list[0].Site
}

// desired returns what is desired of a home and what its router says of it.
func desired(t *testing.T, p *provider.Provider, site string) (d view.Desired) {
	t.Helper()
	if err := p.Ask(http.MethodGet, "/v1/sites/"+site+"/desired", nil, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestNeighbourhood imports fifty routers, each with a real agent. One home is infected:
// the API shows that at once; what is ordered there is done at once; what is allowed and
// released, too.
func TestNeighbourhood(t *testing.T) {
	const homes = 50
	p := provider.New(t, "", protects)
	p.Start()
	p.Import(homes)
	for i := range homes - 1 {
		p.Home(i, "calm", uint64(i%3), 3*time.Minute, nil)
	}
	door.WaitFor(t, patience, "all routers but one are connected", func() bool {
		list, err := provider.List[view.Router](p, "/v1/routers", url.Values{"online": {"true"}, "state": {"enrolled"}})
		return err == nil && len(list) == homes-1
	})
	sick := site(t, p, homes-1)
	patient := p.Home(homes-1, "mirai", 3, 79*time.Second, nil) // its scan begins at 80 s
	var incident view.Incident
	var seen time.Time
	door.WaitFor(t, patience, "the infection is in the API", func() bool {
		list, err := provider.List[view.Incident](p, "/v1/incidents", url.Values{"site": {sick}, "level": {"act"}})
		if err != nil || len(list) == 0 {
			return false
		}
		incident, seen = list[0], time.Now()
		return true
	})
	var story view.IncidentStory
	if err := p.Ask(http.MethodGet, "/v1/sites/"+sick+"/incidents/"+incident.ID, nil, &story); err != nil {
		t.Fatal(err)
	}
	decided := story.Raised[len(story.Raised)-1].At
	t.Logf("from the decision to the API: %v", seen.Sub(decided).Round(time.Millisecond))
	if others, err := provider.List[view.Incident](p, "/v1/incidents", url.Values{"level": {"act"}}); err != nil || len(others) != 1 {
		t.Errorf("%d incidents at level act, %v, want the one", len(others), err)
	}

	device := "/v1/sites/" + sick + "/devices/" + url.PathEscape(incident.Device.ID)
	order := func(what, path string, in any, done func(view.Desired) bool) string {
		t.Helper()
		begin := time.Now()
		var answer struct {
			ID      string
			Version uint64
		}
		if err := p.Ask(http.MethodPost, path, in, &answer); err != nil {
			t.Fatal(err)
		}
		door.WaitFor(t, patience, what+" is in force", func() bool {
			d := desired(t, p, sick)
			return d.Enforced.Version >= answer.Version && done(d)
		})
		t.Logf("%s is in force and told after %v", what, time.Since(begin).Round(time.Millisecond))
		return answer.ID
	}
	enforces := func(id string) func(view.Desired) bool {
		return func(d view.Desired) bool {
			return slices.ContainsFunc(d.Enforced.InForce, func(a view.Action) bool { return a.ID == id || a.Verb == id })
		}
	}
	order("a release", device+"/release", struct{}{}, func(d view.Desired) bool { return len(d.Enforced.InForce) == 0 })
	if devices, err := patient.Devices(t.Context()); err != nil || slices.ContainsFunc(devices, func(d control.Device) bool { return d.State == control.StateQuarantined }) {
		t.Errorf("after the release something is in quarantine: %v, %v", devices, err)
	}
	order("an allowance", device+"/allow", map[string]any{"target": map[string]any{"peer": "203.0.113.7"}},
		func(d view.Desired) bool {
			return len(d.Allowed) == 1 && d.Enforced.Current && len(d.Enforced.Differs) == 0
		})
	order("a quarantine", device+"/quarantine", map[string]any{"reason": "a test"}, enforces("quarantine"))
	var shown view.Device
	door.WaitFor(t, patience, "the device is shown in quarantine", func() bool {
		return p.Ask(http.MethodGet, device, nil, &shown) == nil && shown.State == "quarantined"
	})

	owner := p.Invite("owner@example.com", cordon.Grant{Role: cordon.RoleOwner, Account: incident.Account})
	var answer struct{ Items []any }
	if err := owner.Ask(http.MethodGet, device+"/destinations", nil, &answer); err != nil || len(answer.Items) == 0 {
		t.Errorf("a live question: %+v, %v", answer, err)
	}
	if err := owner.Ask(http.MethodGet, "/v1/sites/"+site(t, p, 0), nil, nil); err == nil {
		t.Error("a customer sees another's home")
	}
	p.Stop() // core goes away and comes back: nothing changes in the homes
	p.Start()
	door.WaitFor(t, patience, "all routers are back", func() bool {
		list, err := provider.List[view.Router](p, "/v1/routers", url.Values{"online": {"true"}})
		return err == nil && len(list) == homes
	})
	if d := desired(t, p, sick); !enforces("quarantine")(d) {
		t.Errorf("after core's return: %+v", d.Enforced)
	}
}

// TestShadow: a rule in shadow does nothing anywhere.
func TestShadow(t *testing.T) {
	p := provider.New(t, "", protects)
	p.Start()
	p.Import(1)
	var put struct{ ID string }
	if err := p.Ask(http.MethodPost, "/v1/shadows", map[string]string{"kind": "*", "reason": "a test"}, &put); err != nil {
		t.Fatal(err)
	}
	s := p.Home(0, "mirai", 3, 70*time.Second, nil) // the scan begins in ten seconds
	door.WaitFor(t, patience, "what lies in shadow is told", func() bool {
		list, err := provider.List[view.Detection](p, "/v1/detections", nil)
		return err == nil && slices.ContainsFunc(list, func(d view.Detection) bool { return d.Shadowed })
	})
	if st, err := s.Status(t.Context()); err != nil || len(st.InForce) > 0 || st.Incidents > 0 {
		t.Errorf("in force %v, %d incidents, %v", st.InForce, st.Incidents, err)
	}
}

// TestBreaker: a rule that fires in too many homes at once loses its power in all of
// them, by itself; an operator gives it back.
func TestBreaker(t *testing.T) {
	const homes, firing = 30, 12 // ten are enough
	p := provider.New(t, "", nil)
	p.Start()
	p.Import(homes)
	f := p.NewFleet(homes)
	door.WaitFor(t, patience, "all routers are connected", func() bool { return f.Connected() == homes })
	begin := time.Now()
	for i := range firing {
		f.Fires(i, cordon.ScanHorizontal, "Cam 1")
	}
	door.WaitFor(t, patience, "every router is told of the shadow", func() bool { return f.Shared() == homes })
	t.Logf("a rule fires in %d homes of %d: in shadow in all of them after %v", firing, homes, time.Since(begin).Round(time.Millisecond))
	var list struct{ Items []view.Shadow }
	err := p.Ask(http.MethodGet, "/v1/shadows", nil, &list)
	if err != nil || len(list.Items) != 1 || list.Items[0].Kind != string(cordon.ScanHorizontal) || list.Items[0].Model != "Cam 1" || list.Items[0].Reason == "" {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := p.Ask(http.MethodDelete, "/v1/shadows/"+list.Items[0].ID, nil, nil); err != nil {
		t.Error(err)
	}
}

// TestStrangers: who was not imported, has another claim or is revoked is not let in,
// and says what to do.
func TestStrangers(t *testing.T) {
	p := provider.New(t, "", nil)
	p.Start()
	p.Import(2)
	if out, err := p.Command("routers", "revoke", provider.Serial(1), "--reason", "stolen").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for name, change := range map[string]func(*agent.SimulationConfig){
		"unknown serial": func(c *agent.SimulationConfig) { c.Line.Serial = provider.Serial(7) },
		"wrong claim":    func(c *agent.SimulationConfig) { c.Line.Secret = "guessed" },
		"revoked":        func(c *agent.SimulationConfig) { c.Line = p.Line(1) },
	} {
		s := p.Home(0, "calm", 1, time.Minute, change)
		door.WaitFor(t, patience, "it says why", func() bool { return s.Line().Status().Why != "" })
		if st := s.Line().Status(); st.State != uplink.StateEnrolling || st.Mend == "" || st.Router != "" {
			t.Errorf("%s: %+v", name, st)
		}
	}
	list, err := provider.List[view.Router](p, "/v1/routers", url.Values{"state": {"enrolled"}})
	if err != nil || len(list) > 0 {
		t.Errorf("%d routers are enrolled, %v", len(list), err)
	}
}

// TestRevoked cuts a router off that was connected, within seconds; after a reset it may
// enrol again.
func TestRevoked(t *testing.T) {
	p := provider.New(t, "", nil)
	p.Start()
	p.Import(1)
	s := p.Home(0, "calm", 1, time.Minute, nil)
	door.WaitFor(t, patience, "it is connected", func() bool { return s.Line().Status().State == uplink.StateConnected })
	begin := time.Now()
	if out, err := p.Command("routers", "revoke", provider.Serial(0), "--reason", "stolen").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	door.WaitFor(t, patience, "it is cut off", func() bool { return s.Line().Status().State != uplink.StateConnected })
	t.Logf("cut off after %v", time.Since(begin).Round(time.Millisecond))
	if out, err := p.Command("routers", "reset", provider.Serial(0)).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	again := p.Home(0, "calm", 1, time.Minute, nil) // with an empty flash
	door.WaitFor(t, patience, "it is let in again", func() bool { return again.Line().Status().State == uplink.StateConnected })
}

// TestRestored moves a provider from SQLite to PostgreSQL by a backup: its routers, which
// know nothing of it, are let in with the credentials that they have, and nothing that
// they told before is gone.
func TestRestored(t *testing.T) {
	p := provider.New(t, "", nil)
	p.Start()
	p.Import(3)
	f := p.NewFleet(3)
	door.WaitFor(t, patience, "all routers are connected", func() bool { return f.Connected() == 3 })
	for i := range 3 {
		f.Fires(i, cordon.ScanHorizontal, "Cam 1")
	}
	detections := func() int {
		list, err := provider.List[view.Detection](p, "/v1/detections", nil)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	door.WaitFor(t, patience, "what they tell is stored", func() bool { return detections() == 3 })
	backup := filepath.Join(t.TempDir(), "core.zip")
	run := func(args ...string) {
		t.Helper()
		if out, err := p.Command(args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	run("backup", backup)
	p.Kill()

	db := postgres.Start(t).Database()
	if err := os.RemoveAll(p.Dir); err != nil {
		t.Fatal(err)
	}
	run("restore", backup, "--database", db)
	text, err := os.ReadFile(p.File)
	if err == nil {
		err = os.WriteFile(p.File, fmt.Appendf(text, "[database]\nurl = %q\n", db), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	door.WaitFor(t, patience, "all routers are back", func() bool { return f.Connected() == 3 })
	if n := detections(); n != 3 {
		t.Errorf("%d detections after the move, want 3", n)
	}
	var routers []view.Router
	door.WaitFor(t, patience, "the database has the routers as enrolled and connected", func() bool {
		routers, err = provider.List[view.Router](p, "/v1/routers", url.Values{"online": {"true"}, "state": {"enrolled"}})
		return err == nil && len(routers) == 3
	})
}

// TestTwoCores has two instances share a database and a cluster: what is ordered at the
// one reaches routers that came in at the other, a live question is answered wherever it
// is asked, and each goes on without the other.
func TestTwoCores(t *testing.T) {
	db := postgres.Start(t)
	p := provider.New(t, "", map[string]string{"policy": `default = "protect"`, "database": fmt.Sprintf("url = %q", db.Database())})
	p.Cluster()
	p.Start()
	p.Import(6)
	q := p.Second()
	q.Start()
	for i := range 6 {
		at := []*provider.Provider{p, q}[i%2]
		p.Home(i, "calm", uint64(i%3), 3*time.Minute, func(c *agent.SimulationConfig) { c.Line.URL = at.Line(i).URL })
	}
	gadget := func(at *provider.Provider, i int) (view.Device, bool) {
		list, err := provider.List[view.Device](at, "/v1/devices", url.Values{"site": {site(t, at, i)}})
		if n := slices.IndexFunc(list, func(d view.Device) bool { return !d.Gateway }); err == nil && n >= 0 {
			return list[n], true
		}
		return view.Device{}, false
	}
	for i := range 6 {
		door.WaitFor(t, patience, "each router has told of a device", func() bool { _, told := gadget(q, i); return told })
	}
	account := ""
	check := func(at *provider.Provider) {
		t.Helper()
		for i := range 6 {
			device, told := gadget(at, i)
			if !told {
				t.Fatalf("home %d has no device", i)
			}
			account = device.Account
			path := "/v1/sites/" + device.Site + "/devices/" + url.PathEscape(device.ID)
			for _, state := range []string{"quarantined", "watched"} {
				verb := map[string]string{"quarantined": "quarantine", "watched": "release"}[state]
				if err := at.Ask(http.MethodPost, path+"/"+verb, struct{}{}, nil); err != nil {
					t.Fatal(err)
				}
				door.WaitFor(t, patience, fmt.Sprintf("home %d: the device is %s", i, state), func() bool {
					var d view.Device
					return at.Ask(http.MethodGet, path, nil, &d) == nil && d.State == state
				})
			}
		}
	}
	check(p)
	check(q)
	owner := q.Invite("owner@example.com", cordon.Grant{Role: cordon.RoleOwner, Account: account})
	mine, err := provider.List[view.Device](q, "/v1/devices", url.Values{"account": {account}})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 { // the answer may come to either
		path := "/v1/sites/" + mine[0].Site + "/devices/" + url.PathEscape(mine[0].ID) + "/destinations"
		if err := owner.Ask(http.MethodGet, path, nil, nil); err != nil {
			t.Errorf("a live question: %v", err)
		}
	}
	p.Kill()
	check(q)
}
