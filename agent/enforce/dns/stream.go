package dns

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"cordon/agent/enforce/dns/message"
)

const (
	// lengthLen is the prefix of a message on a stream, bytes, RFC 1035 §4.2.2.
	lengthLen = 2
	// lookLen is how much of a message is looked at before the rest is passed on
	// as it comes.
	lookLen = lengthLen + message.HeaderLen + message.MaxQuestion
	// opcodes is one more than the highest opcode in use, DSO (RFC 8490).
	opcodes = 7
)

// errNotDNS means that a stream is something else, and passes as it is.
var errNotDNS = errors.New("not dns")

// stream is one TCP connection of a device and its continuation. What the device
// sends is passed on as it comes, but for the beginning of each message, which is
// looked at, and the messages that are not to be asked.
type stream struct {
	p              *proxy
	device, server *net.TCPConn
	src, dst       netip.AddrPort
	down           *down
	judge          judge
	room           [lengthLen + message.MaxAnswer]byte
}

// run passes both ways until both are at an end, nothing happens for too long,
// or ctx is done.
func (s *stream) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	defer s.close()
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := s.answers(); err != nil {
			s.close()
		}
	})
	if err := s.questions(ctx); err != nil {
		s.close()
	}
	wait.Wait()
}

// close ends both connections.
func (s *stream) close() {
	_ = s.device.Close()
	_ = s.server.Close()
	s.down.end()
}

// alive lets both connections go on for another while.
func (s *stream) alive(idle time.Duration) {
	until := time.Now().Add(idle)
	_ = s.device.SetDeadline(until)
	_ = s.server.SetDeadline(until)
}

// questions passes what the device sends, until it ends.
func (s *stream) questions(ctx context.Context) error {
	r := bufio.NewReaderSize(s.device, 4096)
	for first := true; ; first = false {
		s.alive(idleAfter)
		switch err := s.message(ctx, r, first); {
		case errors.Is(err, io.EOF):
			return s.server.CloseWrite()
		case errors.Is(err, errNotDNS):
			return s.rest(r)
		case err != nil:
			return err
		}
	}
}

// message passes or answers one message.
func (s *stream) message(ctx context.Context, r *bufio.Reader, first bool) error {
	head, err := r.Peek(lengthLen + message.HeaderLen)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 { // cut; the server may judge
			return errNotDNS
		}
		return err
	}
	length := lengthLen + int(binary.BigEndian.Uint16(head))
	if first && !couldBeDNS(head) {
		return errNotDNS
	}
	if length < lengthLen+message.HeaderLen || !message.Asks(head[lengthLen:]) {
		return s.pass(r, length)
	}
	look, err := r.Peek(min(length, lookLen))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(look) < lengthLen+message.HeaderLen {
		return errNotDNS
	}
	v, readable := s.judge.of(look[lengthLen:], s.src, s.dst)
	if !readable || v.Do == Pass {
		return s.pass(r, length)
	}
	whole := make([]byte, length)
	if _, err := io.ReadFull(r, whole); err != nil {
		return err
	}
	return s.answer(ctx, whole[lengthLen:], &v)
}

// couldBeDNS reports whether a stream begins as one of DNS requests: what else
// does, a TLS hello, HTTP or SSH, does not look like one.
func couldBeDNS(head []byte) bool {
	length, flags, questions := binary.BigEndian.Uint16(head), head[4], binary.BigEndian.Uint16(head[6:])
	return length >= message.HeaderLen && flags&0x80 == 0 && flags>>3&0xf < opcodes && questions <= 1
}

// pass passes the next n bytes on as they come.
func (s *stream) pass(r *bufio.Reader, n int) error {
	s.p.g.count.passed.Add(1)
	_, err := io.CopyN(s.server, r, int64(n))
	return err
}

// rest passes everything from now on.
func (s *stream) rest(r *bufio.Reader) error {
	s.p.g.count.unread.Add(1)
	s.p.g.count.passed.Add(1)
	s.down.plain()
	buffer := make([]byte, 4096)
	for {
		s.alive(idleOther)
		n, err := r.Read(buffer)
		if _, e := s.server.Write(buffer[:n]); e != nil {
			return e
		}
		switch {
		case errors.Is(err, io.EOF):
			return s.server.CloseWrite()
		case err != nil:
			return err
		}
	}
}

// answer answers a message itself.
func (s *stream) answer(ctx context.Context, msg []byte, v *Verdict) error {
	q, b := &s.judge.question, s.room[:lengthLen]
	switch v.Do {
	case Refuse:
		s.p.g.count.refused.Add(1)
		b = message.AppendNXDomain(b, msg, q, v.extended())
	case Redirect:
		s.p.g.count.redirected.Add(1)
		b = message.AppendPage(b, msg, q, v.Page, v.extended())
	case Resolve:
		w := wish{mac: s.judge.query.MAC, src: s.src, dst: s.dst, name: string(q.Name()), query: msg}
		b = append(b, s.p.resolver.answer(ctx, "tcp", &w)...)
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)-lengthLen))
	return s.down.message(b)
}

// answers passes what the server sends, until it ends.
func (s *stream) answers() error {
	buffer := make([]byte, 4096)
	for {
		n, err := s.server.Read(buffer)
		if n > 0 {
			s.alive(s.down.idle())
			if e := s.down.write(buffer[:n]); e != nil {
				return e
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			s.down.end()
			return s.device.CloseWrite()
		case err != nil:
			return err
		}
	}
}

// down is the way to the device. The server's bytes and the guard's own messages
// share it; one of the latter waits until a message of the server is whole.
type down struct {
	to net.Conn

	mu     sync.Mutex
	turn   *sync.Cond // on mu: between two messages, or over
	length []byte     // the part of the next message's length that has passed
	left   int        // bytes until the message at hand is whole
	raw    bool       // the stream is not DNS
	over   bool       // the server has ended
}

func newDown(to net.Conn) *down {
	d := &down{to: to}
	d.turn = sync.NewCond(&d.mu)
	return d
}

// idle is how long nothing may happen.
func (d *down) idle() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.raw {
		return idleOther
	}
	return idleAfter
}

// plain says that there are no messages on the stream.
func (d *down) plain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.raw = true
}

// end says that the server has ended, or the stream.
func (d *down) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	d.turn.Broadcast()
}

// write passes bytes of the server.
func (d *down) write(b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.to.Write(b); err != nil {
		return err
	}
	if d.raw {
		return nil
	}
	for len(b) > 0 {
		if d.left > 0 {
			n := min(d.left, len(b))
			d.left, b = d.left-n, b[n:]
			continue
		}
		d.length, b = append(d.length, b[0]), b[1:]
		if len(d.length) == lengthLen {
			d.left, d.length = int(binary.BigEndian.Uint16(d.length)), d.length[:0]
		}
	}
	if d.between() {
		d.turn.Broadcast()
	}
	return nil
}

// between reports whether no message of the server is half passed.
func (d *down) between() bool { return d.left == 0 && len(d.length) == 0 }

// message writes a message of the guard's own, length included.
func (d *down) message(b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.between() && !d.over {
		d.turn.Wait()
	}
	if !d.between() {
		return io.ErrUnexpectedEOF
	}
	_, err := d.to.Write(b)
	return err
}
