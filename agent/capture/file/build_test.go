package file

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"cordon/agent/packet"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// record is one frame of a test capture.
type record struct {
	Time int64
	Link packet.LinkType
	Len  int
	Data string
}

const second = int64(time.Second)

// sample is what most test captures hold: a cut frame and an empty one are in
// it. Its times are whole microseconds.
var sample = []record{
	{1700000000*second + 1000, packet.LinkEthernet, 5, "first"},
	{1700000000*second + 999999000, packet.LinkEthernet, 1500, "second, cut"},
	{1700000001 * second, packet.LinkEthernet, 0, ""},
	{1700000001*second + 5000, packet.LinkEthernet, 6, "fourth"},
}

// bytesOf makes a file of 16-, 32- and 64-bit integers in one byte order, and
// of strings.
func bytesOf(o binary.ByteOrder, parts ...any) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b.WriteString(p)
		case []byte:
			b.Write(p)
		default:
			if err := binary.Write(&b, o, p); err != nil {
				panic(err)
			}
		}
	}
	return b.Bytes()
}

// pcapFile makes a pcap file by hand.
func pcapFile(o binary.ByteOrder, magic, snaplen, link uint32, records []record) []byte {
	b := bytesOf(o, magic, uint16(2), uint16(4), uint32(0), uint32(0), snaplen, link)
	unit := int64(1000)
	if magic == magicNano {
		unit = 1
	}
	for _, r := range records {
		b = append(b, bytesOf(o, uint32(r.Time/second), uint32(r.Time%second/unit), uint32(len(r.Data)), uint32(r.Len))...)
		if magic == magicModified {
			b = append(b, bytesOf(o, uint32(2), uint16(0x0800), uint8(0), uint8(0))...)
		}
		b = append(b, r.Data...)
	}
	return b
}

// block makes a pcapng block.
func block(o binary.ByteOrder, typ uint32, parts ...any) []byte {
	body := bytesOf(o, parts...)
	body = append(body, make([]byte, -len(body)&3)...)
	size := uint32(len(body) + leastBlockLen)
	return bytesOf(o, typ, size, body, size)
}

func sectionBlock(o binary.ByteOrder, options ...any) []byte {
	return block(o, blockSection, append([]any{uint32(byteOrderMagic), uint16(1), uint16(0), int64(-1)}, options...)...)
}

func interfaceBlock(o binary.ByteOrder, link packet.LinkType, snaplen uint32, options ...any) []byte {
	return block(o, blockInterface, append([]any{uint16(link), uint16(0), snaplen}, options...)...)
}

// enhancedBlock has a comment behind the frame, as writers do.
func enhancedBlock(o binary.ByteOrder, id uint32, stamp uint64, r record) []byte {
	pad := make([]byte, -len(r.Data)&3)
	return block(o, blockEnhanced, id, uint32(stamp>>32), uint32(stamp), uint32(len(r.Data)), uint32(r.Len),
		r.Data, pad, uint16(1), uint16(3), "abc\x00", uint32(0))
}

func obsoleteBlock(o binary.ByteOrder, id uint16, stamp uint64, r record) []byte {
	return block(o, blockObsolete, id, uint16(7), uint32(stamp>>32), uint32(stamp), uint32(len(r.Data)), uint32(r.Len), r.Data)
}

// ngFile makes a pcapng file of enhanced packet blocks in microseconds.
func ngFile(o binary.ByteOrder, records []record) []byte {
	b := sectionBlock(o)
	b = append(b, interfaceBlock(o, packet.LinkEthernet, 65535)...)
	for _, r := range records {
		b = append(b, enhancedBlock(o, 0, uint64(r.Time/1000), r)...)
	}
	return b
}

// gopacketFile writes a capture with gopacket.
func gopacketFile(t testing.TB, ng, nano bool, records []record) []byte {
	t.Helper()
	var b bytes.Buffer
	var w interface {
		WritePacket(gopacket.CaptureInfo, []byte) error
	}
	flush := func() error { return nil }
	var err error
	switch {
	case ng:
		n, e := pcapgo.NewNgWriter(&b, layers.LinkTypeEthernet)
		w, err, flush = n, e, n.Flush
	case nano:
		n := pcapgo.NewWriterNanos(&b)
		w, err = n, n.WriteFileHeader(65535, layers.LinkTypeEthernet)
	default:
		n := pcapgo.NewWriter(&b)
		w, err = n, n.WriteFileHeader(65535, layers.LinkTypeEthernet)
	}
	for _, r := range records {
		if err == nil {
			err = w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(0, r.Time), CaptureLength: len(r.Data), Length: r.Len}, []byte(r.Data))
		}
	}
	if err == nil {
		err = flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zip(parts ...[]byte) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		w := gzip.NewWriter(&b)
		w.Write(p)
		w.Close()
	}
	return b.Bytes()
}

// readAll reads frames until the end, and returns what ended them.
func readAll(next func(*packet.Frame) error) ([]record, error) {
	var all []record
	var f packet.Frame
	for {
		if err := next(&f); err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
		all = append(all, record{f.Time, f.Link, f.Len, string(f.Data)})
	}
}

func reader(t testing.TB, b []byte) *Reader {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b), "test", Config{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
