package records_test

import (
	"path/filepath"
	"testing"

	"cordon"
	"cordon/core/store"
	"cordon/lab/records"
)

func TestFill(t *testing.T) {
	s, err := store.Open(t.Context(), store.Config{Database: filepath.Join(t.TempDir(), "core.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	size := records.Size{Seed: 1, Homes: 50, Devices: 10, Incidents: 120}
	for range 2 { // again changes nothing
		if err := records.Fill(t.Context(), s, size, nil); err != nil {
			t.Fatal(err)
		}
	}
	all := cordon.Scope{All: true}
	devices, err := s.Devices(t.Context(), all, cordon.Query{Limit: cordon.MaxLimit})
	if err != nil || len(devices.Items) < 350 {
		t.Errorf("%d devices, %v; want about 500", len(devices.Items), err)
	}
	incidents, err := s.Incidents(t.Context(), all, cordon.Query{Limit: cordon.MaxLimit})
	if err != nil || len(incidents.Items) != 120 {
		t.Errorf("%d incidents, %v; want 120", len(incidents.Items), err)
	}
	detections, err := s.Detections(t.Context(), all, cordon.Query{Limit: cordon.MaxLimit})
	if err != nil || len(detections.Items) != 360 {
		t.Errorf("%d detections, %v; want 360", len(detections.Items), err)
	}
}
