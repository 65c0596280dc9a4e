package file

import (
	"errors"
	"fmt"

	"cordon/agent/packet"
)

// Block types and lengths of draft-ietf-opsawg-pcapng §4.
const (
	blockSection   = 0x0a0d0d0a // reads the same in either byte order
	blockInterface = 1
	blockObsolete  = 2 // packet block of pcapng's first drafts
	blockSimple    = 3
	blockEnhanced  = 6

	byteOrderMagic uint32 = 0x1a2b3c4d

	blockHeaderLen  = 8
	blockTrailerLen = 4
	leastBlockLen   = blockHeaderLen + blockTrailerLen
	sectionLen      = 24 // block header and fixed fields of a section header block
	interfaceLen    = 16 // the same of an interface description block
	simpleLen       = 12 // of a simple packet block
	enhancedLen     = 28 // of an enhanced and of an obsolete packet block
)

// maxInterfaces bounds the interfaces of one section: mergecap writes one for
// each merged file, and that many files cannot be open at once.
const maxInterfaces = 16 << 10

// ng is the state of a pcapng file's section.
type ng struct {
	inside     bool // a section header has been read
	interfaces []iface
	last       int64 // time of the last frame that had one
}

// iface is one interface of a section.
type iface struct {
	link  packet.LinkType
	snap  uint32 // 0 is none
	limit uint32
	clock clock
}

var errTrailer = errors.New("the two lengths of a block differ")

// detectNG reports whether a pcapng file begins, and makes Next read it.
func (r *Reader) detectNG() bool {
	if r.order.u32(r.buf[r.start:]) != blockSection {
		return false
	}
	r.next = r.nextNG
	return true
}

// nextNG reads blocks until one has a frame.
func (r *Reader) nextNG(f *packet.Frame) error {
	for {
		r.at = r.position()
		h, err := r.take(blockHeaderLen)
		if err != nil {
			return err
		}
		typ, size := r.order.u32(h), r.order.u32(h[4:])
		if typ == blockSection {
			if err := r.section(); err != nil {
				return cut(err)
			}
			continue
		}
		if !r.ng.inside {
			return fmt.Errorf("block type %#x outside a section", typ)
		}
		if size < leastBlockLen || size%4 != 0 {
			return fmt.Errorf("block length of %d bytes", size)
		}
		switch typ {
		case blockEnhanced, blockObsolete, blockSimple:
			b, err := r.block(size)
			if err != nil {
				return err
			}
			if err := r.frame(typ, b, f); err != nil {
				return err
			}
			r.start += int(size)
			return nil
		case blockInterface:
			err = r.iface(size)
		default:
			err = r.skipBlock(int64(size))
		}
		if err != nil {
			return cut(err)
		}
	}
}

// block returns a whole block without its trailing length, not yet consumed.
func (r *Reader) block(size uint32) ([]byte, error) {
	if int64(size) > int64(len(r.buf)) {
		return nil, fmt.Errorf("block length of %d bytes exceeds %d", size, len(r.buf))
	}
	b, err := r.take(int(size))
	if err != nil {
		return nil, err
	}
	end := len(b) - blockTrailerLen
	if r.order.u32(b[end:]) != size {
		return nil, errTrailer
	}
	return b[:end], nil
}

// skipBlock consumes a block of any length without keeping it.
func (r *Reader) skipBlock(size int64) error {
	if err := r.skip(size - blockTrailerLen); err != nil {
		return err
	}
	b, err := r.take(blockTrailerLen)
	if err != nil {
		return err
	}
	if int64(r.order.u32(b)) != size {
		return errTrailer
	}
	r.start += blockTrailerLen
	return nil
}

// section begins a new section; its byte order holds for its own length too.
func (r *Reader) section() error {
	b, err := r.take(sectionLen)
	if err != nil {
		return err
	}
	switch byteOrderMagic {
	case order{big: false}.u32(b[8:]):
		r.order = order{big: false}
	case order{big: true}.u32(b[8:]):
		r.order = order{big: true}
	default:
		return fmt.Errorf("byte-order magic %x", b[8:12])
	}
	if major := r.order.u16(b[12:]); major != 1 {
		return fmt.Errorf("pcapng version %d.%d", major, r.order.u16(b[14:]))
	}
	size := r.order.u32(b[4:])
	if size < sectionLen+blockTrailerLen || size%4 != 0 {
		return fmt.Errorf("section header of %d bytes", size)
	}
	r.ng.inside = true
	r.ng.interfaces = r.ng.interfaces[:0]
	return r.skipBlock(int64(size))
}

// iface adds the interface that a block describes.
func (r *Reader) iface(size uint32) error {
	b, err := r.block(size)
	if err != nil {
		return err
	}
	if len(b) < interfaceLen {
		return fmt.Errorf("interface description of %d bytes", size)
	}
	if len(r.ng.interfaces) == maxInterfaces {
		return fmt.Errorf("more than %d interfaces", maxInterfaces)
	}
	snap := r.order.u32(b[12:])
	i := iface{link: packet.LinkType(r.order.u16(b[8:])), snap: snap, limit: r.limit(snap)}
	if i.clock, err = r.order.clock(b[interfaceLen:]); err != nil {
		return err
	}
	r.ng.interfaces = append(r.ng.interfaces, i)
	r.start += int(size)
	return nil
}

// frame reads a packet block of any of the three types.
func (r *Reader) frame(typ uint32, b []byte, f *packet.Frame) error {
	if typ == blockSimple {
		return r.simple(b, f)
	}
	if len(b) < enhancedLen {
		return fmt.Errorf("packet block of %d bytes", len(b)+blockTrailerLen)
	}
	o := r.order
	id := o.u32(b[8:])
	if typ == blockObsolete { // 16 bits of id, then 16 of a drop count
		id = uint32(o.u16(b[8:]))
	}
	i, err := r.interfaceAt(id)
	if err != nil {
		return err
	}
	captured := o.u32(b[20:])
	if captured > i.limit || int64(captured) > int64(len(b)-enhancedLen) {
		return fmt.Errorf("captured length of %d bytes", captured)
	}
	f.Time = i.clock.nanos(uint64(o.u32(b[12:]))<<32 | uint64(o.u32(b[16:])))
	f.Link = i.link
	f.Len = wireLen(captured, o.u32(b[24:]))
	end := enhancedLen + int(captured)
	f.Data = b[enhancedLen:end:end]
	r.ng.last = f.Time
	return nil
}

// simple reads a simple packet block: no time, the first interface, and the
// captured length follows from the others.
func (r *Reader) simple(b []byte, f *packet.Frame) error {
	if len(b) < simpleLen {
		return fmt.Errorf("packet block of %d bytes", len(b)+blockTrailerLen)
	}
	i, err := r.interfaceAt(0)
	if err != nil {
		return err
	}
	original := r.order.u32(b[8:])
	captured := min(original, uint32(len(b)-simpleLen))
	if i.snap > 0 {
		captured = min(captured, i.snap)
	}
	if captured > i.limit {
		return fmt.Errorf("captured length of %d bytes", captured)
	}
	f.Time, f.Link, f.Len = r.ng.last, i.link, wireLen(captured, original)
	end := simpleLen + int(captured)
	f.Data = b[simpleLen:end:end]
	return nil
}

func (r *Reader) interfaceAt(id uint32) (*iface, error) {
	if int64(id) >= int64(len(r.ng.interfaces)) {
		return nil, fmt.Errorf("interface %d of %d", id, len(r.ng.interfaces))
	}
	return &r.ng.interfaces[id], nil
}
