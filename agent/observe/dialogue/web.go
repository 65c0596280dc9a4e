package dialogue

import (
	"bytes"

	"cordon"
	"cordon/agent/observe/http"
)

const (
	// maxRequests is how many requests of one connection are read.
	maxRequests = 16
	// bodyMost is how many bytes of an answer are passed over to see the next
	// request: a larger body is a download or a film, and mostly the last.
	bodyMost = 1 << 20
	// elfStart is how many bytes of a program name its processor (ELF, e_machine).
	elfStart = 20
)

// web is a connection of HTTP/1.
type web struct {
	requests int
	asked    bool // no answer yet to the last request
	basic    bool // which had a name and a password
	tunnel   bool // which asked for another protocol
	status   uint16
	start    [elfStart]byte
	have     int  // of start
	body     bool // start is being gathered
}

// lose is told that bytes of a side are missing. The next head is found where a
// segment begins with one.
func (w *web) lose(k int) {
	if k == answerer {
		w.body = false
	}
}

var httpService = []byte("http")

func (t *Table) http(c *conversation, k int, b []byte) (more bool) {
	if k == opener {
		return t.requests(c, b)
	}
	w := &c.web
	if c.said += len(b); c.said > bodyMost {
		return false
	}
	switch {
	case w.asked:
		return t.response(c, b)
	case w.body:
		t.program(w, b)
	}
	return true
}

// requests reads the heads that b ends or holds, and searches bodies. A head is
// looked for where a segment or the head before ends; what begins like none is a
// body.
func (t *Table) requests(c *conversation, b []byte) (more bool) {
	for len(b) > 0 {
		all, before, n := b, 0, len(b)
		if c.pages[opener] != nil || http.Is(b) && headEnd(b) < 0 {
			if p := c.pages[opener]; p != nil {
				before = p.n
			}
			if all, n = t.gather(c, opener, b); all == nil {
				return false
			}
		}
		if !http.Is(all) {
			t.search(c, all)
			t.pages.release(c, opener)
			b = b[n:]
			continue
		}
		end := headEnd(all)
		if end < 0 && n == len(b) {
			return true // goes on in the next segment
		}
		if end < 0 { // longer than a page
			end = len(all)
		}
		if more = t.request(c, all[:end]); !more {
			return false
		}
		t.pages.release(c, opener)
		b = b[end-before:]
	}
	return true
}

// headEnd returns where the body behind a head begins, −1 if the head goes on.
func headEnd(b []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n + 1
		if i < len(b) && b[i] == '\n' {
			return i + 1
		}
		if i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n' {
			return i + 2
		}
	}
}

// request takes the head of a request.
func (t *Table) request(c *conversation, head []byte) (more bool) {
	r, err := http.ParseRequest(head)
	if err != nil && err != http.ErrShort {
		t.search(c, head)
		return true
	}
	w := &c.web
	if w.requests++; w.requests > maxRequests {
		return false
	}
	t.tell(cordon.FactHTTPRequest, opener, cordon.Observation{
		Service: r.Method, Name: t.lower(hostOf(withoutUser(r.Host))), Path: target(r.Target), Agent: r.Agent})
	c.scan = scan(t.fact.Flow, requestMost)
	t.search(c, head)
	if r.Basic {
		t.login(httpService, cordon.LoginTried)
	}
	w.asked, w.basic, w.body, c.said = true, r.Basic, false, 0
	w.tunnel = string(r.Method) == "CONNECT"
	return true
}

// target returns the path of a request target (RFC 9112 §3.2), without what may
// be a password: the user of a URL, the query.
func target(b []byte) []byte {
	if i := bytes.Index(b, []byte("://")); i >= 0 && b[0] != '/' {
		b = b[i+3:]
		b = b[max(bytes.IndexByte(b, '/'), 0):]
	}
	return pathOf(withoutUser(b))
}

func withoutUser(b []byte) []byte {
	if len(b) > 0 && b[0] != '/' {
		return b[bytes.LastIndexByte(b, '@')+1:]
	}
	return b
}

// response reads the head of an answer. One that comes before its head was asked
// for, or begins within a segment, is not seen.
func (t *Table) response(c *conversation, b []byte) (more bool) {
	all := b
	if c.pages[answerer] != nil {
		if all, _ = t.gather(c, answerer, b); all == nil {
			return false
		}
	}
	r, err := http.ParseResponse(all)
	if err == http.ErrShort && len(all) < pageBytes {
		if c.pages[answerer] == nil {
			all, _ = t.gather(c, answerer, b)
		}
		return all != nil
	}
	if more = err != nil && err != http.ErrShort; !more {
		more = t.status(c, r)
	}
	t.pages.release(c, answerer)
	return more
}

// status takes an answer. When its body is a program that comes only later, it is
// told again, with the processor.
func (t *Table) status(c *conversation, r http.Response) (more bool) {
	w := &c.web
	if r.Status >= 100 && r.Status < 200 && r.Status != 101 {
		return true // the answer is yet to come, RFC 9110 §15.2
	}
	w.asked, w.status, w.body, w.have = false, r.Status, len(r.Body) < elfStart, 0
	if w.body {
		t.respond(r.Status, nil)
		t.program(w, r.Body)
	} else {
		t.respond(r.Status, r.Body)
	}
	switch {
	case r.Status == 401 && !w.basic:
		t.login(httpService, cordon.LoginPrompt)
	case !w.basic:
	case r.Status == 401 || r.Status == 403:
		t.login(httpService, cordon.LoginRefused)
	case r.Status >= 200 && r.Status < 400:
		t.login(httpService, cordon.LoginSucceeded)
	}
	return r.Status != 101 && !(w.tunnel && r.Status == 200)
}

var elfService = []byte("elf")

// respond tells an answer, with the processor if its body is a program.
func (t *Table) respond(status uint16, body []byte) {
	o := cordon.Observation{Status: status}
	if machine, ok := http.ELF(body); ok {
		o.Service, o.Model = elfService, append(t.model[:0], machine...)
	}
	t.tell(cordon.FactHTTPResponse, answerer, o)
}

// program gathers the beginning of a body.
func (t *Table) program(w *web, b []byte) {
	w.have += copy(w.start[w.have:], b)
	if w.have == 0 {
		return
	}
	if w.start[0] != 0x7f { // of ELF
		w.body = false
	} else if w.have == elfStart {
		w.body = false
		if _, ok := http.ELF(w.start[:]); ok {
			t.respond(w.status, w.start[:])
		}
	}
}
