package uplink

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

// shelf is a queue under test with a clock of its own.
type shelf struct {
	*queue
	dir string
	now time.Duration
	seq uint64
}

func newShelf(t testing.TB, dir string, most int64) *shelf {
	t.Helper()
	s := &shelf{dir: dir}
	var err error
	s.queue, err = openQueue(queueConfig{dir: dir, most: most, uptime: func() time.Duration { return s.now }, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put adds a report of a rank.
func (s *shelf) put(r rank, size int) number {
	s.seq++
	it := &item{number: number{1, s.seq}, rank: r, body: bytes.Repeat([]byte{byte(s.seq)}, size)}
	s.add(it)
	return it.number
}

// drain takes and acknowledges everything, and returns the numbers in order.
func (s *shelf) drain() (got []number) {
	for {
		list := s.next(1000, 1<<20, true)
		if len(list) == 0 {
			return got
		}
		for _, it := range list {
			if it.start == 1 && (len(it.body) == 0 || it.body[0] != byte(it.seq)) {
				panic(fmt.Sprintf("report %d holds another's bytes", it.seq))
			}
			got = append(got, it.number)
		}
		s.acknowledge(list)
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
	s := newShelf(t, t.TempDir(), DefaultQueue)
	s.put(rankDetection, 100)
	s.flush(false)
	s.now += keepAfter - 1
	s.flush(false)
	if got := s.files(t); len(got) != 0 {
		t.Fatalf("written at once: %v", got)
	}
	if got := s.drain(); len(got) != 1 {
		t.Fatalf("drained %v", got)
	}
	s.now += time.Hour
	s.flush(true)
	if got := s.files(t); len(got) != 0 {
		t.Fatalf("written though acknowledged: %v", got)
	}
	want := []number{s.put(rankDetection, 100), s.put(rankDetection, 100)}
	flying := s.next(1, 1000, true)
	s.now += keepAfter
	s.flush(false)
	if got := s.files(t); len(got) != 1 {
		t.Fatalf("%d files, want 1", len(got))
	}
	s.acknowledge(flying)
	if got := append([]number{flying[0].number}, s.drain()...); !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	if got := s.files(t); len(got) != 0 || s.stats().onFlash != 0 || s.stats().waiting != 0 {
		t.Errorf("left: %v, %+v", got, s.stats())
	}
}

// TestQueueSurvives: what was flushed is there after a restart, by rank and age, and
// what was sent and not acknowledged is sent again.
func TestQueueSurvives(t *testing.T) {
	s := newShelf(t, t.TempDir(), DefaultQueue)
	var want [ranks][]number
	for i := range 400 {
		r := rank(i) % ranks
		want[r] = append(want[r], s.put(r, 300))
		if i%50 == 0 {
			s.now += time.Minute
			s.flush(true)
			if list := s.next(10, 1e6, true); len(list) > 2 {
				s.giveUp(list[2:])
			}
		}
	}
	s.flush(true)
	again := newShelf(t, s.dir, DefaultQueue)
	if n := again.stats().waiting; n != 400 {
		t.Errorf("%d wait, want 400", n)
	}
	if got, want := again.drain(), slices.Concat(want[3], want[2], want[1], want[0]); !slices.Equal(got, want) {
		t.Errorf("order: got %v\nwant %v", got, want)
	}
}

// TestQueuePowerCut cuts the file that was being written at every byte: what was
// whole before is there, and what comes after can be added.
func TestQueuePowerCut(t *testing.T) {
	s := newShelf(t, t.TempDir(), DefaultQueue)
	for range 5 {
		s.put(rankIncident, 40)
		s.now += time.Minute
		s.flush(true)
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
		again := newShelf(t, dir, DefaultQueue)
		again.seq = 100
		added := again.put(rankIncident, 10)
		again.flush(true)
		again = newShelf(t, dir, DefaultQueue)
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
	s := newShelf(t, t.TempDir(), DefaultQueue)
	for range 5 {
		s.put(rankDetection, 40)
	}
	s.flush(true)
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
		if got := newShelf(t, s.dir, DefaultQueue).drain(); len(got) != 4 {
			t.Fatalf("byte %d: %v", i, got)
		}
	}
}

// TestQueueBound: the files stay within the bound, and summaries go first,
// detections last.
func TestQueueBound(t *testing.T) {
	const most = 400 << 10
	s := newShelf(t, t.TempDir(), most)
	fill := func(r rank, n int) {
		for range n {
			s.put(r, 1000)
			s.now += 30 * time.Second
			s.flush(true)
		}
	}
	fill(rankDetection, 100)
	fill(rankSummary, 400)
	fill(rankIncident, 100)
	fill(rankDevice, 100)
	var size int64
	for _, f := range s.files(t) {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > most || size != s.stats().onFlash {
		t.Errorf("%d bytes on flash, believed %d, bound %d", size, s.stats().onFlash, most)
	}
	counts := make(map[rank]int)
	for _, n := range s.drain() {
		switch {
		case n.seq <= 100:
			counts[rankDetection]++
		case n.seq <= 500:
			counts[rankSummary]++
		case n.seq <= 600:
			counts[rankIncident]++
		default:
			counts[rankDevice]++
		}
	}
	if counts[rankDetection] != 100 || counts[rankIncident] != 100 || counts[rankDevice] != 100 || counts[rankSummary] > 130 {
		t.Errorf("kept %v", counts)
	}
	if s.stats().lost != uint64(400-counts[rankSummary]) {
		t.Errorf("%d lost", s.stats().lost)
	}
}

// TestQueueWithoutFlash: a disk that takes nothing, or no budget, costs what does not
// fit into memory and nothing else.
func TestQueueWithoutFlash(t *testing.T) {
	s := newShelf(t, t.TempDir(), DefaultQueue)
	s.cfg.claim = func(int) bool { return false }
	for range 300 {
		s.put(rankSummary, 1000)
		s.put(rankDetection, 200)
		s.now += time.Minute
		s.flush(false)
	}
	if st := s.stats(); !st.deferred || st.onFlash != 0 {
		t.Errorf("%+v", st)
	}
	detections := 0
	for _, n := range s.drain() {
		if n.seq%2 == 0 {
			detections++
		}
	}
	if detections != 300 || s.stats().lost == 0 {
		t.Errorf("%d detections kept, %d reports lost", detections, s.stats().lost)
	}
	s = newShelf(t, filepath.Join(t.TempDir(), "q"), DefaultQueue)
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	s.put(rankDetection, 100)
	s.now += time.Minute
	s.flush(false)
	if s.stats().broken == "" {
		t.Error("a directory that is gone is not noticed")
	}
	if len(s.drain()) != 1 {
		t.Error("the report is gone with it")
	}
}

// TestQueueNewest: of health only the newest waits, and it never touches flash.
func TestQueueNewest(t *testing.T) {
	s := newShelf(t, t.TempDir(), DefaultQueue)
	for range 10 {
		s.seq++
		s.add(&item{number: number{1, s.seq}, rank: rankNow, key: "health", body: []byte{byte(s.seq)}})
	}
	s.now += time.Hour
	s.flush(true)
	if got := s.drain(); len(got) != 1 || got[0].seq != 10 || len(s.files(t)) != 0 {
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
			q, err := openQueue(queueConfig{dir: dir, most: DefaultQueue, uptime: func() time.Duration { return s.now }, log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			s.queue = q
		}
		open()
		owed, kept := make(map[number]bool), make(map[number]bool)
		var flying []*item
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				owed[s.put(rapid.SampledFrom([]rank{0, 1, 2, 3}).Draw(t, "rank"), rapid.IntRange(1, 3000).Draw(t, "size"))] = true
			},
			"send": func(t *rapid.T) { flying = append(flying, s.next(5, 8000, rapid.Bool().Draw(t, "now"))...) },
			"acknowledge": func(t *rapid.T) {
				n := rapid.IntRange(0, len(flying)).Draw(t, "n")
				for _, it := range flying[:n] {
					delete(owed, it.number)
					delete(kept, it.number)
				}
				s.acknowledge(flying[:n])
				flying = flying[n:]
			},
			"lose": func(*rapid.T) { s.giveUp(flying); flying = nil },
			"flush": func(*rapid.T) {
				s.now += time.Minute
				s.flush(true)
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
				if s.stats().lost > 0 {
					t.Fatalf("lost %d", s.stats().lost)
				}
			},
		})
		s.giveUp(flying)
		for _, n := range s.drain() {
			delete(owed, n)
		}
		if len(owed) > 0 {
			t.Fatalf("never came: %v", owed)
		}
	})
}
