package dialogue

import (
	"bytes"
	"time"

	"cordon"
	"cordon/internal/ascii"
)

const (
	// smallBytes is the longest payload that FactSmall tells.
	smallBytes = 16
	// largeMost is how many bytes of longer payloads a side of a quiet conversation
	// may say, in all: Mirai's longest attack commands are a few dozen bytes.
	largeMost = 2048
	// smallMost is how many small payloads a conversation may have in smallEvery:
	// Mirai's has 2 to 4 a minute, a game or a remote control has thousands.
	smallMost  = 120
	smallEvery = time.Minute
	// lastingAfter is how long a conversation goes on until it is kept before those
	// that may be over at once: Mirai's bot speaks again after 10 s (its main loop's
	// select), an answer to a probe never.
	lastingAfter = 9 * time.Second
)

// small is a conversation of no known protocol.
type small struct {
	large [2]uint16
	n     uint16 // small payloads since from
	from  cordon.Time
}

func (t *Table) small(c *conversation, k int, b []byte) (more bool) {
	if k == opener {
		t.search(c, b)
	}
	s := &c.small
	if len(b) > smallBytes {
		s.large[k] = uint16(min(int(s.large[k])+len(b), largeMost+1))
		return s.large[k] <= largeMost
	}
	if t.now.Sub(s.from) > smallEvery {
		s.from, s.n = t.now, 0
	}
	if s.n++; s.n > smallMost {
		return false
	}
	if c.class == quiet && t.now.Sub(c.begun) > lastingAfter {
		t.move(c, lasting)
	}
	t.tell(cordon.FactSmall, k, cordon.Observation{Data: t.veil(b)})
	return true
}

// veil copies a payload with a "?" for every readable byte: what is typed into a
// protocol that is not known, byte by byte too, may be a password. The words of
// keep-alives stay.
func (t *Table) veil(b []byte) []byte {
	if word := bytes.TrimRight(b, "\r\n\x00"); ascii.EqualFold(word, "ping") || ascii.EqualFold(word, "pong") {
		return b
	}
	n := copy(t.data[:], b)
	for i, ch := range t.data[:n] {
		if ch > ' ' && ch < 0x7f {
			t.data[i] = '?'
		}
	}
	return t.data[:n]
}
