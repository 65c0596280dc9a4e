package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"cordon"
	"cordon/lab/office"
)

// BenchmarkRequest is what a request costs on SQLite.
func BenchmarkRequest(b *testing.B) {
	o := office.New(b)
	u := o.People[cordon.RoleOwner]
	var reports []cordon.Report
	for n := range 200 {
		now := cordon.TimeOf(time.Now())
		d := &cordon.Device{ID: fmt.Sprintf("02:00:00:00:01:%02x", n), Name: "Device", Maker: "Acme", FirstSeen: now, LastSeen: now,
			Reasons: []string{"it announces itself as a camera"}}
		reports = append(reports, cordon.Report{ID: cordon.ReportID{Router: o.Own.Router, Boot: 2, Seq: uint64(n + 1)}, At: now, Device: d})
	}
	_, err := o.Store.Ingest(context.Background(), reports)
	must(b, err)
	cookie := o.As(u)
	for name, path := range map[string]string{"site": "/v1/sites/" + o.Own.Site, "device": "/v1/sites/" + o.Own.Site + "/devices/" + o.Own.Device,
		"50 devices": "/v1/devices?limit=50", "incident": "/v1/sites/" + o.Own.Site + "/incidents/i1"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("GET", path, nil)
				r.Header = http.Header{"Cookie": {cookie}, "Accept-Encoding": {"gzip"}}
				w := httptest.NewRecorder()
				o.Server.Config.Handler.ServeHTTP(w, r)
				if w.Code != 200 {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
