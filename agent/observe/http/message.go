// Package http reads the heads of HTTP/1 messages (RFC 9112) where they lie:
// nothing is copied, nothing is allocated, and every byte is hostile.
//
// The first bytes of one side of a TCP connection come in, the few fields that
// tell who asks whom for what go out. It is more tolerant than a server, as what
// it reads is often written by malware by hand. How the files follow a message:
// message.go reads requests and responses, field.go their lines, elf.go the
// program that a body begins with.
package http

import (
	"bytes"

	"cordon/internal/ascii"
)

// Error says why a message cannot be read. It is a number, so that returning
// one allocates nothing.
type Error uint8

// The errors.
const (
	ErrShort Error = iota + 1 // the head goes on: what is there has been read
	ErrStart                  // no request line or status line of HTTP/1
)

var errorTexts = [...]string{"error", "head incomplete", "no start line"}

// Error returns e in words.
func (e Error) Error() string {
	if int(e) < len(errorTexts) {
		return "parse http: " + errorTexts[e]
	}
	return "parse http: unknown error"
}

// Request is what the head of a request says. Its slices alias the bytes given
// to ParseRequest, are trimmed of blanks, and are nil where there is nothing. Of
// two equal header fields the first counts; one over several lines (obs-fold,
// RFC 9112 §5.2) is its first line that is not empty.
type Request struct {
	Method []byte
	// Target is as it was sent (RFC 9112 §3.2): mostly a path and query, to a
	// proxy a URL. It may hold blanks, which it must not, but in exploits does.
	Target   []byte
	Host     []byte // with the port, if one was sent
	Agent    []byte // User-Agent
	Basic    bool   // a name and password were sent (RFC 7617); they are not read
	Complete bool   // the head is there to its end
}

// Response is what the head of a response says, under the same rules.
type Response struct {
	Status        uint16 // three digits, RFC 9110 §15; 0 when cut before it
	ContentType   []byte
	ContentLength int64  // bytes as announced, maybe a lie; −1 when it is missing or no number
	Body          []byte // what is there of the body, without the first chunk's length
	Complete      bool   // the head is there to its end
}

// methods are those that a request may begin with as long as the end of its line
// is not there: RFC 9110 §9.3, RFC 5789, and of WebDAV and UPnP those that
// devices use.
var methods = [...]string{"GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "CONNECT ", "TRACE ", "PATCH ",
	"PROPFIND ", "SUBSCRIBE ", "UNSUBSCRIBE ", "NOTIFY "}

const protocol = "HTTP/1."

// Is reports whether b begins like an HTTP/1 request or response. It takes the
// method and a blank, or the protocol, to be sure; with less it says whether
// those agree.
func Is(b []byte) bool {
	return isRequest(b) || len(b) > 0 && agrees(b, protocol)
}

func isRequest(b []byte) bool {
	for _, m := range methods {
		if len(b) > 0 && agrees(b, m) {
			return true
		}
	}
	return false
}

// agrees reports whether b begins with s, or s with b.
func agrees(b []byte, s string) bool {
	n := min(len(b), len(s))
	return string(b[:n]) == s[:n]
}

// ParseRequest reads the request that b begins with. With ErrShort the fields
// on whole lines have been read, and of the request line what is there.
func ParseRequest(b []byte) (r Request, err error) {
	line, rest, whole := ascii.CutLine(b)
	if !r.start(line, whole) {
		return Request{}, ErrStart
	}
	if !whole {
		return r, ErrShort
	}
	f := fields{b: rest}
	for f.next() {
		switch {
		case ascii.EqualFold(f.key, "host"):
			set(&r.Host, f.value)
		case ascii.EqualFold(f.key, "user-agent"):
			set(&r.Agent, f.value)
		case ascii.EqualFold(f.key, "authorization"):
			r.Basic = r.Basic || isBasic(f.value)
		}
	}
	if r.Complete = f.complete; !r.Complete {
		return r, ErrShort
	}
	return r, nil
}

// start reads the request line, RFC 9112 §3: what is between the first blank and
// the protocol is the target. Before the line is whole, only a known method
// tells it from other protocols.
func (r *Request) start(line []byte, whole bool) bool {
	i := bytes.IndexByte(line, ' ')
	if !whole {
		if i > 0 {
			r.Method, r.Target = line[:i:i], trim(line[i:])
		}
		return len(line) == 0 || isRequest(line)
	}
	j := bytes.LastIndexByte(line, ' ')
	if i < 1 || j <= i || !isProtocol(line[j+1:]) || !isToken(line[:i]) {
		return false
	}
	r.Method, r.Target = line[:i:i], trim(line[i:j])
	return r.Target != nil
}

// ParseResponse reads the response that b begins with. With ErrShort the fields
// on whole lines have been read.
func ParseResponse(b []byte) (r Response, err error) {
	r.ContentLength = -1
	line, rest, whole := ascii.CutLine(b)
	if !r.start(line, whole) {
		return r, ErrStart
	}
	if !whole {
		return r, ErrShort
	}
	f := fields{b: rest}
	var length, coding []byte
	for f.next() {
		switch {
		case ascii.EqualFold(f.key, "content-type"):
			set(&r.ContentType, f.value)
		case ascii.EqualFold(f.key, "content-length"):
			set(&length, f.value)
		case ascii.EqualFold(f.key, "transfer-encoding"):
			set(&coding, f.value)
		}
	}
	r.ContentLength = number(length)
	if r.Complete = f.complete; !r.Complete {
		return r, ErrShort
	}
	if r.Body = f.b; ascii.EqualFold(coding, "chunked") {
		_, r.Body, _ = ascii.CutLine(f.b) // the first chunk's length, RFC 9112 §7.1
	}
	return r, nil
}

// start reads the status line, RFC 9112 §4.
func (r *Response) start(line []byte, whole bool) bool {
	const code = len(protocol + "1 ") // where the status is
	if len(line) < code+3 {
		return !whole && agrees(line, protocol)
	}
	if !isProtocol(line[:code-1]) || line[code-1] != ' ' {
		return false
	}
	for _, c := range line[code : code+3] {
		if c < '0' || c > '9' {
			return false
		}
		r.Status = 10*r.Status + uint16(c-'0')
	}
	return len(line) == code+3 || line[code+3] == ' '
}
