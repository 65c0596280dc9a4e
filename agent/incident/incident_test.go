package incident_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/agent/incident"
)

const t0 = cordon.Time(1_000_000 * int64(time.Second))

func book() (*incident.Book, *[]cordon.Incident) {
	var closed []cordon.Incident
	return incident.New(incident.Config{Closed: func(i *cordon.Incident) { closed = append(closed, *i) }}), &closed
}

func camera() *cordon.Device {
	return &cordon.Device{ID: "02:00:00:00:00:01", Name: "camera", Generation: 1, Class: cordon.IoT}
}

func detection(d *cordon.Device, kind cordon.Kind, confirmed bool, at time.Duration) *cordon.Detection {
	return &cordon.Detection{ID: string(kind), Kind: kind, Device: d, At: t0.Add(at), Since: t0.Add(at - time.Second),
		Confirmed: confirmed, Sentence: "It did " + string(kind) + "."}
}

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		name       string
		kinds      []cordon.Kind
		confirmed  bool
		want       cordon.Level
		quarantine bool
	}{
		{"a first sign only watches", []cordon.Kind{cordon.ScanMirai}, false, cordon.Watch, false},
		{"mirai acts and suffices for quarantine", []cordon.Kind{cordon.ScanMirai}, true, cordon.Act, true},
		{"a horizontal scan acts, but one family does not cut a device off", []cordon.Kind{cordon.ScanHorizontal}, true, cordon.Act, false},
		{"a vertical scan is told", []cordon.Kind{cordon.ScanVertical}, true, cordon.Notify, false},
		{"a lateral scan is evidence", []cordon.Kind{cordon.ScanLateral}, true, cordon.Watch, false},
		{"a slow scan is evidence", []cordon.Kind{cordon.ScanSlow}, true, cordon.Watch, false},
		{"kinds of one family count once", []cordon.Kind{cordon.ScanSlow, cordon.ScanLateral, cordon.ScanVertical}, true, cordon.Notify, false},
		{"a kind without a rule does nothing", []cordon.Kind{cordon.ProfileVolume}, true, cordon.Watch, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _ := book()
			d := camera()
			var got incident.Decision
			for i, k := range c.kinds {
				got = b.Add(detection(d, k, c.confirmed, time.Duration(i)*time.Minute))
			}
			if got.Incident.Level != c.want || got.Quarantine != c.quarantine {
				t.Errorf("level %v, quarantine %v (odds %.1f); want %v, %v", got.Incident.Level, got.Quarantine,
					got.Incident.Odds, c.want, c.quarantine)
			}
		})
	}
}

// TestOdds compares the fused odds with the closed form: the prior, plus the
// strongest evidence of each family, halved every six hours.
func TestOdds(t *testing.T) {
	b, _ := book()
	d := camera()
	first := b.Add(detection(d, cordon.ScanHorizontal, true, 0)).Incident.Odds
	if want := math.Log(1e-4) + 9; math.Abs(first-want) > 1e-4 {
		t.Errorf("odds %.5f, want %.5f", first, want)
	}
	later := b.Add(detection(d, cordon.ScanSlow, true, 6*time.Hour)).Incident.Odds
	if want := math.Log(1e-4) + 4.5; math.Abs(later-want) > 1e-4 {
		t.Errorf("six hours later: odds %.5f, want %.5f", later, want)
	}
	again := b.Add(detection(d, cordon.ScanHorizontal, true, 7*time.Hour)).Incident.Odds
	if math.Abs(again-first) > 1e-4 {
		t.Errorf("seen again: odds %.5f, want those of fresh evidence, %.5f", again, first)
	}
}

func TestLevelIsReachedOnce(t *testing.T) {
	b, closed := book()
	d := camera()
	for i := range 5 {
		b.Add(detection(d, cordon.ScanHorizontal, i > 0, time.Duration(i)*time.Minute))
	}
	b.Close()
	got := (*closed)[0]
	if len(got.Raised) != 2 || got.Raised[0].Level != cordon.Watch || got.Raised[1].At != t0.Add(time.Minute) {
		t.Errorf("raised: %+v", got.Raised)
	}
	if n := got.Timeline[1].Count; n != 4 {
		t.Errorf("four equal detections are counted as %d", n)
	}
	if got.Opened != t0.Add(-time.Second) {
		t.Errorf("opened at %v, want when the behaviour began", got.Opened)
	}
}

func TestIncidentsEnd(t *testing.T) {
	b, closed := book()
	d := camera()
	one := b.Add(detection(d, cordon.ScanSlow, true, 0)).Incident.ID
	b.Advance(t0.Add(23 * time.Hour))
	if len(*closed) != 0 {
		t.Fatal("closed before a quiet day was over")
	}
	b.Advance(t0.Add(25 * time.Hour))
	if len(*closed) != 1 {
		t.Fatalf("%d incidents closed after a quiet day, want 1", len(*closed))
	}
	two := b.Add(detection(d, cordon.ScanSlow, true, 26*time.Hour))
	if two.Incident.ID == one || two.Incident.Odds >= 0 {
		t.Errorf("the next incident goes on with the last one's id or odds: %s, %.1f", two.Incident.ID, two.Incident.Odds)
	}
	three := b.Add(detection(d, cordon.ScanSlow, true, 60*time.Hour)).Incident.ID
	b.Close()
	if len(*closed) != 3 || (*closed)[2].ID != three {
		t.Errorf("closed %d incidents, want 3 with %s last", len(*closed), three)
	}
}

func TestTimelineIsBounded(t *testing.T) {
	b, closed := book()
	d := camera()
	dec := b.Add(detection(d, cordon.ScanMirai, true, 0))
	for i := range 500 {
		b.Acted(d, &cordon.Action{ID: "act-" + strings.Repeat("x", i), Verb: cordon.VerbBlock, Mode: cordon.ModeDo,
			Incident: dec.Incident.ID, At: t0})
	}
	b.Close()
	got := (*closed)[0]
	if len(got.Timeline)+got.Omitted != 501 || len(got.Timeline) > 64 {
		t.Errorf("%d moments and %d omitted, want 501 together and at most 64 kept", len(got.Timeline), got.Omitted)
	}
	if len(got.Story) > 4096 {
		t.Errorf("the story has %d bytes", len(got.Story))
	}
}

func TestStory(t *testing.T) {
	b, closed := book()
	d := camera()
	b.Add(detection(d, cordon.ScanMirai, false, 0))
	dec := b.Add(detection(d, cordon.ScanMirai, true, time.Second))
	b.Acted(d, &cordon.Action{ID: "a", Verb: cordon.VerbBlock, Mode: cordon.ModeWould, Incident: dec.Incident.ID, At: t0,
		Entity: cordon.Entity{Device: d.ID, Target: cordon.Target{Proto: 6, Ports: []uint16{23, 2323}}}})
	b.Close()
	want := "Camera behaves as an infected device does. It did scan.mirai. " +
		"Would have been done: connections from the device to telnet (port 23, 2323) are blocked."
	if got := (*closed)[0].Story; got != want {
		t.Errorf("story:\n%s\nwant:\n%s", got, want)
	}
}

func TestIDsAreStable(t *testing.T) {
	if a, b := incident.ID("x", "ab", "c"), incident.ID("x", "a", "bc"); a == b {
		t.Error("different parts give one id")
	}
	if a, b := incident.ID("x", "ab"), incident.ID("x", "ab"); a != b {
		t.Error("the same parts give two ids")
	}
}
