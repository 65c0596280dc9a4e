package irc

import "cordon"

// About describes c2.irc.
func About() []cordon.About {
	return []cordon.About{{
		Kind:   cordon.C2IRC,
		Sees:   "IRC on any port: who joins a channel, and lines that begin as orders to a bot do.",
		Judges: "A thing that joins a channel is a first sign; once it is given orders it is confirmed and acts alone. A person's computer is never more than a sign.",
		Parameters: []cordon.Parameter{
			{Name: "Renew", Default: "1 h", Meaning: "how often it is told again"},
		},
		FalseAlarms: []string{"A hobbyist's bot on a small computer that obeys channel commands. It is a bot; its owner may say so."},
		Inputs:      "Packets with payload, not encrypted.",
		Bound:       "No false alarm on the benign captures of docs/evaluation.md nor on the synthetic twins.",
		Delay:       "The first order.",
	}}
}
