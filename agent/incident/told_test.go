package incident_test

import (
	"testing"
	"time"

	"cordon"
	"cordon/agent/incident"
)

func TestTold(t *testing.T) {
	opened := cordon.TimeOf(time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC))
	begun := cordon.TimeOf(time.Date(2026, 3, 1, 6, 3, 0, 0, time.UTC))
	notify := []cordon.Verb{cordon.VerbNotify}
	cut := []cordon.Verb{cordon.VerbNotify, cordon.VerbQuarantine}
	const advice = "please switch it off and on again, change its password and install its maker's update."
	for _, c := range []struct {
		name  string
		level cordon.Level
		kind  cordon.Kind
		class cordon.Class
		verbs []cordon.Verb
		mode  cordon.Mode
		want  string
	}{
		{"watched", cordon.Watch, cordon.ScanLateral, cordon.IoT, nil, "", ""},
		{"infected and cut off", cordon.Act, cordon.InfectionChain, cordon.IoT, cut, cordon.ModeDo,
			"Your cam-porch has been under the control of criminals since 06:03 on 1 March (UTC), so we have disconnected it for now to protect you and others; " + advice},
		{"scanning and blocked", cordon.Act, cordon.ScanHorizontal, cordon.IoT, notify, cordon.ModeDo,
			"Your cam-porch has been looking for other devices to infect since 06:03 on 1 March (UTC), so we have blocked that; " + advice},
		{"asked", cordon.Act, cordon.C2Keepalive, cordon.IoT, cut, cordon.ModeAsk,
			"Your cam-porch has been taking orders from criminals since 06:03 on 1 March (UTC). May we disconnect it? Until then, " + advice},
		{"only observed", cordon.Act, cordon.C2Keepalive, cordon.IoT, cut, cordon.ModeWould, ""},
		{"a thing that guesses", cordon.Notify, cordon.BruteforceOutbound, cordon.IoT, notify, "",
			"Your cam-porch has been guessing other people's passwords since 06:03 on 1 March (UTC); " + advice},
		{"a person's computer", cordon.Notify, cordon.ScanVertical, cordon.Personal, notify, "",
			"Your cam-porch has been trying the doors of another computer since 06:03 on 1 March (UTC); if that was you, nothing needs to be done, otherwise please check it with a virus scanner."},
	} {
		i := cordon.Incident{Level: c.level, Opened: opened, Verbs: c.verbs, Mode: c.mode,
			Device: &cordon.Device{Name: "cam-porch", Class: c.class},
			Kinds:  []cordon.Kind{cordon.C2Indicator, c.kind}, // a doubtful indicator on top
			Marks:  []cordon.Mark{{Kind: c.kind, Level: c.level, Since: begun}}}
		if got := incident.Told(&i); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.want)
		}
	}
}
