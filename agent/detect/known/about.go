package known

import "cordon"

// About describes c2.indicator.
func About() []cordon.About {
	return []cordon.About{{
		Kind:   cordon.C2Indicator,
		Sees:   "Names asked for, names in TLS greetings, HTTP hosts and pages, and the far side of every connection.",
		Judges: "Looked up in what is known to be hostile, in that order. An indicator of high confidence that a device contacts acts alone and blocks that place; others add evidence. That a hostile scanner contacts the home is a sign only.",
		Parameters: []cordon.Parameter{
			{Name: "Indicators", Default: "none", Meaning: "--indicators FILE, CSV or STIX 2.1"},
			{Name: "Renew", Default: "1 h", Meaning: "how often the same contact is told again"},
		},
		Evidence:    "The indicator, its confidence, its source, and what the device contacted.",
		FalseAlarms: []string{"As good as the list. Prefixes wider than /24 and /48, public suffixes and private addresses are refused; every indicator expires."},
		Inputs:      "Packets; flow records and DNS logs for addresses and names.",
		Bound:       "The list's.",
		Delay:       "The first packet that names the place.",
	}}
}
