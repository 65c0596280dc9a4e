package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cordon"
	"cordon/core/api/desk"
	"cordon/core/gateway"
	"cordon/core/store"
	"cordon/wire"
)

// line is how the API reaches routers and the other instances of core.
type line struct{ *Core }

// Ask puts a question to a router.
func (l line) Ask(ctx context.Context, router, what, device string) ([]byte, error) {
	a, err := l.gateway.Ask(ctx, l.keys.Directive, router, what, device)
	switch {
	case errors.Is(err, gateway.ErrAway):
		return nil, fmt.Errorf("%w: %w", desk.ErrAway, err)
	case err != nil:
		return nil, err
	case a.Error != "":
		return nil, fmt.Errorf("%w: %s", desk.ErrRefused, a.Error)
	}
	return a.JSON, nil
}

// Cut ends the connection of who has that key.
func (l line) Cut(ctx context.Context, key string) error { return l.bus.Revoke(ctx, key) }

// tellWithin is how long it may take to sign and send what a change means for routers.
// It is done also when the person who made the change has gone.
const tellWithin = 5 * time.Second

// Desired sends a site's router what is desired of it.
func (l line) Desired(ctx context.Context, site string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellWithin)
	defer cancel()
	if err := l.pusher.Site(ctx, site); err != nil { // the loop of the pusher sends it
		l.log.WarnContext(ctx, "desired state not sent yet", "site", site, "err", err)
	}
}

// Shadows sends the rules in shadow to all routers.
func (l line) Shadows(ctx context.Context, number uint64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellWithin)
	defer cancel()
	if err := l.pusher.Shadows(ctx); err != nil { // the next hello of each router mends it
		l.log.ErrorContext(ctx, "shadows not sent", "number", number, "err", err)
	}
}

// Tell tells all instances of core what changed.
func (l line) Tell(_ context.Context, events ...cordon.Event) {
	for _, e := range events {
		if e.Sort == cordon.EventRouter { // revoked or reset, perhaps
			l.gateway.Forget(e.ID)
		}
	}
	l.tell(events)
}

// tell hands events on: here to webhooks, so that each is called once, and everywhere to
// the people who look.
func (c *Core) tell(events []cordon.Event) {
	c.notifier.Notify(events)
	c.announce(eventSubject, events)
}

// announce tells all instances something, as JSON. Who does not hear it reads the store
// later.
func (c *Core) announce(subject string, v any) {
	data, err := json.Marshal(v)
	if err == nil {
		err = c.bus.Announce(subject, data)
	}
	if err != nil {
		c.log.Warn("not announced", "subject", subject, "err", err)
	}
}

// told returns a handler of what was announced.
func told[T any](c *Core, subject string, take func(T)) func([]byte) {
	return func(data []byte) {
		var v T
		if err := json.Unmarshal(data, &v); err != nil { // another version of core
			c.log.Warn("an announcement cannot be read", "subject", subject, "err", err)
			return
		}
		take(v)
	}
}

// people is the store as the API sees it: what a person says of an incident is heard by
// the breaker of every instance.
type people struct {
	*store.Store
	core *Core
}

// closed names an incident of which a person said something.
type closed struct{ Site, Incident string }

// CloseIncident stores what a person said about an incident.
func (p people) CloseIncident(ctx context.Context, site, id string, c cordon.Closing, by, note string, version int64) error {
	err := p.Store.CloseIncident(ctx, site, id, c, by, note, version)
	if err == nil {
		p.core.announce(closedSubject, closed{site, id})
	}
	return err
}

// closed hands what a person said to the breaker.
func (c *Core) closed(ctx context.Context) func([]byte) {
	return told(c, closedSubject, func(said closed) {
		ctx, cancel := context.WithTimeout(ctx, tellWithin)
		defer cancel()
		i, err := c.store.Incident(ctx, said.Site, said.Incident)
		if err != nil { // Load reads it at the next start
			c.log.WarnContext(ctx, "breaker does not know what was said", "site", said.Site, "incident", said.Incident, "err", err)
			return
		}
		c.breaker.Closed(i)
	})
}

// watched hands what was stored to the breaker.
func (c *Core) watched(data []byte) {
	_, list, err := wire.DecodeReports(data)
	if err != nil {
		c.log.Warn("an announcement cannot be read", "subject", watchSubject, "err", err)
		return
	}
	c.breaker.Watch(list)
}
