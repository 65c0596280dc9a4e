package kernel

import (
	"net/netip"

	"cordon/agent/packet"
)

// Want says whether every packet with payload of a flow is to be handed over,
// under the cap of its device. Each on is answered by one off. Of protocols other
// than TCP the first packets are all that anybody reads, and those are handed
// over anyway; a one-sided UDP stream would be wanted for as long as it lasts.
//
// The flow is found by a hash that the program computes too. Two flows may share
// one: then more is handed over than need be.
func (s *Source) Want(src, dst netip.AddrPort, proto uint8, on bool) {
	if proto != packet.ProtoTCP {
		return
	}
	n := &s.live.Want[wantAt(src, dst, proto, s.seed)]
	switch {
	case on && *n < 255:
		*n++
	case !on && *n > 0:
		*n--
	}
}

const (
	k0 = 0x9e3779b97f4a7c15
	k1 = 0xd6e8feb86659fd93
)

// wantAt is wanted_at of program/flow.h.
func wantAt(src, dst netip.AddrPort, proto uint8, seed uint32) uint32 {
	h := blend(src, seed) + blend(dst, seed) + uint64(proto)
	return uint32((h ^ h>>32) * k1 >> (64 - wantBits))
}

// blend is blend of program/flow.h.
func blend(e netip.AddrPort, seed uint32) uint64 {
	hi, lo := numbers(e.Addr())
	h := (hi^uint64(seed))*k0 ^ lo
	h = (h^h>>29)*k1 ^ uint64(e.Port())
	return (h ^ h>>32) * k0
}
