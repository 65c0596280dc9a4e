package dns

import (
	"net/netip"
	"sync/atomic"

	"cordon"
	"cordon/agent/enforce/dns/datagram"
	"cordon/agent/enforce/dns/detour"
	"cordon/agent/enforce/dns/message"
)

// reader takes what devices ask by UDP in one family, and does with it what
// Decide says. It is owned by one goroutine.
type reader struct {
	g        *Guard
	resolver *resolver
	busy     atomic.Int64 // when the batch at hand was begun, as Guard.now; 0: there is none
	port     uint16       // of the socket

	in       *datagram.Receiver
	queries  *datagram.Sender
	answers  *datagram.Sender
	datagram datagram.Datagram
	judge    judge
	forged   [datagram.Batch][message.MaxAnswer]byte
	tally    tally
}

// tally is what one batch adds to the counters.
type tally struct{ passed, refused, redirected, unread, stray uint64 }

// newReader returns a reader of the sockets.
func newReader(g *Guard, s *datagram.Sockets, res *resolver) (*reader, error) {
	in, err := datagram.NewReceiver(s)
	if err != nil {
		return nil, err
	}
	return &reader{g: g, resolver: res, port: s.Port, in: in, queries: datagram.NewSender(s.Queries, datagram.Batch),
		answers: datagram.NewSender(s.Answers, datagram.Batch), judge: judge{g: g}}, nil
}

// run reads until stopped reports true and nothing is left to read.
func (r *reader) run(stopped func() bool) error {
	for {
		n, err := r.in.Receive()
		if err != nil {
			return err
		}
		if n == 0 {
			if stopped() {
				return nil
			}
			continue
		}
		r.busy.Store(r.g.now())
		for i := range n {
			if r.in.Datagram(i, &r.datagram) && r.intercepted() {
				r.take(r.forged[i][:0])
			} else {
				r.tally.stray++
			}
		}
		lost := r.queries.Flush() + r.answers.Flush()
		r.report(lost)
		r.busy.Store(0)
	}
}

// loopback is the index of lo in every network namespace.
const loopback = 1

// intercepted reports whether a datagram is one that a device sent to port 53. Of a
// duplicate, the port was changed on its way here.
func (r *reader) intercepted() bool {
	d := &r.datagram
	if d.Interface == loopback && d.Dst.Port() == r.port {
		d.Interface, d.Dst = 0, netip.AddrPortFrom(d.Dst.Addr(), detour.Port)
	}
	return d.Dst.Port() == detour.Port
}

// take does with one datagram what Decide says; an answer is put into room.
func (r *reader) take(room []byte) {
	d := &r.datagram
	verdict, readable := r.judge.of(d.Payload, d.Src, d.Dst)
	switch {
	case !readable:
		r.tally.unread++
		r.tally.passed++
	case verdict.Do == Pass:
		r.tally.passed++
	case verdict.Do == Resolve:
		r.resolver.add(d, &r.judge)
		return
	default:
		r.answers.Add(d.Dst, d.Src, d.Interface, r.forge(room, &verdict))
		return
	}
	r.queries.Add(d.Src, d.Dst, d.Interface, d.Payload)
}

// forge makes the answer that the verdict wants.
func (r *reader) forge(room []byte, v *Verdict) []byte {
	if v.Do == Redirect {
		r.tally.redirected++
		return message.AppendPage(room, r.datagram.Payload, &r.judge.question, v.Page, v.extended())
	}
	r.tally.refused++
	return message.AppendNXDomain(room, r.datagram.Payload, &r.judge.question, v.extended())
}

// report adds the batch to the counters.
func (r *reader) report(lost int) {
	c := &r.g.count
	for _, p := range []struct {
		to *atomic.Uint64
		n  uint64
	}{{&c.passed, r.tally.passed}, {&c.refused, r.tally.refused}, {&c.redirected, r.tally.redirected},
		{&c.unread, r.tally.unread}, {&c.stray, r.tally.stray}, {&c.unsent, uint64(lost)}} {
		if p.n > 0 {
			p.to.Add(p.n)
		}
	}
	r.tally = tally{}
}

// judge asks Decide about messages. It is reused from one to the next, and owned
// by one goroutine.
type judge struct {
	g        *Guard
	question message.Question
	query    Query
}

// of returns what becomes of a message. What is not a readable query of class IN
// passes without being asked about.
func (j *judge) of(msg []byte, src, dst netip.AddrPort) (v Verdict, readable bool) {
	if !message.Asks(msg) || !j.question.Read(msg) || j.question.Class != message.ClassIN {
		return Verdict{}, false
	}
	j.query = Query{MAC: j.g.mac(src.Addr()), Src: src, Dst: dst, Name: j.question.Name(), Type: j.question.Type}
	v = j.g.cfg.Decide(&j.query)
	if v.Do > Resolve {
		v.Do = Pass
	}
	return v, true
}

// mac says whose an address is, zero if nobody knows.
func (g *Guard) mac(a netip.Addr) cordon.MAC {
	of := g.cfg.MAC
	if of == nil {
		of = g.known.Load().of
	}
	m, _ := of(a)
	return m
}
