package agent

import (
	"fmt"
	"os"
)

// residentBytes returns the process's resident memory in bytes, 0 if the kernel does not
// say.
func residentBytes() int64 {
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
