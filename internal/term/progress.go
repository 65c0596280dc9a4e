package term

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// redraw is the least time between two pictures: ten a second look smooth and
// cost nothing.
const redraw = 100 * time.Millisecond

// barWidth is the number of characters between the brackets.
const barWidth = 24

// Progress draws one line that says how much of a task is done, and takes it
// away at the end. Nothing is written before the first Set, nor ever when its
// writer is not a terminal. It is for one goroutine.
type Progress struct {
	w        io.Writer
	terminal bool
	total    int64
	unit     string
	drawn    bool
	last     time.Time
}

// NewProgress returns a bar on w, usually standard error. terminal says whether
// w is one; total is the whole task in units, 0 or less when it is not known;
// unit is "B" for bytes or a noun in the plural.
func NewProgress(w io.Writer, terminal bool, total int64, unit string) *Progress {
	return &Progress{w: w, terminal: terminal, total: total, unit: unit}
}

// Set says that done units are finished at time now (any clock that runs
// forward). It draws at most ten times a second.
func (p *Progress) Set(done int64, now time.Time) {
	if !p.terminal || p.drawn && now.Sub(p.last) < redraw {
		return
	}
	p.drawn, p.last = true, now
	fmt.Fprint(p.w, "\r"+p.line(done)+"\x1b[K")
}

// Done takes the bar away and leaves the cursor at the start of an empty line.
// A later Set draws a new one.
func (p *Progress) Done() {
	if p.drawn {
		p.drawn = false
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func (p *Progress) line(done int64) string {
	if p.total <= 0 {
		return amount(done, p.unit)
	}
	done = min(max(done, 0), p.total)
	part := float64(done) / float64(p.total)
	full := int(part * barWidth)
	return fmt.Sprintf("[%s%s] %3d %% of %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full),
		int(part*100), amount(p.total, p.unit))
}

// amount writes n in the largest decimal unit that it fills: "29.1 MB",
// "1.3 million packets".
func amount(n int64, unit string) string {
	steps := []struct {
		size       int64
		si, spoken string
	}{{1e9, "G", " billion"}, {1e6, "M", " million"}, {1e3, "k", " thousand"}}
	for _, s := range steps {
		if n < s.size {
			continue
		}
		if value := float64(n) / float64(s.size); unit == "B" {
			return fmt.Sprintf("%.1f %sB", value, s.si)
		} else {
			return fmt.Sprintf("%.1f%s %s", value, s.spoken, unit)
		}
	}
	return fmt.Sprintf("%d %s", n, unit)
}
