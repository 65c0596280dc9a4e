package store_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/core/store"
	"cordon/lab/records"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write generated files instead of comparing them")

func testRetention(t *testing.T, b *bench) {
	ctx := t.Context()
	must(t, records.Fill(ctx, b.Store, records.Size{Seed: 3, Homes: 60, Devices: 10, Incidents: 400, Now: start}, nil))
	for i := range 700 {
		must(t, b.Audit(ctx, cordon.Audit{Verb: "x", At: cordon.TimeOf(start.AddDate(0, 0, -i%90))}))
	}
	must(t, b.PutUser(ctx, &cordon.User{ID: "u1"}))
	must(t, b.PutSession(ctx, &cordon.Session{Hash: [32]byte{1}, User: "u1", Expires: b.at() - 1e9}))
	must(t, b.PutSession(ctx, &cordon.Session{Hash: [32]byte{2}, User: "u1", Expires: b.at() + 1e9}))
	must(t, b.PutToken(ctx, &cordon.Token{ID: "t1", User: "u1", Hash: [32]byte{1}, Expires: b.at() - 1e9, Grants: []cordon.Grant{{Role: cordon.RoleMember}}}))
	if gone := get[map[string]int64](t)(b.Retain(ctx, b.at(), cordon.Retention{})); gone["detections"]+gone["incidents"]+gone["devices"]+gone["audits"] != 0 || gone["sessions"] != 1 || gone["tokens"] != 1 {
		t.Errorf("without a time, %v are deleted", gone)
	}
	const day = 24 * time.Hour
	keep := cordon.Retention{Detections: 10 * day, Incidents: 20 * day, Actions: 30 * day, Devices: 40 * day, Summaries: day, Audit: 50 * day}
	gone := get[map[string]int64](t)(b.Retain(ctx, b.at(), keep))
	big := cordon.Query{Limit: cordon.MaxLimit}
	old := func(what string, at cordon.Time, keep time.Duration) {
		if at < b.at().Add(-keep) {
			t.Errorf("%s of %s is kept", what, at)
		}
	}
	left := make(map[string]int64)
	for _, d := range walk(t, b.Detections, detectionKey, everyone, big) {
		old("a detection", d.Detection.At, keep.Detections)
		left["detections"]++
	}
	open := make(map[string]bool)
	for _, i := range walk(t, b.Incidents, incidentKey, everyone, big) {
		old("an incident", i.Incident.Last, keep.Incidents)
		left["incidents"]++
		if !i.Over && i.Closed == "" {
			open[i.Site+" "+i.Incident.Device.ID] = true
		}
	}
	for _, a := range walk(t, b.Actions, actionKey, everyone, big) {
		old("an action", a.Action.At, keep.Actions)
		left["actions"]++
	}
	for _, d := range walk(t, b.Devices, deviceKey, everyone, big) {
		old("a device", d.Device.LastSeen, keep.Devices)
		if d.Level != cordon.None && !open[d.Site+" "+d.Device.ID] {
			t.Errorf("a device without an open incident is at level %s", d.Level)
		}
	}
	for _, a := range walk(t, b.Audits, func(a *cordon.Audit) string { return a.ID }, everyone, big) {
		old("a line", a.At, keep.Audit)
		left["audits"]++
	}
	for kind, all := range map[string]int64{"detections": 1200, "incidents": 400, "actions": 400, "audits": 700} {
		if gone[kind]+left[kind] != all || gone[kind] == 0 || left[kind] == 0 {
			t.Errorf("of %d %s %d are deleted and %d are left", all, kind, gone[kind], left[kind])
		}
	}
	if gone := get[map[string]int64](t)(b.Retain(ctx, b.at(), keep)); gone["detections"]+gone["incidents"]+gone["devices"]+gone["audits"]+gone["actions"] != 0 {
		t.Errorf("a second time %v are deleted", gone)
	}
}

// lived lets a store have something in every table.
func lived(t *testing.T, b *bench) {
	ctx := t.Context()
	for _, name := range []string{"1", "2"} {
		h := b.home(name)
		b.ingest(h, everything(b, "02:00:00:00:00:0"+name)...)
		_, err := b.ChangeDesired(ctx, h.site.ID, cordon.Audit{ID: "audit" + name, Verb: "allow"}, func(d *cordon.Desired) error {
			d.Allowed = []cordon.Permission{{ID: "p1", Target: target, At: b.at(), Expires: b.at().Add(time.Hour)}}
			return nil
		})
		must(t, err)
		must(t, b.PutWebhook(ctx, &cordon.Webhook{ID: "W" + name, Account: h.account.ID, URL: "https://hook.example/\u00fc", Secret: []byte{0, 255}, Events: []cordon.EventSort{cordon.EventIncident}, Level: cordon.Notify, Created: b.at()}))
		u := "U" + name
		must(t, b.PutUser(ctx, &cordon.User{ID: u, Email: u + "@example.org", Grants: []cordon.Grant{{Role: cordon.RoleOwner, Account: h.account.ID}}, Created: b.at()}))
		must(t, b.PutPasskey(ctx, &cordon.Passkey{ID: []byte(name), User: u, Data: []byte{1, 0, 2}}))
		must(t, b.PutToken(ctx, &cordon.Token{ID: "T" + name, Hash: [32]byte{name[0]}, User: u, Expires: b.at().Add(time.Hour), Grants: []cordon.Grant{{Role: cordon.RoleMember, Account: h.account.ID}}}))
		must(t, b.PutSession(ctx, &cordon.Session{Hash: [32]byte{name[0]}, User: u, Expires: b.at().Add(time.Hour)}))
		must(t, b.Remember(ctx, u, "k", [32]byte{1}, []byte(`{"a":1}`)))
		must(t, b.CloseIncident(ctx, h.site.ID, "i1", cordon.ClosedMended, "Ada", "Done.", 0))
	}
	_, err := b.ChangeShadows(ctx, cordon.Audit{ID: "audit3", Verb: "shadow"}, func([]cordon.Shadow) ([]cordon.Shadow, error) {
		return []cordon.Shadow{{ID: "h1", Kind: "scan.*", At: b.at(), Expires: b.at().Add(time.Hour)}}, nil
	})
	must(t, err)
}

func testDump(t *testing.T, b *bench) {
	lived(t, b)
	var dump bytes.Buffer
	must(t, b.Dump(t.Context(), &dump))
	targets := []string{b.fresh()}
	if b.postgres != nil { // across the two, there and back
		targets = []string{filepath.Join(t.TempDir(), "core.db"), b.fresh()}
	}
	from := dump.Bytes()
	for _, target := range targets {
		s := b.open(target)
		for cut := range 5 {
			err := s.Load(t.Context(), bytes.NewReader(from[:len(from)*cut/5]))
			wants(t, "a part of a dump", err, cordon.ErrInvalid)
		}
		for what, wrong := range map[string]string{"table": strings.Replace(string(from), `"sites"`, `"sites; DROP TABLE sites"`, 1), "column": strings.Replace(string(from), `"reference"`, `"reference) --"`, 1)} {
			wants(t, "a dump with an evil "+what, s.Load(t.Context(), strings.NewReader(wrong)), cordon.ErrInvalid)
		}
		must(t, s.Load(t.Context(), bytes.NewReader(from)))
		var again bytes.Buffer
		must(t, s.Dump(t.Context(), &again))
		if diff := cmp.Diff(strings.Split(dump.String(), "\n"), strings.Split(again.String(), "\n")); diff != "" {
			t.Errorf("%s (-was +is):\n%s", target, diff)
		}
		wants(t, "load twice", s.Load(t.Context(), bytes.NewReader(from)), cordon.ErrConflict)
		from = again.Bytes()
		if d := get[cordon.DeviceRecord](t)(s.Device(t.Context(), "S1", "02:00:00:00:00:01")); d.Device.Maker != "Acme" {
			t.Errorf("the device is %+v", d)
		}
	}
}

// schemas are the released versions of the schema, with the SHA-256 of the migration that
// made each. A migration that was released never changes: write another.
var schemas = map[string]string{"00001_records.sql": "-"}

// testMigrate opens databases as each released version of the schema left them.
func testMigrate(t *testing.T, b *bench) {
	old, err := filepath.Glob("testdata/schema*.jsonl")
	must(t, err)
	if len(old) != len(schemas) && !*update {
		t.Fatalf("there are %d dumps of old schemas, want %d", len(old), len(schemas))
	}
	if *update && b.postgres == nil {
		lived(t, b)
		var dump bytes.Buffer
		must(t, b.Dump(t.Context(), &dump))
		must(t, os.WriteFile(fmt.Sprintf("testdata/schema%d.jsonl", len(schemas)), dump.Bytes(), 0o644))
	}
	for _, path := range old {
		var schema int64
		fmt.Sscanf(filepath.Base(path), "schema%d.jsonl", &schema)
		dump := get[[]byte](t)(os.ReadFile(path))
		target := b.fresh()
		s, err := store.OpenAt(t.Context(), store.Config{Database: target}, schema)
		must(t, err)
		must(t, s.Load(t.Context(), bytes.NewReader(dump)))
		must(t, s.Close())
		s = b.open(target)
		for _, name := range []string{"1", "2"} {
			mac := "02:00:00:00:00:0" + name
			d := get[cordon.DeviceRecord](t)(s.Device(t.Context(), "S"+name, mac))
			i := get[cordon.IncidentRecord](t)(s.Incident(t.Context(), "S"+name, "i1"))
			u := get[cordon.User](t)(s.UserByEmail(t.Context(), "U"+name+"@example.org"))
			r := get[cordon.Router](t)(s.RouterOfSite(t.Context(), "S"+name))
			w := get[cordon.Desired](t)(s.Desired(t.Context(), "S"+name))
			if d.Device.Model != "C-100" || i.Note != "Done." || len(i.Incident.Timeline) != 1 || len(u.Grants) != 1 || r.Health.Lost != 9 || len(w.Allowed) != 1 {
				t.Errorf("schema %d: %+v\n%+v\n%+v\n%+v\n%+v", schema, d, i, u, r, w)
			}
		}
	}
}

func TestMigrationsStay(t *testing.T) {
	files, err := filepath.Glob("table/dialect/migrations/*.sql")
	must(t, err)
	for _, path := range files {
		sum := sha256.Sum256(get[[]byte](t)(os.ReadFile(path)))
		if want := schemas[filepath.Base(path)]; want != "-" && want != hex.EncodeToString(sum[:]) {
			t.Errorf("%s is %x, want %s: a migration that was released never changes", path, sum, want)
		}
	}
}
