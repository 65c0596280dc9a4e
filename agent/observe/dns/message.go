// Package dns reads DNS messages (RFC 1035 §4) where they lie: nothing is
// copied, nothing is allocated, and every byte is hostile.
//
// The bytes of one message come in, without the length prefix of TCP; out go
// its header, its first question and an iterator over its records. Package
// observe calls it for unicast DNS, mDNS (RFC 6762) and LLMNR (RFC 4795), which
// share the format.
package dns

import (
	"encoding/binary"
	"net/netip"
)

// The record types that observe reads (IANA dns-parameters).
const (
	TypeA     uint16 = 1
	TypeCNAME uint16 = 5
	TypePTR   uint16 = 12
	TypeTXT   uint16 = 16
	TypeAAAA  uint16 = 28
	TypeSRV   uint16 = 33
)

// headerLen is the fixed header's length in bytes, RFC 1035 §4.1.1.
const headerLen = 12

// maxMessage is the longest message, bytes: TCP's length prefix has 16 bits
// (RFC 1035 §4.2.2).
const maxMessage = 65535

// Message is one parsed message. It aliases the bytes given to Parse. The zero
// value is ready for Parse, which resets it.
type Message struct {
	ID        uint16
	Response  bool  // QR
	Truncated bool  // TC
	Opcode    uint8 // 0 is a standard query
	RCode     uint8 // the header's four bits; EDNS's upper eight are not read

	data     []byte
	claimed  [4]uint16 // records of each section, as the header claims
	question Question
	records  int // where the first record begins
}

// Question is one entry of the question section.
type Question struct {
	Name  Name
	Type  uint16
	Class uint16 // in mDNS the top bit asks for a unicast answer, RFC 6762 §5.4
}

// Parse reads the header and the questions of b. The records are read by
// Records, so that a message cut among them still tells what comes before.
func (m *Message) Parse(b []byte) error {
	if len(b) > maxMessage {
		b = b[:maxMessage]
	}
	if len(b) < headerLen {
		*m = Message{}
		return ErrShort
	}
	flags := binary.BigEndian.Uint16(b[2:])
	*m = Message{
		ID:        binary.BigEndian.Uint16(b),
		Response:  flags&0x8000 != 0,
		Opcode:    uint8(flags >> 11 & 0xf),
		Truncated: flags&0x0200 != 0,
		RCode:     uint8(flags & 0xf),
		data:      b,
	}
	for i := range m.claimed {
		m.claimed[i] = binary.BigEndian.Uint16(b[4+2*i:])
	}
	return m.parseQuestions()
}

func (m *Message) parseQuestions() error {
	at := headerLen
	for i := range m.claimed[0] {
		end, err := m.skipName(at)
		if err != nil {
			return err
		}
		if end+4 > len(m.data) {
			return ErrShort
		}
		if i == 0 {
			m.question = Question{
				Name:  nameAt(at),
				Type:  binary.BigEndian.Uint16(m.data[end:]),
				Class: binary.BigEndian.Uint16(m.data[end+2:]),
			}
		}
		at = end + 4
	}
	m.records = at
	return nil
}

// Question returns the first question; ok is false when there is none. In
// practice there is never a second one (RFC 9619 §4).
func (m *Message) Question() (q Question, ok bool) {
	return m.question, m.claimed[0] > 0
}

// Section is the part of a message that a record is in.
type Section uint8

// The sections with records, in their order.
const (
	Answer Section = iota + 1
	Authority
	Additional
)

// Record is one resource record. Data aliases the message.
type Record struct {
	Section Section
	Name    Name
	Type    uint16
	Class   uint16 // in mDNS the top bit is "cache flush", RFC 6762 §10.2
	TTL     uint32 // seconds; 0 when the top bit was set, RFC 2181 §8
	Data    []byte
	data    int // offset of Data
}

// Records walks the records of a message in their order. Its zero value has
// none.
type Records struct {
	Record // the current one, after Next returned true

	m    *Message
	at   int
	left [4]uint16
	err  error
}

// Records returns an iterator that stands before the first record.
func (m *Message) Records() Records {
	return Records{m: m, at: m.records, left: m.claimed, Record: Record{Section: Answer}}
}

// Err returns why Next ended before as many records as the header claims.
func (r *Records) Err() error { return r.err }

// Next goes to the next record and reports whether there is one.
func (r *Records) Next() bool {
	if r.m == nil || r.err != nil {
		return false
	}
	for r.left[r.Section] == 0 {
		if r.Section == Additional {
			return false
		}
		r.Section++
	}
	r.left[r.Section]--
	b := r.m.data
	end, err := r.m.skipName(r.at)
	if err != nil {
		r.err = err
		return false
	}
	if end+10 > len(b) {
		r.err = ErrShort
		return false
	}
	h := b[end : end+10]
	data, n := end+10, int(binary.BigEndian.Uint16(h[8:]))
	if data+n > len(b) {
		r.err = ErrShort
		return false
	}
	r.Name = nameAt(r.at)
	r.Type = binary.BigEndian.Uint16(h)
	r.Class = binary.BigEndian.Uint16(h[2:])
	r.TTL = binary.BigEndian.Uint32(h[4:])
	if r.TTL > 1<<31-1 {
		r.TTL = 0
	}
	r.Data, r.data = b[data:data+n], data
	r.at = data + n
	return true
}

// Addr returns the address of an A or AAAA record of class IN (RFC 1035 §3.4.1,
// RFC 3596 §2.2); ok is false for every other record.
func (r *Record) Addr() (a netip.Addr, ok bool) {
	if r.Class&0x7fff != 1 {
		return netip.Addr{}, false
	}
	switch {
	case r.Type == TypeA && len(r.Data) == 4:
		return netip.AddrFrom4([4]byte(r.Data)), true
	case r.Type == TypeAAAA && len(r.Data) == 16:
		return netip.AddrFrom16([16]byte(r.Data)), true
	}
	return netip.Addr{}, false
}

// Target returns the name in the data of a CNAME, PTR or SRV record
// (RFC 2782); ok is false for every other record.
func (r *Record) Target() (n Name, ok bool) {
	switch {
	case (r.Type == TypeCNAME || r.Type == TypePTR) && len(r.Data) > 0:
		return nameAt(r.data), true
	case r.Type == TypeSRV && len(r.Data) > 6:
		return nameAt(r.data + 6), true
	}
	return Name{}, false
}

// NextText cuts the first character string (RFC 1035 §3.3) off the data of a
// TXT record; ok is false when there is none, or none that is whole.
func NextText(data []byte) (text, rest []byte, ok bool) {
	if len(data) == 0 || 1+int(data[0]) > len(data) {
		return nil, nil, false
	}
	n := 1 + int(data[0])
	return data[1:n], data[n:], true
}
