package term

import "os"

// Is reports whether f is a terminal, or another device that takes one character after
// the other.
func Is(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
