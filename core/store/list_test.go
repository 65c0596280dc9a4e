package store_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/core/store"
	"cordon/core/store/table"
	"cordon/lab/records"
)

// walk reads every page of a list and fails if a record comes twice.
func walk[T any](t *testing.T, list func(context.Context, cordon.Scope, cordon.Query) (cordon.Page[T], error), key func(*T) string, scope cordon.Scope, q cordon.Query) (all []T) {
	t.Helper()
	seen := make(map[string]bool)
	for pages := 0; ; pages++ {
		p, err := list(t.Context(), scope, q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if len(p.Items) > q.Limit || pages > 10_000 {
			t.Fatalf("%+v: page %d has %d records", q, pages, len(p.Items))
		}
		for i := range p.Items {
			if k := key(&p.Items[i]); seen[k] {
				t.Fatalf("%+v: %s comes twice", q, k)
			} else {
				seen[k] = true
			}
		}
		all = append(all, p.Items...)
		if p.Next == "" {
			return all
		}
		q.Cursor = p.Next
	}
}

func deviceKey(d *cordon.DeviceRecord) string     { return d.Site + "/" + d.Device.ID }
func incidentKey(i *cordon.IncidentRecord) string { return i.Site + "/" + i.Incident.ID }
func detectionKey(d *cordon.DetectionRecord) string {
	return d.Site + "/" + d.Detection.ID
}
func actionKey(a *cordon.ActionRecord) string { return a.Site + "/" + a.Action.ID }

// testLists compares pages of random queries with what Go finds among everything.
func testLists(t *testing.T, b *bench) {
	b.SetBudget(7)
	size := records.Size{Seed: 3, Homes: 40, Devices: 4, Incidents: 90, Now: start}
	must(t, records.Fill(t.Context(), b.Store, size, nil))
	rng := rand.New(rand.NewPCG(5, 5))
	big := cordon.Query{Limit: cordon.MaxLimit}
	sites := walk(t, b.Sites, func(s *cordon.Site) string { return s.ID }, everyone, big)
	devices := walk(t, b.Devices, deviceKey, everyone, big)
	incidents := walk(t, b.Incidents, incidentKey, everyone, big)
	detections := walk(t, b.Detections, detectionKey, everyone, big)
	actions := walk(t, b.Actions, actionKey, everyone, big)
	if len(sites) != 40 || len(incidents) != 90 || len(detections) != 270 || len(actions) != 90 {
		t.Fatalf("%d sites, %d incidents, %d detections, %d actions", len(sites), len(incidents), len(detections), len(actions))
	}
	group := make(map[string]string)
	for i := range sites {
		group[sites[i].ID] = sites[i].Group
	}
	for range 150 {
		q := cordon.Query{Limit: 1 + rng.IntN(20)}
		site := sites[rng.IntN(len(sites))]
		maybe := func(n int, f func()) {
			if rng.IntN(n) == 0 {
				f()
			}
		}
		maybe(4, func() { q.Area = site.Area })
		maybe(4, func() { q.Group = site.Group })
		maybe(8, func() { q.Account = site.Account })
		maybe(8, func() { q.Site = site.ID })
		at := func(account, id, area string) bool {
			return (q.Account == "" || q.Account == account) && (q.Site == "" || q.Site == id) && (q.Area == "" || q.Area == area) && (q.Group == "" || q.Group == group[id])
		}
		dq := q
		maybe(3, func() { dq.Model = devices[rng.IntN(len(devices))].Device.Model })
		maybe(3, func() { dq.Level = cordon.Level(1 + rng.IntN(3)) })
		maybe(3, func() { dq.State = []string{"watched", "limited", "blocked", "quarantined"}[rng.IntN(4)] })
		same(t, dq, deviceKey, devices, walk(t, b.Devices, deviceKey, everyone, dq), func(d *cordon.DeviceRecord) bool {
			return at(d.Account, d.Site, d.Area) && (dq.Model == "" || dq.Model == d.Device.Model) && d.Level >= dq.Level && (dq.State == "" || dq.State == d.State)
		})
		maybe(3, func() { q.Since = cordon.TimeOf(start.Add(-time.Duration(rng.IntN(90*24)) * time.Hour)) })
		maybe(3, func() { q.Until = cordon.TimeOf(start.Add(-time.Duration(rng.IntN(90*24)) * time.Hour)) })
		in := func(at cordon.Time) bool { return at >= q.Since && (q.Until == 0 || at < q.Until) }
		iq := q
		maybe(3, func() { iq.Level = cordon.Level(1 + rng.IntN(3)) })
		maybe(3, func() { iq.State = []string{"open", "over"}[rng.IntN(2)] })
		maybe(3, func() { iq.Kind = cordon.Kinds()[rng.IntN(20)] })
		maybe(5, func() { iq.Kind = "scan.*" })
		maybe(5, func() { iq.Device = devices[rng.IntN(len(devices))].Device.ID })
		same(t, iq, incidentKey, incidents, walk(t, b.Incidents, incidentKey, everyone, iq), func(i *cordon.IncidentRecord) bool {
			return at(i.Account, i.Site, i.Area) && in(i.Incident.Opened) && i.Incident.Level >= iq.Level && (iq.State == "" || (iq.State == "over") == i.Over) &&
				(iq.Device == "" || iq.Device == i.Incident.Device.ID) &&
				(iq.Kind == "" || slices.ContainsFunc(i.Incident.Kinds, func(k cordon.Kind) bool { return k.Match(string(iq.Kind)) }))
		})
		eq := q
		eq.Level, eq.Kind, eq.Device = iq.Level, iq.Kind, iq.Device
		same(t, eq, detectionKey, detections, walk(t, b.Detections, detectionKey, everyone, eq), func(d *cordon.DetectionRecord) bool {
			return at(d.Account, d.Site, d.Area) && in(d.Detection.At) && d.Detection.Level >= eq.Level && (eq.Device == "" || eq.Device == d.Detection.Device.ID) &&
				(eq.Kind == "" || d.Detection.Kind.Match(string(eq.Kind)))
		})
		aq := q
		aq.Device = iq.Device
		maybe(3, func() { aq.Verb = string(cordon.VerbBlock) })
		same(t, aq, actionKey, actions, walk(t, b.Actions, actionKey, everyone, aq), func(a *cordon.ActionRecord) bool {
			return at(a.Account, a.Site, a.Area) && in(a.Action.At) && (aq.Device == "" || aq.Device == a.Action.Entity.Device) && (aq.Verb == "" || aq.Verb == string(a.Action.Verb))
		})
	}
}

// same compares a walk with what want leaves of everything, in the same order.
func same[T any](t *testing.T, q cordon.Query, key func(*T) string, all, got []T, want func(*T) bool) {
	t.Helper()
	var is, should []string
	for i := range got {
		is = append(is, key(&got[i]))
	}
	for i := range all {
		if want(&all[i]) {
			should = append(should, key(&all[i]))
		}
	}
	if !slices.Equal(is, should) {
		t.Errorf("%+v:\ngot  %v\nwant %v", q, is, should)
	}
}

func testScopes(t *testing.T, b *bench) {
	size := records.Size{Seed: 3, Homes: 12, Devices: 4, Incidents: 40, Now: start}
	must(t, records.Fill(t.Context(), b.Store, size, nil))
	big := cordon.Query{Limit: cordon.MaxLimit}
	sites := walk(t, b.Sites, func(s *cordon.Site) string { return s.ID }, everyone, big)
	devices := walk(t, b.Devices, deviceKey, everyone, big)
	incidents := walk(t, b.Incidents, incidentKey, everyone, big)
	few := cordon.Query{Limit: 3}
	for _, scope := range []cordon.Scope{{}, {Accounts: []string{sites[0].Account}}, {Sites: []string{sites[1].ID}}, {Accounts: []string{"nobody"}},
		{Accounts: []string{sites[5].Account, sites[3].Account}, Sites: []string{sites[5].ID, sites[7].ID, sites[2].ID}}} {
		may := func(account, site string) bool {
			return slices.Contains(scope.Accounts, account) || slices.Contains(scope.Sites, site)
		}
		same(t, few, deviceKey, devices, walk(t, b.Devices, deviceKey, scope, few), func(d *cordon.DeviceRecord) bool { return may(d.Account, d.Site) })
		same(t, few, incidentKey, incidents, walk(t, b.Incidents, incidentKey, scope, few), func(i *cordon.IncidentRecord) bool { return may(i.Account, i.Site) })
		same(t, few, func(s *cordon.Site) string { return s.ID }, sites, walk(t, b.Sites, func(s *cordon.Site) string { return s.ID }, scope, few),
			func(s *cordon.Site) bool { return may(s.Account, s.ID) })
		// What somebody asks for and may not see is not there.
		for _, s := range sites {
			q := cordon.Query{Limit: 3, Site: s.ID}
			same(t, q, deviceKey, devices, walk(t, b.Devices, deviceKey, scope, q), func(d *cordon.DeviceRecord) bool { return d.Site == s.ID && may(d.Account, d.Site) })
			q = cordon.Query{Limit: 3, Account: s.Account}
			same(t, q, incidentKey, incidents, walk(t, b.Incidents, incidentKey, scope, q), func(i *cordon.IncidentRecord) bool { return i.Account == s.Account && may(i.Account, i.Site) })
		}
	}
	must(t, b.PutUser(t.Context(), &cordon.User{ID: "u1", Grants: []cordon.Grant{{Role: cordon.RoleOwner, Account: sites[0].Account}}}))
	must(t, b.PutUser(t.Context(), &cordon.User{ID: "u2", Grants: []cordon.Grant{{Role: cordon.RoleOperator}}}))
	for want, scope := range map[string]cordon.Scope{"[u1 u2]": everyone, "[u1]": {Accounts: []string{sites[0].Account}}, "[]": {}} {
		users := []string{}
		for _, u := range walk(t, b.Users, func(u *cordon.User) string { return u.ID }, scope, few) {
			users = append(users, u.ID)
		}
		if fmt.Sprint(users) != want {
			t.Errorf("%+v sees the users %v, want %s", scope, users, want)
		}
	}
}

func testSearch(t *testing.T, b *bench) {
	b.SetBudget(5)
	size := records.Size{Seed: 3, Homes: 30, Devices: 5, Now: start}
	must(t, records.Fill(t.Context(), b.Store, size, nil))
	big := cordon.Query{Limit: cordon.MaxLimit}
	devices := walk(t, b.Devices, deviceKey, everyone, big)
	for _, text := range []string{"c", "CAM-", "acme", "02:00", "192.168.1", "nobody", "a", "'", "%", "_", "\u00fc", strings.Repeat("x", 500)} {
		for _, scope := range []cordon.Scope{everyone, {Accounts: []string{devices[0].Account, devices[20].Account}}} {
			q := cordon.Query{Text: text, Limit: 4}
			begins := func(s string) bool { return strings.HasPrefix(strings.ToLower(s), strings.ToLower(text)) }
			want := make(map[string]bool)
			for i := range devices {
				d := &devices[i]
				if (scope.All || slices.Contains(scope.Accounts, d.Account)) &&
					(begins(d.Device.Name) || begins(d.Device.Maker) || begins(d.Device.ID) || begins(d.Device.Addrs[0].String())) {
					want[deviceKey(d)] = true
				}
			}
			got := walk(t, b.Devices, deviceKey, scope, q)
			for i := range got {
				if !want[deviceKey(&got[i])] {
					t.Errorf("%q finds %+v", text, got[i])
				}
			}
			if len(got) != len(want) {
				t.Errorf("%q finds %d devices, want %d", text, len(got), len(want))
			}
		}
	}
	for text, want := range map[string]int{"K0000001": 10, "ada": 2, "L": 2} { // Lea, of the references none
		if got := walk(t, b.Accounts, func(a *cordon.Account) string { return a.ID }, everyone, cordon.Query{Text: text, Limit: 3}); len(got) != want {
			t.Errorf("%q finds %d accounts, want %d", text, len(got), want)
		}
	}
	if got := walk(t, b.Sites, func(s *cordon.Site) string { return s.ID }, everyone, cordon.Query{Text: "L00000", Limit: 3}); len(got) != 30 {
		t.Errorf("the references of %d sites are found, want 30", len(got))
	}
}

func testCursors(t *testing.T, b *bench) {
	h := b.home("1")
	for i := range 5 {
		b.ingest(h, cordon.Report{Device: device(fmt.Sprintf("02:00:00:00:00:%02x", i))})
	}
	raw := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, c := range []string{"x", "!!", raw("x"), raw("\x00x"), raw("\x09"), raw("\x00n\x01"), raw("\x00n\x01n\x01"), raw("\x00t\x01a"), raw("\x00t\x01an\x02"),
		raw("\x00t\x01at\x01bt\x01c"), raw("\x00t\x01at\x05b"), raw("\x00t\x01\x00t\x01b"), raw("\x00t\x01\xfft\x01b"), raw("\xff"), raw("\x00t\xff\xff\xff\xff\xff\xff\xff\xff\x7fa"),
		strings.Repeat("A", 100_000), raw("{}")} {
		if _, err := b.Devices(t.Context(), everyone, cordon.Query{Cursor: c}); err == nil {
			t.Errorf("the cursor %.40q is taken", c)
		} else {
			wants(t, fmt.Sprintf("the cursor %.40q", c), err, cordon.ErrInvalid)
		}
	}
	p := get[cordon.Page[cordon.DeviceRecord]](t)(b.Devices(t.Context(), everyone, cordon.Query{Limit: 2}))
	_, err := b.Incidents(t.Context(), everyone, cordon.Query{Cursor: p.Next})
	wants(t, "the cursor of another list", err, cordon.ErrInvalid)
	// A cursor is no right: who may see nothing sees nothing with it.
	if p := get[cordon.Page[cordon.DeviceRecord]](t)(b.Devices(t.Context(), cordon.Scope{Sites: []string{"S2"}}, cordon.Query{Cursor: p.Next})); len(p.Items) != 0 {
		t.Errorf("a cursor shows %+v", p.Items)
	}
	for what, q := range map[string]cordon.Query{"user": {User: "u"}, "verb": {Verb: "x"}, "kind": {Kind: "scan.*"}, "agent": {Agent: "1"}, "text": {Text: "a\x00"}} {
		_, err := b.Devices(t.Context(), everyone, q)
		wants(t, "devices by "+what, err, cordon.ErrInvalid)
	}
	if p := get[cordon.Page[cordon.DeviceRecord]](t)(b.Devices(t.Context(), everyone, cordon.Query{Limit: -5})); len(p.Items) != 5 {
		t.Errorf("a limit below zero shows %d", len(p.Items))
	}
}

// testPlans looks at how the database finds what lists ask for: by an index, without
// sorting more than the values of one key.
func testPlans(t *testing.T, b *bench) {
	size := records.Size{Seed: 3, Homes: 300, Devices: 8, Incidents: 2_000, Now: start}
	if testing.Short() {
		size.Homes = 50
	}
	must(t, records.Fill(t.Context(), b.Store, size, nil))
	sites := get[cordon.Page[cordon.Site]](t)(b.Sites(t.Context(), everyone, cordon.Query{}))
	account, site := sites.Items[0].Account, sites.Items[0].ID
	yes := true
	b.analyze()
	if b.postgres != nil {
		// For few rows any plan will do. What counts is that there is one in the order of
		// an index.
		b.Store = b.open(b.database + "&enable_sort=off&enable_incremental_sort=off&enable_seqscan=off")
	}
	for _, c := range []struct {
		list    string
		queries []cordon.Query
	}{
		{"accounts", []cordon.Query{{}, {Text: "ada"}}},
		{"sites", []cordon.Query{{}, {Area: "area-01"}, {Group: "group-1"}, {Account: account}, {Text: "mill"}, {Area: "area-01", Group: "group-1"}}},
		{"routers", []cordon.Query{{}, {Area: "area-01"}, {Group: "group-1"}, {State: "revoked"}, {Agent: "1.0"}, {Online: &yes}, {Model: "Box 5"}, {Text: "SN0000"}, {Site: site}, {State: "enrolled", Area: "area-01"}}},
		{"devices", []cordon.Query{{}, {Area: "area-01"}, {Group: "group-1"}, {Site: site}, {Account: account}, {Model: "Model 001"}, {State: "quarantined"}, {State: "watched"},
			{Level: cordon.Watch}, {Level: cordon.Notify}, {Level: cordon.Act}, {Text: "cam-1"}, {Area: "area-01", Level: cordon.Act, State: "blocked"}, {Account: account, Text: "c"}}},
		{"incidents", []cordon.Query{{}, {Area: "area-01"}, {Group: "group-1"}, {Site: site}, {Account: account}, {State: "open"}, {State: "over"}, {Level: cordon.Act}, {Level: cordon.Notify},
			{Kind: "scan.*"}, {Device: "02:00:00:00:00:01"}, {Since: cordon.TimeOf(start), Until: cordon.TimeOf(start)}, {Area: "area-01", State: "open", Level: cordon.Notify, Kind: "scan.mirai"}}},
		{"detections", []cordon.Query{{}, {Area: "area-01"}, {Site: site}, {Account: account}, {Kind: "scan.mirai"}, {Kind: "scan.*"}, {Level: cordon.Act}, {Device: "02:00:00:00:00:01"},
			{Site: site, Device: "02:00:00:00:00:01", Since: cordon.TimeOf(start)}, {Group: "group-1", Since: cordon.TimeOf(start)}}},
		{"actions", []cordon.Query{{}, {Area: "area-01"}, {Site: site}, {Account: account}, {Verb: "block"}, {Device: "02:00:00:00:00:01"}, {Group: "group-1"}}},
		{"audits", []cordon.Query{{}, {User: "u1"}, {Verb: "x"}, {Account: account}, {Site: site}, {User: "u1", Verb: "x", Since: cordon.TimeOf(start)}}},
		{"users", []cordon.Query{{}, {Text: "ada"}, {User: "u1"}}},
	} {
		for _, q := range c.queries {
			for _, scope := range []cordon.Scope{everyone, {Accounts: []string{account}}} {
				if !scope.All && c.list == "users" {
					continue // of an account are few
				}
				asked, err := store.Statements(c.list, scope, q)
				must(t, err)
				for _, a := range asked {
					b.plan(c.list, a)
				}
			}
		}
	}
}

// analyze lets the database learn what there is.
func (b *bench) analyze() {
	b.t.Helper()
	rows, err := b.Tx().Query(b.t.Context(), "ANALYZE")
	if err != nil && b.postgres != nil {
		b.t.Fatal(err)
	}
	if err == nil {
		rows.Close()
	}
}

// plan fails the test if a statement reads a table from its beginning, or sorts.
func (b *bench) plan(list string, a *table.Statement) {
	b.t.Helper()
	explain := "EXPLAIN QUERY PLAN "
	if b.postgres != nil {
		explain = "EXPLAIN "
	}
	rows, err := b.Tx().Query(b.t.Context(), explain+a.Text(), a.Args()...)
	if err != nil {
		b.t.Errorf("%s\n%v", a.Text(), err)
		return
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var line string
		if b.postgres != nil {
			err = rows.Scan(&line)
		} else {
			var id, parent, unused int
			err = rows.Scan(&id, &parent, &unused, &line)
		}
		must(b.t, err)
		plan = append(plan, line)
	}
	must(b.t, rows.Err())
	text := strings.Join(plan, "\n")
	bad := strings.Contains(text, "TEMP B-TREE") || strings.Contains(text, "Seq Scan") || strings.Contains(text, "Sort")
	for _, line := range plan { // SQLite: a table is searched, or read in the order of an index
		bad = bad || strings.Contains(line, "SCAN "+list) && !strings.Contains(line, "USING")
	}
	if bad {
		b.t.Errorf("%s\n%v\n%s", a.Text(), a.Args(), text)
	}
}
