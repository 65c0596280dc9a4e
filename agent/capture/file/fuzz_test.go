package file

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"cordon/agent/packet"
)

func FuzzReader(f *testing.F) {
	for _, b := range [][]byte{
		pcapFile(little, magicMicro, 65535, 1, sample),
		pcapFile(big, magicNano, 0, 113, sample),
		pcapFile(little, magicModified, 100, 1, sample),
		ngFile(little, sample),
		append(ngFile(big, sample[:1]), ngFile(little, sample[1:])...),
		append(ngFile(big, sample[:1]), obsoleteBlock(big, 0, 5, sample[1])...),
		append(ngFile(big, nil), block(big, blockSimple, uint32(1500), "four")...),
		append(sectionBlock(big), interfaceBlock(big, 1, 0, uint16(9), uint16(1), uint8(0x8a), "\x00\x00\x00")...),
		append(ngFile(little, nil), block(little, 99, make([]byte, 3*leastMaxFrame))...),
	} {
		f.Add(b)
		f.Add(b[:len(b)-3])
	}
	f.Add(zip(ngFile(little, sample)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b), "fuzz", Config{MaxFrame: leastMaxFrame})
		if err != nil {
			if r != nil || !errors.Is(err, ErrEmpty) && !errors.Is(err, ErrForeign) {
				t.Fatalf("open: %v", err)
			}
			return
		}
		drain(t, r, b)
	})
}

// drain reads to the end. A record has at least 12 bytes, so a plain file
// bounds their number.
func drain(t *testing.T, r *Reader, b []byte) {
	var fr packet.Frame
	for {
		err := r.Next(&fr)
		if err != nil {
			var d *DamageError
			if err != io.EOF && (!errors.As(err, &d) || d.Record != r.Records()+1 || d.Offset > r.position()) {
				t.Fatalf("next: %v", err)
			}
			break
		}
		if len(fr.Data) > r.maxFrame || fr.Len < len(fr.Data) {
			t.Fatalf("frame of %d bytes, %d on the wire", len(fr.Data), fr.Len)
		}
		if !r.zipped && r.Records() > uint64(len(b)/12) {
			t.Fatalf("%d records in %d bytes", r.Records(), len(b))
		}
	}
	if len(r.buf) != 2*leastMaxFrame || len(r.ng.interfaces) > maxInterfaces {
		t.Fatalf("buffer of %d bytes, %d interfaces", len(r.buf), len(r.ng.interfaces))
	}
	if !r.zipped && r.Offset() > int64(len(b)) {
		t.Fatalf("offset %d of %d", r.Offset(), len(b))
	}
}

// longFile makes a file of 16 MB whose frames have random bytes and these
// lengths, over and over.
func longFile(ng bool, lengths ...int) []byte {
	rnd := rand.NewChaCha8([32]byte{})
	var records []record
	for size := 0; size < 1<<20; {
		for _, n := range lengths {
			data := make([]byte, n)
			rnd.Read(data)
			records = append(records, record{1700000000 * second, packet.LinkEthernet, n, string(data)})
			size += n
		}
	}
	head, all := pcapFile(little, magicMicro, 0, 1, nil), pcapFile(little, magicMicro, 0, 1, records)
	if ng {
		head, all = ngFile(little, nil), ngFile(little, records)
	}
	return append(head, bytes.Repeat(all[len(head):], 16)...)
}

func TestNextDoesNotAllocate(t *testing.T) {
	for _, ng := range []bool{false, true} {
		r := reader(t, longFile(ng, 1000, 60))
		m := Merge(reader(t, longFile(ng, 1000, 60)), reader(t, longFile(!ng, 1000, 60)))
		var f packet.Frame
		r.Next(&f) // reads the headers
		m.Next(&f)
		n := testing.AllocsPerRun(5000, func() {
			if r.Next(&f) != nil || m.Next(&f) != nil {
				t.Fatal("file too short")
			}
		})
		if n != 0 {
			t.Errorf("pcapng %v: %v allocations a record", ng, n)
		}
	}
}

// BenchmarkNext reads from a file, as replay does: ns/op is for one record.
func BenchmarkNext(b *testing.B) {
	for _, bb := range []struct {
		name string
		file []byte
	}{
		{"pcap", longFile(false, 1000, 60)},
		{"pcapng", longFile(true, 1000, 60)},
		{"pcap-small", longFile(false, 60)},
		{"pcapng-small", longFile(true, 60)},
		{"gzip", zip(longFile(false, 1000, 60))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "capture")
			if err := os.WriteFile(path, bb.file, 0o600); err != nil {
				b.Fatal(err)
			}
			benchmarkFile(b, path)
		})
	}
}

func benchmarkFile(b *testing.B, path string) {
	open := func() *Reader {
		r, err := Open(path, Config{})
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	r := open()
	var f packet.Frame
	var read int64
	b.ReportAllocs()
	for b.Loop() {
		err := r.Next(&f)
		if err == io.EOF {
			r.Close()
			r = open()
			err = r.Next(&f)
		}
		if err != nil {
			b.Fatal(err)
		}
		read += int64(len(f.Data))
	}
	r.Close()
	b.ReportMetric(float64(read)/1e6/b.Elapsed().Seconds(), "MB/s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
