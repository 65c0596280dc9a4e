// Package dhcp reads DHCPv4 messages (RFC 2131, RFC 2132) where they lie:
// nothing is copied, nothing is allocated, and every byte is hostile.
//
// The payload of a UDP datagram between ports 67 and 68 comes in, the few
// fields that tell who a device is go out. Package observe calls it.
package dhcp

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
	ErrCookie                  // not DHCP: BOOTP of RFC 951, or something else
	ErrOption                  // an option reaches over the end
)

var errorTexts = [...]string{"error", "message too short", "no magic cookie", "option too long"}

// Error returns e in words.
func (e Error) Error() string {
	if int(e) < len(errorTexts) {
		return "parse dhcp: " + errorTexts[e]
	}
	return "parse dhcp: unknown error"
}

// Type is the DHCP message type, option 53 (RFC 2132 §9.6).
type Type uint8

// The message types that matter here.
const (
	Discover Type = 1
	Offer    Type = 2
	Request  Type = 3
	ACK      Type = 5
	Inform   Type = 8
)

// The op field, RFC 2131 §2.
const (
	FromClient uint8 = 1 // BOOTREQUEST
	FromServer uint8 = 2 // BOOTREPLY
)

// Message is one parsed message. Its slices alias the bytes given to Parse and
// are nil where the option is missing; its addresses are the zero Addr where
// they are missing or 0.0.0.0.
type Message struct {
	Op       uint8
	Type     Type
	Hardware [6]byte // chaddr; zero unless it is of Ethernet (htype 1, hlen 6)

	Client    netip.Addr // ciaddr: the address that the client has
	Relay     netip.Addr // giaddr: the relay agent in between
	Requested netip.Addr // option 50
	Server    netip.Addr // option 54
	Router    netip.Addr // option 3, the first one

	Host   []byte // option 12
	Params []byte // option 55
	Vendor []byte // option 60
	ID     []byte // option 61
}

// Offsets of the fixed header, RFC 2131 §2.
const (
	atClient  = 12
	atRelay   = 24
	atChaddr  = 28
	atSname   = 44
	atFile    = 108
	atCookie  = 236
	atOptions = 240
)

// magic is the cookie in front of the options, RFC 2131 §3.
const magic = 0x63825363

// Parse reads b. Of an option that is there twice, or split (RFC 3396), the
// first part counts.
func (m *Message) Parse(b []byte) error {
	*m = Message{}
	if len(b) < atOptions {
		return ErrShort
	}
	if binary.BigEndian.Uint32(b[atCookie:]) != magic {
		return ErrCookie
	}
	m.Op = b[0]
	if b[1] == 1 && b[2] == 6 {
		copy(m.Hardware[:], b[atChaddr:])
	}
	m.Client = address(b[atClient:])
	m.Relay = address(b[atRelay:])
	overload, err := m.options(b[atOptions:])
	if err != nil {
		return err
	}
	// Option 52: the file and sname fields hold options too (RFC 2132 §9.3, in
	// the order of RFC 2131 §4.1). Another option 52 in there means nothing.
	if overload&1 != 0 {
		if _, err = m.options(b[atFile:atCookie]); err != nil {
			return err
		}
	}
	if overload&2 != 0 {
		_, err = m.options(b[atSname:atFile])
	}
	return err
}

// options reads one field of options and returns the value of option 52.
func (m *Message) options(b []byte) (overload uint8, err error) {
	for len(b) > 0 {
		code := b[0]
		if code == 0 { // pad
			b = b[1:]
			continue
		}
		if code == 255 { // end
			break
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return 0, ErrOption
		}
		data := b[2 : 2+int(b[1])]
		b = b[2+len(data):]
		if code == 52 && len(data) == 1 {
			overload = data[0]
			continue
		}
		m.option(code, data)
	}
	return overload, nil
}

func (m *Message) option(code uint8, data []byte) {
	switch code {
	case 3:
		setAddr(&m.Router, data)
	case 12:
		setText(&m.Host, data)
	case 50:
		setAddr(&m.Requested, data)
	case 53:
		if m.Type == 0 && len(data) == 1 {
			m.Type = Type(data[0])
		}
	case 54:
		setAddr(&m.Server, data)
	case 55:
		setText(&m.Params, data)
	case 60:
		setText(&m.Vendor, data)
	case 61:
		setText(&m.ID, data)
	}
}

func setText(to *[]byte, data []byte) {
	if *to == nil && len(data) > 0 {
		*to = data
	}
}

func setAddr(to *netip.Addr, data []byte) {
	if !to.IsValid() && len(data) >= 4 {
		*to = address(data)
	}
}

// address reads four bytes; 0.0.0.0 means that there is none.
func address(b []byte) netip.Addr {
	if binary.BigEndian.Uint32(b) == 0 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(b[:4]))
}
