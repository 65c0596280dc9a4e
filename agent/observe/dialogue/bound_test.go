package dialogue

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"cordon"
)

// TestFlood: a device that speaks in thousands of flows pushes out its own, and
// not the quiet one in which it is commanded, nor anybody else's.
func TestFlood(t *testing.T) {
	r := newRig(t, Config{})
	bot, laptop := &cordon.Device{ID: "bot", Slot: 1}, &cordon.Device{ID: "laptop", Slot: 2}
	seats, talks := cap(r.seats), cap(r.talks)
	shell := r.connect(laptop)
	shell.next(answerer, []byte("\xff\xfb\x01login: "))
	command := r.connect(bot)
	command.next(opener, []byte("\x00\x00\x00\x01"))
	fresh := r.connect(bot)
	fresh.next(opener, []byte("\x00\x00\x00\x01"))
	r.now = r.now.Add(10 * time.Second)
	command.next(opener, []byte("\x00\x00"))
	var open []*conn
	for i := range 10_000 {
		r.now = r.now.Add(50 * time.Millisecond)
		c := r.connect(bot)
		if i%2 == 0 {
			c.next(answerer, []byte("\xff\xfb\x01login: "))
		} else {
			c.next(opener, []byte("GET / HTTP/1.1\r\n")) // takes a page, if there is one
		}
		if open = append(open, c); len(open) > 2000 {
			open[0].close()
			open = open[1:]
		}
		if n := r.share.owners[bot.Slot].n(); n > DefaultSize/deviceShare {
			t.Fatalf("%d conversations of one device, want at most %d", n, DefaultSize/deviceShare)
		}
	}
	before := len(r.facts)
	command.next(opener, []byte("\x00\x00"))
	fresh.next(opener, []byte("\x00\x00"))
	shell.next(opener, []byte(user+"\r\n"))
	shell.next(answerer, []byte("Password: "))
	shell.next(opener, []byte(secret+"\r\n"))
	if got := strings.Join(r.facts[before:], ", "); got != "small 0000 by opener, small 0000 by opener, login telnet tried" {
		t.Errorf("after the flood: %s, want both quiet flows and the laptop's log-in", got)
	}
	s := r.Stats()
	if s.Conversations != 10_003 || s.Evicted+s.Unpaged < 9000 {
		t.Errorf("%+v, want 10,003 conversations and nearly as many evicted", s)
	}
	if cap(r.seats) != seats || cap(r.talks) != talks || r.pages.made > maxPages {
		t.Errorf("%d seats, %d conversations, %d pages: memory grew", cap(r.seats), cap(r.talks), r.pages.made)
	}
	for _, c := range append(open, shell, command, fresh) {
		c.close()
	}
	r.isEmpty()
}

// TestQuietFlood: quiet conversations that are new do not push out those that last.
func TestQuietFlood(t *testing.T) {
	r := newRig(t, Config{})
	bot := &cordon.Device{ID: "bot"}
	command := r.connect(bot)
	command.next(opener, []byte("\x00\x00\x00\x01"))
	r.now = r.now.Add(time.Minute)
	command.next(opener, []byte("\x00\x00"))
	for range 1000 {
		r.connect(bot).next(opener, []byte("\x01\x02"))
	}
	if r.now = r.now.Add(time.Minute); command.over {
		t.Fatal("the quiet conversation is over")
	}
	command.next(answerer, []byte("\x00\x00"))
	if got := r.facts[len(r.facts)-1]; got != "small 0000 by answerer" {
		t.Errorf("%s, want the keep-alive", got)
	}
}

// TestFullTable: when all conversations are taken, the device with most pays.
func TestFullTable(t *testing.T) {
	r := newRig(t, Config{Size: 16})
	for i := range 8 { // 16 conversations: two of each device
		d := &cordon.Device{ID: fmt.Sprint(i), Slot: i}
		r.connect(d).next(opener, []byte("GET"))
		r.connect(d).next(opener, []byte("GET"))
	}
	if r.free != 0 || r.Stats().Evicted != 0 {
		t.Fatalf("the table is not just full: free %d, %+v", r.free, r.Stats())
	}
	last := r.connect(&cordon.Device{ID: "last", Slot: 9})
	last.next(opener, []byte("\x00\x01"))
	if len(r.facts) != 1 || r.Stats().Evicted != 1 {
		t.Errorf("%q and %+v, want the newcomer to be heard", r.facts, r.Stats())
	}
	if n := r.share.owners[9].n(); n != 1 {
		t.Errorf("%d conversations of the newcomer, want 1", n)
	}
}

// TestForgottenDevice: conversations of a device whose slot was given to another
// one do not count for that one.
func TestForgottenDevice(t *testing.T) {
	r := newRig(t, Config{})
	old := r.connect(&cordon.Device{ID: "old", Generation: 1})
	old.next(opener, []byte("\x00\x01"))
	r.connect(&cordon.Device{ID: "new", Generation: 2}).next(opener, []byte("\x00\x01"))
	old.next(opener, []byte("\x00\x02"))
	if len(r.facts) != 2 || !old.over {
		t.Errorf("%q, over %v: want the old device's conversation to be over", r.facts, old.over)
	}
}

func TestNoSeat(t *testing.T) {
	r := newRig(t, Config{Flows: 2})
	d := &cordon.Device{}
	a, b, c := r.connect(d), r.connect(d), r.connect(d)
	if a.id == 0 || b.id == 0 || c.id != 0 || r.Stats().Unseated != 1 {
		t.Errorf("ids %d, %d, %d and %+v: want two and none", a.id, b.id, c.id, r.Stats())
	}
	r.End(a.id)
	r.End(a.id) // twice does no harm
	if c = r.connect(d); c.id == 0 {
		t.Error("no seat after one was given back")
	}
	if c = r.connect(d); c.id != 0 {
		t.Error("a seat was given twice")
	}
}

// TestSteadyStateAllocatesNothing: whole dialogues, again and again.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	r := newRig(t, Config{})
	r.mute = true
	d := &cordon.Device{ID: "camera"}
	type segment struct {
		k int
		b []byte
	}
	var scripts [][]segment
	for _, test := range tests {
		var s []segment
		for _, text := range test.script {
			k, b := line(t, text)
			s = append(s, segment{k, b})
		}
		scripts = append(scripts, s)
	}
	c := r.connect(d)
	play := func() {
		for _, s := range scripts {
			for _, cut := range []int{1, 1 << 20} {
				c.seq, c.over = [2]uint32{c.flow.FirstSeq + 1, 77}, false
				c.id = r.Begin(&c.flow)
				for _, seg := range s {
					for b := seg.b; len(b) > 0; b = b[min(cut, len(b)):] {
						c.next(seg.k, b[:min(cut, len(b))])
					}
				}
				c.close()
			}
		}
	}
	play()
	if n := testing.AllocsPerRun(20, play); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	if r.told == 0 {
		t.Error("no facts, so nothing was shown")
	}
}

// BenchmarkKeepAlive is one packet of a quiet conversation.
func BenchmarkKeepAlive(b *testing.B) {
	r := newRig(b, Config{})
	r.mute = true
	c := r.connect(&cordon.Device{})
	data := []byte{0, 0}
	b.ReportAllocs()
	for b.Loop() {
		r.now = r.now.Add(time.Minute)
		c.next(opener, data)
	}
}

// BenchmarkRequest is a connection with one request and its answer.
func BenchmarkRequest(b *testing.B) {
	r := newRig(b, Config{})
	r.mute = true
	c := r.connect(&cordon.Device{})
	ask := []byte("GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n\r\n")
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("<p>", 300))
	b.ReportAllocs()
	for b.Loop() {
		c.seq, c.over = [2]uint32{c.flow.FirstSeq + 1, 77}, false
		c.id = r.Begin(&c.flow)
		c.next(opener, ask)
		c.next(answerer, answer)
		c.close()
	}
}

// BenchmarkDownload is one full segment of a long answer.
func BenchmarkDownload(b *testing.B) {
	r := newRig(b, Config{})
	r.mute = true
	c := r.connect(&cordon.Device{})
	c.next(opener, []byte("GET / HTTP/1.1\r\n\r\n"))
	c.next(answerer, []byte("HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("x", 40)))
	data := make([]byte, 1448)
	b.ReportAllocs()
	for b.Loop() {
		c.next(answerer, data)
		r.talks[1].said = 0
	}
}

// maxMemory is what a Table of the default size may take, bytes: pages when all
// are lent out, and QUIC's reader and the catalogue besides (about 150 kB).
const maxMemory = 900 << 10

// TestMemory holds the table to its part of the router's memory.
func TestMemory(t *testing.T) {
	r := newRig(t, Config{})
	n := len(r.talks)*int(unsafe.Sizeof(conversation{})) + len(r.seats)*int(unsafe.Sizeof(seat{})) + maxPages*int(unsafe.Sizeof(page{}))
	t.Logf("%d bytes a conversation, %d in all", unsafe.Sizeof(conversation{}), n)
	if n > maxMemory {
		t.Errorf("%d bytes, want at most %d", n, maxMemory)
	}
}
