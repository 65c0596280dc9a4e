package live

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"cordon/internal/pause"
	"cordon/lab/netns"
	"cordon/lab/synth/frame"
)

// Mirai's scanner, from its published source: 160 SYNs in one burst a second,
// every tenth to port 2323 and the rest to 23.
const (
	scanBurst    = 160
	scanEvery    = time.Second
	telnet       = 23
	telnetSecond = 2323
)

// Scan is the scanner of Mirai: SYNs from a raw socket, without TCP options, the
// sequence number being the destination's address, one source port for all.
type Scan struct {
	Targets netip.Prefix  // IPv4; the first of netns.Dark if not valid
	Burst   int           // SYNs sent at once; 0: 160
	Every   time.Duration // from burst to burst; 0: a second
	Bursts  int           // 0: until the context ends, at most MaxDuration
	Source  uint16        // port; 0: one at random
	Seed    uint64        // of the choice of targets
}

// Run scans from h until it is done or the context ends, which is no error.
func (s Scan) Run(ctx context.Context, h *netns.Host) (Sent, error) {
	ctx, cancel := context.WithTimeout(ctx, MaxDuration)
	defer cancel()
	s.fill()
	if !s.Targets.Addr().Is4() || s.Burst > MaxRate {
		return Sent{}, fmt.Errorf("scan %v, %d SYNs at once: no", s.Targets, s.Burst)
	}
	if err := guard(h, s.Targets); err != nil {
		return Sent{}, err
	}
	from, err := source(h, s.Targets.Addr())
	if err != nil {
		return Sent{}, err
	}
	raw, err := openRaw(h, from)
	if err != nil {
		return Sent{}, err
	}
	defer raw.Close()
	r := rand.New(rand.NewPCG(s.Seed, 0))
	var b frame.Buffer
	for n := 1; ; n++ {
		next := time.Now().Add(s.Every)
		if err := s.burst(raw, &b, r, from); err != nil {
			return raw.sent, err
		}
		if n == s.Bursts || !pause.For(ctx, time.Until(next)) {
			return raw.sent, nil
		}
	}
}

func (s *Scan) fill() {
	if !s.Targets.IsValid() {
		s.Targets = netns.Dark[0]
	}
	if s.Burst == 0 {
		s.Burst = scanBurst
	}
	if s.Every == 0 {
		s.Every = scanEvery
	}
	if s.Source == 0 {
		s.Source = uint16(1024 + rand.IntN(60000))
	}
}

// burst sends the SYNs of one turn.
func (s *Scan) burst(raw *rawSocket, b *frame.Buffer, r *rand.Rand, from netip.Addr) error {
	for i := range s.Burst {
		to := pick(r, s.Targets)
		seq := to.As4()
		port := uint16(telnet)
		if i%10 == 9 {
			port = telnetSecond
		}
		syn := b.TCP(frame.Link{}, frame.Net{Src: from, Dst: to, TTL: 64, ID: uint16(r.Uint32())},
			frame.Segment{SrcPort: s.Source, DstPort: port, Seq: binary.BigEndian.Uint32(seq[:]), Flags: frame.SYN,
				Window: uint16(r.Uint32())}, nil)
		if err := raw.add(to, syn[ethernet:]); err != nil {
			return err
		}
	}
	return raw.flush()
}

// pick returns a random address of a prefix, but not its first or last, unless it
// has only those.
func pick(r *rand.Rand, p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().AsSlice()
	host := len(a)*8 - p.Bits()
	if host == 0 {
		return p.Addr()
	}
	host = min(host, 62)
	n := r.Uint64N(1 << host)
	if host > 1 {
		n = 1 + r.Uint64N(1<<host-2)
	}
	for i := len(a) - 1; n > 0; i-- {
		a[i] |= byte(n)
		n >>= 8
	}
	addr, _ := netip.AddrFromSlice(a)
	return addr
}
