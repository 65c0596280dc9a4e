package eval

import (
	"bufio"
	"encoding/json"
	"io"
	"time"

	"cordon"
)

// The objects of eval --json, one a line: every capture with its checks behind
// it, and behind each run its kinds and its total. Times are seconds.
type (
	jsonCapture struct {
		Type          string  `json:"type"` // "capture"
		Run           string  `json:"run"`
		File          string  `json:"file"`
		Benign        bool    `json:"benign"`
		Frames        uint64  `json:"frames"`
		Length        float64 `json:"length_s"`
		Devices       int     `json:"devices"`
		DeviceSeconds float64 `json:"device_s"`
	}
	jsonCheck struct {
		Type   string        `json:"type"` // "check"
		Run    string        `json:"run"`
		File   string        `json:"file"`
		About  string        `json:"about"`
		State  State         `json:"state"`
		Failed bool          `json:"failed"`
		Kinds  []cordon.Kind `json:"kinds,omitempty"`
		Kind   cordon.Kind   `json:"kind,omitempty"`
		Device string        `json:"device,omitempty"`
		Level  cordon.Level  `json:"level"`
		Want   *cordon.Level `json:"want,omitempty"`
		At     *float64      `json:"at_s,omitempty"`
		Delay  *float64      `json:"delay_s,omitempty"`
		Count  int           `json:"count,omitempty"`
		Text   string        `json:"text,omitempty"`
	}
	jsonKind struct {
		Type    string   `json:"type"` // "kind"
		Run     string   `json:"run"`
		Kind    string   `json:"kind"`
		Found   int      `json:"found"`
		Missed  int      `json:"missed"`
		Unbuilt int      `json:"not_built"`
		Median  *float64 `json:"median_delay_s,omitempty"`
		Max     *float64 `json:"max_delay_s,omitempty"`
	}
	jsonTotal struct {
		Type             string  `json:"type"` // "total"
		Run              string  `json:"run"`
		Captures         int     `json:"captures"`
		Missed           int     `json:"missed"`
		Alarms           int     `json:"false_alarms"`
		Unbuilt          int     `json:"not_built"`
		Errors           int     `json:"errors"`
		BenignCaptures   int     `json:"benign_captures"`
		DeviceDays       float64 `json:"benign_device_days"`
		BenignAlarms     int     `json:"benign_false_alarms"`
		AlarmsPerDay     float64 `json:"benign_false_alarms_per_device_day"`
		Disturbing       int     `json:"benign_disturbing"`
		DisturbingPerDay float64 `json:"benign_disturbing_per_device_day"`
	}
)

// JSON writes the report as one object a line, with the facts of Text.
func (r *Report) JSON(w io.Writer) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	rest := r.Verdicts
	for _, t := range r.Totals() {
		for _, v := range rest[:t.Captures] {
			if err := v.json(enc); err != nil {
				return err
			}
		}
		if err := t.json(enc); err != nil {
			return err
		}
		rest = rest[t.Captures:]
	}
	return out.Flush()
}

func (v *Verdict) json(enc *json.Encoder) error {
	err := enc.Encode(jsonCapture{"capture", v.Run, v.File, v.Benign, v.Frames, v.Length.Seconds(), v.Devices, v.DeviceTime.Seconds()})
	for _, c := range v.Checks {
		j := jsonCheck{Type: "check", Run: v.Run, File: v.File, About: c.About, State: c.State, Failed: c.State.Failed(),
			Kinds: c.Kinds, Kind: c.Kind, Device: c.Device, Level: c.Level, At: inSeconds(c.At), Delay: inSeconds(c.Delay),
			Count: c.Count, Text: c.Text}
		if c.About == AboutOutcome {
			j.Want = &c.Want
		}
		if err == nil {
			err = enc.Encode(j)
		}
	}
	return err
}

func (t *Total) json(enc *json.Encoder) error {
	for _, k := range t.Kinds {
		j := jsonKind{Type: "kind", Run: t.Run, Kind: k.Name, Found: k.Found, Missed: k.Missed, Unbuilt: k.Unbuilt}
		if d, ok := k.Median(); ok {
			j.Median = inSeconds(&d)
		}
		if d, ok := k.Max(); ok {
			j.Max = inSeconds(&d)
		}
		if err := enc.Encode(j); err != nil {
			return err
		}
	}
	b := &t.Benign
	return enc.Encode(jsonTotal{Type: "total", Run: t.Run, Captures: t.Captures, Missed: t.Missed, Alarms: t.Alarms,
		Unbuilt: t.Unbuilt, Errors: t.Errors, BenignCaptures: b.Captures, DeviceDays: b.days(), BenignAlarms: b.Alarms,
		AlarmsPerDay: b.PerDay(b.Alarms), Disturbing: b.Disturbing, DisturbingPerDay: b.PerDay(b.Disturbing)})
}

func inSeconds(d *time.Duration) *float64 {
	if d == nil {
		return nil
	}
	s := d.Seconds()
	return &s
}
