// Package nft puts actions in force in the kernel's nftables.
//
// Actions come in from the agent's pipeline, places known to be hostile from
// what it was told, the router's ports and addresses from agent/network; two
// tables of the name cordon come out. No device has a rule of its own: all is in
// sets whose elements end by themselves, so what is in force stays in force, and
// ends, without the agent. docs/enforcement.md shows how it reads in `nft list`.
//
// Tables of other programs are never touched.
package nft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"cordon"
	"cordon/agent/enforce/nft/conntrack"
	"cordon/agent/enforce/nft/drift"
	"cordon/agent/enforce/nft/layout"
	"cordon/agent/enforce/nft/spared"
	"cordon/internal/nfnetlink"
)

// Config configures a Table. The zero Config works.
type Config struct {
	// PagePort is the router's TCP port to which the HTTP requests of quarantined
	// devices are led; 0: they are refused.
	PagePort uint16
	// Quarantines is how many devices may be cut off within an hour for what was found
	// of them, before further ones are refused. What a person ordered has a bound of its
	// own.
	Quarantines int
	// Grace is how long packets from a prefix that is no more the home's are
	// still let through, 0: two hours, the time that RFC 4862 §5.5.3 leaves an
	// address whose prefix was withdrawn.
	Grace time.Duration
	// Done, if set, is told how the connections of an action were cut: how many
	// were found, and what went wrong. It is called on another goroutine.
	Done func(id string, cut int, err error)
	Log  *slog.Logger // nil: nothing is logged
}

const (
	// defaultGrace is the Grace of a zero Config.
	defaultGrace = 2 * time.Hour
	// maxOrdered is how many devices people may have cut off within an hour, at the
	// router and at core: more than a home has trouble with, fewer than an empty home.
	maxOrdered = 10
)

// Table is the two tables. Its methods may be called from several goroutines.
type Table struct {
	cfg Config
	log *slog.Logger

	mu    sync.Mutex // guards everything below
	conn  *nftables.Conn
	sock  *nfnetlink.Socket
	ports int // a socket that asks for interfaces, in the namespace of Open
	batch nfnetlink.Batch
	home  *spared.Home
	armed bool      // the chains for what is in force for devices are in place
	quiet time.Time // since when nothing is
	rest  time.Duration

	actions  map[string]*record
	elements map[element]*inForce
	adopted  map[string]bool // keys of the quarantined set found by Open, or Restored
	found    []cordon.Time   // when devices were quarantined within the hour, by the agent
	ordered  []cordon.Time   // the same, by order
	hostile  map[place]time.Time
	uncut    []netip.AddrPort        // places whose connections wait to be cut; port 0: any
	shielded map[netip.AddrPort]bool // port 0: the address itself
	holes    map[element]time.Time
	mark     drift.Fingerprint // of the tables as they were built
	cutter   *conntrack.Cutter
}

// New returns a Table that has not touched the kernel yet.
func New(cfg Config) (*Table, error) {
	if cfg.Quarantines < 0 || cfg.Grace < 0 {
		return nil, fmt.Errorf("nft: %d quarantines an hour, grace %v: must not be negative", cfg.Quarantines, cfg.Grace)
	}
	if cfg.Grace == 0 {
		cfg.Grace = defaultGrace
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Table{cfg: cfg, log: log, home: spared.New(cfg.Grace), actions: make(map[string]*record), elements: make(map[element]*inForce),
		adopted: make(map[string]bool), hostile: make(map[place]time.Time),
		shielded: make(map[netip.AddrPort]bool), holes: make(map[element]time.Time), rest: restAfter}, nil
}

// Open adopts the tables of an earlier run, with all that is in force in them,
// or builds new ones. The Table works in the network namespace of the thread
// that calls Open. What the caller wants to be able to release must be applied
// again; what is not ends by its time-out.
func (t *Table) Open(ctx context.Context) (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sock != nil {
		return errors.New("nft: already open")
	}
	defer func() {
		if err != nil {
			if t.cutter != nil {
				t.cutter.Close()
				t.cutter = nil
			}
			t.close()
		}
	}()
	if t.sock, err = nfnetlink.Open(); err != nil {
		return err
	}
	if t.ports, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open a socket that asks for interfaces: %w", err)
	}
	if t.conn, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(roomy)); err != nil {
		return fmt.Errorf("open a socket to nftables: %w", err)
	}
	if t.cutter, err = conntrack.NewCutter(t.cfg.Done, t.log); err != nil {
		return err
	}
	if err := t.adopt(); err != nil {
		return err
	}
	return t.build(ctx)
}

// roomy makes room for the messages that build the tables and the answers to
// them. Without CAP_NET_ADMIN the kernel's own bound holds, and building fails.
func roomy(c *netlink.Conn) error {
	const room = 4 << 20
	if err := c.SetWriteBuffer(room); err != nil {
		return err
	}
	return c.SetReadBuffer(room)
}

// Close ends the work and leaves the tables in the kernel, with all that is in
// force. Connections that wait to be cut are cut first.
func (t *Table) Close() error {
	t.mu.Lock()
	c := t.cutter
	t.cutter = nil
	err := t.close()
	t.mu.Unlock()
	if c != nil {
		c.Close() // without the lock: it calls Config.Done
	}
	return err
}

func (t *Table) close() error {
	var errs []error
	if t.conn != nil {
		errs = append(errs, t.conn.CloseLasting())
		t.conn = nil
	}
	if t.ports > 0 {
		errs = append(errs, unix.Close(t.ports))
		t.ports = 0
	}
	if t.sock != nil {
		errs = append(errs, t.sock.Close())
		t.sock = nil
	}
	return errors.Join(errs...)
}

// errClosed is returned by what needs the kernel before Open and after Close.
var errClosed = errors.New("nft: not open")

// Reset removes both tables from the kernel and forgets what was in force.
func (t *Table) Reset(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return errClosed
	}
	for h := range layout.Hooks {
		// Adding first makes the deletion of what may be gone already succeed.
		t.conn.AddTable(h.Table())
		t.conn.DelTable(h.Table())
	}
	if err := t.flush(); err != nil {
		return fmt.Errorf("remove the tables: %w", err)
	}
	clear(t.actions)
	clear(t.elements)
	clear(t.adopted)
	clear(t.hostile)
	clear(t.shielded)
	clear(t.holes)
	t.armed, t.uncut = false, nil
	t.mark = drift.Fingerprint{}
	return nil
}

// flush commits what was asked of the nftables library.
func (t *Table) flush() error {
	return outcome(t.conn.Flush())
}

// outcome tells an answer of the kernel, which means that nothing was changed,
// from anything else, which means that nobody knows.
func outcome(err error) error {
	var refused unix.Errno
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nfnetlink.ErrLost):
		return fmt.Errorf("%w: %w", cordon.ErrUnknown, err)
	case errors.As(err, &refused) && refused != unix.ENOBUFS && refused != unix.EINTR && refused != unix.EAGAIN:
		return err
	}
	return fmt.Errorf("%w: %w", cordon.ErrUnknown, err)
}
