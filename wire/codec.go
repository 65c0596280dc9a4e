package wire

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// number is that of a field.
type number = protowire.Number

// maxNumber is above that of every field.
const maxNumber = protowire.MaxValidNumber + 1

// A codec passes over a message and writes or reads each of its fields: one
// description of a message serves both ways (report.go, desired.go). A description
// names its fields in ascending order of their numbers.
//
// The encoding is that of wire.proto (protobuf.dev/programming-guides/encoding). It is
// done here because what protoc-gen-go generates costs a router 2.2 MB
// (docs/reference/wire.md), and because what is hostile is bounded before memory is
// taken for it.
type codec struct {
	write  bool
	strict bool // writing: what does not fit is an error; otherwise it is made to fit

	out []byte // writing: what was written
	in  input  // reading: what is left of the message

	room    int      // bytes of memory that may still be taken for lists
	strange string   // an unknown field that must not be overlooked, since it was last empty
	unknown []string // reading: elements that were left out because of such a field
	err     error    // the first
}

// input is what is left of a message, with the field that comes next; num is maxNumber
// at the end.
type input struct {
	raw  []byte
	num  number
	typ  protowire.Type
	head int // bytes of its tag
}

// open makes b, which is a message, the input.
func (in *input) open(b []byte) {
	if in.raw = b; len(b) == 0 {
		in.num = maxNumber
		return
	}
	in.num, in.typ, in.head = protowire.ConsumeTag(b)
}

// take returns the value of the next field as it is on the wire, and passes over it.
func (in *input) take() []byte {
	end := in.head + protowire.ConsumeFieldValue(in.num, in.typ, in.raw[in.head:])
	value := in.raw[in.head:end]
	in.open(in.raw[end:])
	return value
}

// Bounds of any message.
const (
	maxList = 4096 // elements of a list
	maxText = 4096 // bytes of one text
	// An element takes at most so many bytes of memory for each of its bytes on the
	// wire, and all of them together this much on top: an empty element would take 150.
	roomPerByte, roomOnTop = 8, 256 << 10
	// maxUnsorted is how many fields a message may have that are not in order.
	maxUnsorted = 1024
)

// overlooked is the first number of fields that a reader which does not know them may
// overlook. One below it says something without which the message says something else.
const overlooked = 1000

func (c *codec) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	c.in.open(nil)
}

// encode returns what f writes.
func encode(strict bool, f func(*codec)) ([]byte, error) {
	c := codec{write: true, strict: strict, room: math.MaxInt}
	f(&c)
	if took := math.MaxInt - c.room; took > roomOnTop+roomPerByte*len(c.out) {
		c.fail("%d bytes for lists of empty elements", took)
	}
	return c.out, c.err
}

// decode has f read a message of at most so many bytes.
func decode(data []byte, most int, f func(*codec)) error {
	if len(data) > most {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(data), most)
	}
	c := codec{room: roomOnTop + roomPerByte*len(data)}
	c.within(data, func() { f(&c) })
	return c.err
}

// within has f read the message b.
func (c *codec) within(b []byte, f func()) {
	outer := c.in
	if c.in.open(c.ordered(b)); c.err == nil {
		f()
		c.skip(maxNumber)
	}
	if c.in = outer; c.err != nil {
		c.in.open(nil)
	}
}

// ordered checks that b is a message and returns it with its fields in ascending
// order, as everybody writes them but nobody has to.
func (c *codec) ordered(b []byte) []byte {
	var last number
	fields, sorted := 0, true
	for rest := b; len(rest) > 0; fields++ {
		num, typ, n := protowire.ConsumeField(rest)
		if n < 0 || typ == protowire.StartGroupType {
			c.fail("field %d after %d bytes", fields, len(b)-len(rest))
			return nil
		}
		sorted, last, rest = sorted && num >= last, num, rest[n:]
	}
	if sorted {
		return b
	}
	if fields > maxUnsorted {
		c.fail("%d fields in disorder", fields)
		return nil
	}
	type field struct {
		num  number
		data []byte
	}
	all := make([]field, 0, fields)
	for rest := b; len(rest) > 0; {
		num, _, n := protowire.ConsumeField(rest)
		all, rest = append(all, field{num, rest[:n]}), rest[n:]
	}
	slices.SortStableFunc(all, func(x, y field) int { return cmp.Compare(x.num, y.num) })
	out := make([]byte, 0, len(b))
	for _, f := range all {
		out = append(out, f.data...)
	}
	return out
}

// skip passes over fields below a number, which nobody asked for.
func (c *codec) skip(below number) {
	for c.in.num < below {
		if c.in.num < overlooked && c.strange == "" {
			c.strange = fmt.Sprintf("field %d", c.in.num)
		}
		c.in.take()
	}
}

// next returns the value of the next field if it has that number.
func (c *codec) next(n number, typ protowire.Type) (value []byte, ok bool) {
	if c.skip(n); c.in.num != n {
		return nil, false
	}
	if c.in.typ != typ {
		c.fail("field %d of type %d", n, c.in.typ)
		return nil, false
	}
	if value = c.in.take(); typ == protowire.BytesType {
		value, _ = protowire.ConsumeBytes(value)
	}
	return value, true
}

// one returns the value of a field that a message has once at most.
func (c *codec) one(n number, typ protowire.Type) (value []byte, ok bool) {
	if value, ok = c.next(n, typ); !ok {
		return nil, false
	}
	if _, again := c.next(n, typ); again {
		c.fail("field %d twice", n)
	}
	return value, c.err == nil
}

// count returns how many of the next fields have that number.
func (c *codec) count(n number) (many int) {
	if c.skip(n); c.in.num != n {
		return 0
	}
	for rest := c.in.raw; len(rest) > 0; many++ {
		num, _, size := protowire.ConsumeField(rest)
		if num != n {
			break
		}
		rest = rest[size:]
	}
	return many
}

func (c *codec) putVarint(n number, v uint64) {
	c.out = protowire.AppendVarint(protowire.AppendTag(c.out, n, protowire.VarintType), v)
}

// takeVarint returns the number of a field, which is at most so great.
func (c *codec) takeVarint(n number, most uint64) uint64 {
	b, ok := c.one(n, protowire.VarintType)
	if !ok {
		return 0
	}
	v, _ := protowire.ConsumeVarint(b)
	if v > most {
		c.fail("field %d: %d, at most %d", n, v, most)
		return 0
	}
	return v
}

func (c *codec) flag(n number, p *bool) {
	switch {
	case !c.write:
		*p = c.takeVarint(n, 1) == 1
	case *p:
		c.putVarint(n, 1)
	}
}

// natural passes over a number that is not negative.
func natural[T ~uint8 | ~uint16 | ~uint32 | ~uint64](c *codec, n number, p *T) {
	switch {
	case !c.write:
		*p = T(c.takeVarint(n, uint64(^T(0))))
	case *p != 0:
		c.putVarint(n, uint64(*p))
	}
}

// integer passes over a time, a duration or another number that may be negative.
func integer[T ~int64](c *codec, n number, p *T) {
	switch {
	case !c.write:
		*p = T(c.takeVarint(n, math.MaxUint64))
	case *p != 0:
		c.putVarint(n, uint64(*p))
	}
}

// many passes over how many there were of something.
func (c *codec) many(n number, p *int) {
	switch {
	case !c.write:
		*p = int(c.takeVarint(n, math.MaxInt32))
	case *p > 0:
		c.putVarint(n, uint64(min(*p, math.MaxInt32)))
	}
}

// optional passes over a number that is there or not, also when it is zero.
func optional[T ~uint8](c *codec, n number, p **T) {
	if c.write {
		if *p != nil {
			c.putVarint(n, uint64(**p))
		}
		return
	}
	if c.count(n) > 0 {
		*p = new(T)
		natural(c, n, *p)
	}
}

// number passes over a measured value. One that is none makes no sense to anybody.
func (c *codec) number(n number, p *float64) {
	if c.write {
		v := *p
		switch {
		case math.IsNaN(v):
			v = 0
		case math.IsInf(v, 0):
			v = math.Copysign(math.MaxFloat64, v)
		}
		if bits := math.Float64bits(v); bits != 0 {
			c.out = protowire.AppendFixed64(protowire.AppendTag(c.out, n, protowire.Fixed64Type), bits)
		}
		return
	}
	b, ok := c.one(n, protowire.Fixed64Type)
	if !ok {
		return
	}
	bits, _ := protowire.ConsumeFixed64(b)
	if *p = math.Float64frombits(bits); math.IsNaN(*p) || math.IsInf(*p, 0) {
		c.fail("field %d: %v", n, *p)
	}
}

func (c *codec) bytes(n number, p *[]byte) {
	if c.write {
		if len(*p) > 0 {
			c.out = protowire.AppendBytes(protowire.AppendTag(c.out, n, protowire.BytesType), *p)
		}
		return
	}
	*p, _ = c.one(n, protowire.BytesType)
}

// fit returns what may be written as a text. Of texts with a meaning nothing may be
// missing; a name or a story is better cut than lost.
func (c *codec) fit(s string) string {
	if len(s) <= maxText && utf8.ValidString(s) {
		return s
	}
	if c.strict {
		c.fail("text of %d bytes", len(s))
		return ""
	}
	s = strings.ToValidUTF8(s[:min(len(s), maxText+utf8.UTFMax)], "\uFFFD")
	for cut := maxText; len(s) > maxText; cut-- {
		if utf8.RuneStart(s[cut]) {
			s = s[:cut]
		}
	}
	return s
}

func (c *codec) putText(n number, s string) {
	c.out = protowire.AppendString(protowire.AppendTag(c.out, n, protowire.BytesType), c.fit(s))
}

func (c *codec) takeText(b []byte) string {
	if len(b) > maxText || !utf8.Valid(b) {
		c.fail("text of %d bytes", len(b))
		return ""
	}
	return string(b)
}

func text[T ~string](c *codec, n number, p *T) {
	if c.write {
		if *p != "" {
			c.putText(n, string(*p))
		}
		return
	}
	if b, ok := c.one(n, protowire.BytesType); ok {
		*p = T(c.takeText(b))
	}
}

// afford takes memory for so many elements, and at most maxList, or most.
func afford[T any](c *codec, elements, most int) bool {
	c.room -= elements * int(reflect.TypeFor[T]().Size())
	if elements > most || c.room < 0 {
		c.fail("list of %d elements", elements)
		return false
	}
	return elements > 0
}

// texts passes over a list of texts.
func texts[T ~string](c *codec, n number, p *[]T) {
	if c.write {
		if afford[T](c, len(*p), maxList) {
			for _, s := range *p {
				c.putText(n, string(s))
			}
		}
		return
	}
	if many := c.count(n); afford[T](c, many, maxList) {
		*p = make([]T, many)
		for i := range *p {
			b, _ := c.next(n, protowire.BytesType)
			(*p)[i] = T(c.takeText(b))
		}
	}
}

// put writes a message within this one.
func (c *codec) put(n number, f func()) {
	c.out = protowire.AppendTag(c.out, n, protowire.BytesType)
	at := len(c.out)
	c.out = append(c.out, 0) // its length; most are short
	f()
	size := len(c.out) - at - 1
	if more := protowire.SizeVarint(uint64(size)) - 1; more > 0 {
		c.out = append(c.out, make([]byte, more)...)
		copy(c.out[at+1+more:], c.out[at+1:at+1+size])
	}
	protowire.AppendVarint(c.out[:at], uint64(size)) // in its place
}

// message passes over a message that is there or not.
func message[T any](c *codec, n number, p **T, f func(*codec, *T)) {
	if c.write {
		if *p != nil {
			c.put(n, func() { f(c, *p) })
		}
		return
	}
	if b, ok := c.one(n, protowire.BytesType); ok {
		*p = new(T)
		c.within(b, func() { f(c, *p) })
	}
}

// part passes over a message that is left out while it is empty.
func part[T any](c *codec, n number, p *T, empty bool, f func(*codec, *T)) {
	if c.write {
		if !empty {
			c.put(n, func() { f(c, p) })
		}
		return
	}
	if b, ok := c.one(n, protowire.BytesType); ok {
		c.within(b, func() { f(c, p) })
	}
}

// list passes over a list of messages.
func list[T any](c *codec, n number, p *[]T, f func(*codec, *T)) {
	items(c, n, p, maxList, f, nil)
}

// items passes over a list of at most so many messages. With name, an element in which
// there is something unknown that must not be overlooked is left out and named.
func items[T any](c *codec, n number, p *[]T, most int, f func(*codec, *T), name func(*T) string) {
	if c.write {
		if afford[T](c, len(*p), most) {
			for i := range *p {
				c.put(n, func() { f(c, &(*p)[i]) })
			}
		}
		return
	}
	many := c.count(n)
	if !afford[T](c, many, most) {
		return
	}
	all := make([]T, many)
	kept, outer := 0, c.strange
	for range many {
		b, ok := c.next(n, protowire.BytesType)
		if !ok {
			return
		}
		one := &all[kept]
		c.strange = ""
		c.within(b, func() { f(c, one) })
		switch {
		case name != nil && c.strange != "":
			if len(c.unknown) < maxUnknown {
				c.unknown = append(c.unknown, name(one))
			}
			*one = *new(T)
			continue
		case outer == "":
			outer = c.strange
		}
		kept++
	}
	c.strange = outer
	if kept > 0 {
		*p = all[:kept]
	}
}

// maxUnknown is how many elements are named that were left out.
const maxUnknown = 64
