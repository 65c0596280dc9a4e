package main

import (
	"fmt"
	"io"
	"os"

	"cordon"
	"cordon/agent"
	"cordon/agent/indicator"
	"cordon/agent/indicator/feed"
	"cordon/agent/packet"
	"cordon/internal/term"
)

// firstFrame is a source whose first frame can be looked at before it is taken.
type firstFrame struct {
	agent.Source
	frame packet.Frame
	err   error
	held  bool
}

// Next gives the next frame.
func (s *firstFrame) Next(f *packet.Frame) error {
	if s.held {
		*f, s.held = s.frame, false
		return s.err
	}
	return s.Source.Next(f)
}

// begin returns the time of the first frame, 0 if there is none.
func (s *firstFrame) begin() cordon.Time {
	if !s.held {
		s.err, s.held = s.Source.Next(&s.frame), true
	}
	if s.err != nil {
		return 0
	}
	return cordon.Time(s.frame.Time)
}

// compile reads a file of indicators as of the beginning of the capture, and says
// on w what it could not take.
func compile(name string, source *firstFrame, w io.Writer) (*indicator.Set, error) {
	if f, err := os.Open(name); err != nil {
		return nil, fmt.Errorf("indicators: %w", err)
	} else {
		f.Close()
	}
	set, report, err := indicator.Load(indicator.Options{Now: source.begin()}, name)
	if err != nil {
		return nil, err
	}
	say(w, name, report)
	if report.Taken == 0 {
		set.Close()
		return nil, fmt.Errorf("indicators %s: not one could be taken; docs/reference/indicators.md has the format", name)
	}
	return set, nil
}

// say tells what of a feed was taken and what was not, and why.
func say(w io.Writer, name string, r feed.Report) {
	fmt.Fprintf(w, "%s: %s taken, %d expired before the capture began\n", term.Escape(name), count(int(r.Taken), "indicator"), r.Expired)
	for _, refused := range r.Refused {
		fmt.Fprintf(w, "%s: %d refused: %s", term.Escape(name), refused.Count, refused.Reason)
		if len(refused.Examples) > 0 {
			e := refused.Examples[0]
			fmt.Fprintf(w, ", first in line %d: %s", e.Line, term.Escape(e.Text))
		}
		fmt.Fprintln(w)
	}
}
