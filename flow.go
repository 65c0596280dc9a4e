package cordon

import "net/netip"

// Direction is who began a flow, seen from the home.
type Direction uint8

// The directions.
const (
	Outbound Direction = iota + 1 // the device began it, towards the internet
	Inbound                       // somebody on the internet began it, towards the device
	Lateral                       // the device began it, towards another device of the home
)

// String returns the direction's stable name.
func (d Direction) String() string {
	switch d {
	case Outbound:
		return "outbound"
	case Inbound:
		return "inbound"
	case Lateral:
		return "lateral"
	}
	return "unknown"
}

// Outcome is how the far side took the first packet of a flow.
type Outcome uint8

// The outcomes. A flow starts Pending; a Silent flow may still be Answered late.
const (
	Pending  Outcome = iota // no answer yet
	Answered                // SYN-ACK, or any reply where there is no handshake
	Refused                 // RST, or an ICMP error about it
	Silent                  // nothing for as long as a TCP handshake may take
)

// String returns the outcome's stable name.
func (o Outcome) String() string {
	return [...]string{"pending", "answered", "refused", "silent"}[o&3]
}

// Count is packets and bytes in one direction.
type Count struct {
	Packets uint64
	Bytes   uint64 // IP datagram bytes
}

// Flow is one conversation, both directions. The flow table owns it: a stage
// that is shown a Flow may use it during that call only.
type Flow struct {
	Last    Time
	Out, In Count // from and to the device
	Begin   Time
	Device  *Device // the home's side; for Lateral the side that began

	// Ports are 0 where the protocol has none; an ICMP echo has its identifier
	// in LocalPort.
	LocalPort, PeerPort uint16
	Proto               uint8 // IANA protocol number
	Direction           Direction
	Outcome             Outcome
	Resent              uint8 // SYNs after the first, at most 255
	Late                bool  // Answered after it had fallen Silent
	// Midstream means that the beginning was not seen (the capture started
	// later, or the flow was evicted), so who began it is a guess.
	Midstream bool
	// First means that the device had not contacted this address on this class
	// of ports lately: a first contact, what the scan detectors count.
	First bool
	// Resolved means that an answer to the device's own DNS query gave it Peer.
	Resolved bool
	// Bare means that the first packet was a TCP SYN of 40 bytes: no IP and no
	// TCP options, which no ordinary system sends.
	Bare bool

	FirstSeq uint32     // TCP sequence number of the first packet
	Local    netip.Addr // the device's address in this flow
	Peer     netip.Addr
}

// Service returns the port that the flow was opened to: the peer's for a flow
// that the device began, the device's own for an inbound one.
func (f *Flow) Service() uint16 {
	if f.Direction == Inbound {
		return f.LocalPort
	}
	return f.PeerPort
}

// Ends says whose packet a packet is.
type Ends struct {
	Src, Dst         *Device // nil when it is not a known device of the home
	SrcHome, DstHome bool    // the address is on the home's side
}

// FlowEvent says what just happened to a flow.
type FlowEvent uint8

// The events of a flow's life, in the order in which they can happen.
const (
	FlowOpened   FlowEvent = iota + 1 // its first packet was seen
	FlowAnswered                      // Outcome became Answered
	FlowRefused                       // Outcome became Refused
	FlowSilent                        // Outcome became Silent
	FlowActive                        // it has lasted another active time-out
	FlowEvicted                       // its record is needed for another flow
	FlowClosed                        // it ended, or was idle; its record is about to go
)
