package kernel

import (
	"encoding/binary"
	"net/netip"

	"cordon"
	"cordon/agent/packet"
)

// The layouts of program/state.h. Each has its C name; addresses and MACs are
// numbers, an IPv4 address is its IPv4-mapped IPv6 one.

const (
	homes    = 16      // HOMES
	wants    = 1 << 17 // WANTS
	wantBits = 17      // log2 of it
	copies   = 16      // COPIES
	sorts    = 8       // SORTS
)

type config struct {
	Interval uint64
	Limit    [3]uint64
	Sample   uint64
	Forget   uint64
	Stranger uint64
	Payloads uint32
	Burst    uint32
	Seed     uint32
	_        uint32
}

type prefix struct{ Hi, Lo, MaskHi, MaskLo uint64 }

// live as far as user space writes it; Want follows Copies at its end.
type live struct {
	Config    config
	Shift     uint64
	Epoch     uint32
	HomeTime  uint32
	Ports     uint32
	_         uint32
	Sort      [512]uint8
	Home      [homes]prefix
	Strangers uint64
	_         uint64
	Copies    [copies][2]uint64
	Want      [wants]uint8
}

type end struct{ Hi, Lo, Tag uint64 }

type key struct {
	A, B  end
	Proto uint64
}

type slot struct {
	Bytes, Last uint64
	Packets     uint32
	Epoch       uint16
	Flags       uint8
	Pad         uint8
}

type half struct {
	Slots    [2]slot
	Handed   uint64
	Window   uint64
	Burst    uint32
	Payloads uint32
}

type flow struct {
	Half     [2]half
	Begin    uint64
	Want     uint32
	HomeTime uint32
	Bits     uint32
	Pad      uint32
}

type tally struct{ Packets, Bytes uint64 }

type top struct {
	Net, Hi, Lo  uint64
	Votes, Hits  uint32
	Port         uint16
	Addrs, Ports uint8
	Back         uint32
}

type interval struct {
	End          uint64
	Out, In      [sorts]tally
	Spoofed      tally
	Dests, Ports [4]uint64
	Top          [sorts]top
}

type device struct {
	Born, Until uint64
	Ahead       [2]uint64
	Capped      uint64
	Now, Pad    uint32
	Intervals   [2]interval
}

// desk is struct packet, of which user space reads the counters.
type desk struct {
	Stats [stats]uint64
	_     [deskLen - 8*stats]byte
}

// deskLen is the size of struct packet.
const deskLen = 400

// recordLen is the size of struct record, which goes before a frame in the ring.
const recordLen = 16

// Why a frame was handed over: enum why, of which the tests ask for one.
const whyUrgent = 1

// The indexes of desk.Stats: enum stat.
const (
	statFrames = iota
	statCopied
	statOdd
	statHanded
	statFull
	statCapped
	statOpened
	statAnswered
	statLimited
	stats
)

// mapped is how an IPv4 address begins as an IPv6 one (RFC 4291 §2.5.5.2).
const mapped = 0xffff << 32

func numbers(a netip.Addr) (hi, lo uint64) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

func address(hi, lo uint64) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	return netip.AddrFrom16(b).Unmap()
}

func macOf(n uint64) (mac cordon.MAC) {
	for i := range mac {
		mac[i] = byte(n >> (40 - 8*i))
	}
	return mac
}

// portsOf returns the ports of a packet from a to b as packet.Packet has them.
func portsOf(proto uint8, a, b *end) (src, dst uint16) {
	switch proto {
	case packet.ProtoTCP, packet.ProtoUDP:
		return uint16(a.Tag), uint16(b.Tag)
	case packet.ProtoICMP, packet.ProtoICMPv6:
		return uint16(a.Tag), 0
	}
	return 0, 0
}

// prefixOf makes a prefix that the program compares with.
func prefixOf(p netip.Prefix) (x prefix) {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	mask := [2]uint64{^uint64(0), ^uint64(0)}
	if bits < 64 {
		mask = [2]uint64{^(^uint64(0) >> bits), 0}
	} else if bits < 128 {
		mask[1] = ^(^uint64(0) >> (bits - 64))
	}
	hi, lo := numbers(p.Addr())
	return prefix{hi & mask[0], lo & mask[1], mask[0], mask[1]}
}

// nowhere is a prefix that nothing fits.
var nowhere = prefix{Hi: 1}
