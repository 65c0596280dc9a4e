package ssh

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// turn is what a side says at once: packets in clear, by type, and then n bytes.
type turn struct {
	side  int
	clear string // types, as bytes; "\x00" is the banner
	n     int
}

// The turns that begin every connection of the tests; the service is asked for
// with 52 bytes and granted with 52.
var begin = []turn{
	{server, "\x00", 0}, {client, "\x00\x14", 0}, {server, "\x14", 0}, {client, "\x1e", 0}, {server, "\x1f\x15", 0}, {client, "\x15", 52}, {server, "", 52},
}

func (u turn) bytes() []byte {
	var b []byte
	for _, kind := range []byte(u.clear) {
		if kind == 0 {
			b = append(b, "Authorized use only\r\nSSH-2.0-Test_1.0\r\n"...)
			continue
		}
		b = binary.BigEndian.AppendUint32(b, 300)
		b = append(b, 4, kind)
		b = append(b, strings.Repeat("x", 298)...)
	}
	return append(b, strings.Repeat("\xee", u.n)...)
}

// guessed plays turns and returns what became clear. size is that of the pieces in
// which what is in clear comes.
func guessed(turns []turn, size int) (events []string) {
	var c Conn
	for _, u := range turns {
		b := u.bytes()
		for len(b) > 0 {
			n := min(size, len(b))
			if c.sides[u.side].stage == encrypted || len(b) <= u.n {
				n = len(b)
			} else if rest := len(b) - u.n; n > rest {
				n = rest
			}
			e, more := c.Said(u.side, b[:n])
			b = b[n:]
			for i, name := range []string{"tried", "refused", "succeeded"} {
				if e&(1<<i) != 0 {
					events = append(events, name)
				}
			}
			if !more {
				return append(events, "end")
			}
		}
	}
	return events
}

func TestLogins(t *testing.T) {
	for _, test := range []struct {
		name  string
		turns []turn
		want  []string
	}{
		{"nothing", nil, nil},
		{"asks for the methods", []turn{{client, "", 68}, {server, "", 52}, {client, "", 36}}, nil},
		{"three passwords after asking for the methods", []turn{{client, "", 72}, {server, "", 84}, {client, "", 152}, {server, "", 84},
			{client, "", 152}, {server, "", 84}, {client, "", 152}, {server, "", 84}},
			[]string{"tried", "refused", "tried", "refused", "tried", "refused"}},
		{"a password without asking", []turn{{client, "", 84}, {server, "", 68}}, []string{"tried", "refused"}},
		{"the right password", []turn{{client, "", 72}, {server, "", 84}, {client, "", 152}, {server, "", 36}, {client, "", 120}, {server, "", 600},
			{client, "", 500}, {server, "", 500}}, []string{"tried", "succeeded", "end"}},
		{"mistyped once", []turn{{client, "", 84}, {server, "", 68}, {client, "", 84}, {server, "", 36}, {client, "", 120}, {server, "", 1200}},
			[]string{"tried", "refused", "tried", "succeeded", "end"}},
		{"a key", []turn{{client, "", 72}, {server, "", 84}, {client, "", 376}, {server, "", 340}, {client, "", 660}, {server, "", 36}, {client, "", 120},
			{server, "", 700}}, []string{"tried", "succeeded", "end"}},
		{"says nothing for long", []turn{{client, "", 60}, {server, "", most}}, []string{"end"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, size := range []int{1, 5, 1 << 20} {
				if diff := cmp.Diff(test.want, guessed(append(begin[:len(begin):len(begin)], test.turns...), size)); diff != "" {
					t.Errorf("in pieces of %d (-want +got):\n%s", size, diff)
				}
			}
		})
	}
}

func TestEnds(t *testing.T) {
	for name, say := range map[string]func(c *Conn) bool{
		"endless line": func(c *Conn) bool { _, more := c.Said(client, make([]byte, maxLine+1)); return more },
		"long packet": func(c *Conn) bool {
			c.Said(client, []byte("SSH-2.0-x\n"))
			_, more := c.Said(client, []byte{1, 0, 0, 0, 4, 20})
			return more
		},
		"gap in clear": func(c *Conn) bool {
			c.Said(client, []byte("SSH-2.0-x\n"))
			c.Lose()
			_, more := c.Said(client, []byte{0, 0, 1, 0, 4, 20})
			return more
		},
	} {
		if say(new(Conn)) {
			t.Errorf("%s: more is wanted", name)
		}
	}
}

func TestGapWhenEncrypted(t *testing.T) {
	var c Conn
	for _, u := range begin {
		c.Said(u.side, u.bytes())
	}
	c.Lose()
	if e, more := c.Said(client, make([]byte, 200)); e != 0 || !more {
		t.Errorf("%b, %v after a gap, want to go on", e, more)
	}
	if e, _ := c.Said(server, make([]byte, 52)); e != Tried|Refused {
		t.Errorf("%b, want tried and refused", e)
	}
}

func FuzzSSH(f *testing.F) {
	var seed []byte
	for _, u := range begin {
		seed = append(seed, byte(u.side), byte(len(u.bytes())>>4))
		seed = append(seed, u.bytes()...)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Conn
		said := 0
		for len(data) >= 2 {
			side, n := int(data[0]&1), min(int(data[1])<<4, len(data)-2)
			e, more := c.Said(side, data[2:2+n])
			data = data[2+n:]
			if said += n; e&Succeeded != 0 && more {
				t.Error("more is wanted after success")
			}
			if !more {
				return
			}
		}
	})
}
