package live

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"cordon/lab/netns"
	"cordon/lab/synth/message"
)

// callLinger is how long the ends of a call wait for the last datagrams.
const callLinger = 100 * time.Millisecond

// Call is a video call: datagrams at an even pace in both directions.
type Call struct {
	Server   *netns.Host
	At       netip.AddrPort
	Rate     int           // datagrams a second in each direction; 0: 80
	Size     int           // of a datagram, bytes, at least 12; 0: 1,000
	Duration time.Duration // 0: 5 s
}

// CallReport is how a call went.
type CallReport struct {
	Up, Down Way
}

// Way is one direction of a call.
type Way struct {
	Sent, Received int
	Longest        time.Duration // without a datagram
}

// Lost returns how many datagrams did not arrive.
func (w Way) Lost() int { return w.Sent - w.Received }

// Run calls from h until the call is over or ctx ends.
func (c Call) Run(ctx context.Context, h *netns.Host) (CallReport, error) {
	if c.Rate == 0 {
		c.Rate = 80
	}
	if c.Size == 0 {
		c.Size = 1000
	}
	if c.Duration == 0 {
		c.Duration = 5 * time.Second
	}
	far, err := c.Server.ListenPacket("udp", c.At.String())
	if err != nil {
		return CallReport{}, fmt.Errorf("call: %w", err)
	}
	defer far.Close()
	near, err := h.Dial("udp", c.At.String())
	if err != nil {
		return CallReport{}, fmt.Errorf("call: %w", err)
	}
	defer near.Close()
	var (
		report CallReport
		peer   atomic.Pointer[net.Addr] // who calls, as the server sees it
		ears   sync.WaitGroup
		mouths sync.WaitGroup
	)
	ears.Go(func() {
		listen(&report.Up, func(b []byte) (int, error) {
			n, from, err := far.ReadFrom(b)
			if err == nil {
				peer.Store(&from)
			}
			return n, err
		})
	})
	ears.Go(func() { listen(&report.Down, near.Read) })
	mouths.Go(func() { c.speak(ctx, &report.Up, near.Write) })
	mouths.Go(func() {
		c.speak(ctx, &report.Down, func(b []byte) (int, error) {
			to := peer.Load()
			if to == nil {
				return 0, errNobody
			}
			return far.WriteTo(b, *to)
		})
	})
	mouths.Wait()
	soon := time.Now().Add(callLinger)
	_, _ = near.SetReadDeadline(soon), far.SetReadDeadline(soon)
	ears.Wait()
	return report, nil
}

// errNobody means that nobody has called yet.
var errNobody = fmt.Errorf("nobody there")

// speak sends datagrams at the call's pace. What could not be sent because nobody
// had called does not count as sent; what the firewall of the host refused does.
func (c *Call) speak(ctx context.Context, w *Way, write func([]byte) (int, error)) {
	r := rand.New(rand.NewPCG(1, 2))
	tick := time.NewTicker(time.Second / time.Duration(c.Rate))
	defer tick.Stop()
	end := time.Now().Add(c.Duration)
	for n := uint16(0); time.Now().Before(end); n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := write(message.RTP(r, n, uint32(n)*3000, c.Size)); err != errNobody {
			w.Sent++
		}
	}
}

// listen counts datagrams until reading fails with the deadline.
func listen(w *Way, read func([]byte) (int, error)) {
	b := make([]byte, 2048)
	var last time.Time
	for {
		_, err := read(b)
		if late, ok := err.(net.Error); ok && late.Timeout() {
			return
		}
		if err != nil {
			if opError, ok := err.(*net.OpError); ok && opError.Err == net.ErrClosed {
				return
			}
			continue // a port unreachable, for example
		}
		now := time.Now()
		if w.Received++; w.Received > 1 {
			w.Longest = max(w.Longest, now.Sub(last))
		}
		last = now
	}
}
