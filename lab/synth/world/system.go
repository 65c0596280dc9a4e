package world

import (
	"encoding/binary"
	"time"
)

// System is how an operating system shows itself on the wire.
type System struct {
	Name    string
	TTL     uint8
	Options string // of a SYN, in order: M MSS, S SACK, T time stamps, W scale, N and E padding
	Window  uint16 // of a SYN
	Scale   uint8
	Ports   [2]uint16       // the range of ephemeral ports
	Retry   []time.Duration // gaps between the SYNs of an unanswered attempt
	ZeroID  bool            // IPv4 id 0 where DF is set
	Vendor  string          // DHCP option 60
	Params  []byte          // DHCP option 55
}

const second = time.Second

// The systems. Option orders and windows are those of p0f's public
// fingerprints, retries those of tcp_syn_retries, TcpMaxConnectRetransmissions
// and net.inet.tcp.keepinit as the systems ship.
var (
	Linux = &System{Name: "linux", TTL: 64, Options: "MSTNW", Window: 64240, Scale: 7, Ports: [2]uint16{32768, 60999},
		Retry:  []time.Duration{second, 2 * second, 4 * second, 8 * second, 16 * second},
		Vendor: "dhcpcd-9.4.1", Params: []byte{1, 121, 33, 3, 6, 15, 28, 51, 54, 58, 59}}
	Embedded = &System{Name: "embedded linux", TTL: 64, Options: "MSTNW", Window: 14600, Scale: 4, Ports: [2]uint16{32768, 60999},
		Retry:  []time.Duration{second, 2 * second, 4 * second, 8 * second, 16 * second},
		Vendor: "udhcp 1.24.2", Params: []byte{1, 3, 6, 12, 15, 28, 42}}
	Android = &System{Name: "android", TTL: 64, Options: "MSTNW", Window: 65535, Scale: 8, Ports: [2]uint16{32768, 60999},
		Retry:  []time.Duration{second, 2 * second, 4 * second, 8 * second},
		Vendor: "android-dhcp-14", Params: []byte{1, 3, 6, 15, 26, 28, 51, 58, 59, 43, 114, 108}}
	Apple = &System{Name: "apple", TTL: 64, Options: "MNWNNTSEE", Window: 65535, Scale: 6, Ports: [2]uint16{49152, 65535}, ZeroID: true,
		Retry:  []time.Duration{second, second, second, second, second, 2 * second, 4 * second, 8 * second},
		Params: []byte{1, 121, 3, 6, 15, 108, 114, 119, 252}}
	Windows = &System{Name: "windows", TTL: 128, Options: "MNWNNS", Window: 64240, Scale: 8, Ports: [2]uint16{49152, 65535},
		Retry:  []time.Duration{second, 2 * second, 4 * second, 8 * second},
		Vendor: "MSFT 5.0", Params: []byte{1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 119, 121, 249, 252}}
	Tiny = &System{Name: "lwip", TTL: 64, Options: "M", Window: 5744, Ports: [2]uint16{49152, 65535},
		Retry:  []time.Duration{3 * second, 6 * second, 12 * second},
		Params: []byte{1, 3, 28, 6}}
	Server = &System{Name: "server", TTL: 64, Options: "MSTNW", Window: 65160, Scale: 7, Ports: [2]uint16{32768, 60999},
		Retry: []time.Duration{second, 2 * second, 4 * second}}
)

func (s *System) has(option byte) bool {
	for i := range len(s.Options) {
		if s.Options[i] == option {
			return true
		}
	}
	return false
}

// options appends the TCP options of layout to b.
func options(b []byte, layout string, mss uint16, scale uint8, stamp, echo uint32) []byte {
	be := binary.BigEndian
	for i := range len(layout) {
		switch layout[i] {
		case 'M':
			b = be.AppendUint16(append(b, 2, 4), mss)
		case 'S':
			b = append(b, 4, 2)
		case 'T':
			b = be.AppendUint32(be.AppendUint32(append(b, 8, 10), stamp), echo)
		case 'W':
			b = append(b, 3, 3, scale)
		case 'N':
			b = append(b, 1)
		case 'E':
			b = append(b, 0)
		}
	}
	return b
}

// answer is the layout of a's SYN-ACK to a SYN of s: what both know.
func (s *System) answer(a *System) string {
	both := func(option byte) bool { return s.has(option) && a.has(option) }
	switch {
	case both('T') && both('W'):
		return "MSTNW"
	case both('S') && both('W'):
		return "MNNSNW"
	}
	return "M"
}
