package bus

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"golang.org/x/sys/unix"

	"cordon/lab/door"
)

var (
	crowdRouters = flag.Int("routers", 2000, "BenchmarkConnections: how many come at once")
	crowdSpread  = flag.Duration("spread", 0, "BenchmarkConnections: over what time they come")
	crowdBackoff = flag.Duration("backoff", time.Second, "BenchmarkConnections: over what time one comes again whose first try failed; it doubles")
	crowdWait    = flag.Duration("patience", 45*time.Second, "BenchmarkConnections: how long one waits for its connection (agent/uplink)")
	crowdHeap    = flag.String("heap", "", "BenchmarkConnections: file for a profile of the heap while all are there")
)

// childCrowd is the address of the bus to which the child of BenchmarkConnections connects
// routers: in a process of its own, so that what is measured is the server's.
const childCrowd = "CORDON_TEST_BUS_CROWD"

// BenchmarkConnections lets many routers come at once over TLS, and measures how long it
// takes until all are in, and what each costs in this process.
//
//	go test -run '^$' -bench Connections -benchtime 1x ./core/bus -routers 18000
func BenchmarkConnections(b *testing.B) {
	for b.Loop() {
		if err := raiseFiles(); err != nil {
			b.Fatal(err)
		}
		_, _, secured := door.Certificate(b, time.Now())
		bus := open(b, func(c *Config) { c.TLS = secured; c.Log = nil })
		all := newCrowd(b, bus, *crowdRouters)
		before := resident(b)
		cpu := cpuTime()
		took, tries := all.come(b)
		spent := cpuTime() - cpu
		after := resident(b)
		eventually(b, "all to be known", func() bool { return bus.connected.len() == *crowdRouters })
		if *crowdHeap != "" {
			runtime.GC()
			var profile bytes.Buffer
			if err := errors.Join(pprof.Lookup("heap").WriteTo(&profile, 0), os.WriteFile(*crowdHeap, profile.Bytes(), 0o600)); err != nil {
				b.Fatal(err)
			}
		}
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		each := func(bytes int64) float64 { return float64(bytes) / 1024 / float64(*crowdRouters) }
		b.ReportMetric(took.Seconds(), "s-until-all")
		b.ReportMetric(float64(tries-*crowdRouters), "failed-tries")
		b.ReportMetric(float64(spent.Microseconds())/float64(*crowdRouters), "cpu-µs/router")
		b.ReportMetric(each(after-before), "KB-then/router")
		b.ReportMetric(each(resident(b)-before), "KB-at-rest/router")
		b.ReportMetric(each(int64(m.HeapInuse)), "KB-heap/router")
		b.ReportMetric(each(int64(m.StackInuse)), "KB-stacks/router")
		all.leave()
		bus.Close()
	}
}

// raiseFiles lets this process open as many files as it may.
func raiseFiles() error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	l.Cur = l.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
}

// resident returns the resident memory of this process in bytes.
func resident(t testing.TB) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("needs /proc")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// cpuTime returns the time that this process has spent on processors.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// crowd is a child with many routers.
type crowd struct {
	in  io.WriteCloser
	out *bufio.Scanner
	cmd *exec.Cmd
}

// newCrowd starts a child and gives it the credentials of routers.
func newCrowd(t testing.TB, b *Bus, routers int) *crowd {
	t.Helper()
	c := &crowd{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d %d", childCrowd, b.Addr(), *crowdSpread, *crowdWait, *crowdBackoff))
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.in, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.leave)
	c.out = bufio.NewScanner(out)
	w := bufio.NewWriter(c.in)
	for range routers {
		r := newRouter(t, b)
		seed, err := r.pair.Seed()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(w, r.id, r.token, string(seed))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return c
}

// come lets all routers connect, and returns how long it took and in how many tries.
func (c *crowd) come(t testing.TB) (took time.Duration, tries int) {
	t.Helper()
	fmt.Fprintln(c.in)
	if !c.out.Scan() {
		t.Fatal("the child has ended")
	}
	var ns int64
	if _, err := fmt.Sscan(c.out.Text(), &ns, &tries); err != nil {
		t.Fatalf("the child says %q", c.out.Text())
	}
	return time.Duration(ns), tries
}

// leave ends the child.
func (c *crowd) leave() {
	c.in.Close()
	c.cmd.Wait()
}

// crowdAt is the child: it connects the routers of its input to the bus and says when all
// of them are in.
func crowdAt(ctx context.Context, how string) error {
	if err := raiseFiles(); err != nil {
		return err
	}
	var address string
	var spread, patience, backoff time.Duration
	if _, err := fmt.Sscan(how, &address, (*int64)(&spread), (*int64)(&patience), (*int64)(&backoff)); err != nil {
		return err
	}
	var list [][]string
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() && in.Text() != "" {
		list = append(list, strings.Fields(in.Text()))
	}
	begin := time.Now()
	var all sync.WaitGroup
	var tries, joined atomic.Int64
	go func() {
		for range time.Tick(5 * time.Second) {
			fmt.Fprintf(os.Stderr, "%v: %d in, %d tries\n", time.Since(begin).Round(time.Second), joined.Load(), tries.Load())
		}
	}()
	for _, r := range list {
		all.Go(func() {
			if spread > 0 {
				time.Sleep(rand.N(spread))
			}
			for window := backoff; ; window = min(2*window, 5*time.Minute) { // as agent/uplink
				tries.Add(1)
				err := joinAs(ctx, address, patience, r[0], r[1], r[2])
				if err == nil {
					joined.Add(1)
					return
				}
				time.Sleep(rand.N(window))
			}
		})
	}
	all.Wait()
	fmt.Println(time.Since(begin).Nanoseconds(), tries.Load())
	for in.Scan() {
	}
	return nil
}

// joinAs connects as a router, with little memory, and stays connected.
func joinAs(ctx context.Context, address string, patience time.Duration, router, token, seed string) error {
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(patience))
	err = func() error {
		info, err := bufio.NewReaderSize(conn, 1024).ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("info: %w", err)
		}
		var said struct {
			Nonce string `json:"nonce"`
		}
		if err := json.Unmarshal(info[len("INFO "):], &said); err != nil {
			return err
		}
		secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // the time that counts is the server's
		if err := secured.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
		signature, err := pair.Sign([]byte(said.Nonce))
		if err != nil {
			return err
		}
		hello, err := json.Marshal(map[string]any{"jwt": token, "sig": base64.RawURLEncoding.EncodeToString(signature), "lang": "go", "version": "1", "protocol": 1})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(secured, "CONNECT %s\r\nSUB to.%s.> 1\r\nSUB to.all.> 2\r\nPING\r\n", hello, router); err != nil {
			return err
		}
		in := bufio.NewReaderSize(secured, 512)
		if err := obey(secured, in, "PONG"); err != nil {
			return fmt.Errorf("log in: %w", err)
		}
		conn.SetDeadline(time.Time{})
		go obey(secured, in, "nothing")
		return nil
	}()
	if err != nil {
		conn.Close()
	}
	return err
}

// obey answers pings until the bus says a word.
func obey(conn io.Writer, in *bufio.Reader, until string) error {
	for {
		text, err := in.ReadString('\n')
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(text, until):
			return nil
		case strings.HasPrefix(text, "-ERR"):
			return errors.New(text)
		case strings.HasPrefix(text, "PING"):
			if _, err := io.WriteString(conn, "PONG\r\n"); err != nil {
				return err
			}
		}
	}
}
