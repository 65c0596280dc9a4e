package control_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/control"
)

func action(v cordon.Verb, m cordon.Mode, t cordon.Target) control.Action {
	return control.ActionOf(&cordon.Action{ID: "act-1", Verb: v, Mode: m, At: 10, Expires: 20, Rate: cordon.Rate{Connections: 5},
		Entity: cordon.Entity{Device: "02:00:00:00:00:01", Target: t}}, "")
}

func TestStops(t *testing.T) {
	for _, c := range []struct {
		action control.Action
		want   string
	}{
		{action(cordon.VerbBlock, cordon.ModeDo, cordon.Target{Ports: []uint16{23, 2323}, Proto: 6}),
			"The device cannot reach anybody on ports 23, 2323 (telnet) by TCP. Everything else works."},
		{action(cordon.VerbBlock, cordon.ModeDo, cordon.Target{Name: "c2.example", Peer: netip.MustParseAddr("192.0.2.7"), Ports: []uint16{9999}}),
			"The device cannot reach c2.example (192.0.2.7) on port 9999. Everything else works."},
		{action(cordon.VerbLimit, cordon.ModeDo, cordon.Target{Net: netip.MustParsePrefix("192.0.2.0/24"), Proto: 17}),
			"The device can reach any address in 192.0.2.0/24 by UDP only slowly (5 new connections a second). Everything else works."},
		{action(cordon.VerbQuarantine, cordon.ModeAsk, cordon.Target{}), "Nothing yet, the customer is asked."},
		{action(cordon.VerbBlock, cordon.ModeWould, cordon.Target{Peer: netip.MustParseAddr("192.0.2.7")}), "Nothing, the policy only observes."},
		{action(cordon.VerbNotify, cordon.ModeDo, cordon.Target{}), ""},
	} {
		if got := c.action.Stops; c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.action.Verb, got, c.want)
		}
	}
}

func TestExplain(t *testing.T) {
	inForce := []control.Action{
		action(cordon.VerbNotify, cordon.ModeDo, cordon.Target{}),
		action(cordon.VerbBlock, cordon.ModeDo, cordon.Target{Peer: netip.MustParseAddr("2001:db8::7"), Ports: []uint16{23}}),
		action(cordon.VerbBlock, cordon.ModeWould, cordon.Target{Name: "a.example"}),
		action(cordon.VerbQuarantine, cordon.ModeDo, cordon.Target{}),
	}
	inForce[3].At, inForce[3].Expires = 5, 90
	camera := &cordon.Device{ID: "02:00:00:00:00:01", HasMAC: true, MAC: cordon.MAC{2, 0, 0, 0, 0, 1}}
	incident := &cordon.Incident{ID: "inc-1", Device: camera, Told: "Your camera looks for victims."}
	d := control.DeviceOf(camera, cordon.PolicyProtect, incident, inForce)
	if d.State != control.StateQuarantined || d.Incident != "inc-1" || d.MAC != camera.ID {
		t.Errorf("device %+v", d)
	}
	e := control.Explain(d, []control.Incident{control.IncidentOf(incident, true, nil)}, nil)
	if e.Since != 5 || e.Until != 90 || len(e.Stops) != 2 {
		t.Errorf("since %d until %d, stops %q", e.Since, e.Until, e.Stops)
	}
	if want := "It is cut off from the internet and from the other devices at home. Under another policy something would have been cut. Your camera looks for victims."; e.Summary != want {
		t.Errorf("summary %q, want %q", e.Summary, want)
	}
	var commands []string
	for _, u := range e.Undo {
		commands = append(commands, u.Command)
	}
	want := []string{"cordon-agent release act-1", "cordon-agent allow 02:00:00:00:00:01 [2001:db8::7]:23 --for 7d",
		"cordon-agent release 02:00:00:00:00:01"}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestHostileName shows that a name that a device chose cannot become a command.
func TestHostileName(t *testing.T) {
	a := action(cordon.VerbBlock, cordon.ModeDo, cordon.Target{Name: "a.example; rm -rf /"})
	e := control.Explain(control.Device{Actions: []control.Action{a}}, nil, nil)
	for _, u := range e.Undo {
		if strings.Contains(u.Command, "rm") {
			t.Errorf("command %q", u.Command)
		}
	}
}

func TestStateOf(t *testing.T) {
	d := &cordon.Device{}
	for _, c := range []struct {
		actions  []control.Action
		incident *cordon.Incident
		want     control.State
	}{
		{nil, nil, control.StateOK},
		{nil, &cordon.Incident{}, control.StateWatched},
		{[]control.Action{action(cordon.VerbBlock, cordon.ModeWould, cordon.Target{})}, nil, control.StateWatched},
		{[]control.Action{action(cordon.VerbLimit, cordon.ModeDo, cordon.Target{})}, nil, control.StateLimited},
		{[]control.Action{action(cordon.VerbBlock, cordon.ModeDo, cordon.Target{}), action(cordon.VerbLimit, cordon.ModeDo, cordon.Target{})}, nil, control.StateBlocked},
	} {
		if got := control.DeviceOf(d, cordon.PolicyProtect, c.incident, c.actions).State; got != c.want {
			t.Errorf("%v: %s, want %s", c.actions, got, c.want)
		}
	}
}
