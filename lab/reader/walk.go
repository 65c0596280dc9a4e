package reader

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"sync"

	"cordon"
	"cordon/lab/records"
)

// walk is a way through a list, from page to page.
type walk struct {
	list  string
	query url.Values // without cursor and limit
	next  string     // the cursor; empty: the beginning
	seen  map[string]bool
}

// page asks for the next page of a walk.
func (w *walk) page(limit int) *request {
	q := maps.Clone(w.query)
	if q == nil {
		q = make(url.Values)
	}
	q.Set("limit", strconv.Itoa(limit))
	if w.next != "" {
		q.Set("cursor", w.next)
	}
	return &request{route: "GET /v1/" + w.list, path: "/v1/" + w.list, query: q, walked: w}
}

// maxSeen bounds what a walk remembers to find what comes twice.
const maxSeen = 100_000

// took takes the page that came and returns what is wrong with it.
func (w *walk) took(text []byte) (page, error) {
	var p page
	if err := json.Unmarshal(text, &p); err != nil {
		return p, err
	}
	w.next = p.Next
	if w.seen == nil {
		w.seen = make(map[string]bool)
	}
	for _, i := range p.Items {
		key := i.Site + "/" + i.ID
		if w.seen[key] {
			return p, fmt.Errorf("%s comes twice", key)
		}
		if len(w.seen) < maxSeen {
			w.seen[key] = true
		}
	}
	return p, nil
}

// library is the cursors that people of a role left: the middle of lists. The provider's
// people see all homes, so the cursors of one serve all others of his role.
type library struct {
	mu    sync.Mutex
	walks map[cordon.Role][]walk // guarded by mu
}

// maxWalks bounds what is kept of a role's.
const maxWalks = 2_000

// leave puts a cursor in; where there is no room, it takes another's place.
func (l *library) leave(p *person, role cordon.Role, w *walk) {
	if w.next == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	left := walk{list: w.list, query: w.query, next: w.next}
	if all := l.walks[role]; len(all) < maxWalks {
		l.walks[role] = append(all, left)
	} else {
		all[p.rng.IntN(len(all))] = left
	}
}

// take returns a walk that somebody left; nil: there is none.
func (l *library) take(p *person) *walk {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.walks[p.role]
	if len(all) == 0 {
		return nil
	}
	w := all[p.rng.IntN(len(all))]
	return &w
}

// gatherPages is how far into each list cursors are gathered, in pages of 500.
const gatherPages = 100

// gather fills the library, so that from the first moment requests go into the middle of
// lists, not to their beginnings only.
func (o *office) gather(ctx context.Context) error {
	for _, l := range lists {
		if l.name == "audit" { // it has just begun
			continue
		}
		w := &walk{list: l.name}
		for range gatherPages {
			text, err := o.admin.ask(ctx, w.page(500))
			if err != nil {
				return err
			}
			w.seen = nil
			if _, err := w.took(text); err != nil {
				return err
			}
			if w.next == "" {
				break
			}
			for _, role := range []cordon.Role{cordon.RoleAnalyst, cordon.RoleOperator, cordon.RoleAdministrator} {
				o.library.leave(o.admin, role, w)
			}
		}
	}
	return nil
}

// census is the whole of a list and what it held at the beginning: a program that keeps
// a copy of a part of the network reads it again and again.
type census struct {
	list   string
	query  url.Values
	before map[string]bool
	walk   *walk
	rounds int
}

// censuses are what is read: lists in an order that nothing changes.
var censuses = []string{"incidents", "devices", "detections", "routers"}

// count gives some operators a list that they compare, and reads what it holds.
func (o *office) count(ctx context.Context) error {
	n := 0
	for _, p := range o.people {
		if p.role != cordon.RoleOperator || n == len(censuses) || n >= max(1, len(o.people)/20) {
			continue
		}
		c := &census{list: censuses[n], query: url.Values{"area": {records.Area(n * n)}}}
		c.walk = &walk{list: c.list, query: c.query}
		for {
			text, err := p.ask(ctx, c.walk.page(500))
			if err != nil {
				return err
			}
			if _, err := c.walk.took(text); err != nil {
				return fmt.Errorf("%s: %w", c.list, err)
			}
			if c.walk.next == "" {
				break
			}
		}
		c.before, c.walk = c.walk.seen, nil
		p.check = c
		n++
	}
	return nil
}

// pageOf is how much such a program asks for at once.
const pageOf = 100

// request asks for the next page.
func (c *census) request() *request {
	if c.walk == nil {
		c.walk = &walk{list: c.list, query: c.query}
	}
	return c.walk.page(pageOf)
}

// took looks at what is missing once the list is at its end.
func (c *census) took() error {
	if c.walk.next != "" {
		return nil
	}
	missing, one := 0, ""
	for key := range c.before {
		if !c.walk.seen[key] {
			missing, one = missing+1, key
		}
	}
	c.walk = nil
	c.rounds++
	if missing > 0 {
		return fmt.Errorf("%s omit %d of %d records that were there before, such as %s", c.list, missing, len(c.before), one)
	}
	return nil
}
