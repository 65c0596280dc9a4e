package nft_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"cordon"
	"cordon/lab/netns"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addrs(list ...string) []netip.Addr {
	var as []netip.Addr
	for _, s := range list {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}

func mac(s string) (m cordon.MAC) {
	const hex = "0123456789abcdef"
	for i := range m {
		for _, c := range s[3*i : 3*i+2] {
			for v, h := range hex {
				if h == c {
					m[i] = m[i]<<4 | byte(v)
				}
			}
		}
	}
	return m
}

// soon is how long what should arrive may take; gone is how long what should
// not is waited for.
const (
	soon = 3 * time.Second
	gone = 250 * time.Millisecond
)

// echo answers TCP connections at a port of a host, and UDP packets at a port of
// each of some addresses, with what they carry.
func (b *bed) echo(h *netns.Host, port string, udp ...string) {
	b.t.Helper()
	l, err := h.Listen("tcp", "[::]:"+port)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	for _, a := range udp {
		p, err := h.ListenPacket("udp", net.JoinHostPort(a, port))
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { p.Close() })
		go func() {
			buffer := make([]byte, 2000)
			for {
				n, from, err := p.ReadFrom(buffer)
				if err != nil {
					return
				}
				p.WriteTo(buffer[:n], from)
			}
		}()
	}
}

// outcome is how an attempt to talk to somebody ended.
type outcome string

const (
	reached outcome = "reached"
	refused outcome = "refused"
	silent  outcome = "silent"
)

// talk tries to have an answer from a place. It is tried until it ends as it
// should, but not longer than it may take.
func (b *bed) talk(h *netns.Host, network, at string, want outcome) {
	b.t.Helper()
	within := soon
	if want == silent {
		within = gone
	}
	if got := attempt(h, network, at, within); got != want {
		b.t.Errorf("%s: %s to %s: %s, want %s", h.Name, network, at, got, want)
	}
}

func attempt(h *netns.Host, network, at string, within time.Duration) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	c, err := h.DialContext(ctx, network, at)
	if err == nil {
		defer c.Close()
		err = ask(c, within)
	}
	switch {
	case err == nil:
		return reached
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return refused
	}
	return silent
}

// ask sends a word and waits for it to come back.
func ask(c net.Conn, within time.Duration) error {
	c.SetDeadline(time.Now().Add(within))
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 5))
	return err
}

// counter reads a counter of ours.
func (b *bed) counter(family, name string) string {
	b.t.Helper()
	out, err := b.Router.Run("nft", "list", "counter", family, "cordon", name)
	if err != nil {
		b.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(out, "packets ")
	n, _, _ := strings.Cut(rest, " ")
	return n
}

// cut waits for the connections of an action to be cut.
func (b *bed) cut(id string) cut {
	b.t.Helper()
	timer := time.NewTimer(soon)
	defer timer.Stop()
	for {
		select {
		case c := <-b.cuts:
			if c.id == id {
				return c
			}
		case <-timer.C:
			b.t.Fatalf("the connections of %q were not cut", id)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
