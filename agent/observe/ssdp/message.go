// Package ssdp reads SSDP messages (UPnP Device Architecture 2.0 §1) where they
// lie: nothing is copied, nothing is allocated, and every byte is hostile.
//
// The payload of a UDP datagram from or to port 1900 comes in, the headers that
// tell who a device is go out. Package observe calls it.
package ssdp

import (
	"bytes"

	"cordon/internal/ascii"
)

// Error says why a message cannot be read. It is a number, so that returning
// one allocates nothing.
type Error uint8

// The errors.
const (
	ErrStart Error = iota + 1 // the first line is none of SSDP's three
)

// Error returns e in words.
func (e Error) Error() string {
	if e == ErrStart {
		return "parse ssdp: unknown start line"
	}
	return "parse ssdp: unknown error"
}

// Kind is what a message does.
type Kind uint8

// The kinds, by start line.
const (
	Alive    Kind = iota + 1 // NOTIFY: the sender offers Target
	Bye                      // NOTIFY with NTS ssdp:byebye: it does no longer
	Search                   // M-SEARCH: the sender looks for Target
	Response                 // 200 OK: the sender answers a search, it offers Target
)

// Message is one parsed message. Its slices alias the bytes given to Parse, are
// trimmed of blanks, and are nil where the header is missing.
type Message struct {
	Kind      Kind
	Target    []byte // NT, or ST in a search and its response
	Server    []byte // SERVER: system, UPnP version and product, §1.2.2
	UserAgent []byte // X-User-Agent, of makers that leave Server generic
	Location  []byte // LOCATION: URL of the description
}

// maxHeaders bounds the lines read. Real messages have about ten.
const maxHeaders = 64

// Parse reads b. Lines end with LF, with or without CR; a line without a colon
// is skipped, and the first of two equal headers counts.
func (m *Message) Parse(b []byte) error {
	*m = Message{}
	line, b, _ := ascii.CutLine(b)
	switch {
	case bytes.HasPrefix(line, []byte("NOTIFY ")):
		m.Kind = Alive
	case bytes.HasPrefix(line, []byte("M-SEARCH ")):
		m.Kind = Search
	case bytes.HasPrefix(line, []byte("HTTP/1.")) && len(line) > 8 && bytes.HasPrefix(line[8:], []byte(" 200")):
		m.Kind = Response
	default:
		return ErrStart
	}
	for range maxHeaders {
		if line, b, _ = ascii.CutLine(b); len(line) == 0 {
			break
		}
		if i := bytes.IndexByte(line, ':'); i > 0 {
			m.header(line[:i], bytes.TrimSpace(line[i+1:]))
		}
	}
	return nil
}

func (m *Message) header(key, value []byte) {
	switch {
	case m.Kind == Alive && ascii.EqualFold(key, "nt"), m.Kind != Alive && ascii.EqualFold(key, "st"):
		set(&m.Target, value)
	case m.Kind == Alive && ascii.EqualFold(key, "nts") && ascii.EqualFold(value, "ssdp:byebye"):
		m.Kind = Bye
	case ascii.EqualFold(key, "server"):
		set(&m.Server, value)
	case ascii.EqualFold(key, "x-user-agent"):
		set(&m.UserAgent, value)
	case ascii.EqualFold(key, "location"):
		set(&m.Location, value)
	}
}

// Product returns what the message says about the product that sent it: the
// part of Server behind the UPnP version ("system/version UPnP/version
// product/version", §1.2.2), else UserAgent, else nothing. Products that are
// libraries, found in devices of many makers, say nothing.
func (m *Message) Product() []byte {
	if p := product(m.Server); len(p) > 0 {
		return p
	}
	if !generic(m.UserAgent) {
		return m.UserAgent
	}
	return nil
}

func product(server []byte) []byte {
	const upnp = "upnp/"
	i := ascii.IndexFold(server, upnp)
	if i < 0 {
		return nil
	}
	rest := server[i+len(upnp):]
	end := bytes.IndexAny(rest, " ,")
	if end < 0 {
		return nil
	}
	if rest = bytes.Trim(rest[end:], " ,\t"); generic(rest) {
		return nil
	}
	return rest
}

// libraries are beginnings of product tokens that name a UPnP stack, not a
// product: those of the widespread open stacks and what leaves the field empty.
var libraries = []string{
	"portable sdk for upnp", "miniupnp", "gupnp", "cling/", "dlnadoc/", "pupnp",
	"intel microstack", "microstack", "upnp-device-host", "microsoft-windows", "unspecified", "unknown",
}

func generic(product []byte) bool {
	if len(product) == 0 {
		return true
	}
	for _, l := range libraries {
		if ascii.HasPrefixFold(product, l) {
			return true
		}
	}
	return false
}

func set(to *[]byte, value []byte) {
	if *to == nil && len(value) > 0 {
		*to = value
	}
}
