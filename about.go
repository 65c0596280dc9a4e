package cordon

// About describes how one kind of detection is judged. Every detector gives
// one for each kind it judges; docs/detectors is generated from them.
type About struct {
	Kind Kind
	// Sees says what the detector looks at, Judges how it decides, in sentences.
	Sees, Judges string
	Parameters   []Parameter
	Evidence     string   // what a detection shows for itself
	FalseAlarms  []string // what can look the same, and what is done about it
	Inputs       string   // which inputs suffice: packets, flow records, DNS
	// Bound is the measured error bound and Delay the measured delay, each with
	// where it was measured.
	Bound, Delay string
}

// Parameter is a threshold that a detector can be given.
type Parameter struct {
	Name    string // field of the detector's Config
	Default string // with its unit
	Meaning string
}
