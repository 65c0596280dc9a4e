package dns_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"golang.org/x/net/ipv4"

	"cordon/lab/netns"
)

// burst is how many datagrams the load and its server move at once.
const burst = 64

// load is what a source of questions has seen.
type load struct {
	Sent, Answered uint64
	Median, P99    time.Duration
	PerSecond      float64
}

// runLoad asks the server for "rate" questions a second, for "seconds", and
// prints what came of it. spec is "server rate seconds".
func runLoad(spec string) error {
	var to string
	var rate, seconds int
	if _, err := fmt.Sscanf(spec, "%s %d %d", &to, &rate, &seconds); err != nil {
		return fmt.Errorf("read %q: %w", spec, err)
	}
	l, err := newLoader(to)
	if err != nil {
		return err
	}
	began := time.Now()
	sent, err := l.send(rate, time.Duration(seconds)*time.Second)
	if err != nil {
		return err
	}
	took := time.Since(began)
	// What is still on its way gets a moment.
	last := time.NewTimer(300 * time.Millisecond)
	<-last.C
	_ = l.conn.Close()
	l.done.Wait()
	slices.Sort(l.took)
	r := load{Sent: sent, Answered: uint64(len(l.took)), PerSecond: float64(sent) / took.Seconds()}
	if n := len(l.took); n > 0 {
		r.Median, r.P99 = l.took[n/2], l.took[n*99/100]
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// loader sends questions and hears answers on one socket.
type loader struct {
	conn net.Conn
	when [65536]atomic.Int64 // when the question of an id was sent, ns since began
	zero time.Time
	took []time.Duration // of answers; owned by hear until done
	done sync.WaitGroup
}

func newLoader(to string) (*loader, error) {
	conn, err := net.Dial("udp", to)
	if err != nil {
		return nil, err
	}
	_ = conn.(*net.UDPConn).SetReadBuffer(8 << 20)
	l := &loader{conn: conn, zero: time.Now(), took: make([]time.Duration, 0, 1<<20)}
	l.done.Go(l.hear)
	return l, nil
}

// hear takes answers until the socket is closed.
func (l *loader) hear() {
	p := ipv4.NewPacketConn(l.conn.(*net.UDPConn))
	in := messages(512)
	for {
		n, err := p.ReadBatch(in, 0)
		if err != nil {
			return
		}
		now := int64(time.Since(l.zero))
		for _, m := range in[:n] {
			id := binary.BigEndian.Uint16(m.Buffers[0])
			if sent := l.when[id].Swap(0); sent != 0 {
				l.took = append(l.took, time.Duration(now-sent))
			}
		}
	}
}

// send sends rate questions a second in steps of a millisecond.
func (l *loader) send(rate int, during time.Duration) (sent uint64, err error) {
	q := new(miekg.Msg)
	q.SetQuestion("some.name.example.test.", miekg.TypeA)
	q.SetEdns0(1232, false)
	wire, err := q.Pack()
	if err != nil {
		return 0, err
	}
	p := ipv4.NewPacketConn(l.conn.(*net.UDPConn))
	out := make([]ipv4.Message, burst)
	for i := range out {
		out[i].Buffers = [][]byte{slices.Clone(wire)}
	}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	began := time.Now()
	for passed := time.Duration(0); passed < during; passed = time.Since(began) {
		due := uint64(passed.Seconds() * float64(rate))
		for sent < due {
			n := int(min(due-sent, burst))
			for i := range n {
				id := uint16(sent + uint64(i))
				binary.BigEndian.PutUint16(out[i].Buffers[0], id)
				l.when[id].Store(int64(time.Since(l.zero)))
			}
			n, err := p.WriteBatch(out[:n], 0)
			if err != nil {
				return sent, err
			}
			sent += uint64(n)
		}
		<-ticker.C
	}
	return sent, nil
}

// messages returns room for a burst of datagrams.
func messages(size int) []ipv4.Message {
	m := make([]ipv4.Message, burst)
	for i := range m {
		m[i].Buffers = [][]byte{make([]byte, size)}
	}
	return m
}

// runServer answers every datagram with itself, as an answer.
func runServer(at string) error {
	c, err := net.ListenPacket("udp4", at)
	if err != nil {
		return err
	}
	_ = c.(*net.UDPConn).SetReadBuffer(8 << 20)
	p := ipv4.NewPacketConn(c)
	in := messages(512)
	out := make([]ipv4.Message, burst)
	for i := range out {
		out[i].Buffers = make([][]byte, 1)
	}
	fmt.Println("ready")
	for {
		n, err := p.ReadBatch(in, 0)
		if err != nil {
			return err
		}
		for i := range n {
			b := in[i].Buffers[0][:in[i].N]
			b[2] |= 0x80
			out[i].Buffers[0], out[i].Addr = b, in[i].Addr
		}
		for sent := 0; sent < n; {
			k, err := p.WriteBatch(out[sent:n], 0)
			if err != nil {
				return err
			}
			sent += k
		}
	}
}

// BenchmarkGuard asks a server on the internet with and without a guard in turn,
// and prints what each run saw. The metrics: queries/s of a core is how many
// questions the guard passes in a second of its own CPU time, which in namespaces
// includes the way of the packet to the server and part of the way back.
func BenchmarkGuard(b *testing.B) {
	home := netns.NewHome(b, netns.HomeConfig{Devices: 1})
	r := &range_{b: b, home: home}
	server := r.child(home.Internet, asServer, "203.0.113.1:53")
	netns.Wait(b, 5*time.Second, "the server is ready", func() bool { return server.Output() != "" })
	for range b.N {
		for _, rate := range []int{500, 5000, 20000, 40000} {
			for range 3 {
				r.measure(rate, false)
				r.measure(rate, true)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
}

// range_ is where the load is shot at.
type range_ struct {
	b    *testing.B
	home *netns.Home
}

// child starts this binary as something else.
func (r *range_) child(on *netns.Host, as, value string) *netns.Process {
	r.b.Helper()
	self, err := os.Executable()
	if err != nil {
		r.b.Fatal(err)
	}
	cmd := on.Command(self)
	cmd.Env = append(cmd.Env, as+"="+value)
	p, err := on.Start(cmd)
	if err != nil {
		r.b.Fatal(err)
	}
	return p
}

// measure runs one load.
func (r *range_) measure(rate int, guarded bool) {
	const seconds = 2
	var guard *netns.Process
	var before time.Duration
	if guarded {
		guard = r.child(r.home.Router, asGuard, "br-lan")
		netns.Wait(r.b, 5*time.Second, "the guard is in force", func() bool {
			return strings.Contains(guard.Output(), "dns guard in force")
		})
		before = cpu(guard.PID())
	}
	p := r.child(r.home.Devices[0], asLoad, fmt.Sprintf("203.0.113.1:53 %d %d", rate, seconds))
	<-p.Done()
	var l load
	if err := json.Unmarshal([]byte(p.Output()), &l); err != nil {
		r.b.Fatalf("%v: %s", err, p.Output())
	}
	line := fmt.Sprintf("%6.0f questions/s  guard %-5t  lost %5d of %6d  median %8v  p99 %8v", l.PerSecond, guarded,
		l.Sent-l.Answered, l.Sent, l.Median.Round(time.Microsecond), l.P99.Round(time.Microsecond))
	if guarded {
		used := cpu(guard.PID()) - before
		line += fmt.Sprintf("  cpu %4.1f %%  %7.0f questions/s of a core", 100*used.Seconds()/(float64(l.Sent)/l.PerSecond),
			float64(l.Sent)/used.Seconds())
		if err := guard.Stop(); err != nil {
			r.b.Fatalf("%v %s", err, guard.Output())
		}
		if i := strings.Index(guard.Output(), "stats "); i >= 0 && !strings.Contains(guard.Output(), "Unsent:0 ") {
			line += "  " + guard.Output()[i:]
		}
	}
	fmt.Println(line)
}

// cpu is how much CPU time a process has used.
func cpu(pid int) time.Duration {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var all time.Duration
	for _, path := range threads {
		var ns int64
		if s, err := os.ReadFile(path); err == nil {
			_, _ = fmt.Sscan(string(s), &ns)
			all += time.Duration(ns)
		}
	}
	return all
}
