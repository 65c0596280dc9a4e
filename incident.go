package cordon

// Incident is everything known about one misbehaving device at one site.
type Incident struct {
	ID     string
	Device *Device
	Level  Level
	Opened Time // the first detection's Since
	Last   Time // the last detection
	// Odds is the natural logarithm of the odds that the device is infected,
	// prior included, as it stood at Last.
	Odds     float64
	Raised   []Raise
	Timeline []Moment
	Omitted  int // moments beyond the bound of Timeline
	Kinds    []Kind
	Marks    []Mark // one for each kind that reached more than watch
	Verbs    []Verb // what was done, or would have been, or is asked for
	Mode     Mode   // of what was done to the device's traffic, empty while nothing was; would when only observed
	Story    string // plain sentences, for a support agent
	Told     string // one sentence, for the customer; empty while there is nothing to tell
}

// Mark is a kind of detection that by itself was worth telling somebody.
type Mark struct {
	Kind  Kind
	Level Level
	Since Time // when the behaviour began
}

// Raise is the moment at which an incident reached a level.
type Raise struct {
	Level Level `json:"level"`
	At    Time  `json:"at"`
}

// Moment is one line of an incident's story.
type Moment struct {
	At        Time   `json:"at"`
	Level     Level  `json:"level"`
	Kind      Kind   `json:"kind,omitempty"`
	Technique string `json:"technique,omitempty"`
	Subject   string `json:"subject,omitempty"`
	Text      string `json:"text"`
	Ref       string `json:"ref"`   // id of the detection or action
	Count     int    `json:"count"` // how often it was repeated
}
