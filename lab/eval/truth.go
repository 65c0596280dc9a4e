package eval

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"cordon"
)

// Truth is what is known about captures: a truth file, checked.
type Truth struct {
	Dir     string // that the entries' files are relative to
	Entries []Entry
	Ignored []string // sentences about fields that are not known here
}

// Entry is what is true of one capture, or of all that its glob matches. Times
// count from a capture's first packet.
type Entry struct {
	File       string         // path or glob, slashes; "**" is any number of folders
	Home       []netip.Prefix // the home's side; empty: the private ranges
	Device     netip.Addr     // that the demands are about; invalid: any
	MAC        cordon.MAC     // the same by its MAC; zero: any
	Must       []Must
	MustNot    []string // patterns of kinds that would be false alarms
	Except     []string // patterns of kinds that would not, and do not count for Outcome
	CleanUntil time.Duration
	Outcome    cordon.Level // the strongest level that an incident may and must reach
	Open       bool         // no outcome is demanded
	Act        *Window      // when an incident must reach act; nil: whenever
}

// Must is a demand: one of Any has to be detected.
type Must struct {
	Any     []cordon.Kind
	When    *Window // nil: anywhere
	Subject string  // of the detection; empty: any
}

// Window is when something must be detected: not before At, less earlyBy, and not
// after At + Within.
type Window struct{ At, Within time.Duration }

// earlyBy is how much earlier than the truth a detection may come: the truth
// files give times by hand, to the second (note of the format).
const earlyBy = time.Second

// The format of a truth file (docs/reference/truth.md). Keys that are not here may
// be those of a newer file: they are ignored, and that is said.
type (
	truthFile struct {
		Note     string            `json:"note"`
		Captures []json.RawMessage `json:"captures"` // of truthItem
	}
	truthItem struct {
		File       string      `json:"file"`
		Home       []string    `json:"home"`
		Device     string      `json:"device"`
		DeviceMAC  string      `json:"device_mac"`
		Family     string      `json:"family"`      // for people
		DeviceType string      `json:"device_type"` // for people
		Must       []truthMust `json:"must"`
		MustNot    []string    `json:"must_not"`
		Except     []string    `json:"except"`
		CleanUntil float64     `json:"clean_until"`
		Outcome    string      `json:"outcome"`
		ActAt      *float64    `json:"act_at"`
		ActWithin  *float64    `json:"act_within"`
	}
	truthMust struct {
		Any     []cordon.Kind `json:"any"`
		At      *float64      `json:"at"`
		Within  *float64      `json:"within"`
		Subject string        `json:"subject"`
	}
)

// Load reads a truth file.
func Load(path string) (*Truth, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("truth: %w", err)
	}
	defer f.Close()
	truth, err := parse(f)
	if err != nil {
		return nil, fmt.Errorf("read truth %s: %w", path, err)
	}
	truth.Dir = filepath.Dir(path)
	return truth, nil
}

func parse(r io.Reader) (*Truth, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var file truthFile
	if err := decode(text, &file); err != nil {
		return nil, err
	}
	if len(file.Captures) == 0 {
		return nil, errors.New("no captures")
	}
	t := &Truth{Entries: make([]Entry, len(file.Captures)), Ignored: unknown("the file", text, file)}
	for i, raw := range file.Captures {
		var item truthItem
		err := decode(raw, &item)
		if err == nil {
			t.Entries[i], err = item.entry()
		}
		where := fmt.Sprintf("capture %d (%q)", i+1, item.File)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		t.Ignored = append(t.Ignored, unknown(where, raw, item)...)
		var demands struct {
			Must []json.RawMessage `json:"must"`
		}
		if json.Unmarshal(raw, &demands) == nil {
			for _, m := range demands.Must {
				t.Ignored = append(t.Ignored, unknown(where+", must", m, truthMust{})...)
			}
		}
	}
	return t, nil
}

// unknown returns a sentence for each field of a JSON object that a struct does
// not have.
func unknown(where string, object []byte, like any) (sentences []string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil {
		return nil
	}
	for f := range reflect.TypeOf(like).Fields() {
		delete(fields, f.Tag.Get("json"))
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		sentences = append(sentences, fmt.Sprintf("%s: field %q is not known and is ignored", where, name))
	}
	return sentences
}

// decode reads one JSON value and nothing else. Its errors speak of JSON, not of
// the types it is read into.
func decode(text []byte, value any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	err := dec.Decode(value)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n")), err)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("is %s, want %s", kind.Value, nameInJSON(kind.Type))
	case errors.As(err, &kind):
		return fmt.Errorf("field %q: is %s, want %s", kind.Field, kind.Value, nameInJSON(kind.Type))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("is empty, or ends in the middle")
	case err != nil:
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows after the first JSON value")
	}
	return nil
}

// nameInJSON says what JSON calls a value of type t.
func nameInJSON(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct:
		return "an object"
	case reflect.Slice:
		return "an array"
	case reflect.Float64:
		return "a number"
	}
	return "a string"
}

func (t *truthItem) entry() (e Entry, err error) {
	e = Entry{File: t.File, MustNot: t.MustNot, Except: t.Except}
	if t.File == "" {
		return e, errors.New("file: missing")
	}
	if e.Outcome, e.Open = cordon.Act, t.Outcome == ""; !e.Open {
		if e.Outcome, err = parseLevel(t.Outcome); err != nil {
			return e, err
		}
	}
	if err = t.who(&e); err != nil {
		return e, err
	}
	if e.CleanUntil, err = seconds(&t.CleanUntil); err != nil {
		return e, fmt.Errorf("clean_until: %w", err)
	}
	if e.Act, err = window(t.ActAt, t.ActWithin); err != nil {
		return e, fmt.Errorf("act_at, act_within: %w", err)
	}
	if e.Act != nil && e.Outcome != cordon.Act {
		return e, fmt.Errorf("act_at: the outcome is %v", e.Outcome)
	}
	for _, m := range t.Must {
		must, err := m.must()
		if err != nil {
			return e, fmt.Errorf("must %q: %w", m.Any, err)
		}
		e.Must = append(e.Must, must)
	}
	return e, checkPatterns(slices.Concat(t.MustNot, t.Except))
}

// who reads whose capture it is.
func (t *truthItem) who(e *Entry) (err error) {
	for _, s := range t.Home {
		if s == "auto" && len(t.Home) == 1 {
			break
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return fmt.Errorf("home %q: want prefixes, or auto alone", s)
		}
		e.Home = append(e.Home, p.Masked())
	}
	if t.Device != "" {
		if e.Device, err = netip.ParseAddr(t.Device); err != nil {
			return fmt.Errorf("device: %w", err)
		}
	}
	if t.DeviceMAC != "" {
		mac, err := net.ParseMAC(t.DeviceMAC)
		if err != nil || len(mac) != len(e.MAC) {
			return fmt.Errorf("device_mac %q: want six hex pairs", t.DeviceMAC)
		}
		copy(e.MAC[:], mac)
	}
	return nil
}

func (m *truthMust) must() (Must, error) {
	when, err := window(m.At, m.Within)
	if err != nil {
		return Must{}, fmt.Errorf("at, within: %w", err)
	}
	if len(m.Any) == 0 {
		return Must{}, errors.New("any: missing")
	}
	for _, k := range m.Any {
		if k.Family() == "" {
			return Must{}, fmt.Errorf("kind %q: unknown", k)
		}
	}
	return Must{Any: m.Any, When: when, Subject: m.Subject}, nil
}

func window(at, within *float64) (*Window, error) {
	if at == nil && within == nil {
		return nil, nil
	}
	if at == nil { // from the beginning
		at = new(float64)
	}
	if within == nil { // to the end
		most := float64(maxSeconds)
		within = &most
	}
	a, err := seconds(at)
	if err != nil {
		return nil, err
	}
	w, err := seconds(within)
	return &Window{At: a, Within: w}, err
}

// maxSeconds is more than any capture lasts: a century.
const maxSeconds = 100 * 366 * 86400

func seconds(s *float64) (time.Duration, error) {
	if *s < 0 || *s > maxSeconds {
		return 0, fmt.Errorf("%g s: out of range", *s)
	}
	return time.Duration(math.Round(*s * 1e9)), nil
}

func parseLevel(s string) (cordon.Level, error) {
	for l := cordon.None; l <= cordon.Act; l++ {
		if l.String() == s {
			return l, nil
		}
	}
	return 0, fmt.Errorf("outcome %q: want none, watch, notify or act", s)
}

func checkPatterns(patterns []string) error {
	for _, p := range patterns {
		if !slices.ContainsFunc(cordon.Kinds(), func(k cordon.Kind) bool { return k.Match(p) }) {
			return fmt.Errorf("pattern %q: matches no kind", p)
		}
	}
	return nil
}
