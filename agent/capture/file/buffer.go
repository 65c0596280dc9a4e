package file

import (
	"encoding/binary"
	"io"
	"math"
	"math/bits"
)

// position is the offset in src of the first byte that is not consumed.
func (r *Reader) position() int64 { return r.base + int64(r.start) }

// take returns the next n bytes without consuming them; n is at most len(buf).
// It fails with io.EOF when nothing is left and with io.ErrUnexpectedEOF when
// less than n is.
func (r *Reader) take(n int) ([]byte, error) {
	if r.end-r.start < n {
		if err := r.fill(n, len(r.buf)); err != nil {
			return nil, err
		}
	}
	return r.buf[r.start : r.start+n : r.start+n], nil
}

// fill reads until n bytes are there, and up to most bytes ahead. What is left
// of the buffer, less than a record, moves to its front.
func (r *Reader) fill(n, most int) error {
	if r.window.file != nil {
		return r.slide(n)
	}
	if r.start > 0 {
		copy(r.buf, r.buf[r.start:r.end])
		r.base += int64(r.start)
		r.start, r.end = 0, r.end-r.start
	}
	for idle := 0; r.end < n; {
		got, err := r.src.Read(r.buf[r.end:most])
		r.end += got
		switch {
		case r.end >= n: // the error comes again
			return nil
		case err == io.EOF && r.end > 0:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case got > 0:
			idle = 0
		default:
			if idle++; idle == maxIdleReads {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

// skip consumes n bytes, however many, through the buffer.
func (r *Reader) skip(n int64) error {
	for n > 0 {
		if r.start == r.end {
			if err := r.fill(1, len(r.buf)); err != nil {
				return cut(err)
			}
		}
		step := int(min(n, int64(r.end-r.start)))
		r.start += step
		n -= int64(step)
	}
	return nil
}

// cut makes an end of the file within something an unexpected one.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// limit is the most bytes that a record may hold by its file's or interface's
// snapshot length; 0 is none.
func (r *Reader) limit(snaplen uint32) uint32 {
	if snaplen == 0 {
		return uint32(r.maxFrame)
	}
	return uint32(min(uint64(r.maxFrame), uint64(snaplen)+snapSlack))
}

// wireLen is a record's length on the wire. Some writers leave it below what
// they captured.
func wireLen(captured, original uint32) int {
	return int(min(max(captured, original), math.MaxInt32))
}

// order is a byte order: whether integers are other than little-endian.
type order struct{ big bool }

func (o order) u16(b []byte) uint16 {
	v := binary.LittleEndian.Uint16(b)
	if o.big {
		v = bits.ReverseBytes16(v)
	}
	return v
}

func (o order) u32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if o.big {
		v = bits.ReverseBytes32(v)
	}
	return v
}

func (o order) u64(b []byte) uint64 {
	v := binary.LittleEndian.Uint64(b)
	if o.big {
		v = bits.ReverseBytes64(v)
	}
	return v
}
