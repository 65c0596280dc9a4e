package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// How the servers' lists of who is connected are fetched.
const (
	pageOf      = 1000             // connections
	overlap     = 100              // of two pages, see whole
	listTries   = 3                // for a list that changed too much meanwhile
	pageWithin  = 10 * time.Second // for a server that has much else to do
	theirWithin = 2 * time.Second  // for all servers to say that they are there
)

// A server that does not give its list is busy, or gone with all its connections.
const (
	silentLists = 3
	// silentAgain is when it is asked again, twice as late each time, to silentMost: the
	// lists of a busy server are not what should keep it busy.
	silentAgain = 5 * time.Second
	silentMost  = 5 * time.Minute
)

// fetch compares who is connected with the servers' lists.
func (b *Bus) fetch(ctx context.Context, issuer string) error {
	c := &b.connected
	c.mu.Lock()
	c.gone, c.came = make(map[connection]bool), make(map[connection]bool)
	c.mu.Unlock()
	lists := make(map[string]map[uint64]string) // server → connection → router; nil: it did not give it
	servers, err := b.servers(ctx)
	for _, server := range servers {
		list, e := b.list(ctx, server, issuer)
		if e != nil {
			b.cfg.Log.DebugContext(ctx, "who is connected to a server is not known", "server", server, "err", e)
		}
		lists[server] = list
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && c.compare(lists, b.cfg.Now()) {
		most := 1
		for _, n := range c.silent {
			most = max(most, n)
		}
		time.AfterFunc(min(silentAgain<<min(most-1, 10), silentMost), c.ask)
	}
	c.gone, c.came = nil, nil
	return err
}

// compare makes who is connected what the lists say, but for what happened while they
// were fetched, and reports whether one is missing. It must be called with mu held.
func (c *connected) compare(lists map[string]map[uint64]string, now time.Time) (missing bool) {
	silent := make(map[string]int)
	for server, list := range lists {
		if list == nil {
			silent[server] = c.silent[server] + 1
		}
		for id, router := range list {
			if on := (connection{server, id}); !c.gone[on] {
				c.begin(on, router, now)
			}
		}
	}
	c.known = c.known || len(silent) == 0
	for on := range c.by {
		if lists[on.server] == nil {
			silent[on.server] = c.silent[on.server] + 1
		}
		if _, ok := lists[on.server][on.id]; !ok && !c.came[on] && (lists[on.server] != nil || c.silent[on.server] >= silentLists) {
			c.end(on, now)
		}
	}
	c.silent = silent
	return len(silent) > 0
}

// servers returns the ids of the servers that are there.
func (b *Bus) servers(ctx context.Context) (ids []string, err error) {
	if b.server != nil {
		return []string{b.server.ID()}, nil
	}
	inbox := b.system.NewRespInbox()
	sub, err := b.system.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("servers: %w", err)
	}
	defer sub.Unsubscribe()
	if err := b.system.PublishRequest("$SYS.REQ.SERVER.PING.IDZ", inbox, nil); err != nil {
		return nil, fmt.Errorf("servers: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, theirWithin)
	defer cancel()
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			if len(ids) > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) { // nobody knows how many there are
				return ids, nil
			}
			return nil, fmt.Errorf("servers: %w", err)
		}
		var one struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(m.Data, &one); err != nil {
			return nil, fmt.Errorf("servers: %w", err)
		}
		ids = append(ids, one.ID)
	}
}

// line is one connection in a server's list.
type line struct {
	CID       uint64 `json:"cid"`
	JWT       string `json:"jwt"`
	IssuerKey string `json:"issuer_key"`
}

// list fetches the routers that are connected to a server.
//
// Whose a connection is, is asked only where no event has told it, one by one: for each page
// with that the server decodes and verifies the credentials of all connections, on the page
// or not, which is seconds of a processor with 18,000 of them (nats-server 2.15, Connz).
func (b *Bus) list(ctx context.Context, server, issuer string) (routers map[uint64]string, err error) {
	for range listTries {
		routers = make(map[uint64]string)
		err = whole(func(offset int) ([]line, error) { return b.page(ctx, server, offset) }, func(l *line) { routers[l.CID] = "" })
		if err == nil {
			err = b.name(ctx, server, issuer, routers)
		}
		if err == nil {
			return routers, nil
		}
		if !errors.Is(err, errMoved) {
			break
		}
	}
	return nil, err
}

var errMoved = errors.New("the list changed while it was read")

// whole calls each with every line of a list that stands in the order of the ids and is
// read in pages, a line perhaps twice. A line that is struck out meanwhile moves those
// behind it forward: if that is more than pages overlap, the list is not whole.
func whole(page func(offset int) ([]line, error), each func(*line)) error {
	last := uint64(0)
	for offset := 0; ; offset += pageOf - overlap {
		lines, err := page(offset)
		if err != nil {
			return err
		}
		if offset > 0 && (len(lines) == 0 || lines[0].CID > last) {
			return errMoved
		}
		for i := range lines {
			each(&lines[i])
			last = lines[i].CID
		}
		if len(lines) < pageOf {
			return nil
		}
	}
}

// name finds whose the connections of a list are, and strikes out those that are no
// router's or gone.
func (b *Bus) name(ctx context.Context, server, issuer string, list map[uint64]string) error {
	b.connected.mu.Lock()
	for id := range list {
		list[id] = b.connected.by[connection{server, id}]
	}
	b.connected.mu.Unlock()
	for id, router := range list {
		if router != "" {
			continue
		}
		one, err := b.lines(ctx, server, map[string]any{"cid": id, "auth": true})
		if err != nil {
			return err
		}
		if len(one) == 1 && one[0].IssuerKey == issuer {
			router = named(one[0].JWT)
		}
		if list[id] = router; router == "" {
			delete(list, id)
		}
	}
	return nil
}

// page fetches a page of a server's list.
func (b *Bus) page(ctx context.Context, server string, offset int) ([]line, error) {
	return b.lines(ctx, server, map[string]any{"acc": b.keys.accounts.Routers, "offset": offset, "limit": pageOf})
}

// lines asks a server for connections.
func (b *Bus) lines(ctx context.Context, server string, which map[string]any) ([]line, error) {
	ask, err := json.Marshal(which)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pageWithin)
	defer cancel()
	m, err := b.system.RequestWithContext(ctx, "$SYS.REQ.SERVER."+server+".CONNZ", ask)
	if err != nil {
		return nil, err
	}
	var page struct {
		Data struct {
			Connections []line `json:"connections"`
		} `json:"data"`
	}
	if err := json.Unmarshal(m.Data, &page); err != nil {
		return nil, err
	}
	return page.Data.Connections, nil
}
