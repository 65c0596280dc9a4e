package gateway

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cordon"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// TestCleanLeaves what an honest agent says alone.
func TestCleanLeaves(t *testing.T) {
	now := cordon.TimeOf(noon)
	honest := func() cordon.Report {
		return cordon.Report{ID: cordon.ReportID{Router: "r", Boot: 1, Seq: 1}, At: now, Doubt: time.Second,
			Incident: &cordon.Incident{ID: "i", Device: &cordon.Device{ID: "d", Name: "Küche", FirstSeen: now.Add(-time.Hour), LastSeen: now},
				Timeline: []cordon.Moment{{At: now, Text: "a scan"}}},
			Action:   &cordon.ActionReport{Action: cordon.Action{ID: "a", At: now, Expires: now.Add(300 * 24 * time.Hour)}},
			Health:   &cordon.Health{Counters: map[string]uint64{"frames": 1}},
			Enforced: &cordon.Enforced{Version: 1}}
	}
	got := honest()
	if clean(&got, noon); !reflect.DeepEqual(got, honest()) {
		t.Errorf("%+v became %+v", honest(), got)
	}
}

// TestCleanBounds sets every field of a report to what no honest agent says, and looks at
// every field afterwards.
func TestCleanBounds(t *testing.T) {
	var r cordon.Report
	extreme(reflect.ValueOf(&r).Elem(), 0)
	id := r.ID
	clean(&r, noon)
	if r.ID != id {
		t.Error("the id was changed")
	}
	r.ID = cordon.ReportID{}
	within(t, reflect.ValueOf(r), "Report")
	if got := r.Device.FirstSeen; got != cordon.TimeOf(noon.Add(ahead)) {
		t.Errorf("a time of the far future became %s", got)
	}
	if len(r.Health.Counters) > maxItems {
		t.Errorf("%d counters", len(r.Health.Counters))
	}
	r.At = math.MinInt64
	if clean(&r, noon); r.At != 0 {
		t.Errorf("a time long ago became %s", r.At)
	}
}

// extreme fills v as a hostile router would.
func extreme(v reflect.Value, depth int) {
	if !v.CanSet() || depth > 12 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Repeat("ü\x00\xff", 2000))
	case reflect.Int64:
		v.SetInt(math.MaxInt64)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		extreme(v.Elem(), depth+1)
	case reflect.Struct:
		if ours(v.Type()) {
			for i := range v.NumField() {
				extreme(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		n := 2
		if v.Type().Elem().Kind() != reflect.Struct {
			n = 3 * maxItems
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range min(n, 2) {
			extreme(v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range 3 * maxItems {
			v.SetMapIndex(reflect.ValueOf(strings.Repeat("x", i%200+1)+string(rune('0'+i))), reflect.New(v.Type().Elem()).Elem())
		}
	}
}

// within fails for every part of v that is out of bounds.
func within(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); len(s) > maxText || !utf8.ValidString(s) || strings.Contains(s, "\x00") {
			t.Errorf("%s: %d bytes, valid %v", path, len(s), utf8.ValidString(s))
		}
	case reflect.Int64:
		most := int64(cordon.TimeOf(noon.Add(farthest)))
		if v.Type() == spanType {
			most = int64(maxSpan)
		}
		if (v.Type() == timeType || v.Type() == spanType) && (v.Int() < 0 || v.Int() > most) {
			t.Errorf("%s: %d", path, v.Int())
		}
	case reflect.Pointer:
		if !v.IsNil() {
			within(t, v.Elem(), path)
		}
	case reflect.Struct:
		if ours(v.Type()) {
			for i := range v.NumField() {
				within(t, v.Field(i), path+"."+v.Type().Field(i).Name)
			}
		}
	case reflect.Slice:
		if v.Len() > maxItems {
			t.Errorf("%s: %d elements", path, v.Len())
		}
		for i := range min(v.Len(), 3) {
			within(t, v.Index(i), path)
		}
	}
}

func BenchmarkClean(b *testing.B) {
	now := cordon.TimeOf(noon)
	r := cordon.Report{ID: cordon.ReportID{Router: "r", Boot: 1, Seq: 1}, At: now, Detection: &cordon.Detection{ID: "x", Device: &cordon.Device{ID: "d"},
		Evidence: make([]cordon.Evidence, 4), Samples: make([]string, 4)}}
	for b.Loop() {
		clean(&r, noon)
	}
}
