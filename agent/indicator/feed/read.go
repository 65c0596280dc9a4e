// Package feed reads what others say is hostile: lists and STIX 2.1 bundles, line
// by line and object by object, into indicators that are normalised, have an
// expiry, and cannot hit what nobody may hit. Every byte of a feed is hostile.
package feed

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cordon"
)

// How long an indicator of a type lives after it was last seen, unless its feed
// says (detection.md §A3): addresses change hands within a day, a server moves
// within three, names are kept for weeks. A prefix is addresses; a URL lives as
// long as its host. maxLife bounds also what a feed says: nothing is hostile for
// ever, and who still thinks so can say it again.
const (
	lifeAddress     = 24 * time.Hour
	lifeAddressPort = 72 * time.Hour
	lifeName        = 30 * 24 * time.Hour
	lifeDGA         = 2 // days after the one for which the name was made
	day             = 24 * time.Hour
	maxLife         = 365 * day
)

// defaultConfidence is for feeds that do not say: not enough to act alone.
const defaultConfidence = 50

// The longest texts of an indicator in bytes; longer ones are cut.
const (
	MaxSource = 64
	MaxScope  = 64
	MaxNote   = 255
)

// maxLine is the longest line of a list in bytes.
const maxLine = 64 << 10

// latest is the last moment that a file may say; 32 bits of seconds hold it.
var latest = cordon.TimeOf(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))

// Read reads a feed and yields what is worth taking, normalised and with an
// expiry, in the order of the file; the Indicator is valid during the call only.
// A file that starts with a brace is a STIX 2.1 bundle, anything else a list:
// CSV with a header, or a value a line. Name stands in the report and for the
// source where the feed says none; now is for default expiries.
//
// A bad statement is counted in the Report and does not spoil the others. An
// error is of r, of yield (as it is), or a bundle that ends in the middle; what
// was yielded before stands, and the Report counts it.
func Read(r io.Reader, name string, now cordon.Time, yield func(*cordon.Indicator) error) (Report, error) {
	f := &reader{in: bufio.NewReaderSize(r, maxLine), name: name, now: now, yield: yield, line: 1}
	if b, _ := f.in.Peek(3); bytes.Equal(b, []byte("\xef\xbb\xbf")) {
		f.in.Discard(3)
	}
	read := f.readList
	if f.startsWithBrace() {
		read = f.readBundle
	}
	if err := read(); err != nil {
		return f.report, fmt.Errorf("read indicators of %q, line %d: %w", name, f.line, err)
	}
	return f.report, nil
}

// reader is a file being read.
type reader struct {
	in     *bufio.Reader
	name   string
	now    cordon.Time
	yield  func(*cordon.Indicator) error
	line   int // where we are, from 1
	report Report
}

func (f *reader) startsWithBrace() bool {
	for n := 64; ; n *= 2 { // white space before it may be long
		b, err := f.in.Peek(n)
		if t := bytes.TrimLeft(b, " \t\r\n"); len(t) > 0 || err != nil || n == maxLine {
			return len(t) > 0 && t[0] == '{'
		}
	}
}

func (f *reader) refuse(why Reason, line int, text string) {
	f.report.Refuse(why, f.name, line, text)
}

// take completes a statement and yields it, unless it is refused or expired.
func (f *reader) take(i *cordon.Indicator, line int) error {
	t, value, why := normalise(i.Type, i.Value)
	if why != "" {
		f.refuse(why, line, i.Value)
		return nil
	}
	i.Type, i.Value = t, value
	if i.Source == "" {
		i.Source = f.name
	}
	if i.Role == "" {
		i.Role = cordon.RoleOther
	}
	i.Source, i.Scope, i.Note = clean(i.Source, MaxSource), clean(i.Scope, MaxScope), clean(i.Note, MaxNote)
	if i.Expires == 0 {
		i.Expires = f.defaultExpiry(i)
	}
	i.Expires = min(i.Expires, f.now.Add(maxLife))
	i.Expires -= i.Expires % cordon.Time(time.Second)
	if i.Expires <= f.now {
		f.report.Expired++
		return nil
	}
	f.report.Taken++
	return f.yield(i)
}

// defaultExpiry counts from the last sighting, which cannot be in the future,
// else from now. A made-up name has a day of its own, which may be tomorrow.
func (f *reader) defaultExpiry(i *cordon.Indicator) cordon.Time {
	from := f.now
	if i.LastSeen != 0 {
		from = min(i.LastSeen, f.now)
	}
	switch i.Type {
	case cordon.IndicatorName, cordon.IndicatorSuffix:
		if i.Role == cordon.RoleDGA {
			if i.LastSeen != 0 {
				from = i.LastSeen
			}
			return from - from%cordon.Time(day) + (lifeDGA+1)*cordon.Time(day)
		}
	case cordon.IndicatorURL:
		if host := i.Value[:strings.IndexByte(i.Value, '/')]; infer(host) != cordon.IndicatorName {
			return from.Add(lifeAddressPort)
		}
	case cordon.IndicatorAddressPort:
		return from.Add(lifeAddressPort)
	default:
		return from.Add(lifeAddress)
	}
	return from.Add(lifeName)
}

// clean cuts a text to n bytes and makes it valid UTF-8.
func clean(s string, n int) string {
	s = strings.ToValidUTF8(strings.TrimSpace(s), "\ufffd")
	for n = min(n, len(s)); n < len(s) && n > 0 && !utf8.RuneStart(s[n]); n-- {
	}
	return s[:n]
}

// layouts of times that feeds use, besides seconds since 1970. Without a zone
// UTC is meant.
var layouts = []string{time.RFC3339Nano, time.DateOnly, time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04:05 MST"}

// parseTime reads a moment, to the second; empty is 0.
func parseTime(s string) (cordon.Time, bool) {
	if s == "" {
		return 0, true
	}
	var t time.Time
	if n, err := strconv.ParseUint(s, 10, 40); err == nil {
		t = time.Unix(int64(n), 0)
	} else {
		for _, layout := range layouts {
			if t, err = time.Parse(layout, s); err == nil {
				break
			}
		}
		if err != nil {
			return 0, false
		}
	}
	switch {
	case t.Unix() <= 0:
		return 0, false
	case t.After(latest.Std()): // "9999-12-31": never
		return latest, true
	}
	return cordon.TimeOf(t.Truncate(time.Second)), true
}

// roles is what feeds call the roles.
var roles = map[string]cordon.IndicatorRole{
	"c2": cordon.RoleC2, "c&c": cordon.RoleC2, "cnc": cordon.RoleC2, "command-and-control": cordon.RoleC2,
	"command and control": cordon.RoleC2, "botnet_cc": cordon.RoleC2,
	"loader": cordon.RoleLoader, "delivery": cordon.RoleLoader, "malware-download": cordon.RoleLoader,
	"malware_download": cordon.RoleLoader, "payload_delivery": cordon.RoleLoader, "payload-delivery": cordon.RoleLoader,
	"scanner": cordon.RoleScanner, "scanning": cordon.RoleScanner, "reconnaissance": cordon.RoleScanner,
	"dga": cordon.RoleDGA,
}

// roleOf returns the first role that one of the words means, else RoleOther.
func roleOf(words ...string) cordon.IndicatorRole {
	for _, w := range words {
		if r, ok := roles[strings.ToLower(w)]; ok {
			return r
		}
	}
	return cordon.RoleOther
}
