package incident

import (
	"fmt"
	"slices"

	"cordon"
)

// Told says an incident in one or two sentences to somebody who has never heard
// of a port: what happened, since when, what was done, what to do now. It is empty
// while the customer has nothing to know, or is told nothing by policy. Times are
// those of the incident, so it wants them in wall time.
func Told(i *cordon.Incident) string {
	if i.Level < cordon.Notify || i.Mode == cordon.ModeWould || !slices.Contains(i.Verbs, cordon.VerbNotify) {
		return ""
	}
	words, since := happened(i)
	said := fmt.Sprintf("Your %s %s since %s", i.Device.Label(), words, since.Std().Format("15:04 on 2 January (UTC)"))
	quarantined := slices.Contains(i.Verbs, cordon.VerbQuarantine)
	slowed := slices.Contains(i.Verbs, cordon.VerbLimit) && !slices.Contains(i.Verbs, cordon.VerbBlock)
	switch {
	case i.Mode == cordon.ModeDo && quarantined:
		return said + ", so we have disconnected it for now to protect you and others; " + advice(i) + "."
	case i.Mode == cordon.ModeDo && slowed:
		return said + ", so we have slowed that down; " + advice(i) + "."
	case i.Mode == cordon.ModeDo:
		return said + ", so we have blocked that; " + advice(i) + "."
	case i.Mode == cordon.ModeAsk && quarantined:
		return said + ". May we disconnect it? Until then, " + advice(i) + "."
	case i.Mode == cordon.ModeAsk && slowed:
		return said + ". May we slow that down? Until then, " + advice(i) + "."
	case i.Mode == cordon.ModeAsk:
		return said + ". May we block that? Until then, " + advice(i) + "."
	case i.Device.Class == cordon.Personal || i.Device.Class == cordon.Unknown:
		return said + "; if that was you, nothing needs to be done, otherwise " + advice(i) + "."
	}
	return said + "; " + advice(i) + "."
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
	{cordon.DoSSYN, flooded},
	{cordon.DoSUDP, flooded},
	{cordon.DoSACK, flooded},
	{cordon.DoSGRE, flooded},
	{cordon.DoSICMP, flooded},
	{cordon.DoSDNS, flooded},
	{cordon.DoSHTTP, flooded},
	{cordon.DoSSpoofed, flooded},
	{cordon.DoSReflection, "has been misused by strangers to attack others on the internet"},
	{cordon.ScanMirai, "has been looking for other devices to infect"},
	{cordon.ScanHorizontal, "has been looking for other devices to infect"},
	{cordon.ExploitAttempt, "has been attacking other computers"},
	{cordon.BruteforceOutbound, "has been guessing other people's passwords"},
	{cordon.ScanVertical, "has been trying the doors of another computer"},
	{cordon.C2Indicator, "has been in touch with a place on the internet that is known to be hostile"},
}

// flooded is every flood in plain words.
const flooded = "has been taking part in an attack on somebody on the internet"

// happened says the most telling of what was worth telling, and since when.
func happened(i *cordon.Incident) (words string, since cordon.Time) {
	for _, p := range plain {
		for _, m := range i.Marks {
			if m.Kind == p.kind {
				return p.words, m.Since
			}
		}
	}
	return "has been behaving in an unusual way", i.Opened
}

// advice is the first thing to do. Most malware of this sort does not survive a
// restart, and comes back through the same door.
func advice(i *cordon.Incident) string {
	if i.Device.Class == cordon.Personal {
		return "please check it with a virus scanner"
	}
	return "please switch it off and on again, change its password and install its maker's update"
}
