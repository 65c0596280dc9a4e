package selftest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// errNobody is a probe that had nobody to ask.
var errNobody = errors.New("nobody to ask")

// Asker asks hosts whether they are there.
type Asker struct {
	// Dial makes a connection; nil: from this machine.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Uplink returns the probe of the way to the internet: a resolver answers a
// question, or a gateway an echo request. One answer of anybody is enough, as some
// providers' gateways and resolvers keep silent. The addresses are asked for each
// time; at most eight of each are taken.
func (a Asker) Uplink(resolvers, gateways func() []netip.Addr) Probe {
	return Probe{Name: "uplink", Run: func(ctx context.Context) error {
		return anyOf(ctx, each(resolvers(), a.dns), each(gateways(), a.echo))
	}}
}

// LAN returns the probe of the home's side: one of the devices answers an echo
// request. The devices should be those that no change is about.
func (a Asker) LAN(devices func() []netip.Addr) Probe {
	return Probe{Name: "lan", Run: func(ctx context.Context) error {
		return anyOf(ctx, each(devices(), a.echo))
	}}
}

// maxAsked is how many addresses of a kind one probe asks.
const maxAsked = 8

type try func(context.Context) error

// each makes a try of every address.
func each(addrs []netip.Addr, ask func(context.Context, netip.Addr) error) (list []try) {
	for _, a := range addrs[:min(len(addrs), maxAsked)] {
		list = append(list, func(ctx context.Context) error { return ask(ctx, a) })
	}
	return list
}

// anyOf runs tries side by side until one succeeds, and returns the last error if
// none does.
func anyOf(ctx context.Context, lists ...[]try) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tries := slices.Concat(lists...)
	done := make(chan error, len(tries))
	for _, run := range tries {
		go func() { done <- run(ctx) }()
	}
	err := errNobody
	for range tries { // also the others: nothing is left running
		switch answer := <-done; {
		case answer == nil:
			err = nil
			cancel()
		case err != nil:
			err = answer
		}
	}
	return err
}

// dns asks a server for the root's name servers (RFC 1035 §4.1). Any answer
// will do, also a refusal: the way there and back is what is tested. So does an
// unreachable port, which the server's host itself told of.
func (a Asker) dns(ctx context.Context, server netip.Addr) error {
	question := []byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0 /* . */, 0, 2 /* NS */, 0, 1 /* IN */}
	rand.Read(question[:2])
	return a.ask(ctx, "udp", netip.AddrPortFrom(server, 53).String(), question, func(answer []byte) bool {
		return len(answer) >= 12 && bytes.Equal(answer[:2], question[:2]) && answer[2]&0x80 != 0
	})
}

// echo sends an ICMP or ICMPv6 echo request (RFC 792, RFC 4443 §4.1) from a raw
// socket, which needs CAP_NET_RAW.
func (a Asker) echo(ctx context.Context, to netip.Addr) error {
	request := make([]byte, 8+16) // type, code, checksum, identifier, sequence; data
	rand.Read(request[4:])
	network, reply := "ip4:icmp", byte(0)
	if to.Is4() {
		request[0] = 8
		binary.BigEndian.PutUint16(request[2:], checksum(request))
	} else { // the kernel fills the checksum in
		network, request[0], reply = "ip6:ipv6-icmp", 128, 129
	}
	return a.ask(ctx, network, to.String(), request, func(b []byte) bool {
		if to.Is4() && len(b) >= 20 { // IPv4 raw sockets give the IP header too
			b = b[min(len(b), int(b[0]&15)*4):]
		}
		return len(b) >= len(request) && b[0] == reply && bytes.Equal(b[4:len(request)], request[4:])
	})
}

// ask sends a question until it is answered or ctx is done: a packet may be lost,
// and the first to a neighbour waits for its hardware address.
func (a Asker) ask(ctx context.Context, network, address string, question []byte, answers func([]byte) bool) error {
	dial := a.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	c, err := dial(ctx, network, address)
	if err != nil {
		return fmt.Errorf("ask %s: %w", address, err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	buf := make([]byte, 1500)
	for ctx.Err() == nil {
		if err := c.SetReadDeadline(time.Now().Add(askAgain)); err != nil {
			return fmt.Errorf("ask %s: %w", address, err)
		}
		if _, err := c.Write(question); err != nil && !refused(err) {
			return fmt.Errorf("ask %s: %w", address, err)
		}
		for {
			n, err := c.Read(buf)
			if err == nil && answers(buf[:n]) || refused(err) {
				return nil
			}
			if err != nil {
				break
			}
		}
	}
	return fmt.Errorf("ask %s: %w", address, context.Cause(ctx))
}

// askAgain is how long an answer is waited for before the question is repeated.
const askAgain = 300 * time.Millisecond

// checksum is RFC 1071's, of an even number of bytes.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for k := 0; k+1 < len(b); k += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[k:]))
	}
	sum = sum&0xffff + sum>>16
	return ^uint16(sum + sum>>16)
}

// refused reports whether err is the host's own word that nobody listens there.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
