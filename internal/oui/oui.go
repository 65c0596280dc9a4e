// Package oui names the maker of a network interface from its MAC address.
//
// A MAC address goes in; the name under which its prefix is registered with the
// IEEE comes out (MA-L of 24 bits, MA-M of 28, MA-S of 36). The table is
// embedded, sorted, and searched where it lies: nothing is built at start-up and
// memory pages that no lookup touches are never loaded.
//
// The file makers.bin, all numbers big-endian: "oui1"; four 32-bit counts, of
// 24-bit, 28-bit and 36-bit prefixes and of names; the prefixes of each size,
// sorted, each in 3, 4 or 5 bytes followed by the 16-bit place of its name; one
// 24-bit offset for each name and one for the end; the names without separators.
// `make gen` writes it (tools/ouigen).
package oui

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"sort"
)

//go:generate go -C ../../tools run ./ouigen ../internal/oui/makers.bin

//go:embed makers.bin
var makers string

// errTable means that makers.bin is not in the form described above.
var errTable = errors.New("parse table of makers: damaged")

// The group and local bits in the first byte of a MAC address (IEEE 802-2014
// §8.2).
const (
	groupBit = 0x01
	localBit = 0x02
)

// Maker returns the registered name of the maker of mac. ok is false when the
// prefix is not registered or its owner keeps its name to itself, and for
// multicast and locally administered (for instance randomised) addresses, which
// name no maker.
func Maker(mac [6]byte) (name string, ok bool) {
	if mac[0]&(groupBit|localBit) != 0 {
		return "", false
	}
	t, err := parse(makers)
	if err != nil {
		return "", false
	}
	return t.find(mac)
}

// table is the file cut into its parts; all of them alias it.
type table struct {
	blocks  [3]section
	offsets string // 3 bytes each
	names   string
}

// section holds the sorted prefixes of one length.
type section struct {
	bits    int // in a prefix
	entries string
}

// size returns the bytes of one entry: prefix and place of its name.
func (s section) size() int { return (s.bits+7)/8 + 2 }

func (s section) len() int { return len(s.entries) / s.size() }

// prefix returns the prefix of entry i.
func (s section) prefix(i int) string {
	return s.entries[i*s.size():][:s.size()-2]
}

// parse cuts the file into its parts without reading more than the counts. The
// error is errTable.
func parse(file string) (table, error) {
	const head = 4 + 4*4
	if len(file) < head || file[:4] != "oui1" {
		return table{}, errTable
	}
	count := func(i int) int { return int(binary.BigEndian.Uint32([]byte(file[4+4*i:][:4]))) }
	rest := file[head:]
	take := func(n, size int) (part string, ok bool) {
		if n < 0 || n > len(rest)/size {
			return "", false
		}
		part, rest = rest[:n*size], rest[n*size:]
		return part, true
	}
	t := table{blocks: [3]section{{bits: 24}, {bits: 28}, {bits: 36}}}
	for i := range t.blocks {
		var ok bool
		if t.blocks[i].entries, ok = take(count(i), t.blocks[i].size()); !ok {
			return table{}, errTable
		}
	}
	names := count(3)
	if names < 0 || names > 1<<16 {
		return table{}, errTable
	}
	offsets, ok := take(names+1, 3)
	if !ok {
		return table{}, errTable
	}
	t.offsets, t.names = offsets, rest
	return t, nil
}

// find looks the longest prefix up first.
func (t table) find(mac [6]byte) (string, bool) {
	for i := len(t.blocks) - 1; i >= 0; i-- {
		s := t.blocks[i]
		key := mac
		if s.bits%8 != 0 {
			key[s.bits/8] &= 0xf0
		}
		want := string(key[:(s.bits+7)/8])
		at := sort.Search(s.len(), func(i int) bool { return s.prefix(i) >= want })
		if at < s.len() && s.prefix(at) == want {
			entry := s.entries[at*s.size():][:s.size()]
			return t.name(int(entry[len(entry)-2])<<8 | int(entry[len(entry)-1]))
		}
	}
	return "", false
}

// name returns the name at a place in the list; ok is false outside of it.
func (t table) name(place int) (name string, ok bool) {
	if 3*(place+2) > len(t.offsets) {
		return "", false
	}
	from, to := uint24(t.offsets[3*place:]), uint24(t.offsets[3*place+3:])
	if from >= to || to > len(t.names) {
		return "", false
	}
	return t.names[from:to], true
}

func uint24(s string) int { return int(s[0])<<16 | int(s[1])<<8 | int(s[2]) }
