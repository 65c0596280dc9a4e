package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"cordon"
	"cordon/agent/enforce/dns/datagram"
	"cordon/agent/enforce/dns/message"
)

const (
	// resolvers is how many questions are asked at once, and maxWaiting how many
	// wait; a quarantined device asks a few a minute.
	resolvers  = 4
	maxWaiting = 64
	// maxOfOne is how many of them may be one device's.
	maxOfOne = 8
	// resolveIn is how long one resolver has to answer. Devices ask again after
	// 5 s (resolv.conf(5)).
	resolveIn = 2 * time.Second
)

// errNoResolver means that Config.Resolver gave none.
var errNoResolver = errors.New("no resolver is known")

// wish is a question that the guard asks itself.
type wish struct {
	mac      cordon.MAC
	src, dst netip.AddrPort
	iface    uint32
	name     string
	query    []byte
}

// resolver asks the router's resolver for devices that may not ask for
// themselves. What the answer opens is opened before the device has it.
type resolver struct {
	g       *Guard
	waiting chan wish

	mu   sync.Mutex
	ofIt map[netip.Addr]int // how many wishes a device has; guarded by mu
}

func newResolver(g *Guard) *resolver {
	return &resolver{g: g, waiting: make(chan wish, maxWaiting), ofIt: make(map[netip.Addr]int)}
}

// add puts a datagram's question in the queue, if there is room.
func (r *resolver) add(d *datagram.Datagram, j *judge) {
	r.mu.Lock()
	defer r.mu.Unlock()
	device := d.Src.Addr()
	if r.ofIt[device] < maxOfOne {
		select {
		case r.waiting <- wish{mac: j.query.MAC, src: d.Src, dst: d.Dst, iface: d.Interface, name: string(j.question.Name()),
			query: bytes.Clone(d.Payload)}:
			r.ofIt[device]++
			return
		default:
		}
	}
	r.g.count.unresolved.Add(1)
}

// run answers questions until ctx is done. send gives the sender for an address's
// family; it is this goroutine's.
func (r *resolver) run(ctx context.Context, send func(netip.Addr) *datagram.Sender) {
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-r.waiting:
			answer := r.answer(ctx, "udp", &w)
			if s := send(w.src.Addr()); s != nil {
				s.Add(w.dst, w.src, w.iface, answer)
				r.g.count.unsent.Add(uint64(s.Flush()))
			}
			r.done(w.src.Addr())
		}
	}
}

// done ends a wish of a device.
func (r *resolver) done(device netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ofIt[device]--; r.ofIt[device] <= 0 {
		delete(r.ofIt, device)
	}
}

// answer returns what the device is told: what a resolver says once its addresses
// are open, or that it failed.
func (r *resolver) answer(ctx context.Context, network string, w *wish) []byte {
	answer, err := r.ask(ctx, network, w)
	if err == nil {
		err = r.openFor(w, answer)
	}
	if err != nil {
		r.g.log.DebugContext(ctx, "question not resolved", "name", w.name, "device", w.src.Addr(), "err", err)
		r.g.count.unresolved.Add(1)
		var q message.Question
		q.Read(w.query)
		return message.AppendServFail(nil, w.query, &q)
	}
	r.g.count.resolved.Add(1)
	return answer
}

// ask asks one resolver after the other.
func (r *resolver) ask(ctx context.Context, network string, w *wish) ([]byte, error) {
	err := errNoResolver
	if r.g.cfg.Resolver == nil {
		return nil, err
	}
	for _, at := range r.g.cfg.Resolver() {
		var answer []byte
		if answer, err = exchange(ctx, network, at, w.query); err == nil {
			return answer, nil
		}
	}
	return nil, err
}

// openFor tells Opened which addresses the answer has.
func (r *resolver) openFor(w *wish, answer []byte) error {
	addrs, ttl, err := message.Addresses(answer)
	if err != nil || len(addrs) == 0 {
		return err
	}
	if r.g.cfg.Opened == nil {
		return errors.New("nothing to open addresses with")
	}
	if err := r.g.cfg.Opened(w.mac, w.src.Addr(), w.name, addrs, ttl); err != nil {
		return fmt.Errorf("open %d addresses: %w", len(addrs), err)
	}
	return nil
}

// exchange asks a resolver over "udp" or "tcp" and returns its answer with the
// query's id. Over the wire the id is another, and what comes is checked against
// it and the question.
func exchange(ctx context.Context, network string, at netip.AddrPort, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveIn)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, network, at.String())
	if err != nil {
		return nil, fmt.Errorf("ask resolver: %w", err)
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	asked := bytes.Clone(query)
	binary.BigEndian.PutUint16(asked, uint16(rand.Uint32()))
	send, receive := c.Write, c.Read
	if network == "tcp" {
		send, receive = framed(c)
	}
	if _, err := send(asked); err != nil {
		return nil, fmt.Errorf("ask resolver %s: %w", at, err)
	}
	for buffer := make([]byte, datagram.MaxPayload); ; {
		n, err := receive(buffer)
		if err != nil {
			return nil, fmt.Errorf("hear resolver %s: %w", at, err)
		}
		if answer := buffer[:n]; message.Answers(answer, asked) {
			copy(answer, query[:2])
			return bytes.Clone(answer), nil
		}
	}
}

// framed returns how a message is written to and read from a stream, RFC 1035
// §4.2.2.
func framed(c net.Conn) (write, read func([]byte) (int, error)) {
	write = func(b []byte) (int, error) {
		return c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	}
	read = func(b []byte) (int, error) {
		var head [2]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return 0, err
		}
		return io.ReadFull(c, b[:min(len(b), int(binary.BigEndian.Uint16(head[:])))])
	}
	return write, read
}
