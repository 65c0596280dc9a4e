package horizontal

import "cordon"

// About describes scan.horizontal.
func About() []cordon.About {
	return []cordon.About{{
		Kind:   cordon.ScanHorizontal,
		Sees:   "First contacts: a device's first connection to a host on a class of ports, within half an hour. Only TCP, only towards the internet, and only where no answer to the device's own DNS query led.",
		Judges: "A threshold random walk per device and class of ports: each failure is a step up (the odds of a scan times four), each answer a step down, never below zero. Attempts count at once and are undone by the answer; on web ports they count once they have failed. Besides, many different hosts on one probed port within seconds are a scan even if they answer.",
		Parameters: []cordon.Parameter{
			{Name: "Watch", Default: "7 steps", Meaning: "a first sign"},
			{Name: "Confirm", Default: "12 steps", Meaning: "a scan; acts alone"},
			{Name: "Fan, FanWindow", Default: "15 hosts in 10 s", Meaning: "a scan whatever the answers, on probed ports that are not web ports"},
			{Name: "Idle", Default: "5 min", Meaning: "a walk without contacts is forgotten; slower scans are scan.slow's"},
			{Name: "Renew", Default: "10 min", Meaning: "how often a scan that goes on is told again"},
		},
		Evidence: "First contacts that failed and since when, the steps of the walk (the base-4 logarithm of the odds of a scan), first contacts that were answered, and the first few destinations.",
		FalseAlarms: []string{
			"File sharing has many dead peers, but on ports all over the range: on a port that malware is not known for, twice as much is needed and most of the device's failures must be on that port; from a person's computer it is never more than a sign.",
			"Restored browser tabs, DNS over HTTPS: web ports count failures only, a person's computer is never more than a sign there, a device of unknown class needs twice as much.",
			"An outage: nothing counts while the home's line owes answers.",
			"A cloud that is down: its addresses are few, and a contact counts once.",
		},
		Inputs: "Packets, or flow records with TCP flags and a DNS log; without the DNS log contacts by name count too.",
		Bound:  "Wald's bound for 12 steps is 6·10⁻⁸ a walk; no false alarm on the benign captures of docs/evaluation.md nor on the synthetic homes.",
		Delay:  "4 ms to confirmation at Mirai's rate, 16 s at one new host a second (real captures).",
	}}
}
