package incident

import "cordon"

// About describes infection.chain.
func About() []cordon.About {
	return []cordon.About{{
		Kind:        cordon.InfectionChain,
		Sees:        "The other detections about the same device.",
		Judges:      "Somebody gets in (bruteforce.inbound, an exploit against the device), a program is fetched (exploit.downloader), the device misbehaves (a scan, guessing, an attack, a command server): three steps, in order, each begun at most ten minutes after the last. It adds to the odds on top of its parts.",
		Evidence:    "Each step, and how long before.",
		FalseAlarms: []string{"Each part can be wrong, all three in order are not: none on the benign captures of docs/evaluation.md."},
		Inputs:      "What its parts need.",
		Bound:       "Evidence only; with its parts it suffices for quarantine.",
		Delay:       "The third step's.",
	}}
}
