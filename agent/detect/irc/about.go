package irc

import "cordon"

// About describes c2.irc.
func About() []cordon.About {
	return []cordon.About{{
		Kind:   cordon.C2IRC,
		Sees:   "IRC on any port: who joins a channel, and lines that begin as orders to a bot do.",
		Judges: "A thing that joins a channel on a server that no name led to is a first sign, an unknown device when the port is unusual too; once it is given orders there it is confirmed and acts alone. Any other device is never more than a sign.",
		Parameters: []cordon.Parameter{
			{Name: "Orders", Default: "2 lines", Meaning: "that confirm"},
			{Name: "Renew", Default: "1 h", Meaning: "how often it is told again"},
		},
		Evidence:    "The lines that order a bot, and the server.",
		FalseAlarms: []string{"People who chat and ask channel programs for help: they find the server by its name, and use computers."},
		Inputs:      "Packets with payload, not encrypted.",
		Bound:       "No false alarm on the benign captures of docs/evaluation.md nor on the synthetic twins.",
		Delay:       "The second order.",
	}}
}
