package indicator

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"cordon"
	"cordon/agent/indicator/feed"
)

// maxPerKey is how many different statements about one place are kept: the most
// confident ones.
const maxPerKey = 8

// Options are what Compile needs to know besides the feeds.
type Options struct {
	Now cordon.Time // for default expiries; what has expired by then is dropped
	// Key hides from the authors of feeds and traffic what falls together.
	// Random on a router, fixed in a replay: the same feeds, key and time make
	// the same file.
	Key [2]uint64
}

// Compile reads the feeds in files and writes the index of all of them to dst,
// for Open. The sources are named after their files.
//
// It needs some 10 MB of memory and beside dst as much disk again, however many
// feeds there are; sets of an earlier dst stay usable, for dst is replaced at
// once and only when all is well. On an error dst is as it was. Beyond 4,194,304
// indicators the rest is refused.
func Compile(dst string, o Options, files ...string) (feed.Report, error) {
	var sources []source
	for _, path := range files {
		sources = append(sources, source{filepath.Base(path), func() (io.ReadCloser, error) { return os.Open(path) }})
	}
	report, err := compile(dst, o, sources)
	if err != nil {
		return report, fmt.Errorf("compile indicators into %q: %w", dst, err)
	}
	return report, nil
}

// Load compiles the feeds in files and opens the index, which lives in a temporary file
// that is gone with the program. On an error the Report says nothing.
func Load(o Options, files ...string) (*Set, feed.Report, error) {
	dir, err := os.MkdirTemp("", "cordon-indicators-")
	if err != nil {
		return nil, feed.Report{}, fmt.Errorf("index indicators: %w", err)
	}
	defer os.RemoveAll(dir) // an open file outlives its name
	index := filepath.Join(dir, "index")
	report, err := Compile(index, o, files...)
	if err != nil {
		return nil, feed.Report{}, err
	}
	set, err := Open(index)
	if err != nil {
		return nil, feed.Report{}, err
	}
	return set, report, nil
}

// source is a feed that can be opened.
type source struct {
	name string
	open func() (io.ReadCloser, error)
}

func compile(dst string, o Options, sources []source) (report feed.Report, err error) {
	dir := filepath.Dir(dst)
	s, err := newSorter(dir)
	if err != nil {
		return report, err
	}
	defer s.close()
	h := header{Magic: magic, Version: version, Key: o.Key}
	for _, src := range sources {
		if err := h.gather(s, o.Now, src, &report); err != nil {
			return report, err
		}
	}
	out, err := os.CreateTemp(dir, ".indicators-*.new")
	if err != nil {
		return report, err
	}
	defer os.Remove(out.Name()) // fails once it is dst
	defer out.Close()
	w := newWriter(out, h, s.n)
	if err := s.merge(w.add); err != nil {
		return report, err
	}
	if err := w.finish(); err != nil {
		return report, err
	}
	report.Duplicates += w.duplicates
	report.Taken -= w.duplicates + w.surplus
	for range w.surplus {
		report.Refuse(feed.TooMany, "", 0, "")
	}
	if err := out.Sync(); err != nil {
		return report, err
	}
	return report, os.Rename(out.Name(), dst)
}

// gather reads one feed into the sorter.
func (h *header) gather(s *sorter, now cordon.Time, src source, report *feed.Report) error {
	in, err := src.open()
	if err != nil {
		return err
	}
	defer in.Close()
	var surplus uint64
	hash := func(b []byte) uint64 {
		r, _, _ := decode(b)
		return h.hash(r.kind, r.value)
	}
	one, err := feed.Read(in, src.name, now, func(i *cordon.Indicator) error {
		if s.n >= maxCount {
			surplus++
			return nil
		}
		return s.add(hash, func(b []byte) []byte { return appendRecord(b, i) })
	})
	one.Taken -= surplus
	for range surplus {
		one.Refuse(feed.TooMany, src.name, 0, "")
	}
	report.Add(one)
	return err
}

// writer writes an index file of sorted records.
type writer struct {
	h          header
	file       *os.File
	out        *bufio.Writer
	table      table
	bucket     []byte   // records of the current one, after room for their sum
	number     uint32   // of the current one
	marks      int      // before the current one
	key        []record // kept of the last key; they point into kept
	kept       []byte
	duplicates uint64
	surplus    uint64
}

// newWriter starts an index file of at most n records.
func newWriter(file *os.File, h header, n int) *writer {
	h.Bits = bitsFor(n)
	w := &writer{h: h, file: file, out: bufio.NewWriterSize(file, 64<<10), bucket: make([]byte, bucketHead)}
	w.table = table{make([]byte, 0, h.firstLen()), make([]byte, 0, h.firstLen()), make([]byte, 0, 2*n)}
	w.out.Write(make([]byte, headerLen)) // its place; bufio keeps the first error for Flush
	return w
}

// add writes one record, which is not less than the one before.
func (w *writer) add(hash uint64, b []byte) error {
	r, _, ok := decode(b)
	if !ok {
		return fmt.Errorf("%w: damaged while sorting", ErrFormat)
	}
	if !w.fresh(&r, b) {
		return nil
	}
	if n := w.h.bucket(hash); n != w.number {
		w.flush(n)
	}
	if len(w.bucket)+len(b) > maxBucket || int64(w.h.Records)+int64(len(w.bucket)+len(b)) > maxRecords {
		w.surplus++
		return nil
	}
	w.bucket = append(w.bucket, b...)
	w.table.marks = binary.LittleEndian.AppendUint16(w.table.marks, w.h.mark(hash))
	w.h.Count++
	w.h.note(r.kind, r.value)
	return nil
}

// fresh reports whether a record says something new about its key, and
// remembers it.
func (w *writer) fresh(r *record, b []byte) bool {
	if len(w.key) > 0 && !w.key[0].sameKey(r) {
		w.key, w.kept = w.key[:0], w.kept[:0]
	}
	for i := range w.key {
		if r.repeats(&w.key[i]) {
			w.duplicates++
			return false
		}
	}
	if len(w.key) == maxPerKey {
		w.surplus++
		return false
	}
	start := len(w.kept)
	w.kept = append(w.kept, b...) // those before keep their old backing when it moves
	kept, _, _ := decode(w.kept[start:])
	w.key = append(w.key, kept)
	return true
}

// flush ends the current bucket and starts that of number next; those between
// are empty.
func (w *writer) flush(next uint32) {
	place := w.h.Records
	if len(w.bucket) > bucketHead {
		binary.LittleEndian.PutUint32(w.bucket, sum(w.bucket[bucketHead:]))
		w.out.Write(w.bucket)
		w.h.Records += uint32(len(w.bucket))
		w.h.Longest = max(w.h.Longest, uint32(len(w.bucket)))
	}
	for first := uint32(w.marks); w.number < next; w.number++ {
		w.table.first = binary.LittleEndian.AppendUint32(w.table.first, first)
		w.table.place = binary.LittleEndian.AppendUint32(w.table.place, place)
		first, place = w.h.Count, w.h.Records
	}
	w.bucket, w.marks = w.bucket[:bucketHead], int(w.h.Count)
}

// finish writes the table and the header.
func (w *writer) finish() error {
	w.flush(uint32(w.h.buckets()))
	w.table.first = binary.LittleEndian.AppendUint32(w.table.first, w.h.Count)
	w.table.place = binary.LittleEndian.AppendUint32(w.table.place, w.h.Records)
	for _, part := range [][]byte{w.table.first, w.table.place, w.table.marks} {
		w.h.Table = crc32.Update(w.h.Table, castagnoli, part)
		w.out.Write(part)
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	_, err := w.file.WriteAt(w.h.marshal(), 0)
	return err
}
