package home

import (
	"fmt"
	"testing"

	"cordon"
	"cordon/core/api/view"
)

// TestState gives a home one state, the most urgent.
func TestState(t *testing.T) {
	well := cordon.Router{ID: "r", State: cordon.RouterEnrolled, Online: true}
	camera := view.Incident{Device: view.IncidentDevice{Label: "Camera"}}
	for _, c := range []struct {
		name   string
		o      overview
		change func(*cordon.Router)
		policy cordon.Policy
		want   string
	}{
		{"well", overview{}, nil, cordon.PolicyObserve, "well"},
		{"one device", overview{Incidents: []view.Incident{camera}}, nil, cordon.PolicyObserve, "needs-you"},
		{"cut off", overview{Devices: overviewDevices{Quarantined: 1}}, nil, cordon.PolicyProtect, "needs-you"},
		{"away with a device", overview{Incidents: []view.Incident{camera, camera}}, func(r *cordon.Router) { r.Online = false }, cordon.PolicyObserve, "needs-you"},
		{"away", overview{}, func(r *cordon.Router) { r.Online = false }, cordon.PolicyObserve, "cannot-see"},
		{"none", overview{}, func(r *cordon.Router) { *r = cordon.Router{} }, cordon.PolicyObserve, "cannot-see"},
		{"not yet", overview{}, func(r *cordon.Router) { r.State = cordon.RouterExpected }, cordon.PolicyObserve, "cannot-see"},
		{"revoked", overview{}, func(r *cordon.Router) { r.State = cordon.RouterRevoked }, cordon.PolicyObserve, "cannot-see"},
		{"off", overview{}, nil, cordon.PolicyOff, "cannot-see"},
		{"blind", overview{}, func(r *cordon.Router) { r.Health.Parts = []cordon.Part{{Name: "eyes", State: "failed"}} }, cordon.PolicyObserve, "cannot-see"},
	} {
		r := well
		if c.change != nil {
			c.change(&r)
		}
		if is, sentence := state(&c.o, &r, c.policy); is != c.want || sentence == "" {
			t.Errorf("%s: %s, %q", c.name, is, sentence)
		}
	}
}

// TestCompare names what is desired and not in force.
func TestCompare(t *testing.T) {
	const now, later = cordon.Time(1000e9), cordon.Time(2000e9)
	orders := []cordon.Order{{ID: "in", Expires: later}, {ID: "refused", Expires: later}, {ID: "lost", Expires: later}, {ID: "over", Expires: now - 1}}
	enforced := cordon.Enforced{Version: 7, InForce: []cordon.Action{{ID: "in"}}, Refused: []cordon.Refusal{{What: "refused", Why: "too wide"}}}
	for _, c := range []struct {
		name    string
		desired uint64
		online  bool
		at      cordon.Time
		current bool
		differs string
	}{
		{"current", 7, true, now, true, "[refused lost]"},
		{"behind", 8, true, now, false, "[refused version]"},
		{"away", 8, false, now, false, "[refused version]"},
		{"never told", 8, true, 0, false, "[refused version]"},
	} {
		v := compare(&cordon.Desired{Version: c.desired, Orders: orders}, &cordon.Router{ID: "r", Online: c.online}, &enforced, c.at)
		var what []string
		for _, d := range v.Differs {
			what = append(what, d.What)
		}
		if v.Current != c.current || fmt.Sprint(what) != c.differs {
			t.Errorf("%s: current %v, differs %v", c.name, v.Current, v.Differs)
		}
	}
}
