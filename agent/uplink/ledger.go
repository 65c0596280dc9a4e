package uplink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"cordon"
)

// Line is one line of the ledger: what was sent to core, and when.
type Line struct {
	Sent   cordon.Time `json:"sent"`
	Report string      `json:"report"` // "boot/sequence"
	Sort   string      `json:"sort"`   // "device", "detection", …
	Device string      `json:"device,omitempty"`
	Text   string      `json:"text"`  // what it said, in one line; holds what devices call themselves
	Bytes  int         `json:"bytes"` // of the report
}

// Bounds of the ledger. Two files of ledgerFile bytes are some 1,600 lines.
const (
	ledgerFile = 128 << 10
	// ledgerEvery is how often lines are written, ledgerPending from how many bytes on
	// they are in any case. A power cut loses what came since; flash lives longer.
	ledgerEvery   = time.Hour
	ledgerPending = 16 << 10
	maxLineText   = 160
)

// ledger keeps the lines: the newest in memory until it is time to write them, the
// others in two files of which the older is given up for the next. Its methods are
// safe for concurrent use.
type ledger struct {
	dir    string // empty: memory only
	claim  func(bytes int) bool
	uptime func() time.Duration

	mu      sync.Mutex
	pending []byte
	written time.Duration
	size    int64 // of the newer file
}

var ledgerNames = [2]string{"ledger.new", "ledger.old"}

func openLedger(dir string, claim func(int) bool, uptime func() time.Duration) *ledger {
	l := &ledger{dir: dir, claim: claim, uptime: uptime, written: uptime()}
	if info, err := os.Stat(filepath.Join(dir, ledgerNames[0])); dir != "" && err == nil {
		l.size = info.Size()
	}
	return l
}

// add notes what was sent.
func (l *ledger) add(line Line) {
	if len(line.Text) > maxLineText {
		line.Text = cutText(line.Text, maxLineText)
	}
	b, err := json.Marshal(line)
	if err != nil {
		return // no field can fail
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(append(l.pending, b...), '\n')
	if most := 2 * ledgerPending; len(l.pending) > most { // it cannot be written: the oldest go
		_, l.pending, _ = bytes.Cut(l.pending[len(l.pending)-most:], []byte("\n"))
		l.pending = bytes.Clone(l.pending)
	}
}

// flush writes the lines if it is time, or in any case.
func (l *ledger) flush(now bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir == "" || len(l.pending) == 0 ||
		!now && len(l.pending) < ledgerPending && l.uptime()-l.written < ledgerEvery {
		return nil
	}
	if l.claim != nil && !l.claim(len(l.pending)) {
		return nil
	}
	l.written = l.uptime()
	current := filepath.Join(l.dir, ledgerNames[0])
	if l.size+int64(len(l.pending)) > ledgerFile {
		if err := os.Rename(current, filepath.Join(l.dir, ledgerNames[1])); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("ledger: %w", err)
		}
		l.size = 0
	}
	f, err := os.OpenFile(current, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	// A line that a power cut left half is ended first, so that it spoils no other.
	_, err = f.Write(append([]byte("\n"), l.pending...))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	l.size += int64(len(l.pending)) + 1
	l.pending = nil
	return nil
}

// lines returns the newest lines, at most n, oldest first.
func (l *ledger) lines(n int) []Line {
	text := l.text()
	list := []Line{}
	for len(text) > 0 && len(list) < n {
		at := bytes.LastIndexByte(text, '\n')
		var line Line
		if err := json.Unmarshal(text[at+1:], &line); err == nil && line.Sort != "" {
			list = append(list, line)
		}
		text = text[:max(at, 0)]
	}
	slices.Reverse(list)
	return list
}

// text returns all lines as they are written. What is not written yet comes last.
func (l *ledger) text() (text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir != "" {
		for _, name := range []string{ledgerNames[1], ledgerNames[0]} {
			b, err := os.ReadFile(filepath.Join(l.dir, name))
			if err == nil && len(b) <= 2*ledgerFile {
				text = append(append(text, b...), '\n')
			}
		}
	}
	return append(text, l.pending...)
}

// cutText returns at most n bytes of s, whole characters.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
