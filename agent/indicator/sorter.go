package indicator

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"

	"cordon/agent/indicator/feed"
)

// sorter sorts any number of records by hash, then as compare does, in a
// bounded piece of memory: it sorts what fits, writes it as a run into a file,
// and merges the runs (Knuth, TAOCP 3, §5.4.1).
type sorter struct {
	file   *os.File
	size   int64   // bytes written
	buf    []byte  // records not yet written
	unsort []entry // of buf
	runs   []run
	n      int
}

// entry is where a record lies in a buffer.
type entry struct {
	hash       uint64
	start, end uint32
}

// run is where a sorted run lies in the file.
type run struct{ start, end int64 }

// runBytes is how much is sorted in memory: 30 runs for a million names, and a
// few MB for the whole of Compile.
const runBytes = 2 << 20

// mergeBuffer is read of each run at a time.
const mergeBuffer = 8 << 10

// newSorter makes a sorter that keeps its runs in a nameless file of dir.
func newSorter(dir string) (*sorter, error) {
	file, err := os.CreateTemp(dir, ".indicators-*.tmp")
	if err != nil {
		return nil, err
	}
	return &sorter{file: file, buf: make([]byte, 0, runBytes)}, nil
}

// close removes the runs.
func (s *sorter) close() {
	s.file.Close()
	os.Remove(s.file.Name())
}

// add adds the record that write appends to a buffer.
func (s *sorter) add(hash func([]byte) uint64, write func([]byte) []byte) error {
	start := len(s.buf)
	s.buf = write(s.buf)
	s.unsort = append(s.unsort, entry{hash(s.buf[start:]), uint32(start), uint32(len(s.buf))})
	s.n++
	if len(s.buf) < runBytes-recordHead-maxValue-feed.MaxSource-feed.MaxScope-feed.MaxNote {
		return nil
	}
	return s.spill()
}

// spill writes what is in memory as a run.
func (s *sorter) spill() error {
	slices.SortFunc(s.unsort, func(a, b entry) int {
		return compareHashed(a.hash, b.hash, s.buf[a.start:a.end], s.buf[b.start:b.end])
	})
	w := bufio.NewWriter(s.file)
	start := s.size
	for _, e := range s.unsort {
		w.Write(binary.LittleEndian.AppendUint64(w.AvailableBuffer(), e.hash))
		w.Write(s.buf[e.start:e.end])
		s.size += 8 + int64(e.end-e.start)
	}
	s.runs = append(s.runs, run{start, s.size})
	s.buf, s.unsort = s.buf[:0], s.unsort[:0]
	return w.Flush()
}

// compareHashed orders records by hash, and decodes them only when that does not
// tell.
func compareHashed(hashA, hashB uint64, a, b []byte) int {
	if hashA != hashB {
		return cmp.Compare(hashA, hashB)
	}
	ra, _, oka := decode(a)
	rb, _, okb := decode(b)
	if !oka || !okb { // cannot be: we wrote them
		return bytes.Compare(a, b)
	}
	return compare(&ra, &rb)
}

// merge yields all records in order. The bytes are valid during the call only.
func (s *sorter) merge(yield func(hash uint64, record []byte) error) error {
	if err := s.spill(); err != nil {
		return err
	}
	s.buf, s.unsort = nil, nil
	var m merger
	for _, r := range s.runs {
		c := &cursor{in: bufio.NewReaderSize(io.NewSectionReader(s.file, r.start, r.end-r.start), mergeBuffer)}
		if ok, err := c.next(); err != nil {
			return err
		} else if ok {
			m = append(m, c)
		}
	}
	heap.Init(&m)
	for len(m) > 0 {
		c := m[0]
		if err := yield(c.hash, c.record); err != nil {
			return err
		}
		ok, err := c.next()
		switch {
		case err != nil:
			return err
		case ok:
			heap.Fix(&m, 0)
		default:
			heap.Pop(&m)
		}
	}
	return nil
}

// cursor reads one run.
type cursor struct {
	in     *bufio.Reader
	hash   uint64
	record []byte
}

// next reads the next record; false at the run's end.
func (c *cursor) next() (bool, error) {
	head, err := c.in.Peek(8 + recordHead)
	if err == io.EOF && len(head) == 0 {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read back sorted indicators: %w", err)
	}
	c.hash = binary.LittleEndian.Uint64(head)
	n := recordLen(head[8:])
	c.record = slices.Grow(c.record[:0], n)[:n]
	c.in.Discard(8)
	_, err = io.ReadFull(c.in, c.record)
	return err == nil, err
}

// merger is a heap of cursors, the least record on top.
type merger []*cursor

func (m merger) Len() int { return len(m) }
func (m merger) Less(i, j int) bool {
	return compareHashed(m[i].hash, m[j].hash, m[i].record, m[j].record) < 0
}
func (m merger) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *merger) Push(x any)   { *m = append(*m, x.(*cursor)) }
func (m *merger) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}
