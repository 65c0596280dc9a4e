package store_test

import (
	"fmt"
	"testing"
	"time"

	"cordon"

	"github.com/google/go-cmp/cmp"
)

func testAccounts(t *testing.T, b *bench) {
	ctx := t.Context()
	a := cordon.Account{ID: "a1", Reference: "4711", Name: "Ñandú\x00 \xff", Sort: cordon.Business, Locale: "de", Policy: cordon.PolicyAsk, Created: b.at()}
	must(t, b.PutAccount(ctx, &a))
	a.Name = "Ñandú \uFFFD" // no NUL, valid UTF-8
	if diff := cmp.Diff(a, get[cordon.Account](t)(b.Account(ctx, "a1"))); diff != "" || a.Version != 1 {
		t.Errorf("stored (-want +got), version %d:\n%s", a.Version, diff)
	}
	again := a
	again.Version = 0
	wants(t, "create again", b.PutAccount(ctx, &again), cordon.ErrConflict)
	a.Name = "Cassowary"
	must(t, b.PutAccount(ctx, &a))
	again = a
	again.Version = 1
	wants(t, "change an old version", b.PutAccount(ctx, &again), cordon.ErrConflict)
	if a.Version != 2 || again.Version != 1 {
		t.Errorf("versions %d and %d, want 2 and, refused, 1", a.Version, again.Version)
	}
	other := cordon.Account{ID: "a2", Reference: "4711"}
	wants(t, "a reference that is taken", b.PutAccount(ctx, &other), cordon.ErrConflict)
	other.Reference = ""
	must(t, b.PutAccount(ctx, &other))
	third := cordon.Account{ID: "a3"}
	must(t, b.PutAccount(ctx, &third)) // many may have none
	third.Reference = "4711"
	wants(t, "change to a reference that is taken", b.PutAccount(ctx, &third), cordon.ErrConflict)
	_, err := b.Account(ctx, "a9")
	wants(t, "an account that is not there", err, cordon.ErrNotFound)
	wants(t, "an account without id", b.PutAccount(ctx, &cordon.Account{}), cordon.ErrInvalid)
	must(t, b.Check(ctx))
}

func testSites(t *testing.T, b *bench) {
	ctx := t.Context()
	h := b.home("1")
	wants(t, "a site of nobody", b.PutSite(ctx, &cordon.Site{ID: "s", Account: "nobody"}), cordon.ErrInvalid)
	b.ingest(h, cordon.Report{Device: device("02:00:00:00:00:01")})
	other := b.home("2")
	moved := h.site
	moved.Account = other.account.ID
	wants(t, "another account", b.PutSite(ctx, &moved), cordon.ErrInvalid)
	h.site.Area, h.site.Group, h.site.Installer = "south", "", "U1"
	must(t, b.PutSite(ctx, &h.site))
	if diff := cmp.Diff(h.site, get[cordon.Site](t)(b.Site(ctx, h.site.ID))); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	d := get[cordon.Page[cordon.DeviceRecord]](t)(b.Devices(ctx, everyone, cordon.Query{Area: "south"}))
	if r := get[cordon.Router](t)(b.RouterOfSite(ctx, h.site.ID)); r.Area != "south" || len(d.Items) != 1 || d.Items[0].Area != "south" {
		t.Errorf("after the move the router is in %q, and the devices there are %+v", r.Area, d.Items)
	}
}

func testRouters(t *testing.T, b *bench) {
	ctx := t.Context()
	h := b.home("1")
	if r := h.router; r.State != cordon.RouterEnrolled || r.Key != "U1" || r.Enrolled != b.at() || r.Account != "A1" || r.Area != "north" {
		t.Errorf("enrolled: %+v", r)
	}
	must(t, b.Enrol(ctx, "R1", "U1", b.at()))
	wants(t, "enrol with another key", b.Enrol(ctx, "R1", "U2", b.at()), cordon.ErrConflict)
	wants(t, "enrol nobody", b.Enrol(ctx, "R9", "U2", b.at()), cordon.ErrNotFound)
	second := cordon.Router{ID: "R2", Serial: "SN-2", Site: "S1", State: cordon.RouterExpected}
	wants(t, "a second router of a site", b.PutRouter(ctx, &second), cordon.ErrConflict)
	wants(t, "a router of no site", b.PutRouter(ctx, &cordon.Router{ID: "R3", Serial: "SN-3", Site: "S9"}), cordon.ErrInvalid)
	must(t, b.PutRouter(ctx, &cordon.Router{ID: "R4", Serial: "SN-4", State: cordon.RouterExpected})) // in stock
	must(t, b.Revoke(ctx, "R1", "stolen"))
	must(t, b.Revoke(ctx, "R1", "stolen"))
	wants(t, "enrol after it was revoked", b.Enrol(ctx, "R1", "U1", b.at()), cordon.ErrConflict)
	if r := get[cordon.Router](t)(b.RouterOfSite(ctx, "S1")); r.ID != "R1" {
		t.Errorf("the only router of the site is %s", r.ID)
	}
	must(t, b.PutRouter(ctx, &second))
	if r := get[cordon.Router](t)(b.RouterOfSite(ctx, "S1")); r.ID != "R2" {
		t.Errorf("the router of the site is %s, not the new one", r.ID)
	}
	wants(t, "reset while the site has another", b.Reset(ctx, "R1"), cordon.ErrConflict)
	must(t, b.Enrol(ctx, "R2", "U2", b.at()))
	must(t, b.Reset(ctx, "R2"))
	must(t, b.Reset(ctx, "R2"))
	must(t, b.Enrol(ctx, "R2", "U3", b.at()))
	r := get[cordon.Router](t)(b.RouterBySerial(ctx, "SN-2"))
	if r.Key != "U3" || r.Enrolled <= b.at() {
		t.Errorf("enrolled again in the same moment: %s at %s, want U3 and later than the first time, %s", r.Key, r.Enrolled, b.at())
	}
	r.Model, r.Claim.Expires = "M2", b.at().Add(time.Hour)
	must(t, b.PutRouter(ctx, &r))
	if diff := cmp.Diff(r, get[cordon.Router](t)(b.Router(ctx, "R2"))); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func testImport(t *testing.T, b *bench) {
	ctx := t.Context()
	var list []cordon.RouterImport
	for i := range 300 {
		list = append(list, cordon.RouterImport{Line: i + 2, Serial: fmt.Sprintf("SN%d", i), Claim: cordon.Claim{SecretHash: [32]byte{byte(i), 1}},
			AccountReference: fmt.Sprintf("K%d", i/2), SiteReference: fmt.Sprintf("L%d", i), Area: "north", Model: "M1"})
	}
	list[7].SiteReference = "" // the router is all that names its site
	run := func(what string, dry bool, list []cordon.RouterImport, created, updated, unchanged, problems int) cordon.ImportResult {
		t.Helper()
		r, err := b.ImportRouters(ctx, list, dry)
		must(t, err)
		if r.Created != created || r.Updated != updated || r.Unchanged != unchanged || len(r.Problems) != problems {
			t.Errorf("%s: %d created, %d updated, %d unchanged, %d problems %v; want %d, %d, %d, %d", what, r.Created, r.Updated, r.Unchanged,
				len(r.Problems), r.Problems, created, updated, unchanged, problems)
		}
		return r
	}
	run("a try", true, list, 300, 0, 0, 0)
	run("the list", false, list, 300, 0, 0, 0)
	run("the list again", false, list, 0, 0, 300, 0)
	r := get[cordon.Router](t)(b.RouterBySerial(ctx, "SN8"))
	site := get[cordon.Site](t)(b.Site(ctx, r.Site))
	account := get[cordon.Account](t)(b.Account(ctx, r.Account))
	if r.State != cordon.RouterExpected || r.Claim != list[8].Claim || site.Reference != "L8" || site.Name != "L8" || account.Reference != "K4" || site.Account != account.ID {
		t.Errorf("imported %+v\nat %+v\nof %+v", r, site, account)
	}

	changed := append([]cordon.RouterImport(nil), list...)
	changed[0].Area, changed[1].Model, changed[2].AccountName, changed[3].Claim.SecretHash = "south", "M2", "Ada", [32]byte{9, 9}
	run("changes", false, changed, 0, 4, 296, 0)
	if r := get[cordon.Router](t)(b.RouterBySerial(ctx, "SN0")); r.Area != "south" {
		t.Errorf("the router is in %q after its site moved", r.Area)
	}

	must(t, b.Revoke(ctx, get[cordon.Router](t)(b.RouterBySerial(ctx, "SN5")).ID, ""))
	bad := []cordon.RouterImport{
		{Line: 1, Serial: "", AccountReference: "K1"},
		{Line: 2, Serial: "SN0", AccountReference: "K0", SiteReference: "L0"}, {Line: 3, Serial: "SN0", AccountReference: "K0", SiteReference: "L0"},
		{Line: 4, Serial: "NEW1"}, {Line: 5, Serial: "NEW2", AccountReference: "K1"},
		{Line: 6, Serial: "SN5", AccountReference: "K2", SiteReference: "L5"},
		{Line: 7, Serial: "NEW3", AccountReference: "K0", SiteReference: "L4", Claim: list[0].Claim}, // K2's
		{Line: 8, Serial: "NEW4", AccountReference: "K2", SiteReference: "L4", Claim: list[0].Claim}, // has SN4
		{Line: 9, Serial: "NEW\x00", AccountReference: "K2", Claim: list[0].Claim},
		{Line: 10, Serial: "NEW5", AccountReference: "K2", SiteReference: "L5", Claim: list[0].Claim}, // free by now
	}
	got := run("problems", false, bad, 1, 0, 1, 8)
	var where []string
	for _, p := range got.Problems {
		where = append(where, fmt.Sprint(p.Line, p.What))
	}
	if diff := cmp.Diff([]string{"1serial", "3serial", "4account", "5claim", "6serial", "7site", "8site", "9serial"}, where); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	_, err := b.RouterBySerial(ctx, "NEW5")
	wants(t, "a sound line of a list with problems", err, cordon.ErrNotFound)
	run("what was sound", false, bad[9:], 1, 0, 0, 0)
}

func testErase(t *testing.T, b *bench) {
	ctx := t.Context()
	gone, stays := b.home("1"), b.home("2")
	for _, h := range []*home{gone, stays} {
		b.ingest(h, everything(b, "02:00:00:00:00:01")...)
		_, err := b.ChangeDesired(ctx, h.site.ID, cordon.Audit{Verb: "policy", Object: "something private"}, func(d *cordon.Desired) error { return nil })
		must(t, err)
		must(t, b.PutWebhook(ctx, &cordon.Webhook{ID: "W" + h.site.ID, Account: h.account.ID}))
	}
	for _, u := range []cordon.User{
		{ID: "owner", Grants: []cordon.Grant{{Role: cordon.RoleOwner, Account: "A1"}}},
		{ID: "installer", Grants: []cordon.Grant{{Role: cordon.RoleInstaller, Site: "S1"}}},
		{ID: "both", Grants: []cordon.Grant{{Role: cordon.RoleOwner, Account: "A1"}, {Role: cordon.RoleOwner, Account: "A2"}}},
		{ID: "staff", Grants: []cordon.Grant{{Role: cordon.RoleOperator}}},
	} {
		must(t, b.PutUser(ctx, &u))
	}
	wants(t, "erase nobody", b.EraseAccount(ctx, "A9"), cordon.ErrNotFound)
	must(t, b.EraseAccount(ctx, "A1"))
	for id, want := range map[string]error{"owner": cordon.ErrNotFound, "installer": cordon.ErrNotFound, "both": nil, "staff": nil} {
		u, err := b.User(ctx, id)
		wants(t, "user "+id, err, want)
		if id == "both" && len(u.Grants) != 1 {
			t.Errorf("the user of two accounts may still %v", u.Grants)
		}
	}
	for _, h := range []*home{gone, stays} {
		n := 0
		own := cordon.Scope{Accounts: []string{h.account.ID}}
		n += len(get[cordon.Page[cordon.Account]](t)(b.Accounts(ctx, own, cordon.Query{})).Items)
		n += len(get[cordon.Page[cordon.Site]](t)(b.Sites(ctx, own, cordon.Query{})).Items)
		n += len(get[cordon.Page[cordon.Router]](t)(b.Routers(ctx, own, cordon.Query{})).Items)
		n += len(get[cordon.Page[cordon.DeviceRecord]](t)(b.Devices(ctx, own, cordon.Query{})).Items)
		n += len(get[cordon.Page[cordon.IncidentRecord]](t)(b.Incidents(ctx, own, cordon.Query{})).Items)
		n += len(get[cordon.Page[cordon.DetectionRecord]](t)(b.Detections(ctx, own, cordon.Query{})).Items)
		n += len(get[cordon.Page[cordon.ActionRecord]](t)(b.Actions(ctx, own, cordon.Query{})).Items)
		n += len(get[[]cordon.Webhook](t)(b.Webhooks(ctx, h.account.ID)))
		lines := get[cordon.Page[cordon.Audit]](t)(b.Audits(ctx, own, cordon.Query{})).Items
		if want := map[*home]int{gone: 0, stays: 8}[h]; n != want || len(lines) != 1 || (lines[0].Object == "") != (h == gone) {
			t.Errorf("of %s there are %d records, want %d, and the lines %+v", h.account.ID, n, want, lines)
		}
	}
}
