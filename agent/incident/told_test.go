package incident_test

import (
	"testing"
	"time"

	"cordon"
	"cordon/agent/incident"
)

func TestTold(t *testing.T) {
	opened := cordon.TimeOf(time.Date(2026, 3, 1, 6, 3, 0, 0, time.UTC))
	for _, c := range []struct {
		name string
		i    cordon.Incident
		want string
	}{
		{"watched", cordon.Incident{Level: cordon.Watch, Kinds: []cordon.Kind{cordon.ScanLateral}}, ""},
		{"infected and cut off", cordon.Incident{Level: cordon.Act, Kinds: []cordon.Kind{cordon.ScanMirai, cordon.InfectionChain},
			Verbs: []cordon.Verb{cordon.VerbQuarantine}, Mode: cordon.ModeDo},
			"Your cam-porch has been under the control of criminals since 06:03 on 1 March (UTC), so we have disconnected it to protect you and others; please switch it off and on again and then change its password."},
		{"scanning and blocked", cordon.Incident{Level: cordon.Act, Kinds: []cordon.Kind{cordon.ScanHorizontal},
			Verbs: []cordon.Verb{cordon.VerbBlock}, Mode: cordon.ModeDo},
			"Your cam-porch has been looking for other devices to infect since 06:03 on 1 March (UTC), so we have blocked that; please switch it off and on again and then change its password."},
		{"only observed", cordon.Incident{Level: cordon.Act, Kinds: []cordon.Kind{cordon.C2Keepalive}, Mode: cordon.ModeWould},
			"Your cam-porch has been taking orders from criminals since 06:03 on 1 March (UTC); please switch it off and on again and then change its password."},
		{"to know about", cordon.Incident{Level: cordon.Notify, Kinds: []cordon.Kind{cordon.BruteforceOutbound}},
			"Your cam-porch has been guessing other people's passwords since 06:03 on 1 March (UTC); if that was you, nothing needs to be done, otherwise please switch it off and on again and then change its password."},
	} {
		c.i.Opened, c.i.Device = opened, &cordon.Device{Name: "cam-porch", Class: cordon.IoT}
		if got := incident.Told(&c.i); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.want)
		}
	}
}
