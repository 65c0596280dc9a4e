// Package detour is the way of the devices' DNS by the guard: nftables tables and
// policy routing that bring packets for port 53 to the guard's sockets, whoever they
// are for.
//
// What comes in is where the guard listens and, with each Renew, the interfaces that
// devices come in by; what comes out is in the kernel, until Remove. Nothing takes the
// detour for longer than two seconds after the last Renew. Package dns, above, judges
// when it may be taken, and what becomes of what comes; docs/dns-guard.md shows the
// tables.
package detour

import (
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

// Port is the port of DNS, UDP and TCP, RFC 1035 §4.2.
const Port = 53

// lapse is how long the guard's rules match without being renewed.
const lapse = 2 * time.Second

// Marks are what packets bear that the guard has to do with, under Mask.
type Marks struct {
	Mask        uint32
	Intercepted uint32 // on its way from a device to the guard
	Answer      uint32 // from the guard to a device
	Query       uint32 // from the guard to a server
}

// MarksFrom returns the marks in the lowest bit, the only one of its argument, and the
// next.
func MarksFrom(lowest uint32) Marks {
	return Marks{Mask: 3 * lowest, Intercepted: lowest, Answer: 2 * lowest, Query: 3 * lowest}
}

// Ports are where the guard listens, 0 for a family that there is not. There is IPv4.
type Ports struct{ UDP4, UDP6, TCP4, TCP6 uint16 }

// Config configures a Way. All but Routed is required.
type Config struct {
	Marks Marks
	Ports Ports
	// Table is the routing table, Priority the rules' place.
	Table, Priority int
	// Routed brings IPv4 to the guard by policy routing, as IPv6, which otherwise is
	// done only where the kernel cannot duplicate packets (nft_dup_ipv4).
	Routed bool
	Log    *slog.Logger
}

// Way is the way to the guard's sockets. It is owned by one goroutine, the guard's
// heart.
type Way struct {
	table    table
	routes   routes
	standing bool // the table is installed, as far as is known
	log      *slog.Logger
}

// New returns a Way that is not there yet.
func New(cfg Config) *Way {
	families := []int{unix.AF_INET}
	if cfg.Ports.UDP6 != 0 {
		families = append(families, unix.AF_INET6)
	}
	return &Way{log: cfg.Log,
		table:  table{marks: cfg.Marks, ports: cfg.Ports, routed: cfg.Routed},
		routes: routes{marks: cfg.Marks, table: cfg.Table, priority: cfg.Priority, families: families}}
}

// Renew makes what comes in by the interfaces, and by no other, take the detour for
// lapse from now. Whatever somebody else has removed is made again, and what a guard
// left that was killed is replaced.
func (w *Way) Renew(lan []string) error {
	if err := w.route(lan); err != nil {
		return err
	}
	if w.standing {
		if w.table.whole() && w.table.renew(lan) == nil {
			return nil
		}
		w.standing = false
	}
	if err := w.install(lan); err != nil {
		return err
	}
	w.standing = true
	return w.table.renew(lan)
}

// install makes the tables, and does without duplicates where the kernel has none.
func (w *Way) install(lan []string) error {
	err := w.table.install()
	if w.table.routed || !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	w.log.Info("dns guard uses policy routing: packets cannot be duplicated", "err", err)
	w.table.routed = true
	if err := w.route(lan); err != nil {
		return err
	}
	return w.table.install()
}

// route makes the policy routing of the families that need it.
func (w *Way) route(lan []string) error {
	for _, family := range w.routes.families {
		if family == unix.AF_INET && !w.table.routed {
			continue
		}
		if err := w.routes.ensure(family, lan); err != nil {
			return err
		}
	}
	return nil
}

// Lift lets everything go its usual way from now on, until the next Renew. After an
// error it does when the rules lapse.
func (w *Way) Lift() error {
	if !w.standing {
		return nil
	}
	return w.table.renew(nil)
}

// Remove removes all that the Way made, for good.
func (w *Way) Remove() error { return errors.Join(removeTables(), w.routes.remove()) }

// Clear removes what a Way with these marks, this table and this priority left in the
// kernel, in both families.
func Clear(cfg Config) error {
	r := routes{marks: cfg.Marks, table: cfg.Table, priority: cfg.Priority, families: []int{unix.AF_INET, unix.AF_INET6}}
	return errors.Join(removeTables(), r.remove())
}
