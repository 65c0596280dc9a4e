package uplink

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"cordon"
)

// directives are the newest of what core said, as it came, with its signature: after a
// restart the agent is told again, also when core stays away.
type directives struct {
	mu    sync.Mutex
	dirty bool

	Site    []byte      `json:"site,omitempty"`    // the newest for this router
	Shadows []byte      `json:"shadows,omitempty"` // the newest about shadows
	Number  uint64      `json:"number"`            // of the newest for this router
	Shared  uint64      `json:"shared"`            // of the newest to all
	At      cordon.Time `json:"at"`                // when it was written: what has expired since was valid then
	Router  string      `json:"router"`            // to whom they were
}

const directivesName = "directives.json"

// maxDirective bounds what is kept of one directive, in bytes. A larger one counts
// until the next start.
const maxDirective = 64 << 10

func (d *directives) read(dir string) error {
	if dir == "" {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(dir, directivesName))
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return json.Unmarshal(b, d)
}

// change notes something that is to be written.
func (d *directives) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	d.dirty = true
}

// flush writes what has changed.
func (d *directives) flush(dir string, claim func(int) bool, log *slog.Logger) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.dirty || dir == "" {
		return
	}
	b, err := json.Marshal(d)
	if err != nil || claim != nil && !claim(len(b)) {
		return
	}
	if err := replace(dir, directivesName, b); err != nil {
		log.Error("what core said is not kept", "err", err)
		return
	}
	d.dirty = false
}

// numbers are of the newest directives: for this router, and to all.
type numbers struct{ site, shared uint64 }

// newest returns the highest numbers that came; what is lower is old.
func (d *directives) newest() numbers {
	d.mu.Lock()
	defer d.mu.Unlock()
	return numbers{d.Number, d.Shared}
}

// forget drops what was said to another router than this.
func (d *directives) forget(router string) {
	d.change(func() { d.Site, d.Shadows, d.Number, d.Shared, d.Router = nil, nil, 0, 0, router })
}

// recall tells the agent what core said before the restart. What cannot be told, because
// it was not kept or is damaged, is not claimed in the hello either, so core says it again.
func (l *Uplink) recall(ctx context.Context) {
	if err := l.notes.read(l.cfg.Dir); err != nil && !os.IsNotExist(err) {
		l.log.Warn("what core said is damaged; it will be asked again", "err", err)
	}
	d := &l.notes
	if d.Router != l.id.Router { // of another life
		d.forget(l.id.Router)
		return
	}
	for _, b := range [][]byte{d.Shadows, d.Site} {
		if len(b) == 0 {
			continue
		}
		o, err := l.open(b, d.At)
		if err != nil {
			l.log.Warn("what core said is damaged; it will be asked again", "err", err)
			continue
		}
		if err := l.tell(ctx, o); err != nil {
			l.log.Warn("what core said is not done", "err", err)
		}
	}
	l.noteNumbers()
}

func (l *Uplink) noteNumbers() {
	l.note(func(s *Status) {
		s.Desired, s.Shared, s.Router = l.told.site, l.told.shared, l.id.Router
		if l.id.Base != 0 {
			s.Boot = l.id.Base + l.cfg.Start
		}
	})
}

// opened is a directive that core signed for this router.
type opened struct {
	number  uint64
	toAll   bool
	desired *cordon.Desired
	shadows []cordon.Shadow
	about   bool // it is about shadows
	unknown []string
}

// tell hands a directive to the agent. One about nothing that this agent knows is
// refused by it: what is desired (nil) and the shadows stay as they are.
func (l *Uplink) tell(ctx context.Context, o *opened) error {
	if o.toAll {
		if err := l.agent.Shared(ctx, o.number, o.shadows, o.about, o.unknown); err != nil {
			return err
		}
		l.told.shared = o.number
		return nil
	}
	if err := l.agent.Desired(ctx, o.desired, o.unknown); err != nil {
		return err
	}
	l.told.site = o.number
	return nil
}

// directive takes a directive from the bus.
func (l *Uplink) directive(ctx context.Context, data []byte) {
	now, _ := l.now()
	at := cordon.TimeOf(now)
	o, err := l.open(data, at)
	if err != nil {
		l.log.Warn("directive refused", "err", err)
		l.note(func(s *Status) { s.Refused++ })
		return
	}
	newest := l.notes.newest()
	have := newest.site
	if o.toAll {
		have = newest.shared
	}
	if o.number < have {
		l.log.Debug("old directive", "number", o.number, "have", have)
		l.note(func(s *Status) { s.Refused++ })
		return
	}
	if err := l.tell(ctx, o); err != nil {
		l.log.Warn("directive not done", "number", o.number, "err", err)
		return
	}
	l.log.Info("directive", "number", o.number, "to_all", o.toAll, "unknown", len(o.unknown))
	l.notes.change(func() {
		d := &l.notes
		d.At, d.Router = at, l.id.Router
		kept := data
		if len(kept) > maxDirective {
			kept = nil
		}
		switch {
		case !o.toAll:
			d.Number = o.number
			if o.desired != nil {
				d.Site = kept
			}
		default:
			d.Shared = o.number
			if o.about {
				d.Shadows = kept
			}
		}
	})
	l.notes.flush(l.cfg.Dir, l.cfg.Claim, l.log)
	l.noteNumbers()
}
