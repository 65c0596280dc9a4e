package slow

import "cordon"

// About describes scan.slow.
func About() []cordon.About {
	return []cordon.About{{
		Kind:   cordon.ScanSlow,
		Sees:   "TCP contacts with strangers on probed ports, web ports left out, that no DNS answer led to and that were refused or met silence.",
		Judges: "So many different hosts on one class of ports within a day, and next to none that answered. It only adds evidence; the provider compares homes.",
		Parameters: []cordon.Parameter{
			{Name: "Hosts, Window", Default: "8 hosts in 24 h", Meaning: "different hosts that did not answer"},
			{Name: "Spread", Default: "10 min", Meaning: "what is faster is scan.horizontal's"},
			{Name: "Renew", Default: "6 h", Meaning: "how often it is told again"},
		},
		Evidence:    "The number of different hosts, over how long, and one of them.",
		FalseAlarms: []string{"A device with many built-in addresses on a probed port, most of them dead. Its model shows that in every home."},
		Inputs:      "Packets, or flow records with TCP flags and a DNS log.",
		Bound:       "Evidence only. No detection on the benign captures of docs/evaluation.md.",
		Delay:       "The eighth host: 42 min at one every six minutes.",
	}}
}
