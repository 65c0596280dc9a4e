package p2p

import "cordon"

// About describes c2.p2p.
func About() []cordon.About {
	return []cordon.About{{
		Kind:   cordon.C2P2P,
		Sees:   "BitTorrent DHT messages, and UDP datagrams to strangers; of things, not of PCs, phones, consoles and storage boxes.",
		Judges: "DHT with several hosts, or datagrams of one small size from one port to many strangers of whom next to none answers. From a thing it acts alone, from a device of unknown class it is a sign, unless the node id is Mozi's.",
		Parameters: []cordon.Parameter{
			{Name: "DHT", Default: "8 hosts", Meaning: "that a thing talks DHT with within Window; 32 of a device of unknown class"},
			{Name: "Strangers", Default: "24 hosts", Meaning: "called within Window"},
			{Name: "Window", Default: "5 min", Meaning: ""},
			{Name: "Renew", Default: "1 h", Meaning: "how often it is told again"},
		},
		Evidence:    "The number of hosts; for the second rule also how many answered, the size of the datagram, and the first few hosts.",
		FalseAlarms: []string{"A computer that nobody knows and that shares files talks DHT too: of an unknown device it takes 32 hosts, and it is a sign only.", "A TV box that streams over BitTorrent takes part for real; its owner may say so. Calls and games send datagrams of many sizes, and are answered."},
		Inputs:      "Packets with payload; the second rule works on flow records as well.",
		Bound:       "No false alarm on the benign captures of docs/evaluation.md nor on the synthetic twins.",
		Delay:       "The 24th stranger: 24 s at one a second (real capture).",
	}}
}
