// Package quic reads the ClientHello that begins a QUIC connection, version 1
// (RFC 9000, RFC 9001) or 2 (RFC 9369). A client's first datagrams are encrypted
// with keys that follow from what is in them, so whoever sees them can read
// them.
//
// The payload of a UDP datagram that a client sent comes in, the handshake
// message comes out, to be read by package tls. How the files follow a datagram:
// packet.go finds the packet, key.go removes its protection, frame.go collects
// the pieces of the message.
package quic

// Error says why a datagram gives no hello. It is a number, so that returning
// one allocates nothing.
type Error uint8

// The errors.
const (
	ErrShort   Error = iota + 1 // pieces of the hello are missing: later datagrams may bring them
	ErrInitial                  // no Initial packet of a version that is read
	ErrLength                   // a field reaches over the end of the datagram
	ErrLong                     // a longer packet or hello than is read
	ErrKey                      // not protected with the keys of a client's first packet, or changed
	ErrFrame                    // a frame that Initial packets do not have
	ErrHello                    // the CRYPTO stream begins with another message
)

var errorTexts = [...]string{"error", "hello incomplete", "no initial packet", "field too long", "packet or hello too long",
	"keys do not fit", "forbidden frame", "no client hello"}

// Error returns e in words.
func (e Error) Error() string {
	if int(e) < len(errorTexts) {
		return "parse quic: " + errorTexts[e]
	}
	return "parse quic: unknown error"
}

const (
	// defaultPending is enough for a home: a hello that does not fit one datagram
	// comes in two that follow each other, so a place is taken for less than a
	// millisecond.
	defaultPending = 8
	// maxPacket is the longest packet read, in bytes: Ethernet's 1,500 and room
	// for links with somewhat more.
	maxPacket = 2048
	// maxHeader is the longest header read, in bytes; a token of a few hundred
	// bytes is all that varies (RFC 9000 §17.2.2).
	maxHeader = 1024
	// maxCoalesced is how many Initial packets of one datagram are read (RFC 9000
	// §12.2). Clients send one.
	maxCoalesced = 4
)

// Config of a Reader.
type Config struct {
	// Pending is how many connections may be in the middle of a hello at the same
	// time, 5 KiB each. Default 8; when there are more, the one idle for longest
	// is forgotten.
	Pending int
}

// Reader reads hellos. It owns the buffers that they are joined in, so it is
// for one goroutine.
type Reader struct {
	clock   uint64 // datagrams read
	pending []connection

	// Of the current packet.
	keys  keys
	nonce [ivLen]byte
	head  [maxHeader]byte
	plain [maxPacket]byte
}

// connection is one of which a part of the hello has been read. Its keys do not
// change, so a second datagram costs half as much as the first.
type connection struct {
	used   uint64 // when a packet came last, by clock; 0 for a free one
	id     connectionID
	keys   keys
	stream stream
}

// New returns a Reader.
func New(cfg Config) *Reader {
	if cfg.Pending <= 0 {
		cfg.Pending = defaultPending
	}
	return &Reader{pending: make([]connection, cfg.Pending)}
}

// Is reports whether datagram begins like an Initial packet of a version that
// is read. A server's look the same: the caller knows who opened the flow.
func Is(datagram []byte) bool {
	_, err := parse(datagram)
	return err == 0
}

// Hello returns the ClientHello, a handshake message with its header, that
// datagram ends or holds. With ErrShort and ErrLong it is the beginning that has
// come so far, maybe nothing. The result is valid until the next call; datagram
// is only read.
//
// It does a bounded amount of work: the keys of one connection, and at most
// four packets of 2 KiB.
func (r *Reader) Hello(datagram []byte) (hello []byte, err error) {
	r.clock++
	p, e := parse(datagram)
	if e != 0 {
		return nil, e
	}
	c := r.find(p.id)
	if c == nil {
		if r.keys, err = initialKeys(p.id); err != nil {
			return nil, err
		}
	} else {
		r.keys = c.keys
	}
	for id, n := p.id, 0; n < maxCoalesced; n++ {
		plain, e := r.unprotect(datagram, p)
		if e != 0 {
			if n > 0 {
				break // what came before it counts
			}
			return nil, e
		}
		if c == nil {
			c = r.open(id)
		}
		if e := c.stream.frames(plain); e != 0 {
			c.used = 0
			return nil, e
		}
		datagram = datagram[p.end:]
		if p, e = parse(datagram); e != 0 || p.id != id {
			break
		}
	}
	c.used = r.clock
	hello, e = c.stream.hello()
	if e != ErrShort {
		c.used = 0
	}
	if e != 0 {
		return hello, e
	}
	return hello, nil
}

func (r *Reader) find(id connectionID) *connection {
	for i := range r.pending {
		if c := &r.pending[i]; c.used != 0 && c.id == id {
			return c
		}
	}
	return nil
}

// open returns a place for a connection, the longest idle one if none is free.
func (r *Reader) open(id connectionID) *connection {
	c := &r.pending[0]
	for i := range r.pending {
		if r.pending[i].used < c.used {
			c = &r.pending[i]
		}
	}
	c.id, c.keys = id, r.keys
	c.stream.reset()
	return c
}
