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

// far is an address of the internet, taken apart.
type far struct {
	hi, lo uint64 // an IPv4 one as RFC 4291 §2.5.5.2 maps it
	hash   uint64 // its best bits are at the top
	net    uint64 // a number for its /24 or its /48
}

func farOf(a netip.Addr) far {
	b := a.As16()
	f := far{hi: binary.BigEndian.Uint64(b[:8]), lo: binary.BigEndian.Uint64(b[8:])}
	f.hash = (f.hi*spread ^ f.lo) * spread
	f.net = f.hi >> 16
	if a.Is4() {
		f.net = 1<<63 | f.lo>>8&(1<<24-1)
	}
	return f
}

// homes remembers on which side the last few addresses are: asking costs more than
// all the rest of counting a packet.
type homes struct {
	ask   func(netip.Addr) bool
	known [128]side
}

type side struct {
	addr netip.Addr
	home bool
}

// home reports whether a, which is f, is on the home's side.
func (h *homes) home(a netip.Addr, f *far) bool {
	s := &h.known[f.hash>>57]
	if s.addr != a {
		s.addr, s.home = a, h.ask(a)
	}
	return s.home
}

// forget makes room for what may have changed.
func (h *homes) forget() { clear(h.known[:]) }

// runs remembers the last conversations with the internet: most packets are of one
// of them, and need no look at their addresses.
type runs [64]run

type run struct {
	entry     *entry
	own, peer netip.Addr
	far       far
}

// of returns the place of a packet's conversation, the same for both directions.
func (r *runs) of(from, to uint64, p *packet.Packet) *run {
	return &r[((from^to)^uint64(p.SrcPort^p.DstPort)<<48)*spread>>58]
}
