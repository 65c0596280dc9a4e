package packet

import "net/netip"

// FlowCount is what a source counted of one direction of a flow since it last
// told of it, without handing the frames over.
type FlowCount struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16 // as in Packet
	Proto            uint8
	Flags            uint8 // TCP flags, all that were seen
	Packets          uint64
	Bytes            uint64 // of IP datagrams
	Last             int64  // of the newest packet, as Frame.Time
}
