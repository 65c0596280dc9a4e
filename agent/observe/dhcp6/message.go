// Package dhcp6 reads DHCPv6 messages (RFC 8415) where they lie: nothing is
// copied, nothing is allocated, and every byte is hostile.
//
// The payload of a UDP datagram between ports 546 and 547 comes in, the few
// fields that tell who a device is go out. Package observe calls it.
package dhcp6

import (
	"encoding/binary"
	"net/netip"
)

// Error says why a message cannot be read. It is a number, so that returning
// one allocates nothing.
type Error uint8

// The errors. After ErrOption what was read before it stays valid.
const (
	ErrShort  Error = iota + 1 // shorter than the fixed header
	ErrOption                  // an option reaches over the end of what holds it
)

var errorTexts = [...]string{"error", "message too short", "option too long"}

// Error returns e in words.
func (e Error) Error() string {
	if int(e) < len(errorTexts) {
		return "parse dhcp6: " + errorTexts[e]
	}
	return "parse dhcp6: unknown error"
}

// Type is the message type, RFC 8415 §7.3.
type Type uint8

// The message types that matter here.
const (
	Solicit            Type = 1
	Request            Type = 3
	Confirm            Type = 4
	Renew              Type = 5
	Rebind             Type = 6
	InformationRequest Type = 11
	RelayForward       Type = 12
	RelayReply         Type = 13
)

// Message is one parsed message. Its slices alias the bytes given to Parse and
// are nil where the option is missing.
type Message struct {
	Type   Type
	Client []byte     // option 1: the DUID (RFC 8415 §11) of the client
	Wanted netip.Addr // option 5 in option 3: the first address that is asked for or given, zero without one

	vendor    []byte // option 16: enterprise number and data
	requested []byte // option 6: codes of two bytes
	name      []byte // option 39: flags and domain name
}

// The options read, RFC 8415 §21 and RFC 4704 §4.
const (
	optClient    = 1
	optNonTemp   = 3
	optAddress   = 5
	optRequested = 6
	optVendor    = 16
	optName      = 39
)

// headerLen is the type and transaction id, RFC 8415 §8, in bytes.
const headerLen = 4

// Parse reads b. Of an option that is there twice the first counts. Of a relay
// agent's message only the type is read.
func (m *Message) Parse(b []byte) error {
	*m = Message{}
	if len(b) < headerLen {
		return ErrShort
	}
	m.Type = Type(b[0])
	if m.Type == RelayForward || m.Type == RelayReply {
		return nil
	}
	for b = b[headerLen:]; len(b) > 0; {
		code, data, rest, ok := option(b)
		if !ok {
			return ErrOption
		}
		m.option(code, data)
		b = rest
	}
	return nil
}

// option returns the option that b begins with, RFC 8415 §21.1.
func option(b []byte) (code uint16, data, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, nil, nil, false
	}
	end := 4 + int(binary.BigEndian.Uint16(b[2:]))
	if end > len(b) {
		return 0, nil, nil, false
	}
	return binary.BigEndian.Uint16(b), b[4:end:end], b[end:], true
}

func (m *Message) option(code uint16, data []byte) {
	switch code {
	case optClient:
		set(&m.Client, data)
	case optNonTemp:
		m.addresses(data)
	case optRequested:
		set(&m.requested, data)
	case optVendor:
		set(&m.vendor, data)
	case optName:
		set(&m.name, data)
	}
}

func set(to *[]byte, data []byte) {
	if *to == nil && len(data) > 0 {
		*to = data
	}
}

// addresses reads the options in an IA_NA, behind its id and times (RFC 8415
// §21.4, §21.6).
func (m *Message) addresses(data []byte) {
	const fixed, addressLen = 12, 16
	if len(data) < fixed {
		return
	}
	for b := data[fixed:]; !m.Wanted.IsValid(); {
		code, data, rest, ok := option(b)
		if !ok {
			return
		}
		if code == optAddress && len(data) >= addressLen {
			if a := netip.AddrFrom16([16]byte(data)); !a.IsUnspecified() {
				m.Wanted = a
			}
		}
		b = rest
	}
}

// Vendor returns the first item of the vendor class, option 16 (RFC 8415
// §21.16), nil without one.
func (m *Message) Vendor() []byte {
	const enterprise = 4
	if len(m.vendor) < enterprise+2 {
		return nil
	}
	b := m.vendor[enterprise:]
	n := int(binary.BigEndian.Uint16(b))
	if n == 0 || n > len(b)-2 {
		return nil
	}
	return b[2 : 2+n : 2+n]
}

// MaxRequested bounds the codes that AppendRequested reads. Clients ask for
// about ten.
const MaxRequested = 255

// AppendRequested appends to dst the codes of the options that the client asks
// for, in order, without those over 255.
func (m *Message) AppendRequested(dst []byte) []byte {
	for b := m.requested[:min(len(m.requested), 2*MaxRequested)]; len(b) >= 2; b = b[2:] {
		if b[0] == 0 {
			dst = append(dst, b[1])
		}
	}
	return dst
}

// Host returns the first label of the client's domain name, option 39: the name
// of the host itself, which is all that many clients send (RFC 4704 §4.2). It is
// nil without one.
func (m *Message) Host() []byte {
	if len(m.name) < 2 {
		return nil
	}
	const maxLabel = 63 // RFC 1035 §2.3.4
	n, b := int(m.name[1]), m.name[2:]
	if n == 0 || n > maxLabel || n > len(b) {
		return nil
	}
	return b[:n:n]
}
