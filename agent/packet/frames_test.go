package packet

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// unhex reads frames as people write them: hex digits, spaces ignored.
func unhex(t testing.TB, parts ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(strings.Join(parts, "")), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Building blocks of the test frames: a sender 02:00:00:00:00:01, a receiver
// 02:00:00:00:00:02, addresses 192.0.2.1 → 198.51.100.2 and 2001:db8::1 → ::2.
const (
	macs = "020000000002 020000000001"

	ip4TCP = "45000028 12344000 4006 0000 c0000201 c6336402" // total length 40
	ip4UDP = "45000020 00000000 4011 0000 c0000201 c6336402" // total length 32
	src6   = "20010db8000000000000000000000001"
	dst6   = "20010db8000000000000000000000002"

	tcpSYN   = "9c40 0017 01020304 00000000 50 02 7210 0000 0000"
	udp4     = "14e9 0035 000c 0000 deadbeef" // 4 bytes of payload
	arpReply = "0001 0800 06 04 0002 020000000001 c0000201 020000000002 c6336402"
)

var (
	mac1 = MAC{2, 0, 0, 0, 0, 1}
	mac2 = MAC{2, 0, 0, 0, 0, 2}
	a4   = netip.MustParseAddr("192.0.2.1")
	b4   = netip.MustParseAddr("198.51.100.2")
	a6   = netip.MustParseAddr("2001:db8::1")
	b6   = netip.MustParseAddr("2001:db8::2")
)

// ether makes a whole Ethernet frame of the parts.
func ether(t testing.TB, parts ...string) Frame {
	return frame(t, LinkEthernet, append([]string{macs}, parts...)...)
}

// frame makes a whole frame of a link type.
func frame(t testing.TB, link LinkType, parts ...string) Frame {
	b := unhex(t, parts...)
	return Frame{Link: link, Len: len(b), Data: b}
}
