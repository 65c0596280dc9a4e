// Package memory is the process's resident memory: how much it is, and how to give back
// what is not needed now.
package memory

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// Resident returns the process's resident memory in bytes, 0 if the kernel does not say.
func Resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// GiveBack returns to the kernel what the process does not need now: free heap, and
// those pages of the program that only its start needed. They are read from the
// file again when they are needed again. A third of the resident memory of an idle
// agent was the program's start (docs/performance.md).
func GiveBack() {
	debug.FreeOSMemory()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for s := bufio.NewScanner(bytes.NewReader(maps)); s.Scan(); {
		var from, to uintptr
		var access string
		if !strings.HasSuffix(s.Text(), exe) {
			continue
		}
		if _, err := fmt.Sscanf(s.Text(), "%x-%x %s", &from, &to, &access); err != nil || access[1] == 'w' || to <= from {
			continue
		}
		unix.RawSyscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED) // a failure changes nothing
	}
}
