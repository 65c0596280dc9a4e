package mirai

import "cordon"

// About describes scan.mirai.
func About() []cordon.About {
	return []cordon.About{{
		Kind:   cordon.ScanMirai,
		Sees:   "The first packet of every TCP connection that a device begins, towards the internet or a neighbour.",
		Judges: "Mirai's scanner writes its SYNs by hand: 40 bytes, no option, and the destination's address as the sequence number. One such SYN is watched, two to different hosts within the window are confirmed and act alone.",
		Parameters: []cordon.Parameter{
			{Name: "Hits", Default: "2", Meaning: "different destinations that confirm"},
			{Name: "Window", Default: "60 s", Meaning: "within which they must come"},
			{Name: "Renew", Default: "10 min", Meaning: "how often a scan that goes on is told again"},
		},
		Evidence:    "The number of such SYNs, and the first few destinations.",
		FalseAlarms: []string{"None known. An ordinary system sends options and draws the number at random: a 40-byte SYN matches by chance once in 2³², two within a minute never."},
		Inputs:      "Packets, or a kernel counter that marks such SYNs. Flow records do not carry the sequence number.",
		Bound:       "α ≈ 2⁻⁶⁴ a pair of option-less SYNs by arithmetic; no false alarm on the benign captures of docs/evaluation.md nor on the synthetic homes.",
		Delay:       "1 ms from the first SYN on the real capture, 16 µs on the synthetic one: the second SYN.",
	}}
}
