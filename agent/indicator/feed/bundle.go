package feed

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"cordon"
)

// maxObject is the longest object of a bundle that is looked at, in bytes.
// Indicators are short; reports and artifacts, which may be longer, are skipped.
const maxObject = 1 << 20

// readBundle reads the array "objects" of a JSON object (STIX 2.1 §8; a TAXII
// envelope has one too) an object at a time.
func (f *reader) readBundle() error {
	s := splitter{reader: f}
	for {
		object, line, err := s.next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case s.overflow:
			f.refuse(TooLong, line, string(object[:maxExcerpt]))
			continue
		}
		if err := f.takeObject(object, line); err != nil {
			return err
		}
	}
}

// splitter finds the objects in a bundle by counting brackets, so that neither
// their number nor their size costs memory, and a broken one is but one.
type splitter struct {
	reader   *reader
	depth    int    // brackets open
	inside   bool   // "objects"
	quoted   bool   // in a string
	escaped  bool   // after a backslash in a string
	key      []byte // the last string directly in the bundle, its first bytes
	object   []byte // the one being read
	overflow bool   // the object is too long to be kept
}

// The brackets open within a bundle, within its objects, within one of them.
const (
	inBundle  = 1
	inObjects = 2
	inObject  = 3
)

// next returns the next object and the line where it starts, io.EOF after the
// bundle's end. When overflow is set the object is its beginning only.
func (s *splitter) next() (object []byte, line int, err error) {
	s.object, s.overflow = s.object[:0], false
	for {
		c, err := s.reader.in.ReadByte()
		if err == io.EOF && s.depth > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, 0, err
		}
		if c == '\n' {
			s.reader.line++
		}
		was := s.depth
		s.step(c)
		if s.inside && was == inObjects && s.depth == inObject {
			line = s.reader.line
		}
		if s.inside && (was >= inObject || s.depth >= inObject) {
			s.keep(c)
		}
		switch {
		case s.depth < 0:
			return nil, 0, fmt.Errorf("a bracket closes that was never opened")
		case s.inside && was == inObject && s.depth == inObjects:
			return s.object, line, nil
		case s.depth == 0 && was == inBundle:
			return nil, 0, io.EOF // what follows is not ours
		}
	}
}

func (s *splitter) keep(c byte) {
	if len(s.object) == maxObject {
		s.overflow = true
		return
	}
	s.object = append(s.object, c)
}

// step follows one byte.
func (s *splitter) step(c byte) {
	switch {
	case s.escaped:
		s.escaped = false
	case s.quoted && c == '\\':
		s.escaped = true
	case c == '"':
		s.quoted = !s.quoted
		if s.quoted && s.depth == inBundle {
			s.key = s.key[:0]
		}
	case s.quoted:
		if s.depth == inBundle && len(s.key) < len("objects")+1 {
			s.key = append(s.key, c)
		}
	case c == '{' || c == '[':
		s.depth++
		if s.depth == inObjects {
			s.inside = c == '[' && string(s.key) == "objects"
		}
	case c == '}' || c == ']':
		s.depth--
		if s.depth == inBundle {
			s.inside = false
		}
	}
}

// object is what we read of a STIX indicator (STIX 2.1 §4.7).
type object struct {
	Type        string   `json:"type"`
	Name        string   `json:"name"`
	Pattern     string   `json:"pattern"`
	PatternType string   `json:"pattern_type"`
	ValidFrom   string   `json:"valid_from"`
	ValidUntil  string   `json:"valid_until"`
	Confidence  *int     `json:"confidence"`
	Types       []string `json:"indicator_types"`
	Labels      []string `json:"labels"`
	Revoked     bool     `json:"revoked"`
	Phases      []struct {
		Name string `json:"phase_name"`
	} `json:"kill_chain_phases"`
}

// takeObject takes one object of a bundle. Others than indicators are not ours.
func (f *reader) takeObject(b []byte, line int) error {
	var o object
	if err := json.Unmarshal(b, &o); err != nil {
		f.refuse(BadObject, line, string(b[:min(len(b), maxExcerpt)]))
		return nil
	}
	if o.Type != "indicator" {
		return nil
	}
	ind, why := o.indicator()
	var terms []term
	if why == "" {
		if terms, why = parsePattern(o.Pattern); o.PatternType != "stix" {
			why = BadPattern
		}
	}
	if why != "" {
		f.refuse(why, line, o.Pattern)
		return nil
	}
	for _, t := range terms {
		if t.why != "" {
			f.refuse(t.why, line, o.Pattern)
			continue
		}
		one := ind
		one.Type, one.Value = t.kind, t.value
		if err := f.take(&one, line); err != nil {
			return err
		}
	}
	return nil
}

// indicator returns what an object says about all places in its pattern.
func (o *object) indicator() (i cordon.Indicator, why Reason) {
	words := slices.Concat(o.Types, o.Labels)
	for _, p := range o.Phases {
		words = append(words, p.Name)
	}
	i = cordon.Indicator{Role: roleOf(words...), Confidence: defaultConfidence, Note: o.Name}
	if o.Revoked {
		return i, Revoked
	}
	if slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, "benign") }) {
		return i, Benign
	}
	if o.Confidence != nil {
		if *o.Confidence < 0 || *o.Confidence > 100 {
			return i, BadConfidence
		}
		i.Confidence = uint8(*o.Confidence)
	}
	var ok1, ok2 bool
	i.FirstSeen, ok1 = parseTime(o.ValidFrom)
	i.Expires, ok2 = parseTime(o.ValidUntil)
	if !ok1 || !ok2 {
		return i, BadTime
	}
	return i, ""
}
