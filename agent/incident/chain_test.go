package incident_test

import (
	"testing"
	"time"

	"cordon"
)

func TestChain(t *testing.T) {
	type step struct {
		kind      cordon.Kind
		confirmed bool
		at        time.Duration
	}
	guessed := step{cordon.BruteforceInbound, true, 0}
	attacked := step{cordon.ExploitAttempt, false, 0}
	loaded := step{cordon.ExploitDownloader, true, 20 * time.Second}
	scans := step{cordon.ScanMirai, true, 30 * time.Second}
	for _, c := range []struct {
		name  string
		steps []step
		want  bool
	}{
		{"guessed, loaded, scanning", []step{guessed, loaded, scans}, true},
		{"attacked, loaded, commanded", []step{attacked, loaded, {cordon.C2Keepalive, true, 3 * time.Minute}}, true},
		{"loaded and scanning, no entry seen", []step{loaded, scans}, false},
		{"guessed and scanning, nothing loaded", []step{guessed, scans}, false},
		{"in the wrong order", []step{scans, loaded, guessed}, false},
		{"entry after the load", []step{loaded, {cordon.BruteforceInbound, true, 25 * time.Second}, scans}, false},
		{"the load came an hour later", []step{guessed, {cordon.ExploitDownloader, true, time.Hour}, {cordon.ScanMirai, true, time.Hour}}, false},
		{"the scan came an hour later", []step{guessed, loaded, {cordon.ScanMirai, true, time.Hour}}, false},
		{"looking at neighbours completes nothing", []step{guessed, loaded, {cordon.ScanLateral, true, time.Minute}}, false},
		{"an outbound exploit is activity, not entry", []step{{cordon.ExploitAttempt, true, 0}, loaded, scans}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _ := book()
			d := camera()
			var got *cordon.Detection
			for _, s := range c.steps {
				if dec := b.Add(detection(d, s.kind, s.confirmed, s.at)); dec.Chain != nil {
					if got != nil {
						t.Error("told twice")
					}
					got = dec.Chain
				}
			}
			if (got != nil) != c.want {
				t.Fatalf("chain: %v, want %v", got != nil, c.want)
			}
			if got != nil && (got.Kind != cordon.InfectionChain || got.Since != t0.Add(19*time.Second) || len(got.Evidence) != 3) {
				t.Errorf("chain: %+v", got)
			}
		})
	}
}

// TestChainCutsOff adds up what a guessed, loaded and commanded camera shows:
// none of it alone suffices for quarantine.
func TestChainCutsOff(t *testing.T) {
	b, _ := book()
	d := camera()
	b.Add(detection(d, cordon.BruteforceInbound, true, 0))
	if dec := b.Add(detection(d, cordon.ExploitDownloader, true, 10*time.Second)); dec.Quarantine || dec.Incident.Level != cordon.Watch {
		t.Errorf("a download: level %v, quarantine %v", dec.Incident.Level, dec.Quarantine)
	}
	dec := b.Add(detection(d, cordon.C2Keepalive, true, 2*time.Minute))
	if !dec.Quarantine || dec.Chain == nil {
		t.Errorf("and a command server: odds %.1f, quarantine %v, chain %v", dec.Incident.Odds, dec.Quarantine, dec.Chain != nil)
	}
}
