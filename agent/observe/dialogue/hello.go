package dialogue

import (
	"cordon"
	"cordon/agent/observe/quic"
	"cordon/agent/observe/tls"
)

// tls reads the ClientHello, and nothing behind it.
func (t *Table) tls(c *conversation, k int, b []byte) (more bool) {
	if k == answerer {
		return false // the hello comes first
	}
	if c.pages[opener] != nil {
		var n int
		if b, n = t.gather(c, opener, b); n == 0 {
			return false // longer than a page
		}
		if len(b) < c.said {
			return true
		}
	}
	h, err := tls.Parse(b, t.scratch[:])
	if err != tls.ErrShort {
		if err == nil {
			t.hello(h)
		}
		return false
	}
	if c.said = len(b) + max(h.Need, 1); c.pages[opener] == nil {
		b, _ = t.gather(c, opener, b)
	}
	return b != nil
}

// quic reads the ClientHello of a datagram of the opener.
func (t *Table) quic(k int, b []byte) {
	if k != opener || !quic.Is(b) {
		return
	}
	message, err := t.initial.Hello(b)
	if err != nil {
		return
	}
	if h, err := tls.ParseHandshake(message); err == nil {
		t.hello(h)
	}
}

func (t *Table) hello(h tls.Hello) {
	t.tell(cordon.FactTLS, opener, cordon.Observation{Name: t.lower(h.Name), Service: h.ALPN})
}
