package keepalive

import "cordon"

// About describes c2.keepalive.
func About() []cordon.About {
	return []cordon.About{{
		Kind:   cordon.C2Keepalive,
		Sees:   "Payloads of at most 16 bytes in connections of no known protocol that a device began.",
		Judges: "The greeting 00 00 00 01, then 00 00 every minute, sent back by the server. With the greeting two beats confirm, without it three to a place that no DNS answer led to. It acts alone: that server and port are blocked.",
		Parameters: []cordon.Parameter{
			{Name: "Greeted, Ungreeted", Default: "2, 3 beats", Meaning: "that confirm with and without the greeting"},
			{Name: "Period, Spread", Default: "60 s ± 3 s", Meaning: "between the beats"},
			{Name: "Renew", Default: "1 h", Meaning: "how often a session that goes on is told again"},
		},
		Evidence:    "The signs of life in a row, how many were sent back, whether the greeting was seen, and the server, with the name that the device had asked for.",
		FalseAlarms: []string{"MQTT pings are C0 00 and D0 00, and MQTT is recognised. Another protocol with the same two zero bytes a minute, both ways, to a bare address is not known."},
		Inputs:      "Packets with payload.",
		Bound:       "No false alarm on the benign captures of docs/evaluation.md nor on the synthetic twins.",
		Delay:       "The second beat, 70 s after the connection; without the greeting the third, 2 to 3 min.",
	}}
}
