//go:build !linux

package file

import "os"

// window is nothing on systems other than the router's: read(2) serves.
type window struct{ file *os.File }

func (r *Reader) windowed(*os.File) {}

func (r *Reader) slide(int) error { panic("no window") }

func (r *Reader) ahead() {}

func (w *window) unmap() error { return nil }
