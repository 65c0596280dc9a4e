package file

import (
	"io"
	"os"
	"syscall"

	"cordon/internal/prefetch"
)

// windowBytes is how much of a file is mapped at a time. A window is small, so
// that little of the file counts as the process's memory, and long enough that
// mapping costs nothing.
const windowBytes = 1 << 20

// aheadBytes is how much of the next record is asked for early: its header and
// the headers of its packet.
const aheadBytes = 128

// window is the part of a regular file that is mapped at the moment. Reading a
// mapped file touches headers only, where read(2) copies every payload; that was
// half of a replay's time.
type window struct {
	file *os.File // nil: the reader copies
	data []byte
}

// windowed lets the reader go on in windows of f.
func (r *Reader) windowed(f *os.File) {
	r.window.file = f
	r.base, r.start, r.end, r.buf = r.position(), 0, 0, nil
}

// slide maps the window that begins with the first byte not consumed.
func (r *Reader) slide(n int) error {
	at := r.position()
	switch left := r.size - at; {
	case left <= 0:
		return io.EOF
	case left < int64(n):
		return io.ErrUnexpectedEOF
	}
	base := at &^ int64(os.Getpagesize()-1)
	length := int(min(max(windowBytes, at-base+int64(n)), r.size-base))
	if err := r.window.unmap(); err != nil {
		return err
	}
	data, err := syscall.Mmap(int(r.window.file.Fd()), base, length, syscall.PROT_READ, syscall.MAP_PRIVATE|syscall.MAP_POPULATE)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	r.window.data, r.buf = data, data
	r.base, r.start, r.end = base, int(at-base), length
	return nil
}

// ahead asks for the next record while the one at hand is judged.
func (r *Reader) ahead() {
	if r.window.data != nil && r.end-r.start >= aheadBytes {
		prefetch.Line(&r.buf[r.start])
		prefetch.Line(&r.buf[r.start+64])
		prefetch.Line(&r.buf[r.start+aheadBytes-1])
	}
}

func (w *window) unmap() error {
	if w.data == nil {
		return nil
	}
	data := w.data
	w.data = nil
	return os.NewSyscallError("munmap", syscall.Munmap(data))
}
