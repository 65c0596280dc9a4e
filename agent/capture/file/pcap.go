package file

import (
	"fmt"

	"cordon/agent/packet"
)

// Magic numbers and lengths of draft-ietf-opsawg-pcap §4 and §5; the modified
// format is the one that Alexey Kuznetzov's libpcap patches wrote.
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34

	magicLen          = 4
	fileHeaderLen     = 24
	recordHeaderLen   = 16
	modifiedHeaderLen = 24
)

// classic is the state of a pcap file.
type classic struct {
	header int   // bytes before each record's data
	unit   int64 // nanoseconds of one fraction of a second
	link   packet.LinkType
	limit  uint32
}

// detectClassic reports whether a pcap file begins, and makes Next read it.
func (r *Reader) detectClassic() bool {
	for _, o := range []order{{big: false}, {big: true}} {
		switch o.u32(r.buf[r.start:]) {
		case magicMicro:
			r.classic = classic{header: recordHeaderLen, unit: 1000}
		case magicNano:
			r.classic = classic{header: recordHeaderLen, unit: 1}
		case magicModified:
			r.classic = classic{header: modifiedHeaderLen, unit: 1000}
		default:
			continue
		}
		r.order = o
		r.next = r.beginClassic
		return true
	}
	return false
}

// beginClassic reads the file header, then the first record.
func (r *Reader) beginClassic(f *packet.Frame) error {
	h, err := r.take(fileHeaderLen)
	if err != nil {
		return cut(err)
	}
	if major := r.order.u16(h[4:]); major != 2 {
		return fmt.Errorf("pcap version %d.%d", major, r.order.u16(h[6:]))
	}
	r.classic.limit = r.limit(r.order.u32(h[16:]))
	r.classic.link = packet.LinkType(r.order.u32(h[20:])) // the upper bits tell the frame check sequence's length
	r.start += fileHeaderLen
	r.next = r.nextClassic
	return r.nextClassic(f)
}

func (r *Reader) nextClassic(f *packet.Frame) error {
	c, o := &r.classic, r.order
	r.at = r.position()
	h, err := r.take(c.header)
	if err != nil {
		return err
	}
	captured := o.u32(h[8:])
	if captured > c.limit {
		return fmt.Errorf("captured length of %d bytes exceeds %d", captured, c.limit)
	}
	n := c.header + int(captured)
	b, err := r.take(n)
	if err != nil {
		return err
	}
	f.Time = int64(o.u32(b))*1e9 + int64(o.u32(b[4:]))*c.unit
	f.Link = c.link
	f.Len = wireLen(captured, o.u32(b[12:]))
	f.Data = b[c.header:]
	r.start += n
	r.ahead()
	return nil
}
