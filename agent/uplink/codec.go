package uplink

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cordon"
	"cordon/internal/spool"
	"cordon/wire"
)

// encode writes a report as it is kept. A story that is too long is cut.
func encode(r *cordon.Report) ([]byte, error) {
	b, err := wire.EncodeReport(r)
	if err != nil {
		return nil, err
	}
	for most := 16; len(b) > spool.MaxItem && r.Incident != nil && most > 0; most /= 2 {
		i := *r.Incident
		if n := len(i.Timeline); n > most {
			i.Timeline, i.Omitted = i.Timeline[:most], i.Omitted+n-most
		}
		short := *r
		short.Incident = &i
		if b, err = wire.EncodeReport(&short); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// open reads a directive that core signed for this router.
func (l *Uplink) open(data []byte, at cordon.Time) (*opened, error) {
	d, err := wire.Open(data, l.id.directiveKeys(), l.id.Router, at)
	if err != nil {
		return nil, err
	}
	o := &opened{number: d.Number, toAll: d.Receiver == wire.All, unknown: d.Unknown}
	if d.Indicators != nil {
		o.unknown = append(o.unknown, "indicators")
	}
	if d.Configuration != nil {
		for _, s := range d.Configuration.Settings {
			o.unknown = append(o.unknown, "setting "+s.Name)
		}
	}
	if d.Desired != nil && o.toAll {
		o.unknown = append(o.unknown, "one desired state for all routers")
	} else {
		o.desired = d.Desired
	}
	switch {
	case d.Shadows != nil && !o.toAll:
		o.unknown = append(o.unknown, "shadows for one router")
	case d.Shadows != nil:
		o.shadows, o.about = d.Shadows.List, true
	}
	return o, nil
}

// hello says what this router has.
func (s *session) hello() error {
	h := wire.Hello{Version: wire.Version, Agent: s.cfg.Agent, Boot: s.id.Base + s.cfg.Start, Desired: s.told.site, Shared: s.told.shared,
		Queued: uint64(max(s.queue.Stats().Waiting, 0))}
	b, err := h.Encode()
	if err != nil {
		return err
	}
	return s.publish("hello", b)
}

// helloAgain says hello if core asked for it and the time has come.
func (s *session) helloAgain() error {
	if s.helloAt.IsZero() || time.Now().Before(s.helloAt) {
		return nil
	}
	s.helloAt = time.Time{}
	return s.hello()
}

// Bounds of live questions.
const (
	askedAtOnce  = 4
	answerWithin = 10 * time.Second
	ledgerLines  = 500
)

// ask has a question answered.
func (s *session) ask(ctx context.Context, data []byte) {
	now, _ := s.now()
	q, err := wire.OpenQuestion(data, s.id.directiveKeys(), s.id.Router, cordon.TimeOf(now))
	if err != nil {
		s.log.Warn("question refused", "err", err)
		s.note(func(st *Status) { st.Refused++ })
		return
	}
	select {
	case s.asked <- struct{}{}:
	default:
		s.answer(wire.Answer{ID: q.ID, Error: "the router is answering other questions: ask again"})
		return
	}
	s.tasks.Go(func() {
		defer func() { <-s.asked }()
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		a := wire.Answer{ID: q.ID}
		var err error
		if q.What == "ledger" {
			a.JSON, err = json.Marshal(s.Ledger(ledgerLines))
		} else {
			a.JSON, err = s.agent.Answer(ctx, q.What, q.Device)
		}
		if err == nil && len(a.JSON) > wire.MaxAnswer-1024 {
			err = fmt.Errorf("the answer has %d bytes", len(a.JSON))
		}
		if err != nil {
			a.JSON, a.Error = nil, strings.ToValidUTF8(err.Error(), "\uFFFD")
		}
		s.answer(a)
	})
}

func (s *session) answer(a wire.Answer) {
	b, err := a.Encode()
	if err == nil {
		err = s.publish("answer", b)
	}
	if err != nil {
		s.log.Debug("answer not sent", "err", err)
	}
}
