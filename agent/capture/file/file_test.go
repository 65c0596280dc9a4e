package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"cordon/agent/packet"

	"github.com/google/go-cmp/cmp"
)

var (
	little = binary.LittleEndian
	big    = binary.BigEndian
)

// timed gives sample other times.
func timed(times ...int64) []record {
	out := append([]record(nil), sample...)
	for i := range out {
		out[i].Time = times[i]
	}
	return out
}

// nanos is sample with times that microseconds cannot tell.
var nanos = timed(1, second+999_999_999, 4294967295*second+1, 7)

func TestNext(t *testing.T) {
	for _, tt := range []struct {
		name string
		file []byte
		want []record
	}{
		{"little-endian", pcapFile(little, magicMicro, 65535, 1, sample), sample},
		{"big-endian", pcapFile(big, magicMicro, 65535, 1, sample), sample},
		{"nanoseconds", pcapFile(little, magicNano, 65535, 1, nanos), nanos},
		{"big-endian nanoseconds", pcapFile(big, magicNano, 65535, 1, nanos), nanos},
		{"modified", pcapFile(little, magicModified, 65535, 1, sample), sample},
		{"big-endian modified", pcapFile(big, magicModified, 65535, 1, sample), sample},
		{"no snaplen", pcapFile(little, magicMicro, 0, 1, sample), sample},
		{"snaplen exceeded a little", pcapFile(little, magicMicro, 4, 1, sample), sample},
		{"frame check sequence in the link type", pcapFile(little, magicMicro, 0, 0x5400_0001, sample), sample},
		{"no records", pcapFile(little, magicMicro, 65535, 1, nil), nil},
		{"gopacket", gopacketFile(t, false, false, sample), sample},
		{"gopacket nanoseconds", gopacketFile(t, false, true, nanos), nanos},
		{"gopacket pcapng", gopacketFile(t, true, false, nanos), nanos},
		{"pcapng", ngFile(little, sample), sample},
		{"big-endian pcapng", ngFile(big, sample), sample},
		{"gzip", zip(pcapFile(little, magicMicro, 65535, 1, sample)), sample},
		{"gzip members", zip(ngFile(big, sample)[:50], ngFile(big, sample)[50:]), sample},
		{"unknown link type", pcapFile(little, magicMicro, 65535, 147, sample[:1]), []record{{sample[0].Time, 147, 5, "first"}}},
		{"length below capture", pcapFile(little, magicMicro, 0, 1, []record{{0, 1, 2, "longer"}}), []record{{0, 1, 6, "longer"}}},
		{"length of 4 GiB", pcapFile(little, magicMicro, 0, 1, []record{{0, 1, -1, "x"}}), []record{{0, 1, math.MaxInt32, "x"}}},
	} {
		t.Run(tt.name, func(t *testing.T) { checkFile(t, tt.file, tt.want) })
	}
}

// checkFile reads a sound file in one go and byte by byte.
func checkFile(t *testing.T, file []byte, want []record) {
	t.Helper()
	slow, err := NewReader(iotest.OneByteReader(bytes.NewReader(file)), "test", Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Reader{reader(t, file), slow} {
		got, err := readAll(r.Next)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("records (-want +got):\n%s", d)
		}
		if r.Records() != uint64(len(want)) || r.Offset() != int64(len(file)) {
			t.Errorf("records %d, offset %d; want %d, %d", r.Records(), r.Offset(), len(want), len(file))
		}
		if err := r.Next(new(packet.Frame)); err != io.EOF {
			t.Errorf("behind the end: %v", err)
		}
	}
}

func TestNextNG(t *testing.T) {
	const eth = packet.LinkEthernet
	one := record{Link: eth, Len: 3, Data: "one"}
	at := func(time int64, r record) record { r.Time = time; return r }
	join := func(blocks ...[]byte) []byte { return bytes.Join(blocks, nil) }
	unit := func(v uint8) []any { return []any{uint16(optTimeUnit), uint16(1), v, "\x00\x00\x00"} }
	stamped := func(stamp uint64, options ...any) []byte {
		return join(sectionBlock(little), interfaceBlock(little, eth, 0, options...), enhancedBlock(little, 0, stamp, one))
	}
	shift := func(seconds int64) []any { return []any{uint16(optTimeShift), uint16(8), seconds, uint32(0)} }
	for _, tt := range []struct {
		name string
		file []byte
		want []record
	}{
		{"unit of a second", stamped(7, unit(0)...), []record{at(7*second, one)}},
		{"unit of a nanosecond", stamped(7, unit(9)...), []record{at(7, one)}},
		{"unit of a picosecond", stamped(7_999, unit(12)...), []record{at(7, one)}},
		{"finest decimal unit", stamped(15_000_000_000_000_000_000, unit(19)...), []record{at(1_500_000_000, one)}},
		{"unit of 2^-10", stamped(1536, unit(0x8a)...), []record{at(1_500_000_000, one)}},
		{"unit of 2^-32", stamped(3<<31, unit(0xa0)...), []record{at(1_500_000_000, one)}},
		{"unit of 2^-63", stamped(3<<62, unit(0xbf)...), []record{at(1_500_000_000, one)}},
		{"offset", stamped(7, shift(100)...), []record{at(100*second+7000, one)}},
		{"offset behind the unit", stamped(7, append(unit(9), shift(-1)...)...), []record{at(7-second, one)}},
		{"options behind their end", stamped(7, append([]any{uint32(0)}, unit(9)...)...), []record{at(7000, one)}},
		{"other options", stamped(7, append([]any{uint16(2), uint16(5), "wlan0\x00\x00\x00"}, unit(9)...)...), []record{at(7, one)}},
		{"too late a time", stamped(math.MaxUint64), []record{at(math.MaxInt64, one)}},
		{"too late an offset", stamped(7, shift(math.MaxInt64)...), []record{at(math.MaxInt64/second*second+7000, one)}},
		{"sections of both orders", join(
			ngFile(little, sample[:2]),
			sectionBlock(big, uint16(4), uint16(3), "abc\x00", uint32(0)), interfaceBlock(big, packet.LinkRaw, 0, unit(9)...),
			enhancedBlock(big, 0, 5, one)), append(append([]record(nil), sample[:2]...), record{5, packet.LinkRaw, 3, "one"})},
		{"interfaces", join(
			sectionBlock(big), interfaceBlock(big, eth, 0), interfaceBlock(big, packet.LinkRaw, 0, unit(9)...),
			enhancedBlock(big, 1, 9, one), enhancedBlock(big, 0, 9, one)), []record{{9, packet.LinkRaw, 3, "one"}, at(9000, one)}},
		{"obsolete packets", join(
			sectionBlock(big), interfaceBlock(big, eth, 0), obsoleteBlock(big, 0, 9, one)), []record{at(9000, one)}},
		{"simple packets", join(
			sectionBlock(little), interfaceBlock(little, eth, 4), block(little, blockSimple, uint32(3), "one"),
			enhancedBlock(little, 0, 9, one), block(little, blockSimple, uint32(1500), "four")),
			[]record{one, at(9000, one), {9000, eth, 1500, "four"}}},
		{"unknown blocks", join(
			sectionBlock(little), block(little, 0x0bad), interfaceBlock(little, eth, 0), block(little, 4, strings.Repeat("name", 500_000)),
			enhancedBlock(little, 0, 9, one), block(little, 5, "statistics")), []record{at(9000, one)}},
		{"no packets", sectionBlock(big), nil},
	} {
		t.Run(tt.name, func(t *testing.T) { checkFile(t, tt.file, tt.want) })
	}
}

func TestNewReaderRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       error
		text       string
	}{
		{"empty", "", ErrEmpty, "test"},
		{"gzip of nothing", string(zip(nil)), ErrEmpty, "test"},
		{"text", "time,src,dst\n1,2,3\n", ErrForeign, "text"},
		{"utf-8 text", strings.Repeat("aé", 200), ErrForeign, "text"},
		{"zstd", "\x28\xb5\x2f\xfd\x00\x00", ErrForeign, "zstd"},
		{"zip", "PK\x03\x04....", ErrForeign, "zip"},
		{"gzip twice", string(zip(zip([]byte("x")))), ErrForeign, "twice"},
		{"snoop", "snoop\x00\x00\x00\x00\x00\x00\x02", ErrForeign, "snoop"},
		{"program", "\x7fELF\x02\x01", ErrForeign, "program"},
		{"zeros", strings.Repeat("\x00", 300), ErrForeign, "zeros"},
		{"bytes", "\x80\x81\x82\x83\x84", ErrForeign, "80818283"},
		{"two bytes", "\xd4\xc3", ErrForeign, "2 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := NewReader(strings.NewReader(tt.file), "test", Config{})
			if !errors.Is(err, tt.want) || r != nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v with %q", err, tt.want, tt.text)
			}
		})
	}
	broken := errors.New("unplugged")
	if _, err := NewReader(iotest.ErrReader(broken), "test", Config{}); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if _, err := NewReader(strings.NewReader(""), "test", Config{MaxFrame: 1}); err == nil {
		t.Error("a largest frame of 1 byte was taken")
	}
}

// TestDamage breaks captures behind one whole record.
func TestDamage(t *testing.T) {
	one := sample[:1]
	classic := func(rest ...any) []byte {
		return append(pcapFile(big, magicMicro, 1000, 1, one), bytesOf(big, rest...)...)
	}
	ng := func(rest ...any) []byte { return append(ngFile(big, one), bytesOf(big, rest...)...) }
	end := int64(len(classic()))
	ngEnd := int64(len(ng()))
	packetBlock := func(id, captured, original uint32, data string) []byte {
		return block(big, blockEnhanced, id, uint32(0), uint32(0), captured, original, data)
	}
	badTrailer := block(big, blockSimple, uint32(4), "four")
	badTrailer[len(badTrailer)-1]++
	badSkip := block(big, 99, "four")
	badSkip[len(badSkip)-1]++
	lateOrder := sectionBlock(big)
	lateOrder[8]++
	for _, tt := range []struct {
		name   string
		file   []byte
		record uint64
		offset int64
		text   string
	}{
		{"pcap version", bytesOf(big, uint32(magicMicro), uint16(1), uint16(9), make([]byte, 16)), 1, 0, "version 1.9"},
		{"pcap header cut", classic()[:23], 1, 0, "unexpected EOF"},
		{"record header cut", classic("abc"), 2, end, "unexpected EOF"},
		{"record cut", classic(uint32(1), uint32(0), uint32(8), uint32(8), "1234567"), 2, end, "unexpected EOF"},
		{"record beyond snaplen", classic(uint32(1), uint32(0), uint32(1001+snapSlack), uint32(8)), 2, end, "66537 bytes"},
		{"record of 4 GiB", classic(uint32(1), uint32(0), uint32(math.MaxUint32), uint32(8)), 2, end, "4294967295 bytes"},
		{"block header cut", ng(uint32(blockEnhanced)), 2, ngEnd, "unexpected EOF"},
		{"block length 8", ng(uint32(99), uint32(8)), 2, ngEnd, "length of 8"},
		{"block length odd", ng(uint32(99), uint32(13), "123456789"), 2, ngEnd, "length of 13"},
		{"block of 4 GiB", ng(uint32(99), uint32(math.MaxUint32-3), "123456789"), 2, ngEnd, "unexpected EOF"},
		{"packet block of 4 GiB", ng(uint32(blockEnhanced), uint32(math.MaxUint32-3)), 2, ngEnd, "4294967292 bytes"},
		{"interface of 4 GiB", ng(uint32(blockInterface), uint32(math.MaxUint32-3)), 2, ngEnd, "4294967292 bytes"},
		{"trailer", ng(badTrailer), 2, ngEnd, errTrailer.Error()},
		{"trailer of a skipped block", ng(badSkip), 2, ngEnd, errTrailer.Error()},
		{"trailer cut", ng(badSkip[:len(badSkip)-1]), 2, ngEnd, "unexpected EOF"},
		{"unknown interface", ng(packetBlock(1, 0, 0, "")), 2, ngEnd, "interface 1 of 1"},
		{"packet beyond its block", ng(packetBlock(0, 5, 5, "four")), 2, ngEnd, "length of 5"},
		{"packet block too short", ng(block(big, blockEnhanced, uint32(0))), 2, ngEnd, "packet block of 16"},
		{"simple block too short", ng(block(big, blockSimple)), 2, ngEnd, "packet block of 12"},
		{"simple block without interface", append(sectionBlock(big), block(big, blockSimple, uint32(0))...), 1, 28, "interface 0 of 0"},
		{"interface too short", ng(block(big, blockInterface, uint32(1))), 2, ngEnd, "description of 16"},
		{"interface option", ng(interfaceBlock(big, 1, 0, uint16(2), uint16(9), "four")), 2, ngEnd, errOption.Error()},
		{"decimal unit", ng(interfaceBlock(big, 1, 0, uint16(9), uint16(1), uint8(20))), 2, ngEnd, "10^-20"},
		{"binary unit", ng(interfaceBlock(big, 1, 0, uint16(9), uint16(1), uint8(0xc0))), 2, ngEnd, "2^-64"},
		{"byte order", ng(lateOrder), 2, ngEnd, "byte-order magic"},
		{"pcapng version", ng(block(big, blockSection, uint32(byteOrderMagic), uint16(2), uint16(0), int64(0))), 2, ngEnd, "version 2.0"},
		{"section too short", ng(uint32(blockSection), uint32(24), uint32(byteOrderMagic), uint16(1), uint16(0), uint64(0)), 2, ngEnd, "section header of 24"},
		{"section cut", sectionBlock(big)[:20], 1, 0, "unexpected EOF"},
		{"gzip cut", zip(classic())[:30], 1, fileHeaderLen, "unexpected EOF"},
		{"gzip header cut", zip(classic())[:6], 1, 0, "unexpected EOF"},
		{"gzip with rest", append(zip(classic()), "rest"...), 2, end, "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := reader(t, tt.file)
			got, err := readAll(r.Next)
			var d *DamageError
			if !errors.As(err, &d) {
				t.Fatalf("error %v, want damage", err)
			}
			if d.Name != "test" || d.Record != tt.record || d.Offset != tt.offset || !strings.Contains(d.Err.Error(), tt.text) {
				t.Errorf("%v; want record %d, byte %d, %q", err, tt.record, tt.offset, tt.text)
			}
			if diff := cmp.Diff(append([]record(nil), sample[:tt.record-1]...), got); diff != "" {
				t.Errorf("records:\n%s", diff)
			}
			if again := r.Next(new(packet.Frame)); again != err {
				t.Errorf("then %v", again)
			}
		})
	}
}

func TestInterfacesAreBounded(t *testing.T) {
	b := append(sectionBlock(little), bytes.Repeat(interfaceBlock(little, 1, 0), maxInterfaces+1)...)
	_, err := readAll(reader(t, b).Next)
	var d *DamageError
	if !errors.As(err, &d) || !strings.Contains(err.Error(), "interfaces") {
		t.Errorf("error %v", err)
	}
}

// TestCut cuts captures behind every byte: all whole records come, then damage
// or, between two records, the end.
func TestCut(t *testing.T) {
	for _, tt := range []struct {
		name    string
		build   func([]record) []byte
		headers int // where a cut leaves a sound capture of nothing, beside records
	}{
		{"pcap", func(r []record) []byte { return pcapFile(little, magicMicro, 65535, 1, r) }, 0},
		{"pcapng", func(r []record) []byte { return ngFile(big, r) }, len(sectionBlock(big))},
	} {
		whole := tt.build(sample)
		ends := map[int]int{tt.headers: 0} // length of a sound capture → records in it
		for n := range len(sample) + 1 {
			ends[len(tt.build(sample[:n]))] = n
		}
		delivered := 0
		for n := range len(whole) + 1 {
			r, err := NewReader(bytes.NewReader(whole[:n]), "cut", Config{})
			if n < magicLen {
				if err == nil {
					t.Errorf("%s cut at %d: opened", tt.name, n)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s cut at %d: %v", tt.name, n, err)
			}
			got, err := readAll(r.Next)
			records, sound := ends[n]
			if sound {
				delivered = records
			}
			if len(got) != delivered || (err == nil) != sound {
				t.Errorf("%s cut at %d: %d records, %v; want %d", tt.name, n, len(got), err, delivered)
			}
			if !sound && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s cut at %d: %v", tt.name, n, err)
			}
		}
	}
}

// TestCutGzip cuts compressed captures: what comes is a prefix, then damage.
func TestCutGzip(t *testing.T) {
	whole := zip(ngFile(little, sample))
	for n := 2; n < len(whole); n++ {
		r, err := NewReader(bytes.NewReader(whole[:n]), "cut", Config{})
		if errors.Is(err, ErrForeign) && n < 16 { // too little is left to know the format
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		got, err := readAll(r.Next)
		if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) > len(sample) {
			t.Errorf("cut at %d: %d records, %v", n, len(got), err)
		}
	}
}

// TestBuffer reads records that do not fit the buffer's rest, up to the largest.
func TestBuffer(t *testing.T) {
	var want []record
	for i := range 200 {
		data := strings.Repeat(string(rune('a'+i%26)), i*7919%leastMaxFrame+i%2)
		want = append(want, record{int64(i) * 1000, packet.LinkEthernet, len(data), data})
	}
	want[100].Data = strings.Repeat("x", leastMaxFrame)
	want[100].Len = leastMaxFrame
	for _, b := range [][]byte{pcapFile(big, magicMicro, 0, 1, want), ngFile(little, want)} {
		r, err := NewReader(iotest.HalfReader(bytes.NewReader(b)), "test", Config{MaxFrame: leastMaxFrame})
		if err != nil {
			t.Fatal(err)
		}
		got, err := readAll(r.Next)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("records (-want +got):\n%.2000s", d)
		}
	}
}

// stuck brings nothing, without an error.
type stuck struct{ io.Reader }

func (s stuck) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

func TestStuckReader(t *testing.T) {
	r, err := NewReader(stuck{bytes.NewReader(ngFile(big, sample))}, "test", Config{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(r.Next)
	if len(got) != len(sample) || !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("%d records, %v", len(got), err)
	}
}

// TestHostileLengths: no length makes the reader allocate.
func TestHostileLengths(t *testing.T) {
	huge := uint32(math.MaxUint32 - 3)
	for _, b := range [][]byte{
		append(pcapFile(big, magicMicro, huge, 1, nil), bytesOf(big, uint64(0), huge, huge)...),
		append(ngFile(big, nil), bytesOf(big, uint32(99), huge)...),
		append(ngFile(big, nil), bytesOf(big, uint32(blockEnhanced), huge)...),
		append(ngFile(big, nil), bytesOf(big, uint32(blockInterface), huge)...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readAll(reader(t, b).Next)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Error("no damage")
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 2*2*defaultMaxFrame {
			t.Errorf("%d bytes allocated", got)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	plain, zipped := filepath.Join(dir, "a.pcap"), filepath.Join(dir, "a.pcap.gz")
	file := pcapFile(little, magicMicro, 65535, 1, sample)
	for path, b := range map[string][]byte{plain: file, zipped: zip(file)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(path, Config{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Size() != int64(len(b)) {
			t.Errorf("size %d, want %d", r.Size(), len(b))
		}
		var f packet.Frame
		if err := r.Next(&f); err != nil || (path == plain && r.Offset() != fileHeaderLen+recordHeaderLen+5) {
			t.Errorf("first record: %v, offset %d", err, r.Offset())
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
		if err := r.Next(&f); !errors.Is(err, os.ErrClosed) {
			t.Errorf("closed reader: %v", err)
		}
	}
	if _, err := Open(filepath.Join(dir, "none"), Config{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Open(dir, Config{}); err == nil {
		t.Error("a directory opened")
	}
}

func TestOpenStandardInput(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stdin
	os.Stdin = read
	defer func() { os.Stdin = old; read.Close() }()
	write.Write(ngFile(little, sample)) // less than a pipe holds
	write.Close()
	r, err := Open("-", Config{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(r.Next)
	if d := cmp.Diff(sample, got); d != "" || err != nil || r.Size() != 0 {
		t.Errorf("%v, size %d, records:\n%s", err, r.Size(), d)
	}
}
