package bruteforce

import "cordon"

// About describes bruteforce.outbound and bruteforce.inbound.
func About() []cordon.About {
	parameters := []cordon.Parameter{
		{Name: "Fast, FastLeak", Default: "5, one leaks every 10 s", Meaning: "attempts at once"},
		{Name: "Slow, SlowLeak", Default: "10, one leaks every 60 s", Meaning: "attempts over minutes"},
		{Name: "Hosts, Window", Default: "3 hosts in 60 s", Meaning: "different strangers that refuse, one attempt each suffices"},
		{Name: "Renew", Default: "10 min", Meaning: "how often guessing that goes on is told again"},
	}
	return []cordon.About{{
		Kind:       cordon.BruteforceOutbound,
		Sees:       "Log-ins by telnet, SSH, FTP and HTTP basic, recognised by what is said, on any port. Never what was typed.",
		Judges:     "Attempts fill two leaky buckets per device and service, a connection that gets in takes its attempts back; an overflow, or several strangers that refuse, is guessing. It may notify alone; against one or two neighbours at home it is a sign.",
		Parameters: parameters,
		Evidence:   "The attempts that did not get in, since when, and the last host.",
		FalseAlarms: []string{
			"A person who mistypes: two or three attempts, then a success.",
			"A recorder with its cameras' old passwords: one or two hosts at home, so only a sign.",
			"A browser that repeats a wrong password for every picture: a connection counts three attempts at most.",
		},
		Inputs: "Packets with payload.",
		Bound:  "No false alarm on the benign captures of docs/evaluation.md nor on the synthetic twins; below 10⁻³ a home-day is assumed, not measured.",
		Delay:  "docs/evaluation.md has the delay on each real capture.",
	}, {
		Kind:        cordon.BruteforceInbound,
		Sees:        "The same, from the internet towards a device of the home.",
		Judges:      "The same buckets over all who try. It only adds evidence, and is the first step of infection.chain.",
		Parameters:  parameters,
		Evidence:    "The attempts that did not get in, since when, and who tried last.",
		FalseAlarms: []string{"The owner who logs in from afar with an old password. Nothing is done because of this alone."},
		Inputs:      "Packets with payload.",
		Bound:       "Evidence only.",
		Delay:       "docs/evaluation.md has the delay on each real capture.",
	}}
}
