// Package dns is the DNS guard: it stands between the devices and whatever
// resolver they ask, on UDP and TCP port 53, IPv4 and IPv6.
//
// What comes in is each question that a device sends through or to the router;
// Config.Decide says what becomes of it. A permitted question goes on, byte for
// byte, to the server that the device asked, from the device's own address and
// port; a blocked one is answered by the guard. Answers are not looked at.
// Package agent makes the guard and calls Beat; docs/dns-guard.md tells an
// operator how it works and what it cannot do.
//
// The guard cannot harm: what it cannot read goes on unchanged; without a
// listener the kernel does not find its sockets and lets packets through; and if
// it, or whoever should call Beat, hangs, its rules lapse within three seconds.
package dns

import (
	"fmt"
	"log/slog"
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"

	"cordon"
	"cordon/agent/enforce/dns/detour"
	"cordon/agent/enforce/dns/message"
)

// Do is what becomes of a question.
type Do uint8

// What can become of a question.
const (
	Pass     Do = iota // it goes on unchanged
	Refuse             // NXDOMAIN, with an extended error if the device speaks EDNS
	Redirect           // the answer is the address of a page on the router
	Resolve            // the guard asks the router's resolver itself, tells Opened, then answers
)

// The extended errors (RFC 8914 §4) that Refuse and Redirect are for.
const (
	EDEForged   uint16 = 4  // §4.5: the answer is ours, not the name's owner's
	EDEBlocked  uint16 = 15 // §4.16: blocked by the operator's security policy
	EDEFiltered uint16 = 17 // §4.18: filtered as the client has asked for
)

// Query is one question of a device.
type Query struct {
	MAC  cordon.MAC     // the sender's, zero if unknown
	Src  netip.AddrPort // the device
	Dst  netip.AddrPort // the server it asks
	Name []byte         // lower case, no dot at the end; a dot within a label is `\.`; valid during the call
	Type uint16         // IANA dns-parameters
}

// Verdict is what becomes of one question.
type Verdict struct {
	Do   Do
	EDE  uint16        // INFO-CODE of RFC 8914, 0: no extended error
	Text string        // EXTRA-TEXT beside EDE, at most message.MaxText bytes of it are sent
	Page [2]netip.Addr // of Redirect: IPv4 and IPv6; a question of another kind has no answer
}

// extended is the extended error that goes with v.
func (v *Verdict) extended() message.Extended { return message.Extended{Code: v.EDE, Text: v.Text} }

// Config configures a Guard. Decide is required.
type Config struct {
	// Decide judges a question. It is called for each, by several goroutines, and
	// must be fast: whoever asks waits. The query is the guard's.
	Decide func(*Query) Verdict
	// Opened is told the addresses in the answer to a question that was Resolved,
	// before the device gets it; ttl is the shortest of them. With an error, or if
	// Opened is nil, the device gets SERVFAIL. Called by several goroutines.
	Opened func(mac cordon.MAC, src netip.Addr, name string, addrs []netip.Addr, ttl time.Duration) error
	// Resolver gives the router's own resolvers, in the order in which they are
	// asked. Without one, Resolve is answered with SERVFAIL.
	Resolver func() []netip.AddrPort
	// MAC says whose an address is; nil: the guard asks the kernel's neighbour
	// table. Must be safe for concurrent use.
	MAC func(netip.Addr) (cordon.MAC, bool)
	// LAN are the interfaces that devices come in by, bridges rather than their
	// ports. SetLAN replaces them.
	LAN []string
	// Mark is the lower of the two neighbouring bits of packet marks that are the
	// guard's. 0 means 0x01000000: mwan3 has 0x00003f00, pbr
	// 0x00ff0000.
	Mark uint32
	// Table is the routing table, Priority the rules' place: 0 means 20053 and 530.
	Table, Priority int
	// Routed brings IPv4 to the guard by policy routing, as IPv6, which otherwise is
	// done only where the kernel cannot duplicate packets (nft_dup_ipv4).
	Routed bool
	Log    *slog.Logger // nil: nothing is logged
}

// The defaults of Config.
const (
	defaultMark     = 0x01000000
	defaultTable    = 20053
	defaultPriority = 530
)

// Guard is the DNS guard. Its methods are safe for concurrent use.
type Guard struct {
	cfg     Config
	marks   detour.Marks
	log     *slog.Logger
	started time.Time

	beaten  atomic.Int64               // when Beat was called last, as now
	lan     atomic.Pointer[[]string]   // sorted, never changed in place
	changed chan struct{}              // wakes the heart
	open    atomic.Pointer[string]     // why the guard is not in force, nil if it is
	known   atomic.Pointer[neighbours] // of the last Run, if Config.MAC is nil
	count   counters
}

// New checks the configuration. It touches nothing; Run does.
func New(cfg Config) (*Guard, error) {
	if cfg.Decide == nil {
		return nil, fmt.Errorf("dns guard: Decide is required")
	}
	if cfg.Mark == 0 {
		cfg.Mark = defaultMark
	}
	if bits.OnesCount32(cfg.Mark) != 1 || cfg.Mark > 1<<30 {
		return nil, fmt.Errorf("dns guard: mark %#x is not the lower of two bits", cfg.Mark)
	}
	if cfg.Table == 0 {
		cfg.Table = defaultTable
	}
	if cfg.Priority == 0 {
		cfg.Priority = defaultPriority
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	g := &Guard{cfg: cfg, marks: detour.MarksFrom(cfg.Mark), log: cfg.Log, started: time.Now(), changed: make(chan struct{}, 1)}
	g.SetLAN(cfg.LAN)
	reason := reasonNotRunning
	g.open.Store(&reason)
	return g, nil
}

// now is the time since New on the monotonic clock, in nanoseconds.
func (g *Guard) now() int64 { return int64(time.Since(g.started)) }

// Beat tells the guard that whoever judges is alive. Without a call for maxBeat
// the guard opens.
func (g *Guard) Beat() { g.beaten.Store(g.now()) }

// Stats is what the guard did since New.
type Stats struct {
	Open string // why the guard is not in force, empty if it is

	Passed     uint64 // questions that went on
	Refused    uint64
	Redirected uint64
	Resolved   uint64
	Unread     uint64 // of Passed: messages that are no question the guard can read
	Stray      uint64 // packets that were not for port 53, dropped
	Unsent     uint64 // messages that the kernel refused to send: lost
	Unresolved uint64 // Resolve without an answer: too many at once, no resolver, no reply
	Streams    uint64 // TCP connections taken
	Shut       uint64 // TCP connections closed because there were too many or the server did not answer
	Renewals   uint64 // of the heartbeat
	Failures   uint64 // of the kernel to take a heartbeat
}

// counters is Stats as it is counted.
type counters struct {
	passed, refused, redirected, resolved, unread, stray, unsent,
	unresolved, streams, shut, renewals, failures atomic.Uint64
}

// Stats returns what the guard did.
func (g *Guard) Stats() Stats {
	c := &g.count
	s := Stats{Passed: c.passed.Load(), Refused: c.refused.Load(), Redirected: c.redirected.Load(),
		Resolved: c.resolved.Load(), Unread: c.unread.Load(), Stray: c.stray.Load(), Unsent: c.unsent.Load(),
		Unresolved: c.unresolved.Load(), Streams: c.streams.Load(), Shut: c.shut.Load(),
		Renewals: c.renewals.Load(), Failures: c.failures.Load()}
	if why := g.open.Load(); why != nil {
		s.Open = *why
	}
	return s
}
