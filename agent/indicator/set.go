// Package indicator knows which places are hostile. It compiles what feeds
// say (package feed) into an index file (Compile), and answers for a name, an
// address with a port or a URL seen in traffic whether it is one of them (Set).
//
// A million indicators take 2.5 MB of memory: what is kept there, per
// indicator, is two bytes of a keyed hash, and the answer that a place is not
// known needs nothing else. A match is always confirmed with the full text from
// the file. The agent calls it for facts and new flows, never for every packet.
package indicator

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"cordon"
	"cordon/agent/indicator/feed"
)

// Set is the indicators of an index file. The zero Set has none. It may be used
// by several goroutines.
//
// A look-up returns of the indicators that fit and have not expired the first
// in the order of detection.md §A3, and of equal keys the most confident. It
// does not judge: whether the scope fits the device, and whether the confidence
// suffices to act on an address that many may share, is for the caller.
type Set struct {
	h     header
	table table
	lens4 []uint8 // of the prefixes, the longest first
	lens6 []uint8

	mu      sync.Mutex
	file    *os.File // guarded by mu
	buf     []byte   // of the longest bucket; guarded by mu
	damaged atomic.Uint64
}

// Open opens an index file that Compile made. What is wrong with its contents
// is an ErrFormat.
func Open(path string) (*Set, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open indicators: %w", err)
	}
	s := &Set{file: file}
	if err := s.load(); err != nil {
		file.Close()
		return nil, fmt.Errorf("open indicators %q: %w", path, err)
	}
	return s, nil
}

func (s *Set) load() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() < headerLen {
		return fmt.Errorf("%w: %d bytes", ErrFormat, info.Size())
	}
	b := make([]byte, headerLen)
	if _, err := s.file.ReadAt(b, 0); err != nil {
		return err
	}
	if err := s.h.unmarshal(b, info.Size()); err != nil {
		return err
	}
	if s.table, err = s.h.readTable(s.file); err != nil {
		return err
	}
	s.buf = make([]byte, s.h.Longest)
	s.lens4 = longestFirst(nil, uint64(s.h.Lens4), 0)
	s.lens6 = longestFirst(longestFirst(nil, s.h.Lens6[1], 64), s.h.Lens6[0], 0)
	return nil
}

// longestFirst appends the numbers of the bits that are set, plus base.
func longestFirst(lens []uint8, set uint64, base uint8) []uint8 {
	for ; set != 0; set &^= 1 << (bits.Len64(set) - 1) {
		lens = append(lens, base+uint8(bits.Len64(set)-1))
	}
	return lens
}

// Close closes the file. Look-ups after it find nothing and count as damaged.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// Len returns the number of indicators, those that have expired since Compile
// among them.
func (s *Set) Len() int { return int(s.h.Count) }

// Damaged returns how many look-ups found nothing because the file could not be
// read or is damaged. Anything but 0 means: compile it anew.
func (s *Set) Damaged() uint64 { return s.damaged.Load() }

// Name looks up a host name, in any case, with or without trailing dot: itself,
// then as suffix, then the parents of up to eight labels as suffixes.
func (s *Set) Name(name []byte, now cordon.Time) (cordon.Indicator, bool) {
	if n := len(name); n > 0 && name[n-1] == '.' {
		name = name[:n-1]
	}
	if s.h.Kinds&(1<<kindName|1<<kindSuffix) == 0 || len(name) == 0 || len(name) > feed.MaxName {
		return cordon.Indicator{}, false
	}
	var array [feed.MaxName]byte
	key := appendLower(array[:0], name)
	if i, ok := s.find(kindName, key, now); ok {
		return i, true
	}
	if s.h.Kinds&(1<<kindSuffix) == 0 {
		return cordon.Indicator{}, false
	}
	for key = lastLabels(key); key != nil; key = parent(key) {
		if i, ok := s.find(kindSuffix, key, now); ok {
			return i, true
		}
	}
	return cordon.Indicator{}, false
}

// lastLabels returns the last feed.MaxLabels labels of a name.
func lastLabels(name []byte) []byte {
	labels := 0
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			if labels++; labels == feed.MaxLabels {
				return name[i+1:]
			}
		}
	}
	return name
}

// parent returns a name without its first label, nil when one label is left:
// such names are never in a set.
func parent(name []byte) []byte {
	_, rest, _ := bytes.Cut(name, []byte{'.'})
	if bytes.IndexByte(rest, '.') < 0 {
		return nil
	}
	return rest
}

// maxEndpoint is the longest text of an address with port or prefix length.
const maxEndpoint = len("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")

// Endpoint looks up where a flow goes: address and port, then the address, then
// the prefixes around it, the longest first. Port 0 means any.
func (s *Set) Endpoint(addr netip.Addr, port uint16, now cordon.Time) (cordon.Indicator, bool) {
	addr = addr.Unmap().WithZone("")
	if s.h.Kinds&(1<<kindAddressPort|1<<kindAddress|1<<kindPrefix) == 0 || !addr.IsValid() {
		return cordon.Indicator{}, false
	}
	var array [maxEndpoint]byte
	if port != 0 && s.h.Kinds&(1<<kindAddressPort) != 0 {
		if i, ok := s.find(kindAddressPort, netip.AddrPortFrom(addr, port).AppendTo(array[:0]), now); ok {
			return i, true
		}
	}
	if s.h.Kinds&(1<<kindAddress) != 0 {
		if i, ok := s.find(kindAddress, addr.AppendTo(array[:0]), now); ok {
			return i, true
		}
	}
	lens := s.lens4
	if addr.Is6() {
		lens = s.lens6
	}
	for _, n := range lens {
		p, err := addr.Prefix(int(n))
		if err != nil {
			continue // longer than the address: no such prefix was compiled
		}
		if i, ok := s.find(kindPrefix, p.AppendTo(array[:0]), now); ok {
			return i, true
		}
	}
	return cordon.Indicator{}, false
}

// URL looks up what a client asked for: host with port as in the Host field,
// and the target of the request line; if it has a query, then without it.
func (s *Set) URL(host, path []byte, now cordon.Time) (cordon.Indicator, bool) {
	if s.h.Kinds&(1<<kindURL) == 0 || len(host) == 0 || len(host)+len(path) >= feed.MaxURL {
		return cordon.Indicator{}, false
	}
	if rest, ok := bytes.CutSuffix(host, []byte(":80")); ok {
		host = rest
	} else if rest, ok := bytes.CutSuffix(host, []byte(":443")); ok {
		host = rest
	}
	var array [feed.MaxURL]byte
	key := appendLower(array[:0], bytes.TrimSuffix(host, []byte{'.'}))
	if len(path) == 0 || path[0] != '/' {
		key = append(key, '/')
	}
	path, _, _ = bytes.Cut(path, []byte{'#'})
	key = append(key, path...)
	if i, ok := s.find(kindURL, key, now); ok {
		return i, true
	}
	if q := bytes.IndexByte(key, '?'); q >= 0 {
		return s.find(kindURL, key[:q], now)
	}
	return cordon.Indicator{}, false
}

func appendLower(b, s []byte) []byte {
	for _, c := range s {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

// find returns the most confident indicator of a key that has not expired.
func (s *Set) find(kind uint8, key []byte, now cordon.Time) (cordon.Indicator, bool) {
	hash := s.h.hash(kind, key)
	bucket := s.h.bucket(hash)
	if !s.table.has(bucket, s.h.mark(hash)) {
		return cordon.Indicator{}, false
	}
	return s.confirm(bucket, kind, key, now)
}

// confirm reads a bucket and compares the key with what is there.
func (s *Set) confirm(bucket uint32, kind uint8, key []byte, now cordon.Time) (found cordon.Indicator, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	start, end := at(s.table.place, int(bucket)), at(s.table.place, int(bucket)+1)
	b := s.buf[:end-start]
	if _, err := s.file.ReadAt(b, headerLen+int64(start)); err != nil ||
		sum(b[bucketHead:]) != binary.LittleEndian.Uint32(b) {
		s.damaged.Add(1)
		return found, false
	}
	for b = b[bucketHead:]; len(b) > 0; {
		r, rest, ok := decode(b)
		if !ok {
			s.damaged.Add(1)
			return found, false
		}
		if r.kind == kind && moment(r.expires) > now && bytes.Equal(r.value, key) {
			return r.indicator(), true
		}
		b = rest
	}
	return found, false
}
