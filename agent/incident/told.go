package incident

import (
	"fmt"
	"slices"

	"cordon"
)

// Told says an incident in one sentence to somebody who has never heard of a
// port: what happened, since when, what was done, what to do now. It is empty
// while the customer has nothing to know. Times are those of the incident, so it
// wants them in wall time.
func Told(i *cordon.Incident) string {
	since := i.Opened.Std().Format("15:04 on 2 January (UTC)")
	name := i.Device.Label()
	switch i.Level {
	case cordon.Act:
		return fmt.Sprintf("Your %s %s since %s%s; %s.", name, happened(i), since, done(i), advice(i))
	case cordon.Notify:
		return fmt.Sprintf("Your %s %s since %s; if that was you, nothing needs to be done, otherwise %s.", name, happened(i), since, advice(i))
	}
	return ""
}

// plain is what a kind of detection is in plain words, the most telling first.
var plain = []struct {
	kind  cordon.Kind
	words string
}{
	{cordon.InfectionChain, "has been under the control of criminals"},
	{cordon.C2Keepalive, "has been taking orders from criminals"},
	{cordon.C2IRC, "has been taking orders from criminals"},
	{cordon.C2P2P, "has been part of a network of infected devices"},
	{cordon.C2Indicator, "has been in touch with a place on the internet that is known to be hostile"},
	{cordon.ScanMirai, "has been looking for other devices to infect"},
	{cordon.ScanHorizontal, "has been looking for other devices to infect"},
	{cordon.ExploitAttempt, "has been attacking other computers"},
	{cordon.BruteforceOutbound, "has been guessing other people's passwords"},
	{cordon.ScanVertical, "has been trying the doors of another computer"},
}

func happened(i *cordon.Incident) string {
	for _, p := range plain {
		if slices.Contains(i.Kinds, p.kind) {
			return p.words
		}
	}
	return "has been behaving in an unusual way"
}

func done(i *cordon.Incident) string {
	quarantined := slices.Contains(i.Verbs, cordon.VerbQuarantine)
	switch {
	case i.Mode == cordon.ModeDo && quarantined:
		return ", so we have disconnected it to protect you and others"
	case i.Mode == cordon.ModeDo:
		return ", so we have blocked that"
	case i.Mode == cordon.ModeAsk && quarantined:
		return ", may we disconnect it?"
	case i.Mode == cordon.ModeAsk:
		return ", may we block that?"
	}
	return ""
}

// advice is the first thing to do. Most malware of this sort does not survive a
// restart, and comes back while the password is the old one.
func advice(i *cordon.Incident) string {
	if i.Device.Class == cordon.Personal {
		return "please check it with a virus scanner"
	}
	return "please switch it off and on again and then change its password"
}
