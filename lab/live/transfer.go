package live

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"cordon/internal/pause"
	"cordon/lab/netns"
)

// Download is one file over TCP, both ends of which count and hash it.
type Download struct {
	Server  *netns.Host
	At      netip.AddrPort // where the server listens
	Bytes   int64
	Rate    int64         // bytes a second; 0: as fast as it goes
	Patient time.Duration // without a byte for so long it fails; 0: 30 s
	Seed    uint64
}

// Transfer is how a download went.
type Transfer struct {
	Sent, Received int64
	Same           bool          // both ends have the same hash
	Took           time.Duration // from the call to the last byte
	Longest        time.Duration // without a byte in between
}

// Whole reports whether all arrived as it was sent.
func (t Transfer) Whole() bool { return t.Same && t.Sent == t.Received }

// pieceSize is how much a download writes and reads at once, bytes.
const pieceSize = 64 << 10

// Run downloads to h. A transfer that broke is an error, and what arrived until
// then is returned.
func (d Download) Run(ctx context.Context, h *netns.Host) (Transfer, error) {
	if d.Patient == 0 {
		d.Patient = 30 * time.Second
	}
	l, err := d.Server.Listen("tcp", d.At.String())
	if err != nil {
		return Transfer{}, fmt.Errorf("download: %w", err)
	}
	defer closeWith(ctx, l)()
	type end struct {
		n   int64
		sum hash.Hash
		err error
	}
	sent := make(chan end, 1)
	go func() {
		e := end{sum: sha256.New()}
		if c, err := l.Accept(); err != nil {
			e.err = err
		} else {
			e.n, e.err = d.give(ctx, c, e.sum)
		}
		sent <- e
	}()
	began := time.Now()
	c, err := h.DialContext(ctx, "tcp", d.At.String())
	if err != nil {
		return Transfer{}, fmt.Errorf("download: %w", err)
	}
	defer closeWith(ctx, c)()
	sum := sha256.New()
	t := Transfer{}
	t.Received, t.Longest, err = d.take(c, sum)
	t.Took = time.Since(began)
	c.Close()
	e := <-sent
	t.Sent, t.Same = e.n, [32]byte(e.sum.Sum(nil)) == [32]byte(sum.Sum(nil))
	if err = errors.Join(err, e.err); err != nil {
		return t, fmt.Errorf("download: %d of %d bytes: %w", t.Received, d.Bytes, err)
	}
	return t, nil
}

// give writes the file, random bytes, at its rate.
func (d *Download) give(ctx context.Context, c net.Conn, sum io.Writer) (n int64, err error) {
	defer closeWith(ctx, c)()
	var seed [32]byte
	seed[0], seed[1] = byte(d.Seed), byte(d.Seed>>8)
	random, piece := rand.NewChaCha8(seed), make([]byte, pieceSize)
	if d.Rate > 0 { // twenty pieces a second at least, so that it flows
		piece = piece[:max(1, min(pieceSize, d.Rate/20))]
	}
	for began := time.Now(); n < d.Bytes; {
		b := piece[:min(int64(len(piece)), d.Bytes-n)]
		_, _ = random.Read(b) // never fails
		_ = c.SetWriteDeadline(time.Now().Add(d.Patient))
		m, err := c.Write(b)
		_, _ = sum.Write(b[:m])
		n += int64(m)
		if err != nil {
			return n, err
		}
		if d.Rate > 0 && !pause.For(ctx, time.Duration(float64(n)/float64(d.Rate)*1e9)-time.Since(began)) {
			return n, ctx.Err()
		}
	}
	return n, nil
}

// take reads to the end and returns how long the longest pause was.
func (d *Download) take(c net.Conn, sum io.Writer) (n int64, longest time.Duration, err error) {
	b := make([]byte, pieceSize)
	for last := time.Now(); ; {
		_ = c.SetReadDeadline(last.Add(d.Patient))
		m, err := c.Read(b)
		_, _ = sum.Write(b[:m])
		n += int64(m)
		if m > 0 {
			now := time.Now()
			longest, last = max(longest, now.Sub(last)), now
		}
		if errors.Is(err, io.EOF) {
			return n, longest, nil
		}
		if err != nil {
			return n, longest, err
		}
	}
}

// SpeedTest is several TCP connections at full speed.
type SpeedTest struct {
	Server   *netns.Host
	At       netip.AddrPort
	Streams  int           // 0: 4
	Duration time.Duration // 0: 2 s
	Up       bool          // from h to the server; else from the server to h
}

// Speed is what a speed test found, as far as the receiver saw it.
type Speed struct {
	Bytes int64
	Took  time.Duration
}

// Mbit returns megabits a second.
func (s Speed) Mbit() float64 { return float64(s.Bytes) * 8 / 1e6 / max(s.Took.Seconds(), 1e-9) }

// Run measures from h.
func (s SpeedTest) Run(ctx context.Context, h *netns.Host) (Speed, error) {
	if s.Streams == 0 {
		s.Streams = 4
	}
	if s.Duration == 0 {
		s.Duration = 2 * time.Second
	}
	l, err := s.Server.Listen("tcp", s.At.String())
	if err != nil {
		return Speed{}, fmt.Errorf("speed test: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer closeWith(ctx, l)()
	counts := make(chan int64, s.Streams)
	var far, near []net.Conn
	for range s.Streams {
		c, err := h.DialContext(ctx, "tcp", s.At.String())
		if err != nil {
			return Speed{}, fmt.Errorf("speed test: %w", err)
		}
		defer c.Close()
		f, err := l.Accept()
		if err != nil {
			return Speed{}, fmt.Errorf("speed test: %w", err)
		}
		defer f.Close()
		near, far = append(near, c), append(far, f)
	}
	if s.Up {
		near, far = far, near
	}
	began := time.Now()
	end := began.Add(s.Duration)
	for i := range near {
		go blow(far[i], end)
		go func() {
			_ = near[i].SetReadDeadline(end)
			n, _ := io.CopyBuffer(writerOnly{io.Discard}, readerOnly{near[i]}, make([]byte, pieceSize))
			counts <- n
		}()
	}
	var speed Speed
	for range near {
		speed.Bytes += <-counts
	}
	speed.Took = time.Since(began)
	return speed, ctx.Err()
}

// readerOnly and writerOnly hide what io.Copy would use to go around the buffer.
type (
	readerOnly struct{ io.Reader }
	writerOnly struct{ io.Writer }
)

// blow writes as much as goes through until the end.
func blow(c net.Conn, end time.Time) {
	_ = c.SetWriteDeadline(end)
	for b := make([]byte, pieceSize); ; {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}
