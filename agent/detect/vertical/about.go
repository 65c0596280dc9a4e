package vertical

import "cordon"

// About describes scan.vertical.
func About() []cordon.About {
	return []cordon.About{{
		Kind:   cordon.ScanVertical,
		Sees:   "TCP connections to different ports of one host, and UDP ports that the host refused; towards the internet and at home.",
		Judges: "A port counts when it is tried, an answer takes it back; so many within the window are a scan. It may notify alone.",
		Parameters: []cordon.Parameter{
			{Name: "Ports, Window", Default: "15 ports in 10 s", Meaning: "unanswered ports of one host"},
			{Name: "Renew", Default: "10 min", Meaning: "how often a scan that goes on is told again"},
		},
		Evidence: "The number of ports that did not answer within the window, and the host.",
		FalseAlarms: []string{
			"FTP in passive mode, games, TURN: their ports answer.",
			"Traceroute: its UDP ports are left out.",
			"A security scanner that the owner runs at home: it is one.",
		},
		Inputs: "Packets, or flow records with TCP flags.",
		Bound:  "No false alarm on the benign captures of docs/evaluation.md nor on the synthetic homes; below 10⁻³ a home-day is assumed, not measured.",
		Delay:  "1.2 s on the real capture (nmap waits that long after its first ten ports), 31 ms on the synthetic one.",
	}}
}
