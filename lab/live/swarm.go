package live

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"cordon/internal/pause"
	"cordon/lab/netns"
	"cordon/lab/synth/message"
)

// Swarm is a BitTorrent client that joins a torrent: it asks many peers by UDP,
// most of which are gone, and downloads from some by TCP.
type Swarm struct {
	Server   *netns.Host
	Peers    int           // asked by UDP; 0: 200
	Alive    int           // of them answer; 0: a quarter
	TCP      int           // of those give data; 0: 8
	Duration time.Duration // 0: 5 s
	Seed     uint64
}

// SwarmReport is what a swarm's client got.
type SwarmReport struct {
	Asked, Answered int
	Connected       int   // TCP
	Bytes           int64 // by TCP
}

// swarmPort is where the peers listen.
const swarmPort = 51413

// fill puts in the defaults.
func (s *Swarm) fill() {
	if s.Peers == 0 {
		s.Peers = 200
	}
	if s.Alive == 0 {
		s.Alive = s.Peers / 4
	}
	if s.TCP == 0 {
		s.TCP = 8
	}
	if s.Duration == 0 {
		s.Duration = 5 * time.Second
	}
	s.Alive = min(s.Alive, s.Peers)
	s.TCP = min(s.TCP, s.Alive)
}

// Run takes part from h.
func (s Swarm) Run(ctx context.Context, h *netns.Host) (SwarmReport, error) {
	s.fill()
	ctx, cancel := context.WithTimeout(ctx, s.Duration)
	defer cancel()
	r := rand.New(rand.NewPCG(s.Seed, 3))
	peers, stop, err := s.peers(r)
	if err != nil {
		return SwarmReport{}, fmt.Errorf("swarm: %w", err)
	}
	defer stop()
	c, err := h.ListenPacket("udp", "0.0.0.0:0")
	if err != nil {
		return SwarmReport{}, fmt.Errorf("swarm: %w", err)
	}
	defer c.Close()
	var (
		report    SwarmReport
		ears, tcp sync.WaitGroup
		connected atomic.Int64
		bytes     atomic.Int64
	)
	ears.Go(func() {
		var w Way
		listen(&w, func(b []byte) (int, error) { n, _, err := c.ReadFrom(b); return n, err })
		report.Answered = w.Received
	})
	for _, p := range peers[:s.TCP] {
		tcp.Go(func() {
			conn, err := h.DialContext(ctx, "tcp", p.String())
			if err != nil {
				return
			}
			defer closeWith(ctx, conn)()
			connected.Add(1)
			for b := make([]byte, pieceSize); ; {
				n, err := conn.Read(b)
				bytes.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
	}
	r.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	step := s.Duration * 8 / 10 / time.Duration(len(peers))
	for _, p := range peers {
		if _, err := c.WriteTo(message.DHTQuery(r), net.UDPAddrFromAddrPort(p)); err == nil {
			report.Asked++
		}
		if !pause.For(ctx, step) {
			break
		}
	}
	<-ctx.Done()
	_ = c.SetReadDeadline(time.Now().Add(callLinger))
	ears.Wait()
	tcp.Wait()
	report.Connected, report.Bytes = int(connected.Load()), bytes.Load()
	return report, nil
}

// peers starts those that are alive, which come first, and returns all with how
// to stop them.
func (s *Swarm) peers(r *rand.Rand) (peers []netip.AddrPort, stop func(), err error) {
	var wait sync.WaitGroup
	var open []interface{ Close() error }
	stop = func() {
		for _, o := range open {
			o.Close()
		}
		wait.Wait()
	}
	for i := range s.Peers {
		if i >= s.Alive {
			peers = append(peers, netip.AddrPortFrom(pick(r, netns.Dark[0]), uint16(1024+r.IntN(64000))))
			continue
		}
		at := netip.AddrPortFrom(pick(r, netns.Alive[0]), swarmPort)
		c, err := s.Server.ListenPacket("udp", at.String())
		if err != nil {
			stop()
			return nil, nil, err
		}
		open = append(open, c)
		wait.Go(func() { answerDHT(c) })
		peers = append(peers, at)
		if i >= s.TCP {
			continue
		}
		l, err := s.Server.Listen("tcp", at.String())
		if err != nil {
			stop()
			return nil, nil, err
		}
		open = append(open, l)
		serve(l, &wait, giveSlowly)
	}
	return peers, stop, nil
}

// answerDHT answers every query until c is closed.
func answerDHT(c net.PacketConn) {
	r := rand.New(rand.NewPCG(4, 4))
	for b := make([]byte, 2048); ; {
		_, from, err := c.ReadFrom(b)
		if opError, ok := err.(*net.OpError); ok && opError.Err == net.ErrClosed {
			return
		}
		if err == nil {
			_, _ = c.WriteTo(message.DHTReply(r, 8), from)
		}
	}
}

// giveSlowly gives about a megabyte a second until the other side leaves.
func giveSlowly(c net.Conn) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	b := make([]byte, 10<<10)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4)) // a message of BEP 3
	for range tick.C {
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}
