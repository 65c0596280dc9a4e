package spool

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The ranks of the tests.
const (
	summary Rank = iota
	device
	incident
	detection
)

// shelf is a queue under test with a clock of its own.
type shelf struct {
	*Queue
	dir string
	now time.Duration
	seq uint64
}

func newShelf(t testing.TB, dir string, most int64) *shelf {
	t.Helper()
	s := &shelf{dir: dir}
	var err error
	s.Queue, err = Open(Config{Dir: dir, Most: most, Uptime: func() time.Duration { return s.now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put adds a report of a rank.
func (s *shelf) put(r Rank, size int) Number {
	s.seq++
	it := &Item{Number: Number{1, s.seq}, Rank: r, Body: bytes.Repeat([]byte{byte(s.seq)}, size)}
	s.Add(it)
	return it.Number
}

// drain takes and acknowledges everything, and returns the numbers in order.
func (s *shelf) drain() (got []Number) {
	for {
		list := s.Next(1000, 1<<20, true)
		if len(list) == 0 {
			return got
		}
		for _, it := range list {
			if it.Start == 1 && (len(it.Body) == 0 || it.Body[0] != byte(it.Seq)) {
				panic(fmt.Sprintf("report %d holds another's bytes", it.Seq))
			}
			got = append(got, it.Number)
		}
		s.Acknowledge(list)
	}
}

func (s *shelf) files(t testing.TB) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(s.dir, "queue-*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestQueueSparesFlash: what is acknowledged soon is never written, what is not is,
// and a file goes when everything in it is acknowledged.
func TestQueueSparesFlash(t *testing.T) {
	s := newShelf(t, t.TempDir(), 4<<20)
	s.put(detection, 100)
	s.Flush(false)
	s.now += keepAfter - 1
	s.Flush(false)
	if got := s.files(t); len(got) != 0 {
		t.Fatalf("written at once: %v", got)
	}
	if got := s.drain(); len(got) != 1 {
		t.Fatalf("drained %v", got)
	}
	s.now += time.Hour
	s.Flush(true)
	if got := s.files(t); len(got) != 0 {
		t.Fatalf("written though acknowledged: %v", got)
	}
	want := []Number{s.put(detection, 100), s.put(detection, 100)}
	flying := s.Next(1, 1000, true)
	s.now += keepAfter
	s.Flush(false)
	if got := s.files(t); len(got) != 1 {
		t.Fatalf("%d files, want 1", len(got))
	}
	s.Acknowledge(flying)
	if got := append([]Number{flying[0].Number}, s.drain()...); !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	if got := s.files(t); len(got) != 0 || s.Stats().OnFlash != 0 || s.Stats().Waiting != 0 {
		t.Errorf("left: %v, %+v", got, s.Stats())
	}
}

// TestQueueSurvives: what was flushed is there after a restart, by rank and age, and
// what was sent and not acknowledged is sent again.
func TestQueueSurvives(t *testing.T) {
	s := newShelf(t, t.TempDir(), 4<<20)
	var want [Ranks][]Number
	for i := range 400 {
		r := Rank(i) % Ranks
		want[r] = append(want[r], s.put(r, 300))
		if i%50 == 0 {
			s.now += time.Minute
			s.Flush(true)
			if list := s.Next(10, 1e6, true); len(list) > 2 {
				s.GiveUp(list[2:])
			}
		}
	}
	s.Flush(true)
	again := newShelf(t, s.dir, 4<<20)
	if n := again.Stats().Waiting; n != 400 {
		t.Errorf("%d wait, want 400", n)
	}
	if got, want := again.drain(), slices.Concat(want[3], want[2], want[1], want[0]); !slices.Equal(got, want) {
		t.Errorf("order: got %v\nwant %v", got, want)
	}
}

// TestQueuePowerCut cuts the file that was being written at every byte: what was
// whole before is there, and what comes after can be added.
func TestQueuePowerCut(t *testing.T) {
	s := newShelf(t, t.TempDir(), 4<<20)
	for range 5 {
		s.put(incident, 40)
		s.now += time.Minute
		s.Flush(true)
	}
	file := s.files(t)
	if len(file) != 1 {
		t.Fatalf("files %v", file)
	}
	whole, err := os.ReadFile(file[0])
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) + 1 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file[0])), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		again := newShelf(t, dir, 4<<20)
		again.seq = 100
		added := again.put(incident, 10)
		again.Flush(true)
		again = newShelf(t, dir, 4<<20)
		got := again.drain()
		if n := cut / (len(whole) / 5); len(got) != n+1 || got[n] != added {
			t.Fatalf("cut at %d of %d: %v, want %d and %v", cut, len(whole), got, n, added)
		}
		if left := again.files(t); len(left) > 0 {
			t.Fatalf("cut at %d: left %v", cut, left)
		}
	}
}

// TestQueueDamage flips each byte: only one record is lost, and never is one that is
// not what was written.
func TestQueueDamage(t *testing.T) {
	s := newShelf(t, t.TempDir(), 4<<20)
	for range 5 {
		s.put(detection, 40)
	}
	s.Flush(true)
	file := s.files(t)[0]
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x41
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := newShelf(t, s.dir, 4<<20).drain(); len(got) != 4 {
			t.Fatalf("byte %d: %v", i, got)
		}
	}
}

// TestQueueBound: the files stay within the bound, and summaries go first,
// detections last.
func TestQueueBound(t *testing.T) {
	const most = 400 << 10
	s := newShelf(t, t.TempDir(), most)
	fill := func(r Rank, n int) {
		for range n {
			s.put(r, 1000)
			s.now += 30 * time.Second
			s.Flush(true)
		}
	}
	fill(detection, 100)
	fill(summary, 400)
	fill(incident, 100)
	fill(device, 100)
	var size int64
	for _, f := range s.files(t) {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > most || size != s.Stats().OnFlash {
		t.Errorf("%d bytes on flash, believed %d, bound %d", size, s.Stats().OnFlash, most)
	}
	counts := make(map[Rank]int)
	for _, n := range s.drain() {
		switch {
		case n.Seq <= 100:
			counts[detection]++
		case n.Seq <= 500:
			counts[summary]++
		case n.Seq <= 600:
			counts[incident]++
		default:
			counts[device]++
		}
	}
	if counts[detection] != 100 || counts[incident] != 100 || counts[device] != 100 || counts[summary] > 130 {
		t.Errorf("kept %v", counts)
	}
	if s.Stats().Lost != uint64(400-counts[summary]) {
		t.Errorf("%d lost", s.Stats().Lost)
	}
}

// TestQueueWithoutFlash: a disk that takes nothing, or no budget, costs what does not
// fit into memory and nothing else.
func TestQueueWithoutFlash(t *testing.T) {
	s := newShelf(t, t.TempDir(), 4<<20)
	s.cfg.Claim = func(int) bool { return false }
	for range 300 {
		s.put(summary, 1000)
		s.put(detection, 200)
		s.now += time.Minute
		s.Flush(false)
	}
	if st := s.Stats(); !st.Deferred || st.OnFlash != 0 {
		t.Errorf("%+v", st)
	}
	detections := 0
	for _, n := range s.drain() {
		if n.Seq%2 == 0 {
			detections++
		}
	}
	if detections != 300 || s.Stats().Lost == 0 {
		t.Errorf("%d detections kept, %d reports lost", detections, s.Stats().Lost)
	}
	s = newShelf(t, filepath.Join(t.TempDir(), "q"), 4<<20)
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	s.put(detection, 100)
	s.now += time.Minute
	s.Flush(false)
	if s.Stats().Broken == "" {
		t.Error("a directory that is gone is not noticed")
	}
	if len(s.drain()) != 1 {
		t.Error("the report is gone with it")
	}
}

// TestQueueNewest: of health only the newest waits, and it never touches flash.
func TestQueueNewest(t *testing.T) {
	s := newShelf(t, t.TempDir(), 4<<20)
	for range 10 {
		s.seq++
		s.Add(&Item{Number: Number{1, s.seq}, Rank: Newest, Key: "health", Body: []byte{byte(s.seq)}})
	}
	s.now += time.Hour
	s.Flush(true)
	if got := s.drain(); len(got) != 1 || got[0].Seq != 10 || len(s.files(t)) != 0 {
		t.Errorf("%v", got)
	}
}

// TestQueueProperty: whatever happens, what was flushed and not acknowledged comes
// again after a restart.
func TestQueueProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "cordon-queue-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		s := &shelf{dir: dir}
		open := func() {
			q, err := Open(Config{Dir: dir, Most: 4 << 20, Uptime: func() time.Duration { return s.now }, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			s.Queue = q
		}
		open()
		owed, kept := make(map[Number]bool), make(map[Number]bool)
		var flying []*Item
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				owed[s.put(rapid.SampledFrom([]Rank{0, 1, 2, 3}).Draw(t, "rank"), rapid.IntRange(1, 3000).Draw(t, "size"))] = true
			},
			"send": func(t *rapid.T) { flying = append(flying, s.Next(5, 8000, rapid.Bool().Draw(t, "now"))...) },
			"acknowledge": func(t *rapid.T) {
				n := rapid.IntRange(0, len(flying)).Draw(t, "n")
				for _, it := range flying[:n] {
					delete(owed, it.Number)
					delete(kept, it.Number)
				}
				s.Acknowledge(flying[:n])
				flying = flying[n:]
			},
			"lose": func(*rapid.T) { s.GiveUp(flying); flying = nil },
			"flush": func(*rapid.T) {
				s.now += time.Minute
				s.Flush(true)
				for n := range owed {
					kept[n] = true
				}
			},
			"restart": func(*rapid.T) {
				open()
				flying = nil
				clear(owed)
				for n := range kept {
					owed[n] = true
				}
			},
			"": func(t *rapid.T) {
				if s.Stats().Lost > 0 {
					t.Fatalf("lost %d", s.Stats().Lost)
				}
			},
		})
		s.GiveUp(flying)
		for _, n := range s.drain() {
			delete(owed, n)
		}
		if len(owed) > 0 {
			t.Fatalf("never came: %v", owed)
		}
	})
}
