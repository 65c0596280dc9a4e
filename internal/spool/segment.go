package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cordon/internal/medium"
)

// A segment is a file of records of one rank, named "queue-RANK-SERIAL". Records are
// appended to it and never changed:
//
//	magic "\xc0QR1", length of the body, CRC-32C of all that follows, start, sequence, body
//
// in big-endian. A power cut in the middle of an append leaves a record that does not
// fit its checksum; it is passed over, and nothing is appended to that file any more.
type segment struct {
	path    string
	rank    Rank
	serial  uint64
	size    int64
	count   int             // records
	damaged int             // places that were passed over
	sealed  bool            // nothing is appended any more
	done    map[Number]bool // acknowledged
	items   []*Item         // when loaded
}

const (
	recordMagic = "\xc0QR1"
	recordHead  = 4 + 4 + 4 + 4 + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func recordSize(it *Item) int64 { return int64(recordHead + len(it.Body)) }

func appendRecord(b []byte, it *Item) []byte {
	at := len(b)
	b = append(b, recordMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(it.Body)))
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, it.Start)
	b = binary.BigEndian.AppendUint64(b, it.Seq)
	b = append(b, it.Body...)
	binary.BigEndian.PutUint32(b[at+8:], crc32.Checksum(b[at+12:], castagnoli))
	return b
}

// readRecord reads the record at the beginning of b and returns its size, 0 if there
// is no whole one.
func readRecord(b []byte) (it Item, size int) {
	if len(b) < recordHead || string(b[:4]) != recordMagic {
		return it, 0
	}
	n := binary.BigEndian.Uint32(b[4:])
	if n > MaxItem || int(n) > len(b)-recordHead {
		return it, 0
	}
	size = recordHead + int(n)
	if crc32.Checksum(b[12:size], castagnoli) != binary.BigEndian.Uint32(b[8:]) {
		return it, 0
	}
	it.Start, it.Seq = binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint64(b[16:])
	it.Body = b[recordHead:size:size]
	return it, size
}

// readRecords calls f with each whole record and returns how many places were
// damaged.
func readRecords(b []byte, f func(Item)) (damaged int) {
	for len(b) > 0 {
		if it, n := readRecord(b); n > 0 {
			f(it)
			b = b[n:]
			continue
		}
		damaged++
		for b = b[1:]; len(b) > 0; b = b[1:] { // to the next whole one
			at := bytes.Index(b, []byte(recordMagic))
			if at < 0 {
				return damaged
			}
			b = b[at:]
			if _, n := readRecord(b); n > 0 {
				break
			}
		}
	}
	return damaged
}

func newSegment(dir string, r Rank, serial uint64) *segment {
	return &segment{path: filepath.Join(dir, fmt.Sprintf("queue-%d-%016x", r, serial)), rank: r, serial: serial,
		done: make(map[Number]bool)}
}

// findSegments returns the segments in a directory, oldest first.
func findSegments(dir string) (list []*segment, err error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	var errs []error
	for _, e := range names {
		var r Rank
		var serial uint64
		if n, _ := fmt.Sscanf(e.Name(), "queue-%d-%x", &r, &serial); n != 2 || r >= Ranks {
			continue
		}
		s := newSegment(dir, r, serial)
		if filepath.Base(s.path) != e.Name() {
			continue
		}
		b, err := s.read()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.size, s.sealed = int64(len(b)), true
		s.damaged = readRecords(b, func(Item) { s.count++ })
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *segment) int { return strings.Compare(a.path[len(dir):], b.path[len(dir):]) })
	return list, errors.Join(errs...)
}

// read returns the file's bytes; no segment is ever as large as it takes.
func (s *segment) read() ([]byte, error) {
	info, err := os.Stat(s.path)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if info.Size() > 2*segmentSize+MaxItem {
		return nil, fmt.Errorf("spool: %s has %d bytes: it is no segment", s.path, info.Size())
	}
	b, err := os.ReadFile(s.path)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	return b, nil
}

// load reads the items that are not acknowledged, and ends appending. It reports
// whether there are any.
func (s *segment) load() bool {
	s.sealed = true
	flying := s.items
	s.items = nil
	b, err := s.read()
	if err != nil {
		return false
	}
	all := make(map[Number]bool)
	readRecords(b, func(it Item) {
		if all[it.Number] = true; s.done[it.Number] {
			return
		}
		if i := slices.IndexFunc(flying, func(o *Item) bool { return o.Number == it.Number }); i >= 0 {
			s.items = append(s.items, flying[i])
			return
		}
		it.Rank, it.seg = s.rank, s
		s.items = append(s.items, &it)
	})
	s.count = max(len(all), len(s.done))
	return len(s.items) > 0
}

// left returns how many records are not acknowledged.
func (s *segment) left() int { return s.count - len(s.done) }

// append writes items and puts them on the medium.
func (s *segment) append(list []*Item) error {
	var b []byte
	for _, it := range list {
		b = appendRecord(b, it)
	}
	made := s.size == 0
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil && made {
		err = medium.Sync(filepath.Dir(s.path))
	}
	if err != nil {
		if made {
			os.Remove(s.path) // a full disk needs the room
		}
		return fmt.Errorf("spool: %w", err)
	}
	s.size += int64(len(b))
	s.count += len(list)
	for _, it := range list {
		it.seg = s
		if it.flying {
			s.items = append(s.items, it) // remembered, so that it is not sent twice
		}
	}
	return nil
}

func (s *segment) remove() { os.Remove(s.path) }
