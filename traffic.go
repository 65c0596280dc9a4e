package cordon

import (
	"net/netip"
	"time"
)

// Sort is what kind of packet is counted apart: what floods are made of.
type Sort uint8

// The sorts. A SYN-ACK counts as SortSYN, so that what comes in answers what
// goes out. A TCP reset that comes in is not counted: it refuses, and answers
// nothing.
const (
	SortSYN   Sort = iota // TCP with SYN
	SortTCP               // other TCP
	SortUDP               //
	SortICMP              // ICMP and ICMPv6
	SortGRE               //
	SortOther             // any other IP protocol
	Sorts
)

// String returns the sort's stable name.
func (s Sort) String() string {
	return [...]string{"syn", "tcp", "udp", "icmp", "gre", "other", "", ""}[s&7]
}

// Traffic is what one device sent to and received from outside the home's own
// network in one interval, usually a second.
type Traffic struct {
	Device *Device // set by the pipeline
	MAC    MAC     // whose traffic it is, as a source counts it
	At     Time    // the interval's end
	Span   time.Duration

	Out, In [Sorts]Count
	Spoofed Count // sent with a source address that is none of the home's

	// Dests and Ports estimate how many different addresses and ports the device
	// sent to. They saturate at a few hundred.
	Dests, Ports int
	Top          [Sorts]Top // where most of Out went
	Heard        bool       // Top.Back is counted
}

// Top is the network that the majority of a sort's packets went to, the zero
// Top if none got a majority.
type Top struct {
	Net     netip.Prefix // a /24 or a /48
	Addr    netip.Addr   // the zero Addr if there were several
	Port    uint16       // 0 if there were several
	Packets uint64       // at least this many
	Back    uint64       // of the sort, that came from Net meanwhile
}
