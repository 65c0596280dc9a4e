// Package nfnetlink speaks to netfilter over a netlink socket without a copy of
// what it says: messages are written into one buffer, and answers are handed over
// as they arrive, so that a dump of 200,000 connections needs no more memory than
// one of ten. The layout is that of linux/netlink.h and
// linux/netfilter/nfnetlink.h.
package nfnetlink

import (
	"encoding/binary"
	"iter"
	"math"
)

// Header flags (linux/netlink.h).
const (
	Request = 0x1
	Ack     = 0x4
	Dump    = 0x300
	Create  = 0x400
)

const (
	headerLen  = 16 // struct nlmsghdr
	genericLen = 4  // struct nfgenmsg
	nested     = 0x8000
	typeMask   = 0x3fff
)

// Batch is a number of messages in one buffer. The zero Batch is empty and may
// be used again after Reset.
type Batch struct {
	b     []byte
	last  int // where the last message begins
	count int
	long  bool // an attribute was longer than 65,535 bytes
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() { *b = Batch{b: b.b[:0]} }

// Len returns the size in bytes.
func (b *Batch) Len() int { return len(b.b) }

// Message begins a message of a netfilter subsystem; attributes added from now
// on belong to it.
func (b *Batch) Message(subsystem, kind uint8, flags uint16, family uint8) {
	b.message(uint16(subsystem)<<8|uint16(kind), flags, family, 0)
}

func (b *Batch) message(kind, flags uint16, family uint8, resource uint16) {
	b.finish()
	b.last = len(b.b)
	b.b = append(b.b, make([]byte, headerLen)...)
	binary.NativeEndian.PutUint16(b.b[b.last+4:], kind)
	binary.NativeEndian.PutUint16(b.b[b.last+6:], flags|Request)
	b.b = append(b.b, family, 0)
	b.b = binary.BigEndian.AppendUint16(b.b, resource)
	b.count++
}

// finish writes the length of the last message. Attributes are padded, so the
// next one begins aligned.
func (b *Batch) finish() {
	if b.count > 0 {
		binary.NativeEndian.PutUint32(b.b[b.last:], uint32(len(b.b)-b.last))
	}
}

// number numbers the messages from seq on and returns the number after the last.
func (b *Batch) number(seq uint32) uint32 {
	b.finish()
	for at := 0; at < len(b.b); {
		binary.NativeEndian.PutUint32(b.b[at+8:], seq)
		seq++
		at += int(binary.NativeEndian.Uint32(b.b[at:]))
	}
	return seq
}

// Bytes adds an attribute.
func (b *Batch) Bytes(kind uint16, value []byte) {
	at := b.open(kind)
	b.b = append(b.b, value...)
	b.close(at)
}

// String adds an attribute that is a text with its terminator.
func (b *Batch) String(kind uint16, value string) {
	at := b.open(kind)
	b.b = append(append(b.b, value...), 0)
	b.close(at)
}

// Uint32 adds a big-endian number.
func (b *Batch) Uint32(kind uint16, value uint32) {
	b.Bytes(kind, binary.BigEndian.AppendUint32(nil, value))
}

// Uint64 adds a big-endian number.
func (b *Batch) Uint64(kind uint16, value uint64) {
	b.Bytes(kind, binary.BigEndian.AppendUint64(nil, value))
}

// Nest adds an attribute that holds those that fill adds.
func (b *Batch) Nest(kind uint16, fill func()) {
	at := b.open(kind | nested)
	fill()
	b.close(at)
}

func (b *Batch) open(kind uint16) int {
	at := len(b.b)
	b.b = append(b.b, 0, 0, 0, 0)
	binary.NativeEndian.PutUint16(b.b[at+2:], kind)
	return at
}

func (b *Batch) close(at int) {
	n := len(b.b) - at
	if n > math.MaxUint16 {
		b.long = true
		return
	}
	binary.NativeEndian.PutUint16(b.b[at:], uint16(n))
	for len(b.b)%4 != 0 {
		b.b = append(b.b, 0)
	}
}

// Attributes goes through the attributes of b, kind and value. It ends early at
// one that does not fit.
func Attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			n := int(binary.NativeEndian.Uint16(b))
			if n < 4 || n > len(b) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(b[2:])&typeMask, b[4:n]) {
				return
			}
			b = b[min((n+3)&^3, len(b)):]
		}
	}
}

// Attribute returns the first attribute of a kind, nil if there is none.
func Attribute(b []byte, kind uint16) []byte {
	for k, v := range Attributes(b) {
		if k == kind {
			return v
		}
	}
	return nil
}
