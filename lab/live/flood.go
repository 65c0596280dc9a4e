package live

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"cordon/lab/netns"
	"cordon/lab/synth/frame"
	"cordon/lab/synth/message"
)

// FloodKind is what a flood is made of; its value is its name.
type FloodKind string

// The kinds of floods.
const (
	SYN  FloodKind = "syn"  // TCP SYNs from random ports
	ACK  FloodKind = "ack"  // TCP segments of no connection
	UDP  FloodKind = "udp"  // datagrams to random ports ("carpet" when Targets is wide)
	GRE  FloodKind = "gre"  // datagrams inside of GRE (RFC 2784), as Mirai's greip
	ICMP FloodKind = "icmp" // echo requests
	DNS  FloodKind = "dns"  // queries for random names of one domain ("water torture")
	HTTP FloodKind = "http" // whole requests by the kernel's TCP
)

// FloodKinds lists the kinds.
var FloodKinds = []FloodKind{SYN, ACK, UDP, GRE, ICMP, DNS, HTTP}

const (
	// floodEvery is how often a flood looks how many packets are due.
	floodEvery = 2 * time.Millisecond
	// maxBehind is how long a time's packets a flood makes up for at most.
	maxBehind = 50 * time.Millisecond
	// httpAtOnce is how many requests an HTTP flood has under way.
	httpAtOnce = 128
)

// Flood is a flood.
type Flood struct {
	Kind     FloodKind
	Targets  netip.Prefix  // random addresses of it; for DNS the server
	Port     uint16        // 0: random ports; DNS 53 and HTTP 80
	Rate     int           // packets a second, at most MaxRate; 0: 5,000
	Packets  int           // at most so many; 0: MaxPackets
	Duration time.Duration // at most so long; 0: 10 s
	Size     int           // payload of UDP, GRE, ACK and ICMP, bytes; 0: 512 (ACK: none)
	Spoof    netip.Prefix  // random source addresses of it; not valid: the host's own
	Domain   string        // for DNS; "example.net" if empty
	Seed     uint64
}

// Run floods from h until it is done or the context ends, which is no error.
func (f Flood) Run(ctx context.Context, h *netns.Host) (Sent, error) {
	if err := f.fill(); err != nil {
		return Sent{}, err
	}
	if err := guard(h, f.Targets); err != nil {
		return Sent{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.Duration)
	defer cancel()
	if f.Kind == HTTP {
		return f.http(ctx, h)
	}
	own, err := source(h, f.Targets.Addr())
	if err != nil {
		return Sent{}, err
	}
	raw, err := openRaw(h, own)
	if err != nil {
		return Sent{}, err
	}
	defer raw.Close()
	m := &maker{f: f, own: own, r: rand.New(rand.NewPCG(f.Seed, 1)), payload: make([]byte, f.Size)}
	var failed error
	f.pace(ctx, func(n int) bool {
		for range n {
			to := pick(m.r, f.Targets)
			if failed = raw.add(to, m.packet(to)); failed != nil {
				return false
			}
		}
		failed = raw.flush()
		return failed == nil
	})
	return raw.sent, failed
}

// fill puts in the defaults and refuses what is too much.
func (f *Flood) fill() error {
	set := func(p *int, value int) {
		if *p == 0 {
			*p = value
		}
	}
	set(&f.Rate, 5000)
	set(&f.Packets, MaxPackets)
	if f.Kind != ACK {
		set(&f.Size, 512)
	}
	if f.Duration == 0 {
		f.Duration = 10 * time.Second
	}
	if f.Port == 0 {
		f.Port = map[FloodKind]uint16{DNS: 53, HTTP: 80}[f.Kind]
	}
	if f.Domain == "" {
		f.Domain = "example.net"
	}
	if f.Rate < 0 || f.Rate > MaxRate || f.Packets < 0 || f.Packets > MaxPackets || f.Duration < 0 ||
		f.Duration > MaxDuration || f.Size < 0 || f.Size > frame.MaxPayload-ethernet-28 {
		return fmt.Errorf("flood of %d packets of %d bytes, %d a second for %v: too much", f.Packets, f.Size, f.Rate, f.Duration)
	}
	if f.Spoof.IsValid() && f.Spoof.Addr().Is4() != f.Targets.Addr().Is4() {
		return fmt.Errorf("flood from %v to %v: two families", f.Spoof, f.Targets)
	}
	switch f.Kind {
	case SYN, ACK, UDP, ICMP, DNS, HTTP:
		return nil
	case GRE:
		if !f.Targets.Addr().Is4() {
			return fmt.Errorf("flood of GRE to %v: IPv4 only", f.Targets)
		}
		return nil
	}
	return fmt.Errorf("flood of %q: no such kind", f.Kind)
}

// pace calls send with how many packets are due until all are sent, send
// returns false or ctx ends.
func (f *Flood) pace(ctx context.Context, send func(n int) bool) {
	tick := time.NewTicker(floodEvery)
	defer tick.Stop()
	most := max(1, int(int64(f.Rate)*int64(maxBehind)/int64(time.Second)))
	due, last := 1.0, time.Now()
	for left := f.Packets; left > 0; {
		n := min(int(due), left, most)
		if n > 0 && !send(n) {
			return
		}
		due, left = min(due-float64(n), float64(most)), left-n
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			now := time.Now()
			due += now.Sub(last).Seconds() * float64(f.Rate)
			last = now
		}
	}
}

// maker makes the packets of a flood.
type maker struct {
	f       Flood
	own     netip.Addr
	r       *rand.Rand
	payload []byte
	b       frame.Buffer
	outer   []byte
}

// packet returns the next packet to an address, valid until the next call.
func (m *maker) packet(to netip.Addr) []byte {
	from := m.own
	if m.f.Spoof.IsValid() {
		from = pick(m.r, m.f.Spoof)
	}
	n := frame.Net{Src: from, Dst: to, TTL: 64, ID: uint16(m.r.Uint32())}
	for i := 0; i+8 <= len(m.payload) && i < 32; i += 8 {
		binary.LittleEndian.PutUint64(m.payload[i:], m.r.Uint64())
	}
	port := m.f.Port
	if port == 0 {
		port = uint16(1 + m.r.IntN(65535))
	}
	own := uint16(1024 + m.r.IntN(64000))
	switch m.f.Kind {
	case SYN:
		s := frame.Segment{SrcPort: own, DstPort: port, Seq: m.r.Uint32(), Flags: frame.SYN, Window: 64240,
			Options: []byte{2, 4, 5, 0xb4}}
		return m.b.TCP(frame.Link{}, n, s, nil)[ethernet:]
	case ACK:
		s := frame.Segment{SrcPort: own, DstPort: port, Seq: m.r.Uint32(), Ack: m.r.Uint32(), Flags: frame.ACK, Window: 501}
		return m.b.TCP(frame.Link{}, n, s, m.payload)[ethernet:]
	case ICMP:
		kind := uint8(8)
		if to.Is6() {
			kind = 128
		}
		return m.b.ICMP(frame.Link{}, n, kind, 0, m.payload)[ethernet:]
	case DNS:
		return m.b.UDP(frame.Link{}, n, own, port, m.question())[ethernet:]
	case GRE:
		inner := frame.Net{Src: pick(m.r, netns.Dark[0]), Dst: to, TTL: 64, ID: n.ID}
		return m.gre(n, m.b.UDP(frame.Link{}, inner, own, port, m.payload)[ethernet:])
	}
	return m.b.UDP(frame.Link{}, n, own, port, m.payload)[ethernet:]
}

// question asks for a random name of the domain.
func (m *maker) question() []byte {
	name := strconv.FormatUint(m.r.Uint64(), 36) + "." + m.f.Domain
	return message.DNSQuery(uint16(m.r.Uint32()), name, message.TypeA)
}

// gre wraps an IPv4 packet (RFC 2784 §2). The kernel puts in the checksum.
func (m *maker) gre(n frame.Net, inner []byte) []byte {
	const header, gre = 20, 4
	h := append(m.outer[:0], make([]byte, header+gre)...)
	h[0], h[8], h[9] = 0x45, n.TTL, 47
	binary.BigEndian.PutUint16(h[2:], uint16(header+gre+len(inner)))
	binary.BigEndian.PutUint16(h[4:], n.ID)
	copy(h[12:], n.Src.AsSlice())
	copy(h[16:], n.Dst.AsSlice())
	binary.BigEndian.PutUint16(h[header+2:], 0x0800)
	m.outer = append(h, inner...)
	return m.outer
}

// http asks for pages, each by a connection of its own. Sent counts the requests
// begun.
func (f *Flood) http(ctx context.Context, h *netns.Host) (Sent, error) {
	var (
		wait sync.WaitGroup
		sent Sent
		r    = rand.New(rand.NewPCG(f.Seed, 1))
		free = make(chan struct{}, httpAtOnce)
	)
	f.pace(ctx, func(n int) bool {
		for range n {
			select {
			case free <- struct{}{}:
			default:
				return true // all are busy; the rest of these is left out
			}
			if sent.Packets++; sent.Packets == 1 {
				sent.First = time.Now()
			}
			to, path := netip.AddrPortFrom(pick(r, f.Targets), f.Port), strconv.FormatUint(r.Uint64(), 36)
			wait.Go(func() {
				defer func() { <-free }()
				ask(ctx, h, to, path)
			})
		}
		sent.Last = time.Now()
		return true
	})
	wait.Wait()
	return sent, nil
}

// ask makes one request and reads a little of the answer.
func ask(ctx context.Context, h *netns.Host, to netip.AddrPort, path string) {
	c, err := h.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return
	}
	defer closeWith(ctx, c)()
	if _, err := fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/5.0\r\nConnection: close\r\n\r\n",
		path, net.JoinHostPort(to.Addr().String(), strconv.Itoa(int(to.Port())))); err != nil {
		return
	}
	var b [512]byte
	_, _ = c.Read(b[:])
}
