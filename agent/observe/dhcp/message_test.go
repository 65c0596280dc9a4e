package dhcp_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cordon/agent/observe/dhcp"
)

// message returns a message with the given options behind the cookie.
func message(op byte, options string) []byte {
	b := make([]byte, 236, 236+4+len(options))
	b[0], b[1], b[2] = op, 1, 6
	copy(b[28:], "\x02\x00\x00\x00\x00\x07")
	return append(append(b, 0x63, 0x82, 0x53, 0x63), options...)
}

func TestParse(t *testing.T) {
	overloaded := message(1, "\x35\x01\x01\x34\x01\x03\xff")
	copy(overloaded[108:], "\x0c\x03Cam\xff")
	copy(overloaded[44:], "\x3c\x05udhcp\x34\x01\x03\xff")
	hardware := [6]byte{2, 0, 0, 0, 0, 7}
	tests := []struct {
		name string
		in   []byte
		want dhcp.Message
		err  error
	}{
		{
			name: "request",
			in: message(1, "\x35\x01\x03\x00\x32\x04\xc0\xa8\x01\x0a\x0c\x06Camera\x3c\x05udhcp"+
				"\x37\x03\x01\x03\x06\x3d\x07\x01\x02\x00\x00\x00\x00\x07\xff\x0c\x05after"),
			want: dhcp.Message{Op: dhcp.FromClient, Type: dhcp.Request, Hardware: hardware,
				Requested: netip.MustParseAddr("192.168.1.10"), Host: []byte("Camera"), Vendor: []byte("udhcp"),
				Params: []byte{1, 3, 6}, ID: []byte{1, 2, 0, 0, 0, 0, 7}},
		},
		{
			name: "acknowledgement",
			in:   message(2, "\x35\x01\x05\x36\x04\xc0\xa8\x01\x01\x03\x08\xc0\xa8\x01\xfe\xc0\xa8\x01\xfd\xff"),
			want: dhcp.Message{Op: dhcp.FromServer, Type: dhcp.ACK, Hardware: hardware,
				Server: netip.MustParseAddr("192.168.1.1"), Router: netip.MustParseAddr("192.168.1.254")},
		},
		{
			name: "overload",
			in:   overloaded,
			want: dhcp.Message{Op: dhcp.FromClient, Type: dhcp.Discover, Hardware: hardware,
				Host: []byte("Cam"), Vendor: []byte("udhcp")},
		},
		{
			name: "the first of two counts, short and empty ones do not",
			in:   message(1, "\x35\x01\x01\x35\x01\x05\x32\x03\x01\x02\x03\x0c\x00\x0c\x01a\x0c\x01b"),
			want: dhcp.Message{Op: dhcp.FromClient, Type: dhcp.Discover, Hardware: hardware, Host: []byte("a")},
		},
		{
			name: "option over the end",
			in:   message(1, "\x35\x01\x01\x0c\x09short"),
			want: dhcp.Message{Op: dhcp.FromClient, Type: dhcp.Discover, Hardware: hardware},
			err:  dhcp.ErrOption,
		},
		{"option without length", message(1, "\x0c"), dhcp.Message{Op: 1, Hardware: hardware}, dhcp.ErrOption},
		{"short", message(1, "")[:239], dhcp.Message{}, dhcp.ErrShort},
		{"no cookie", make([]byte, 300), dhcp.Message{}, dhcp.ErrCookie},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m dhcp.Message
			if err := m.Parse(tt.in); !errors.Is(err, tt.err) {
				t.Errorf("Parse: got error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, m, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestCutAndAllocs(t *testing.T) {
	b := message(1, "\x35\x01\x03\x32\x04\xc0\xa8\x01\x0a\x34\x01\x03\x0c\x06Camera\xff")
	n := testing.AllocsPerRun(1, func() {
		for n := range len(b) - 1 { // the last byte is the end option
			var m dhcp.Message
			if err := m.Parse(b[:n]); m.Host != nil {
				panic(err)
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzDHCP(f *testing.F) {
	f.Add(message(1, "\x35\x01\x03\x32\x04\xc0\xa8\x01\x0a\x34\x01\x03\x0c\x06Camera\xff"))
	f.Add(message(2, "\x35\x01\x05\x36\x04\xc0\xa8\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m dhcp.Message
		_ = m.Parse(b)
		if len(m.Host) > 255 || len(m.Vendor) > 255 || len(m.Params) > 255 || len(m.ID) > 255 {
			t.Fatal("an option of more than 255 bytes")
		}
	})
}
