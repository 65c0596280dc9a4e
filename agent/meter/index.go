package meter

import (
	"encoding/binary"
	"net/netip"

	"cordon/agent/packet"
)

// maxDevices bounds the table of devices; the index numbers its places in 16 bits.
const maxDevices = 4096

// spread is 2⁶⁴ over the golden ratio: multiplied by it, keys that differ a little
// differ in their upper bits (Fibonacci hashing).
const spread = 0x9e3779b97f4a7c15

// key is a MAC as a number.
func key(mac *packet.MAC) uint64 {
	return uint64(binary.BigEndian.Uint16(mac[:2]))<<32 | uint64(binary.BigEndian.Uint32(mac[2:]))
}

// index finds an entry by its MAC: open addressing, at most half full.
type index struct {
	places []uint16 // 1 + the entry's number, 0: free
	shift  uint8
}

func newIndex(devices int) index {
	size, shift := 2, uint8(63)
	for size < 2*devices {
		size, shift = 2*size, shift-1
	}
	return index{make([]uint16, size), shift}
}

// find returns the entry of a MAC, nil if there is none.
func (x *index) find(entries []entry, mac uint64) *entry {
	mask := len(x.places) - 1
	for at := int(mac * spread >> x.shift); ; at++ {
		n := int(x.places[at&mask]) - 1
		if n < 0 {
			return nil
		}
		if e := &entries[n]; e.mac == mac {
			return e
		}
	}
}

func (x *index) add(mac uint64, number int) {
	mask := len(x.places) - 1
	at := int(mac * spread >> x.shift)
	for x.places[at&mask] != 0 {
		at++
	}
	x.places[at&mask] = uint16(number) + 1
}

func (x *index) clear() { clear(x.places) }

// address is an IP address as two words; an IPv4 one as RFC 4291 §2.5.5.2 maps it.
type address struct{ hi, lo uint64 }

func addressOf(a netip.Addr) address {
	b := a.As16()
	return address{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// hash has its best bits at the top.
func (a address) hash() uint64 { return (a.hi*spread ^ a.lo) * spread }

// homes remembers on which side the last few addresses are: asking costs more than
// all the rest of counting a packet.
type homes struct {
	ask   func(netip.Addr) bool
	known [128]side
}

type side struct {
	address
	home bool
}

// home reports whether a, of that hash, is on the home's side.
func (h *homes) home(a netip.Addr, w address, hash uint64) bool {
	s := &h.known[hash>>57]
	if s.address != w {
		s.address, s.home = w, h.ask(a)
	}
	return s.home
}

// forget makes room for what may have changed.
func (h *homes) forget() { clear(h.known[:]) }
