package dhcp6_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cordon/agent/observe/dhcp6"
)

// option returns an option as it is on the wire.
func option(code uint16, data string) string {
	b := binary.BigEndian.AppendUint16(nil, code)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(data)))) + data
}

// message returns a message with the options given.
func message(kind dhcp6.Type, options ...string) []byte {
	return []byte(string(rune(kind)) + "xid" + strings.Join(options, ""))
}

const duid = "\x00\x03\x00\x01\x02\x00\x00\x00\x00\x07"

// want is a message as a test writes it.
type want struct {
	kind                    dhcp6.Type
	client, wanted          string
	vendor, requested, host string
}

func text(m *dhcp6.Message) want {
	w := want{m.Type, string(m.Client), "", string(m.Vendor()), string(m.AppendRequested(nil)), string(m.Host())}
	if m.Wanted.IsValid() {
		w.wanted = m.Wanted.String()
	}
	return w
}

func address(s string) string {
	a := netip.MustParseAddr(s).As16()
	return option(5, string(a[:])+"\x00\x00\x00\x00\x00\x00\x00\x00")
}

func TestParse(t *testing.T) {
	const ids = "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00" // of an IA_NA
	client := option(1, duid)
	tests := []struct {
		name string
		in   []byte
		want want
		err  error
	}{
		{
			name: "solicit",
			in: message(dhcp6.Solicit, client, option(6, "\x00\x17\x00\x18\x01\x00\x00\x27"), option(8, "\x00\x00"),
				option(16, "\x00\x00\x01\x37\x00\x08MSFT 5.0\x00\x01x"), option(39, "\x00\x06Camera\x03lan\x00"), option(3, ids)),
			want: want{kind: dhcp6.Solicit, client: duid, vendor: "MSFT 5.0", requested: "\x17\x18\x27", host: "Camera"},
		},
		{
			name: "request for an address",
			in:   message(dhcp6.Request, client, option(3, ids+option(13, "\x00\x00")+address("::")+address("2001:db8::7")+address("2001:db8::8"))),
			want: want{kind: dhcp6.Request, client: duid, wanted: "2001:db8::7"},
		},
		{
			name: "partial name without its end",
			in:   message(dhcp6.Renew, option(39, "\x00\x03Cam")),
			want: want{kind: dhcp6.Renew, host: "Cam"},
		},
		{
			name: "the first of two counts, empty ones do not",
			in:   message(dhcp6.Rebind, option(1, ""), client, option(1, "other")),
			want: want{kind: dhcp6.Rebind, client: duid},
		},
		{
			name: "lies within options",
			in: message(dhcp6.Confirm, option(3, ids+"\x00\x05\x00\xff"), option(3, "short"), option(16, "\x00\x00\x00\x00\x00\x05abcd"),
				option(39, "\x00\x07Camera"), option(6, "\x00"), client),
			want: want{kind: dhcp6.Confirm, client: duid},
		},
		{"as many codes as are read", message(dhcp6.Renew, option(6, strings.Repeat("\x00a", 300))),
			want{kind: dhcp6.Renew, requested: strings.Repeat("a", dhcp6.MaxRequested)}, nil},
		{"label of a reserved type", message(dhcp6.Renew, option(39, "\x00\xc0"+strings.Repeat("a", 255))), want{kind: dhcp6.Renew}, nil},
		{"through a relay agent", message(dhcp6.RelayForward, client), want{kind: dhcp6.RelayForward}, nil},
		{"option over the end", message(dhcp6.InformationRequest, client, "\x00\x27\x00\x02a"),
			want{kind: dhcp6.InformationRequest, client: duid}, dhcp6.ErrOption},
		{"option without length", message(dhcp6.InformationRequest, "\x00\x27"), want{kind: dhcp6.InformationRequest}, dhcp6.ErrOption},
		{"short", []byte("\x01xi"), want{}, dhcp6.ErrShort},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m dhcp6.Message
			if err := m.Parse(tt.in); !errors.Is(err, tt.err) {
				t.Errorf("Parse: got error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, text(&m), cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestCutAndAllocs(t *testing.T) {
	b := message(dhcp6.Solicit, option(1, duid), option(6, "\x00\x17"), option(16, "\x00\x00\x01\x37\x00\x08MSFT 5.0"), option(39, "\x00\x06Camera"))
	var requested [8]byte
	n := testing.AllocsPerRun(1, func() {
		for n := range b {
			var m dhcp6.Message
			if err := m.Parse(b[:n]); m.Host() != nil || len(m.AppendRequested(requested[:0])) > 1 || len(m.Vendor()) > 8 {
				panic(err)
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzDHCP6(f *testing.F) {
	f.Add(message(dhcp6.Solicit, option(1, duid), option(6, "\x00\x17"), option(16, "\x00\x00\x01\x37\x00\x01M"), option(39, "\x00\x06Camera\x00")))
	f.Add(message(dhcp6.Renew, option(3, "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"+address("2001:db8::7"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m dhcp6.Message
		_ = m.Parse(b)
		if len(m.Host()) > 63 || len(m.Vendor()) > len(b) || 2*len(m.AppendRequested(nil)) > len(b) || m.Wanted.IsUnspecified() {
			t.Fatalf("%+v of %d bytes", text(&m), len(b))
		}
	})
}
