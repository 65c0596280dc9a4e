package synth

import (
	"encoding/json"
	"io"
	"math"
	"time"

	"cordon"
)

// truthNote explains the file to its reader; eval reads any file of this form.
const truthNote = "t in seconds from the file's first packet. must: one of `any` has to be reported for `device` no earlier than 1 s before `at` and no later than `at`+`within`. must_not: kinds (glob) that would be false alarms. outcome: the strongest level any incident of that capture may and must reach (none < watch < notify < act). clean_until: nothing may be reported before. home: prefixes of the LAN side."

type truthFile struct {
	Note     string         `json:"note"`
	Captures []truthCapture `json:"captures"`
}

type truthCapture struct {
	File       string       `json:"file"`
	Home       []string     `json:"home"`
	Device     string       `json:"device,omitempty"`
	DeviceMAC  string       `json:"device_mac,omitempty"`
	Family     string       `json:"family"`
	Must       []truthMust  `json:"must,omitempty"`
	MustNot    []string     `json:"must_not,omitempty"`
	Except     []string     `json:"except,omitempty"`
	CleanUntil float64      `json:"clean_until,omitempty"`
	Outcome    cordon.Level `json:"outcome"`
	ActAt      *float64     `json:"act_at,omitempty"`
	ActWithin  *float64     `json:"act_within,omitempty"`
}

type truthMust struct {
	Any     []cordon.Kind `json:"any"`
	At      float64       `json:"at"`
	Within  float64       `json:"within"`
	Subject string        `json:"subject,omitempty"`
}

// WriteTruth writes the truth about a capture as JSON in the form that
// 'cordon-lab eval' reads; file is the capture's path as seen from there. That
// form has no "at most watch": kinds of r.Signs are excepted whatever their level.
func (r *Report) WriteTruth(w io.Writer, file string) error {
	c := truthCapture{File: file, Family: r.Scenario.Name, Outcome: cordon.None}
	for _, prefix := range r.Home {
		c.Home = append(c.Home, prefix.String())
	}
	if len(r.Truth) == 0 {
		c.MustNot, c.Except = []string{"*"}, []string{"posture.*"}
		for _, k := range r.Signs {
			c.Except = append(c.Except, string(k))
		}
	}
	for i, t := range r.Truth {
		at := r.since(t.At)
		if i == 0 {
			c.Device, c.DeviceMAC = t.Address.String(), t.Device.String()
			c.CleanUntil, c.Outcome = math.Max(at-1, 0), r.Scenario.Outcome
		}
		if act := t.ActWithin.Seconds(); act > 0 && c.Outcome == cordon.Act && c.ActAt == nil {
			c.ActAt, c.ActWithin = &at, &act
		}
		c.Must = append(c.Must, t.must(at))
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	return enc.Encode(truthFile{Note: truthNote, Captures: []truthCapture{c}})
}

// must is the demand that follows from t, which begins at so many seconds.
func (t *Truth) must(at float64) truthMust {
	m := truthMust{Any: []cordon.Kind{t.Kind}, At: at, Within: t.Within.Seconds(), Subject: t.Subject}
	if t.Or != "" {
		m.Any = append(m.Any, t.Or)
	}
	return m
}

// since is t in seconds from the first packet, to the microsecond.
func (r *Report) since(t cordon.Time) float64 {
	return max(0, t.Sub(r.First).Round(time.Microsecond).Seconds())
}
