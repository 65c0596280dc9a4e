package ring

import (
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// maxPorts bounds the ports and the router's own MACs: the filter has two
// instructions for each port and five for each MAC, and lives in memory of which a
// socket may have 20 KiB (net.core.optmem_max of older kernels).
const maxPorts = 64

// What a classic filter can ask the kernel about a frame (SKF_AD_ of
// include/uapi/linux/filter.h): offsets that no frame has.
const (
	askAbout   = 0xfffff000
	askType    = askAbout + 4
	askPort    = askAbout + 8
	typeLeaves = 4 // PACKET_OUTGOING
)

// Where a frame's source MAC is.
const sourceMAC = 6

// filter makes the program that takes a frame, or not:
//
//	not of a port: no
//	comes in: yes
//	leaves, from one of the router's own MACs: yes
//	else: no
func filter(ports []int, router [][6]byte, snap int) []unix.SockFilter {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		keep  = unix.BPF_ST
		again = unix.BPF_LD | unix.BPF_W | unix.BPF_MEM
		half  = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
	)
	var p []unix.SockFilter
	add := func(code uint16, jt, jf uint8, k uint32) {
		p = append(p, unix.SockFilter{Code: code, Jt: jt, Jf: jf, K: k})
	}
	add(load, 0, 0, askPort)
	for i, index := range ports {
		add(equal, 0, 1, uint32(index))
		add(unix.BPF_JMP|unix.BPF_JA, 0, 0, uint32(2*(len(ports)-1-i)+1)) // over the others and the no
	}
	add(ret, 0, 0, 0)
	add(load, 0, 0, askType)
	add(equal, 1, 0, typeLeaves)
	add(ret, 0, 0, uint32(snap))
	add(load, 0, 0, sourceMAC) // once: the kernel makes ten instructions of a load
	add(keep, 0, 0, 0)
	add(half, 0, 0, sourceMAC+4)
	add(keep, 0, 0, 1)
	for _, mac := range router {
		add(again, 0, 0, 0)
		add(equal, 0, 3, binary.BigEndian.Uint32(mac[:]))
		add(again, 0, 0, 1)
		add(equal, 0, 1, uint32(binary.BigEndian.Uint16(mac[4:])))
		add(ret, 0, 0, uint32(snap))
	}
	add(ret, 0, 0, 0)
	return p
}

// applyFilter puts the filter for the ports and MACs of now into force.
func (s *Source) applyFilter() error {
	macs := make([][6]byte, len(s.router))
	for i, m := range s.router {
		macs[i] = m
	}
	ports := slices.Clone(s.ports)
	p := filter(ports, macs, s.cfg.Snap)
	if err := unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}); err != nil {
		return fmt.Errorf("set filter for %d ports: %w", len(ports), err)
	}
	return nil
}
