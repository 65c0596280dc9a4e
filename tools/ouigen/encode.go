package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
)

// notMakers are entries of the registries that name nobody: owners who keep
// their name to themselves, and blocks that are divided further.
var notMakers = []string{"Private", "IEEE Registration Authority"}

// block is one assignment: the prefix left-aligned in whole bytes, and the
// place of its maker in the list of names.
type block struct {
	prefix []byte
	name   uint16
}

// encode packs the registry (hexadecimal prefix → name and address, in lines)
// into the form that internal/oui documents and reads.
func encode(registry map[string]string) ([]byte, error) {
	makers := make(map[string]string, len(registry))
	count := make(map[string]int)
	for prefix, entry := range registry {
		if name := maker(entry); name != "" && universal(prefix) {
			makers[prefix] = name
			count[name]++
		}
	}
	names := byFrequency(count)
	if len(names) > math.MaxUint16 {
		return nil, fmt.Errorf("%d makers do not fit 16 bits", len(names))
	}
	place := make(map[string]uint16, len(names))
	for i, name := range names {
		place[name] = uint16(i)
	}
	var blocks [3][]block // of 24, 28 and 36 bits
	for prefix, name := range makers {
		size := slices.Index([]int{6, 7, 9}, len(prefix))
		raw, err := hex.DecodeString(prefix + "0"[:len(prefix)%2])
		if size < 0 || err != nil {
			return nil, fmt.Errorf("prefix %q: not 6, 7 or 9 hexadecimal digits", prefix)
		}
		blocks[size] = append(blocks[size], block{raw, place[name]})
	}
	return pack(blocks, names), nil
}

// pack lays out header, blocks, offsets of names and names.
func pack(blocks [3][]block, names []string) []byte {
	out := []byte("oui1")
	for _, size := range blocks {
		out = binary.BigEndian.AppendUint32(out, uint32(len(size)))
	}
	out = binary.BigEndian.AppendUint32(out, uint32(len(names)))
	for _, size := range blocks {
		slices.SortFunc(size, func(a, b block) int { return slices.Compare(a.prefix, b.prefix) })
		for _, b := range size {
			out = binary.BigEndian.AppendUint16(append(out, b.prefix...), b.name)
		}
	}
	text := strings.Join(names, "")
	for end, i := 0, 0; i <= len(names); i++ {
		out = append(out, byte(end>>16), byte(end>>8), byte(end))
		if i < len(names) {
			end += len(names[i])
		}
	}
	return append(out, text...)
}

// byFrequency returns the names, those with the most prefixes first: the names
// that homes ask for then share a few pages of memory.
func byFrequency(count map[string]int) []string {
	names := make([]string, 0, len(count))
	for name := range count {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return strings.Compare(a, b)
	})
	return names
}

// maker returns the first line of an entry with its spaces tidied, or "" when
// it names no maker.
func maker(entry string) string {
	first, _, _ := strings.Cut(entry, "\n")
	name := strings.Join(strings.Fields(first), " ")
	if slices.Contains(notMakers, name) {
		return ""
	}
	return name
}

// universal reports whether a prefix is one of an individual, universally
// administered address. A few prefixes older than IEEE 802 are not.
func universal(prefix string) bool {
	return len(prefix) > 1 && strings.IndexByte("048C", prefix[1]) >= 0
}
