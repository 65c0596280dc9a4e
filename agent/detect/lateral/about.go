package lateral

import "cordon"

// About describes scan.lateral.
func About() []cordon.About {
	return []cordon.About{{
		Kind:   cordon.ScanLateral,
		Sees:   "ARP requests and NDP solicitations, pings, and TCP attempts at probed ports, all towards neighbours at home.",
		Judges: "Different neighbours asked for, pinged, or tried in vain within the window. It only adds evidence.",
		Parameters: []cordon.Parameter{
			{Name: "ARP", Default: "20 neighbours", Meaning: "asked for by ARP or NDP"},
			{Name: "Ping", Default: "10 neighbours", Meaning: "pinged"},
			{Name: "Tried", Default: "4 neighbours", Meaning: "that probed services were tried at in vain"},
			{Name: "Window", Default: "60 s", Meaning: "for each of them"},
			{Name: "Renew", Default: "30 min", Meaning: "how often it is told again"},
		},
		Evidence:    "The number of neighbours within the window.",
		FalseAlarms: []string{"Apps that list the devices of the home, and scripts of web pages, do sweep. So it never notifies or acts by itself."},
		Inputs:      "Packets seen on the home's own network. Behind a switch or an access point that the router does not see, nothing is judged.",
		Bound:       "Evidence only. No detection on the benign captures of docs/evaluation.md.",
		Delay:       "1.1 s (ping) and 0.1 s (ARP) from the first probe on the real captures.",
	}}
}
