package file

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"cordon/agent/packet"
)

// manyFrames is a capture of several windows, with frames of all sizes.
func manyFrames(t testing.TB) []byte {
	var b bytes.Buffer
	b.Write([]byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0})
	for i := range 6000 {
		n := (i * 37) % 1500
		b.Write([]byte{byte(i), byte(i >> 8), 0, 0, 0, 0, 0, 0, byte(n), byte(n >> 8), 0, 0, byte(n), byte(n >> 8), 0, 0})
		b.Write(bytes.Repeat([]byte{byte(i)}, n))
	}
	return b.Bytes()
}

func write(t testing.TB, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "capture.pcap")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestOpenReadsLikeAStream: a file gives the frames that a stream gives.
func TestOpenReadsLikeAStream(t *testing.T) {
	b := manyFrames(t)
	for _, cut := range []int{0, 1, 700} {
		fromFile, err := Open(write(t, b[:len(b)-cut]), Config{})
		if err != nil {
			t.Fatal(err)
		}
		stream, err := NewReader(bytes.NewReader(b[:len(b)-cut]), "stream", Config{})
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ {
			var f, s packet.Frame
			ferr, serr := fromFile.Next(&f), stream.Next(&s)
			if (ferr == nil) != (serr == nil) || errors.Is(ferr, io.EOF) != errors.Is(serr, io.EOF) {
				t.Fatalf("cut %d, record %d: file says %v, stream %v", cut, n, ferr, serr)
			}
			if ferr != nil {
				break
			}
			if f.Time != s.Time || f.Len != s.Len || !bytes.Equal(f.Data, s.Data) {
				t.Fatalf("cut %d, record %d differs", cut, n)
			}
		}
		if fromFile.Offset() != stream.Offset() || fromFile.Records() != stream.Records() {
			t.Errorf("cut %d: file ends at %d, %d records; stream at %d, %d", cut, fromFile.Offset(), fromFile.Records(),
				stream.Offset(), stream.Records())
		}
		if err := fromFile.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestGuard(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux: files are mapped there only")
	}
	name := write(t, manyFrames(t))
	r, err := Open(name, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = Guard(func() error {
		var f packet.Frame
		for {
			if err := r.Next(&f); err != nil {
				return err
			}
			if r.Records() == 100 {
				if err := os.Truncate(name, 0); err != nil {
					return err
				}
			}
		}
	})
	if !errors.Is(err, ErrChanged) {
		t.Errorf("a capture that is cut while it is read: %v, want ErrChanged", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("Guard hides a panic that is none of its business")
		}
	}()
	Guard(func() error { panic("other") })
}
