package indicator

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"cordon"
	"cordon/agent/indicator/feed"
)

// A record is one indicator in the index file, little-endian:
//
//	kind, role, confidence        a byte each
//	first seen, last seen, expiry  seconds since 1970, 4 bytes each; 0: unknown
//	length of the value           2 bytes
//	lengths of source, scope, note a byte each
//	value, source, scope, note
const recordHead = 3 + 3*4 + 2 + 3

// maxValue is the longest value in bytes: a URL.
const maxValue = feed.MaxURL

// kind and role are the codes in a record: 1 + the place in these tables. A new
// word goes to the end.
var (
	kinds = [...]cordon.IndicatorType{cordon.IndicatorName, cordon.IndicatorSuffix, cordon.IndicatorAddress,
		cordon.IndicatorAddressPort, cordon.IndicatorPrefix, cordon.IndicatorURL}
	roleCodes = [...]cordon.IndicatorRole{cordon.RoleC2, cordon.RoleLoader, cordon.RoleScanner, cordon.RoleDGA, cordon.RoleOther}
)

// The codes of kinds.
const (
	kindName uint8 = 1 + iota
	kindSuffix
	kindAddress
	kindAddressPort
	kindPrefix
	kindURL
)

// record is a decoded record; its texts point into what was decoded.
type record struct {
	kind, role, confidence       uint8
	first, last, expires         uint32
	value, source, scope, remark []byte
}

// recordLen returns the length of the record that starts with head, which has
// recordHead bytes.
func recordLen(head []byte) int {
	b := head[15:recordHead]
	return recordHead + int(binary.LittleEndian.Uint16(b)) + int(b[2]) + int(b[3]) + int(b[4])
}

// decode returns the first record of b and what follows it; false when b does
// not start with one.
func decode(b []byte) (r record, rest []byte, ok bool) {
	if len(b) < recordHead {
		return r, nil, false
	}
	n := recordLen(b)
	if n > len(b) {
		return r, nil, false
	}
	head, texts, rest := b[:recordHead], b[recordHead:n], b[n:]
	r = record{kind: head[0], role: head[1], confidence: head[2],
		first:   binary.LittleEndian.Uint32(head[3:]),
		last:    binary.LittleEndian.Uint32(head[7:]),
		expires: binary.LittleEndian.Uint32(head[11:])}
	valueLen := int(binary.LittleEndian.Uint16(head[15:]))
	r.value, texts = texts[:valueLen], texts[valueLen:]
	r.source, texts = texts[:head[17]], texts[head[17]:]
	r.scope, r.remark = texts[:head[18]], texts[head[18]:]
	return r, rest, r.valid()
}

func (r *record) valid() bool {
	return r.kind >= 1 && int(r.kind) <= len(kinds) && r.role >= 1 && int(r.role) <= len(roleCodes) &&
		r.confidence <= 100 && len(r.value) > 0 && len(r.value) <= maxValue && r.expires > 0
}

// appendRecord appends the record of what take has completed to b.
func appendRecord(b []byte, i *cordon.Indicator) []byte {
	b = append(b, uint8(slices.Index(kinds[:], i.Type)+1), uint8(slices.Index(roleCodes[:], i.Role)+1), i.Confidence)
	for _, t := range [...]cordon.Time{i.FirstSeen, i.LastSeen, i.Expires} {
		b = binary.LittleEndian.AppendUint32(b, uint32(t/cordon.Time(time.Second)))
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(i.Value)))
	b = append(b, uint8(len(i.Source)), uint8(len(i.Scope)), uint8(len(i.Note)))
	b = append(b, i.Value...)
	b = append(b, i.Source...)
	b = append(b, i.Scope...)
	return append(b, i.Note...)
}

// indicator returns a copy of the record.
func (r *record) indicator() cordon.Indicator {
	var b strings.Builder // one allocation for all texts
	b.Grow(len(r.value) + len(r.source) + len(r.scope) + len(r.remark))
	for _, text := range [...][]byte{r.value, r.source, r.scope, r.remark} {
		b.Write(text)
	}
	texts := b.String()
	cut := func(n int) (s string) {
		s, texts = texts[:n], texts[n:]
		return s
	}
	return cordon.Indicator{
		Type: kinds[r.kind-1], Role: roleCodes[r.role-1], Confidence: r.confidence,
		Value: cut(len(r.value)), Source: cut(len(r.source)), Scope: cut(len(r.scope)), Note: cut(len(r.remark)),
		FirstSeen: moment(r.first), LastSeen: moment(r.last), Expires: moment(r.expires),
	}
}

func moment(seconds uint32) cordon.Time { return cordon.Time(seconds) * cordon.Time(time.Second) }

// compare orders records: equal keys together, of these the most confident
// first, then the one that lives longest, so that the first that lives is the
// answer. The rest makes the order independent of that of the files.
func compare(a, b *record) int {
	return cmp.Or(
		cmp.Compare(a.kind, b.kind), bytes.Compare(a.value, b.value),
		-cmp.Compare(a.confidence, b.confidence), -cmp.Compare(a.expires, b.expires),
		bytes.Compare(a.source, b.source), bytes.Compare(a.scope, b.scope), cmp.Compare(a.role, b.role),
		-cmp.Compare(a.last, b.last), cmp.Compare(a.first, b.first), bytes.Compare(a.remark, b.remark))
}

// sameKey reports whether a look-up that finds a finds b.
func (r *record) sameKey(o *record) bool { return r.kind == o.kind && bytes.Equal(r.value, o.value) }

// repeats reports whether r says again what o says.
func (r *record) repeats(o *record) bool {
	return r.sameKey(o) && r.role == o.role && bytes.Equal(r.source, o.source) && bytes.Equal(r.scope, o.scope)
}
