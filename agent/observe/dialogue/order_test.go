package dialogue

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
)

// TestLostSegment plays every script with each of its segments lost in turn: what
// is told is bounded by what would have been, no secret is told, and everything is
// given back.
func TestLostSegment(t *testing.T) {
	for _, test := range tests {
		for lost := range test.script {
			r := newRig(t, Config{})
			c := r.connect(&cordon.Device{})
			for i, text := range test.script {
				r.now = r.now.Add(time.Second)
				k, b := line(t, text)
				if i == lost {
					c.seq[k] += uint32(len(b))
					continue
				}
				c.next(k, b)
			}
			c.close()
			if n := len(r.facts); n > len(test.facts)+len(test.script) {
				t.Errorf("%s without %q: %q", test.name, test.script[lost], r.facts)
			}
			r.keepsNoSecret()
			r.isEmpty()
		}
	}
}

// TestGap: the dialogue goes on behind a gap, and what was half said is not joined
// over it.
func TestGap(t *testing.T) {
	r := newRig(t, Config{})
	c := r.connect(&cordon.Device{})
	c.next(answerer, []byte("\xff\xfb\x01login: "))
	c.next(opener, []byte("root\r\n"))
	c.next(answerer, []byte("Password: "))
	c.next(opener, []byte("x\r\n"))
	c.seq[answerer] += 100 // lost: the verdict
	c.next(answerer, []byte("# "))
	c.next(opener, []byte("wget http://203.0.113.5"))
	c.seq[opener] += 10
	c.next(opener, []byte("0/other\n"))
	c.next(opener, []byte("/bin/busybox ECCHI\n"))
	want := []string{"login telnet prompt", "login telnet tried", "login telnet succeeded", "shell busybox-probe"}
	if diff := cmp.Diff(want, r.facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if r.Stats().Gaps != 2 {
		t.Errorf("%d gaps, want 2", r.Stats().Gaps)
	}
}

// TestOvertaken: of two segments in the wrong order the later counts.
func TestOvertaken(t *testing.T) {
	r := newRig(t, Config{})
	c := r.connect(&cordon.Device{})
	first := c.seq[opener]
	c.seq[opener] += 2
	c.next(opener, []byte("\x00\x02"))
	c.say(opener, first, []byte("\x00\x01"))
	c.next(opener, []byte("\x00\x03"))
	if diff := cmp.Diff([]string{"small 0002 by opener", "small 0003 by opener"}, r.facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

// TestAckShowsPlace: where a side's bytes begin is known from the other's
// acknowledgement, so an older copy of them is old.
func TestAckShowsPlace(t *testing.T) {
	r := newRig(t, Config{})
	c := r.connect(&cordon.Device{})
	c.next(opener, []byte("\x00\x01"))
	c.say(answerer, c.seq[answerer]-5, []byte("\x00\x09"))
	c.next(answerer, []byte("\x00\x02"))
	if diff := cmp.Diff([]string{"small 0001 by opener", "small 0002 by answerer"}, r.facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

// TestCut: what the capture cut off is a gap.
func TestCut(t *testing.T) {
	r := newRig(t, Config{})
	c := r.connect(&cordon.Device{})
	c.next(opener, []byte("\x00\x01"))
	c.p.Payload, c.p.PayloadLen, c.p.Seq = []byte("\x00\x02"), 40, c.seq[opener]
	r.Said(&c.flow, c.id, &c.p, true, r.now)
	c.seq[opener] += 40
	c.next(opener, []byte("\x00\x03"))
	if len(r.facts) != 3 || r.Stats().Gaps != 1 {
		t.Errorf("%q and %d gaps, want three facts and one gap", r.facts, r.Stats().Gaps)
	}
}

// TestMidstream: a flow whose beginning was not seen is read from where it is.
func TestMidstream(t *testing.T) {
	r := newRig(t, Config{})
	c := r.connect(&cordon.Device{})
	c.flow.Midstream = true
	c.seq[opener] += 1 << 30
	c.next(opener, []byte("\x00\x00"))
	c.next(answerer, []byte("\x00\x00"))
	d := r.connect(&cordon.Device{})
	d.flow.Midstream = true
	d.seq[opener] += 1 << 30
	d.next(opener, []byte("GET /x HTTP/1.1\r\nHost: a.b\r\n\r\n"))
	if diff := cmp.Diff([]string{"small 0000 by opener", "small 0000 by answerer", "request GET a.b /x"}, r.facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if r.Stats().Gaps != 0 {
		t.Errorf("%d gaps, want none", r.Stats().Gaps)
	}
}

// TestSmallEnds: a quiet flow that is not quiet any more costs nothing further.
func TestSmallEnds(t *testing.T) {
	for name, say := range map[string]func(c *conn){
		"says more than it may": func(c *conn) {
			for range largeMost/100 + 1 {
				c.next(answerer, make([]byte, 100))
			}
		},
		"chatters": func(c *conn) {
			for range smallMost + 1 {
				c.next(opener, []byte{1})
			}
		},
	} {
		r := newRig(t, Config{})
		c := r.connect(&cordon.Device{})
		c.next(opener, []byte("\x00\x00\x00\x01"))
		if say(c); !c.over {
			t.Errorf("a flow that %s is still read", name)
		}
		r.isEmpty()
	}
}

// TestKeepAliveForDays: two bytes a minute, each packet twice, are told to the end.
func TestKeepAliveForDays(t *testing.T) {
	r := newRig(t, Config{})
	r.mute = true
	c := r.connect(&cordon.Device{})
	c.next(opener, []byte("\x00\x00\x00\x01"))
	const minutes = 7 * 24 * 60
	for range minutes {
		r.now = r.now.Add(time.Minute)
		for _, k := range []int{opener, answerer} {
			seq := c.seq[k]
			c.next(k, []byte("\x00\x00"))
			c.say(k, seq, []byte("\x00\x00"))
		}
	}
	if r.told != 1+2*minutes || c.over {
		t.Errorf("%d facts, over %v, want %d and that it goes on", r.told, c.over, 1+2*minutes)
	}
}

// TestRequestsAreBounded: of a connection that goes on, the first requests are read.
func TestRequestsAreBounded(t *testing.T) {
	r := newRig(t, Config{})
	c := r.connect(&cordon.Device{})
	c.next(opener, []byte(strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", maxRequests+1)))
	if len(r.facts) != maxRequests || !c.over {
		t.Errorf("%d requests, over %v, want %d and that it is over", len(r.facts), c.over, maxRequests)
	}
}

// FuzzDialogue takes bytes as segments of both sides: a byte that says whose, how
// they are placed and how long they are, then the bytes.
func FuzzDialogue(f *testing.F) {
	for _, test := range tests {
		var seed []byte
		for _, text := range test.script {
			k, b := line(f, text)
			for len(b) > 0 {
				n := min(len(b), 63)
				seed = append(append(seed, byte(k)|byte(n)<<2), b[:n]...)
				b = b[n:]
			}
		}
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, datagram bool) {
		r := newRig(t, Config{Size: 16, Flows: 4})
		c := r.connect(&cordon.Device{})
		if datagram {
			c.close()
			c = r.datagrams(&cordon.Device{})
		}
		said := 0
		for len(data) > 0 && !c.over {
			k, odd, n := int(data[0]&1), data[0]&2 != 0, min(int(data[0]>>2), len(data)-1)
			b := data[1 : 1+n]
			data = data[1+n:]
			if said += n; odd && n > 0 { // somewhere else in the stream
				c.say(k, c.seq[k]+uint32(b[0])-128, b)
			} else {
				c.next(k, b)
			}
		}
		if len(r.facts) > 4*said+4 {
			t.Errorf("%d facts for %d bytes", len(r.facts), said)
		}
		c.close()
		r.isEmpty()
	})
}
