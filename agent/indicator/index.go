package indicator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"net/netip"

	"cordon/agent/indicator/feed"
)

// The index file, little-endian:
//
//	header    its fields in a row; ends with the CRC-32C of the rest of it
//	records   in the order of their hashes; bucket after bucket, each the CRC-32C
//	          of its records and the records, or nothing when it is empty
//	table     for each bucket and the end: the number of records before it and
//	          its place in the records, 4 bytes each; then for each record two
//	          bytes of its hash, its mark
//
// The first bits of a hash are the number of its bucket, the next 16 its mark.
// The table is what is kept in memory: it tells that a key is not there, wrongly
// once in 65,536/bucketSize cases, and else which few bytes to read. For a
// million that is 2.5 MB and 26 ns after the hash. A binary fuse filter of 8 bits
// (Graf and Lemire 2022) beside the places of the buckets would be 1.5 MB and 6
// ns, but send ten times as many names that nobody knows to the flash, and has
// parameters of its own that a hostile file could spoil.
type header struct {
	Magic   [8]byte
	Version uint32
	Count   uint32 // records
	Bits    uint32 // buckets are 2^Bits
	Records uint32 // bytes of the records
	Longest uint32 // bytes of the longest bucket
	Kinds   uint32 // bit k: there is a record of kind k
	Lens4   uint32 // bit n: there is an IPv4 prefix of n bits
	Lens6   [2]uint64
	Key     [2]uint64 // of the hash
	Table   uint32    // CRC-32C of the table
	Sum     uint32    // CRC-32C of the header before it
}

const headerLen = 8 + 7*4 + 2*8 + 2*8 + 2*4

// version is that of this format. Another one is compiled anew from the feeds.
const version = 1

var magic = [8]byte{'c', 'o', 'r', 'd', 'o', 'n', 'I', 'X'}

// What a file may hold: four times the million that is asked for.
const (
	maxCount   = 1 << 22
	maxBits    = 18      // maxCount / bucketSize
	bucketSize = 16      // records of a bucket, at most in the mean
	maxBucket  = 1 << 17 // bytes; 16 of the longest records take a third
	maxRecords = 1 << 31 // bytes of all buckets
	bucketHead = 4
)

// ErrFormat is wrapped by what is wrong with an index file: compile it anew.
var ErrFormat = errors.New("not a usable index of indicators")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// hash returns the hash of a key of that kind.
func (h *header) hash(kind uint8, key []byte) uint64 {
	return sipHash(h.Key[0]^uint64(kind), h.Key[1], key)
}

// bucket and mark cut a hash.
func (h *header) bucket(hash uint64) uint32 { return uint32(hash >> (64 - h.Bits)) }
func (h *header) mark(hash uint64) uint16   { return uint16(hash << h.Bits >> 48) }

// bitsFor returns how many bits of the hash name a bucket when n records come.
func bitsFor(n int) uint32 {
	return uint32(bits.Len(uint(max(n-1, 0) / bucketSize)))
}

// note remembers in the header that there is a record of that kind, for a prefix
// also of which length.
func (h *header) note(kind uint8, value []byte) {
	h.Kinds |= 1 << kind
	if kind != kindPrefix {
		return
	}
	p, err := netip.ParsePrefix(string(value))
	switch {
	case err != nil: // cannot be: it is normalised
	case p.Addr().Is4():
		h.Lens4 |= 1 << p.Bits()
	default:
		h.Lens6[p.Bits()/64] |= 1 << (p.Bits() % 64)
	}
}

// marshal returns the bytes of the header with its sum.
func (h *header) marshal() []byte {
	b, err := binary.Append(make([]byte, 0, headerLen), binary.LittleEndian, h)
	if err != nil || len(b) != headerLen {
		panic("indicator: the header has no fixed size") // a mistake in its declaration
	}
	binary.LittleEndian.PutUint32(b[headerLen-4:], sum(b[:headerLen-4]))
	return b
}

// unmarshal reads a header and checks all that it says against the file's size.
func (h *header) unmarshal(b []byte, size int64) error {
	if _, err := binary.Decode(b, binary.LittleEndian, h); err != nil || h.Magic != magic {
		return fmt.Errorf("%w: no header", ErrFormat)
	}
	switch {
	case h.Version != version:
		return fmt.Errorf("%w: version %d, ours is %d", ErrFormat, h.Version, version)
	case sum(b[:headerLen-4]) != h.Sum:
		return fmt.Errorf("%w: damaged header", ErrFormat)
	case h.Count > maxCount, h.Bits > maxBits, h.Longest > maxBucket, h.Records > maxRecords:
		return fmt.Errorf("%w: %d records in 2^%d buckets of up to %d bytes", ErrFormat, h.Count, h.Bits, h.Longest)
	case h.Lens4&(1<<feed.Widest4-1) != 0, h.Lens6[0]&(1<<feed.Widest6-1) != 0:
		return fmt.Errorf("%w: prefixes wider than /%d or /%d", ErrFormat, feed.Widest4, feed.Widest6)
	case size != headerLen+int64(h.Records)+h.tableLen():
		return fmt.Errorf("%w: %d bytes", ErrFormat, size)
	}
	return nil
}

func (h *header) buckets() int      { return 1 << h.Bits }
func (h *header) firstLen() int     { return 4 * (h.buckets() + 1) }
func (h *header) tableLen() int64   { return int64(2*h.firstLen() + 2*int(h.Count)) }
func (h *header) tableStart() int64 { return headerLen + int64(h.Records) }

// table is the part of the file that is kept in memory.
type table struct {
	first []byte // per bucket: records before it
	place []byte // per bucket: where it starts in the records
	marks []byte // per record
}

// readTable reads and checks the table.
func (h *header) readTable(r io.ReaderAt) (t table, err error) {
	b := make([]byte, h.tableLen())
	if _, err := r.ReadAt(b, h.tableStart()); err != nil {
		return t, err
	}
	if sum(b) != h.Table {
		return t, fmt.Errorf("%w: damaged table", ErrFormat)
	}
	n := h.firstLen()
	t = table{b[:n:n], b[n : 2*n : 2*n], b[2*n:]}
	return t, t.check(h)
}

// check holds the table to the header: buckets follow each other, fill the
// records, and are no longer than the header says.
func (t *table) check(h *header) error {
	var first, place uint32
	for i := range h.buckets() + 1 {
		f, p := at(t.first, i), at(t.place, i)
		switch {
		case i == 0 && (f != 0 || p != 0),
			f < first || p < place || p-place > h.Longest,
			f > first && p-place < bucketHead+(f-first)*recordHead,
			i == h.buckets() && (f != h.Count || p != h.Records):
			return fmt.Errorf("%w: bucket %d", ErrFormat, i)
		}
		first, place = f, p
	}
	return nil
}

func at(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }

// has reports whether a key of that bucket and mark may be there.
func (t *table) has(bucket uint32, mark uint16) bool {
	if len(t.first) == 0 {
		return false
	}
	i, end := 2*at(t.first, int(bucket)), 2*at(t.first, int(bucket)+1)
	for marks := t.marks[i:end]; len(marks) >= 2; marks = marks[2:] {
		if m := binary.LittleEndian.Uint16(marks); m >= mark {
			return m == mark // they are sorted
		}
	}
	return false
}
