package tls

import "encoding/binary"

// cursor reads the fields of a message of which the end may not be there yet.
// The first error stays, and after it everything read is empty.
type cursor struct {
	b     []byte
	after int // bytes that belong behind b and are not there
	err   Error
}

// empty reports whether all is read, or nothing more can be.
func (c *cursor) empty() bool { return c.err != 0 || len(c.b)+c.after == 0 }

// fail notes e, unless it is none or there was another error.
func (c *cursor) fail(e Error) {
	if c.err == 0 {
		c.err = e
	}
}

// take returns the next n bytes, or nil when not all of them are there.
func (c *cursor) take(n int) []byte {
	switch {
	case c.err != 0:
		return nil
	case n > len(c.b)+c.after:
		c.err = ErrLength
		return nil
	case n > len(c.b):
		c.err = ErrShort
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

// part returns a cursor over the next n bytes, of which some may not be there.
func (c *cursor) part(n int) cursor {
	if c.err == 0 && n > len(c.b) && n <= len(c.b)+c.after {
		p := cursor{b: c.b, after: n - len(c.b)}
		c.after -= p.after
		c.b = nil
		return p
	}
	return cursor{b: c.take(n), err: c.err}
}

func (c *cursor) skip(n int) { c.part(n) }

func (c *cursor) uint8() uint8 {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// vector8 and vector16 return the content of a vector behind a length of one or
// two bytes (RFC 8446 §3.4), bytes8 and bytes16 only when all of it is there.
func (c *cursor) vector8() cursor  { return c.part(int(c.uint8())) }
func (c *cursor) vector16() cursor { return c.part(int(c.uint16())) }
func (c *cursor) bytes8() []byte   { return c.take(int(c.uint8())) }
func (c *cursor) bytes16() []byte  { return c.take(int(c.uint16())) }
