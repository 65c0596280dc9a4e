// Package dialogue follows what the two sides of a flow say to each other, as far
// as it tells who guesses passwords, loads programs and takes commands.
//
// The flow table asks Begin before a flow's first payload and shows Said every
// packet with payload until it has heard enough; facts go out through Config.Yield,
// into the same observations as everything else that is read from packets. A protocol is
// known by what is said and not by its port. What comes out is how far a dialogue
// has come: a log-in was tried, refused, has succeeded; a command of the sort that
// malware types. What was typed, names and passwords above all, never comes out,
// and is not kept.
//
// Known exploits are looked for where malware sends them: in flows to the ports
// that it probes, in those that no DNS answer led to, and in those that come in or
// stay within the home. Searched are the first 256 bytes that the opener says, and
// of each HTTP request the first 768 (see exploit.go); nothing of it is kept.
//
// Everything is bounded. A TCP flow in which something is said has a conversation,
// of which there is a fixed number, shared fairly between devices (see share.go); a
// UDP flow has twelve bytes. Memory is taken once; a packet allocates nothing.
//
// How the files follow a packet: dialogue.go, order.go (TCP bytes in order),
// conversation.go, recognise.go (which protocol); then one file for each protocol.
package dialogue

import (
	"cordon"
	"cordon/agent/observe/dialogue/exploit"
	"cordon/agent/observe/quic"
	"cordon/agent/packet"
)

const (
	// DefaultSize is how many conversations are followed at once.
	DefaultSize = 512
	// DefaultFlows is how many flows may be asked about at once: as many as the
	// flow table has.
	DefaultFlows = 8192
	// maxDatagrams is how many datagrams of each side of a UDP flow are read: a
	// QUIC ClientHello takes one or two, a DHT message one.
	maxDatagrams = 2
)

// Config configures a Table. Yield is required.
type Config struct {
	Size  int // conversations followed at once; 0 means DefaultSize
	Flows int // flows that have begun and not ended; 0 means DefaultFlows
	// Yield is given every fact. The observation and its slices are valid during
	// the call only.
	Yield func(*cordon.Observation)
}

// Stats counts what a Table did.
type Stats struct {
	Conversations uint64 // flows in which something was said
	Unseated      uint64 // flows that began while Config.Flows others were there
	Evicted       uint64 // conversations that had to go before they were over
	Gaps          uint64 // places where bytes of a conversation were missing
	Unpaged       uint64 // conversations dropped because all pages were in use
}

// Table is the conversations. It is owned by one goroutine.
type Table struct {
	cfg      Config
	seats    []seat // seat 0 is never used
	empty    int32  // first free seat, linked by seat.next
	talks    []conversation
	free     int32 // first free conversation, linked by link.next
	share    share
	pages    pages
	exploits *exploit.Catalogue
	initial  *quic.Reader
	now      cordon.Time
	fact     cordon.Observation // lent to Yield
	text     [lineBytes]byte    // what was said before the protocol was known, while it is read
	name     [lineBytes]byte    // a name in lower case, while it is told
	model    [16]byte           // a processor, while it is told
	data     [smallBytes]byte   // a small payload, while it is told
	scratch  [pageBytes]byte    // for package tls
	stats    Stats
}

// seat is what a flow has from Begin to End, also when its conversation had to go.
type seat struct {
	talk int32 // its conversation; 0: nothing said yet; over: no more wanted
	next int32 // in the list of free seats; taken while in use
	said [2]uint8
}

const (
	over  = -1
	taken = -1
)

// New returns an empty Table.
func New(cfg Config) *Table {
	if cfg.Size <= 0 {
		cfg.Size = DefaultSize
	}
	if cfg.Flows <= 0 {
		cfg.Flows = DefaultFlows
	}
	t := &Table{cfg: cfg, seats: make([]seat, cfg.Flows+1), talks: make([]conversation, cfg.Size+1), empty: 1, free: 1,
		exploits: exploit.New(), initial: quic.New(quic.Config{})}
	t.share.limit(cfg.Size)
	for i := 1; i < cfg.Flows; i++ {
		t.seats[i].next = int32(i) + 1
	}
	for i := 1; i < cfg.Size; i++ {
		t.talks[i].next = int32(i) + 1
	}
	return t
}

// Stats returns what the table did so far.
func (t *Table) Stats() Stats { return t.stats }

// Begin tells that something is said in a flow for the first time. It returns the
// flow's id for Said and End, or 0 when nothing of it is to be read.
func (t *Table) Begin(f *cordon.Flow) (id int32) {
	if f.Proto != packet.ProtoTCP && f.Proto != packet.ProtoUDP || f.Proto == packet.ProtoUDP && dull(f.Service()) {
		return 0
	}
	id = t.empty
	if id == 0 {
		t.stats.Unseated++
		return 0
	}
	t.empty = t.seats[id].next
	t.seats[id] = seat{next: taken}
	return id
}

// dull knows the UDP services that other stages read, or that say nothing.
func dull(port uint16) bool {
	switch port {
	case 53, 67, 68, 123, 137, 138, 546, 547, 1900, 5353, 5355:
		return true
	}
	return false
}

// Said gives a packet with payload of a flow that has an id, and reports whether
// more of the flow is wanted.
func (t *Table) Said(f *cordon.Flow, id int32, p *packet.Packet, byOpener bool, now cordon.Time) (more bool) {
	if id <= 0 || int(id) >= len(t.seats) || t.seats[id].next != taken || t.seats[id].talk == over {
		return false
	}
	t.now = now
	t.fact.At, t.fact.Device, t.fact.Flow = now, f.Device, f
	k := answerer
	if byOpener {
		k = opener
	}
	if p.Has(packet.HasUDP) {
		return t.datagram(&t.seats[id], k, p.Payload)
	}
	c := t.talk(id, f)
	if b, gap := t.order(c, k, p); len(b) > 0 {
		if gap {
			t.stats.Gaps++
			c.lose(k)
		}
		more = t.hear(c, k, b)
	} else {
		more = true
	}
	if !more {
		t.end(c)
	}
	return more
}

// datagram reads the beginning of a UDP flow.
func (t *Table) datagram(s *seat, k int, b []byte) (more bool) {
	if s.said[k] < maxDatagrams {
		s.said[k]++
		t.dht(k, b)
		t.quic(k, b)
		if k == opener && s.said[k] == 1 {
			t.searchDatagram(b)
		}
	}
	return s.said[opener] < maxDatagrams || s.said[answerer] < maxDatagrams
}

// End tells that a flow is over, or that no more of it will be shown.
func (t *Table) End(id int32) {
	if id <= 0 || int(id) >= len(t.seats) || t.seats[id].next != taken {
		return
	}
	s := &t.seats[id]
	if s.talk > 0 {
		t.end(&t.talks[s.talk])
	}
	*s = seat{next: t.empty}
	t.empty = id
}

// tell gives a fact of side k to Yield; o has what the fact says. The observation
// shown is the table's own, so that nothing is allocated.
func (t *Table) tell(fact cordon.Fact, k int, o cordon.Observation) {
	o.Fact, o.Opener = fact, k == opener
	o.At, o.Device, o.Flow = t.fact.At, t.fact.Device, t.fact.Flow
	t.fact = o
	t.cfg.Yield(&t.fact)
}

// login tells how far a log-in has come.
func (t *Table) login(service []byte, l cordon.Login) {
	k := answerer
	if l == cordon.LoginTried {
		k = opener
	}
	t.tell(cordon.FactLogin, k, cordon.Observation{Service: service, Login: l})
}
