// Package tls reads the first message of TLS, the ClientHello (RFC 8446
// §4.1.2), where it lies: nothing is copied unless the message is spread over
// several records, nothing is allocated, and every byte is hostile.
//
// The first bytes of a TCP connection (Parse) or of QUIC's CRYPTO stream
// (ParseHandshake) come in; the name, protocol and version that the client asks
// for go out. How the files follow a message: record.go joins the records,
// hello.go reads the message, cursor.go its fields.
package tls

import "bytes"

// Error says why a message cannot be read. It is a number, so that returning
// one allocates nothing.
type Error uint8

// The errors. What was read before one stays valid.
const (
	ErrShort   Error = iota + 1 // the bytes end within the message: more may complete it, see Hello.Need
	ErrRecord                   // no TLS record, or not one of a handshake
	ErrType                     // another handshake message than ClientHello
	ErrLength                   // a field reaches over the end of what holds it
	ErrScratch                  // a message of several records that scratch does not hold
)

var errorTexts = [...]string{"error", "message too short", "no handshake record", "no client hello",
	"field too long", "message of several records too long"}

// Error returns e in words.
func (e Error) Error() string {
	if int(e) < len(errorTexts) {
		return "parse tls: " + errorTexts[e]
	}
	return "parse tls: unknown error"
}

// Hello is what a ClientHello says. Its slices alias the bytes given to Parse
// or its scratch.
type Hello struct {
	// Name is the server name (RFC 6066 §3) in the case it was sent, without
	// trailing dot; nil when there is none or it has other bytes than letters,
	// digits, "-", "_", "." and ":". At most 255 bytes.
	Name []byte
	// ALPN is the first protocol offered (RFC 7301 §3.1), nil without one.
	ALPN []byte
	// ECH is whether the hello carries encrypted_client_hello (RFC 9849 §5):
	// then Name may be the public name of a provider that hides the true one.
	// Clients also send the extension with nothing in it (§6.2), so this alone
	// does not prove that a name is hidden.
	ECH bool
	// Version is the highest offered, as on the wire: 0x0304 is TLS 1.3, 0x0303
	// TLS 1.2.
	Version uint16
	// Need is, with ErrShort, how many more bytes it takes at least.
	Need int
}

// maxName is the longest host name, in bytes (RFC 1035 §3.1).
const maxName = 255

// clientHello is the type of handshake message, RFC 8446 §4.
const clientHello = 1

// headerLen is the type and length in front of a handshake message, in bytes
// (RFC 8446 §4).
const headerLen = 4

// ParseHandshake reads the handshake message that b begins with. With ErrShort
// what is there has been read: Name is valid if it is set.
func ParseHandshake(b []byte) (h Hello, err error) {
	if len(b) > 0 && b[0] != clientHello {
		return h, ErrType
	}
	if len(b) < headerLen {
		h.Need = headerLen - len(b)
		return h, ErrShort
	}
	n := messageLen(b)
	missing := max(n-len(b), 0)
	c := cursor{b: b[headerLen:min(n, len(b))], after: missing}
	h.message(&c)
	if c.err == 0 && missing == 0 {
		return h, nil
	}
	c.fail(ErrShort)
	if c.err == ErrShort {
		h.Need = missing
	}
	return h, c.err
}

// messageLen returns the length of the message that b begins with, in bytes,
// its header included.
func messageLen(b []byte) int {
	return headerLen + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
}

// message reads the fields of RFC 8446 §4.1.2. Before TLS 1.3 there may be no
// extensions (RFC 5246 §7.4.1.2).
func (h *Hello) message(c *cursor) {
	h.Version = c.uint16()
	c.skip(32) // random
	c.vector8()
	c.vector16() // cipher suites
	c.vector8()
	if c.empty() {
		return
	}
	extensions := c.vector16()
	for !extensions.empty() {
		kind := extensions.uint16()
		data := extensions.vector16()
		h.extension(kind, &data)
		extensions.fail(data.err)
	}
	c.fail(extensions.err)
}

// The extensions read, as IANA numbers them.
const (
	extServerName = 0
	extALPN       = 16
	extVersions   = 43
	extECH        = 0xfe0d
)

// extension reads one extension. Of two of a kind, which the protocol forbids,
// the first counts.
func (h *Hello) extension(kind uint16, c *cursor) {
	switch kind {
	case extServerName:
		h.serverName(c)
	case extALPN:
		h.protocols(c)
	case extVersions:
		h.versions(c)
	case extECH:
		h.ECH = true
	}
}

// serverName takes the first host name. A name of another type, of which there
// is none yet, has a length that nobody knows: what follows is not read.
func (h *Hello) serverName(c *cursor) {
	list := c.vector16()
	const hostName = 0
	if list.uint8() == hostName {
		if name := list.bytes16(); h.Name == nil && isHost(name) {
			h.Name = bytes.TrimSuffix(name, []byte("."))
		}
	}
	c.fail(list.err)
}

// protocols takes the first protocol that is not there to exercise the server:
// two equal bytes 0x?a (RFC 8701 §2).
func (h *Hello) protocols(c *cursor) {
	list := c.vector16()
	for h.ALPN == nil && !list.empty() {
		p := list.bytes8()
		if len(p) == 2 && p[0] == p[1] && p[0]&0x0f == 0x0a {
			continue
		}
		if len(p) > 0 {
			h.ALPN = p
		}
	}
	c.fail(list.err)
}

// versions takes the highest version, which counts instead of the field in the
// message (RFC 8446 §4.2.1). Other major versions than 3 are drafts or there to
// exercise the server (RFC 8701 §2).
func (h *Hello) versions(c *cursor) {
	list := c.vector8()
	highest := uint16(0)
	for !list.empty() {
		if v := list.uint16(); v>>8 == 3 {
			highest = max(highest, v)
		}
	}
	if highest != 0 {
		h.Version = highest
	}
	c.fail(list.err)
}

// isHost reports whether b can be a host name, or an address, which some
// clients send although they must not.
func isHost(b []byte) bool {
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return len(b) > 0 && len(b) <= maxName && (len(b) > 1 || b[0] != '.')
}
