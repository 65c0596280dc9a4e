// Package file reads capture files: a pcap or pcapng file (also gzipped, also
// standard input) comes in, frames go out, one a call and oldest first when
// several files are merged. agent.Run reads from it in place of the kernel.
//
// A frame's bytes alias the reader's one sliding buffer: nothing is copied or
// allocated for a record, and memory is bounded whatever a file's lengths
// claim. Damage is reported with the number of the record that broke; all
// whole records before it are delivered.
//
// Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
package file

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"cordon/agent/packet"
)

// Config sets a Reader's limits. The zero value is ready to use.
type Config struct {
	// MaxFrame is the most bytes that one record may hold; a record that claims
	// more is damage. Twice as much is the Reader's buffer. Default 256 KiB, the
	// most that libpcap writes; least 4 KiB.
	MaxFrame int
}

const (
	defaultMaxFrame = 256 << 10
	leastMaxFrame   = 4 << 10

	// snapSlack is by how many bytes a record may exceed its file's snapshot
	// length: many writers get that wrong, none by more than a whole datagram.
	snapSlack = 64 << 10

	// gunzipAhead is how much compressed input is read at once, bytes.
	gunzipAhead = 64 << 10

	// maxIdleReads is how many reads in a row may bring nothing.
	maxIdleReads = 100
)

// What an Open without a usable capture fails with.
var (
	// ErrEmpty says that the file has no bytes at all.
	ErrEmpty = errors.New("file is empty")
	// ErrForeign says that the file is no capture; the text says what it looks like.
	ErrForeign = errors.New("not a pcap or pcapng file")
)

// DamageError says where a capture is broken. What was before it has been
// delivered, what is behind it is lost.
type DamageError struct {
	Name   string // of the file
	Record uint64 // the record that could not be read, counted from 1
	Offset int64  // where that record begins, bytes, after gunzip
	Err    error  // why; io.ErrUnexpectedEOF when the file was cut
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s: damaged at record %d (byte %d): %v", e.Name, e.Record, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *DamageError) Unwrap() error { return e.Err }

// Reader reads one capture. It is not safe for concurrent use.
type Reader struct {
	name     string
	raw      counter   // the file as it is
	src      io.Reader // raw, or what gunzip makes of it
	zipped   bool
	closer   io.Closer // of what Open opened
	size     int64
	maxFrame int

	window     window
	buf        []byte
	start, end int   // buf[start:end] is read and not consumed
	base       int64 // offset of buf[0] in src
	at         int64 // offset of the record or block being read

	next    func(*packet.Frame) error // of the format
	order   order
	classic classic
	ng      ng
	records uint64
	failed  error // what Next returns from now on
}

// counter counts what is read from the file.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// Open opens a capture file; "-" is standard input. It fails with ErrEmpty,
// ErrForeign or what the system says. A capture that is damaged from its first
// byte on opens: Next tells.
func Open(path string, cfg Config) (*Reader, error) {
	if path == "-" {
		return NewReader(os.Stdin, "standard input", cfg)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open capture: %w", err)
	}
	r, err := NewReader(f, path, cfg)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.closer = f
	if r.size > 0 && !r.zipped {
		r.windowed(f)
	}
	return r, nil
}

// NewReader reads a capture from r; name stands in errors. It fails as Open does.
func NewReader(r io.Reader, name string, cfg Config) (*Reader, error) {
	if cfg.MaxFrame == 0 {
		cfg.MaxFrame = defaultMaxFrame
	}
	if cfg.MaxFrame < leastMaxFrame || cfg.MaxFrame > math.MaxInt32/2 {
		return nil, fmt.Errorf("read capture %s: largest frame of %d bytes is out of range", name, cfg.MaxFrame)
	}
	f := &Reader{
		name: name, raw: counter{r: r}, size: sizeOf(r),
		maxFrame: cfg.MaxFrame, buf: make([]byte, 2*cfg.MaxFrame),
	}
	f.src = &f.raw
	if err := f.detect(); err != nil {
		return nil, fmt.Errorf("read capture %s: %w", name, err)
	}
	return f, nil
}

// sizeOf returns the length of a regular file, else 0.
func sizeOf(r io.Reader) int64 {
	f, ok := r.(interface{ Stat() (os.FileInfo, error) })
	if !ok {
		return 0
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return info.Size()
	}
	return 0
}

// detect finds out the format from the first bytes, and gunzips.
func (r *Reader) detect() error {
	err := r.fill(magicLen, magicLen)
	if isGzip(r.buf[:r.end]) {
		if err = r.gunzip(); err == nil {
			err = r.fill(magicLen, magicLen)
		}
	}
	switch {
	case err == nil && (r.detectClassic() || r.detectNG()):
		return nil
	case err == io.EOF:
		return ErrEmpty
	case err == nil || r.end > 0:
		r.fill(lookAhead, lookAhead) // a foreign file may be shorter
		return foreign(r.buf[:r.end])
	case r.zipped:
		r.next = func(*packet.Frame) error { return err }
		return nil
	}
	return err
}

// gunzip puts a decompressor, which takes concatenated members too, between the
// file and the buffer, and the bytes looked at back before it.
func (r *Reader) gunzip() error {
	head := bytes.NewReader(bytes.Clone(r.buf[:r.end]))
	z, err := gzip.NewReader(bufio.NewReaderSize(io.MultiReader(head, &r.raw), gunzipAhead))
	r.start, r.end, r.zipped = 0, 0, true
	if err == io.EOF { // cut within the gzip header
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("gunzip: %w", err)
	}
	r.src = z
	return nil
}

// Next puts the next frame into f; its Data is valid until the next call. It
// returns io.EOF at the end, and a *DamageError from a damaged place on. A
// frame whose link type Parse does not take is returned like any other; one
// without a time of its own (pcapng simple packets) has that of the frame
// before.
func (r *Reader) Next(f *packet.Frame) error {
	if r.failed != nil {
		return r.failed
	}
	err := r.next(f)
	if err == nil {
		r.records++
		return nil
	}
	if err != io.EOF {
		err = &DamageError{Name: r.name, Record: r.records + 1, Offset: r.at, Err: err}
	}
	r.failed = err
	return err
}

// Records returns how many frames Next has delivered.
func (r *Reader) Records() uint64 { return r.records }

// Offset returns how many bytes of the file are consumed, before gunzip.
func (r *Reader) Offset() int64 {
	if r.zipped {
		return r.raw.n
	}
	return r.position()
}

// Size returns the length of the file in bytes, before gunzip; 0 when unknown.
func (r *Reader) Size() int64 { return r.size }

// Close closes the file that Open opened. It leaves standard input and the
// reader given to NewReader alone.
func (r *Reader) Close() error {
	if r.failed == nil {
		r.failed = os.ErrClosed
	}
	if r.closer == nil {
		return nil
	}
	err := errors.Join(r.window.unmap(), r.closer.Close())
	r.closer = nil
	return err
}
