package meter

import (
	"encoding/binary"
	"net/netip"

	"cordon/agent/packet"
)

// maxDevices bounds the table of devices; the index numbers its places in 16 bits.
const maxDevices = 4096

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

func (x *index) place(mac packet.MAC) int {
	key := uint64(binary.BigEndian.Uint32(mac[2:])) | uint64(mac[0])<<40 | uint64(mac[1])<<32
	return int(key * 0x9e3779b97f4a7c15 >> x.shift)
}

// find returns the number of the entry of a MAC, −1 if there is none.
func (x *index) find(entries []entry, mac packet.MAC) int {
	for at := x.place(mac); ; at = (at + 1) & (len(x.places) - 1) {
		n := x.places[at]
		if n == 0 {
			return -1
		}
		if entries[n-1].mac == mac {
			return int(n) - 1
		}
	}
}

func (x *index) add(mac packet.MAC, number int) {
	at := x.place(mac)
	for x.places[at] != 0 {
		at = (at + 1) & (len(x.places) - 1)
	}
	x.places[at] = uint16(number) + 1
}

func (x *index) clear() { clear(x.places) }

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

func (h *homes) home(a netip.Addr) bool {
	b := a.As16()
	s := &h.known[mix(binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]))>>57]
	if s.addr != a {
		s.addr, s.home = a, h.ask(a)
	}
	return s.home
}

// forget makes room for what may have changed.
func (h *homes) forget() { clear(h.known[:]) }
