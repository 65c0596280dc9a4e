package page_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/page"
)

var update = flag.Bool("update", false, "write the golden pages instead of comparing them")

// camera is what most tests tell.
var camera = page.Notice{
	Device: "Garden camera",
	Kinds:  []cordon.Kind{cordon.ScanMirai},
	Reason: "The device sent connection requests to 412 different addresses in 10 seconds.",
	Since:  cordon.TimeOf(time.Date(2026, 3, 7, 14, 5, 0, 0, time.UTC)),
	Until:  cordon.TimeOf(time.Date(2026, 3, 14, 14, 5, 0, 0, time.UTC)),
}

// new makes a Page for 192.0.2.10, which is cut off, and everybody else, who is
// not.
func newPage(t testing.TB, n page.Notice, change func(*page.Config)) *page.Page {
	t.Helper()
	cfg := page.Config{
		Lookup: func(from netip.AddrPort) (page.Notice, bool) {
			return n, from.Addr() == netip.MustParseAddr("192.0.2.10") || from.Addr() == netip.MustParseAddr("fe80::10")
		},
		Brand: "Example Telecom", PortalURL: "https://my.example.net/devices", Support: "0800 123 456", Location: time.UTC,
	}
	if change != nil {
		change(&cfg)
	}
	p, err := page.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// get asks as a browser does.
func get(p http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr = "192.0.2.10:40000"
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	for k := 0; k+1 < len(header); k += 2 {
		r.Header.Set(header[k], header[k+1])
		if header[k] == "From" {
			r.RemoteAddr = header[k+1]
		}
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestGolden compares whole pages with what people have looked at.
func TestGolden(t *testing.T) {
	hostile := page.Notice{Device: "<img src=x onerror=alert(1)>\u202e\n\x00" + strings.Repeat("A", 100),
		Reason: `"><script>alert(2)</script>{{.}}`, Kinds: []cordon.Kind{"no.such"}, Updates: true}
	for _, c := range []struct {
		file     string
		notice   page.Notice
		change   func(*page.Config)
		language string
	}{
		{"camera.en", camera, nil, "en"},
		{"camera.de", camera, nil, "de-AT, en;q=0.5"},
		{"camera.es", camera, nil, "fr, es;q=0.9"},
		{"plain.en", page.Notice{}, func(c *page.Config) { c.Brand, c.PortalURL, c.Support = "", "", "" }, ""},
		{"byhand.de", page.Notice{Device: "TV", ByHand: true}, func(c *page.Config) { c.Brand, c.PortalURL = "", "" }, "de"},
		{"hostile.en", hostile, func(c *page.Config) { c.Brand = "<b>Example & Co</b>"; c.Languages = []string{"en"} }, "de"},
	} {
		t.Run(c.file, func(t *testing.T) {
			r := get(newPage(t, c.notice, c.change), "GET", "http://example.com/", "Accept-Language", c.language)
			got := body(t, r)
			if want := c.file[len(c.file)-2:]; r.Header.Get("Content-Language") != want || r.StatusCode != 200 {
				t.Errorf("status %d, language %q, want 200 and %q", r.StatusCode, r.Header.Get("Content-Language"), want)
			}
			for _, forbidden := range []string{"<form", "<button", "<script", "<img", "onclick", "<iframe"} {
				if strings.Contains(got, forbidden) {
					t.Errorf("the page has %s", forbidden)
				}
			}
			file := filepath.Join("testdata", c.file+".html")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("page (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHeaders shows that no answer is kept, runs anything, or fetches anything.
func TestHeaders(t *testing.T) {
	p := newPage(t, camera, nil)
	for _, r := range []*http.Response{
		get(p, "GET", "/"), get(p, "GET", "/generate_204"), get(p, "POST", "/"), get(p, "GET", "/.well-known/captive-portal"),
		get(p, "GET", "/firmware.bin", "Accept", "*/*"), get(p, "GET", "/", "From", "192.0.2.11:1"), get(p, "GET", "/", "From", "pipe"),
	} {
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer", "Connection": "close", "Set-Cookie": "", "Server": ""} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%d: %s %q, want %q", r.StatusCode, name, got, want)
			}
		}
		csp := r.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || !strings.Contains(csp, "form-action 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%d: policy %q", r.StatusCode, csp)
		}
	}
}

// TestNothingToDo shows that no method but reading does anything.
func TestNothingToDo(t *testing.T) {
	p := newPage(t, camera, nil)
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "RELEASE"} {
		if r := get(p, method, "http://192.168.1.1/release"); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, allowed %q", method, r.StatusCode, r.Header.Get("Allow"))
		}
	}
	r := get(p, "HEAD", "http://192.168.1.1/")
	if b := body(t, r); r.StatusCode != 200 || b != "" || r.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d with %q", r.StatusCode, b)
	}
}

// TestPaths shows what is answered to what.
func TestPaths(t *testing.T) {
	p := newPage(t, camera, nil)
	for _, c := range []struct {
		target, accept, from string
		status               int
		location             string
	}{
		{target: "http://connectivitycheck.gstatic.com/generate_204", accept: "*/*", status: 302, location: "http://connectivitycheck.gstatic.com/"},
		{target: "http://www.msftconnecttest.com/connecttest.txt", accept: "*/*", status: 302, location: "http://www.msftconnecttest.com/"},
		{target: "http://detectportal.firefox.com/success.txt?ipv4", accept: "*/*", status: 302, location: "http://detectportal.firefox.com/"},
		{target: "http://[2001:db8::1]:8080/generate_204", accept: "*/*", status: 302, location: "http://[2001:db8::1]:8080/"},
		{target: "http://captive.apple.com/hotspot-detect.html", accept: "*/*", status: 200},
		{target: "http://example.com/", accept: "*/*", status: 200},
		{target: "http://example.com/news/today", accept: "text/html", status: 200},
		{target: "http://update.example.com/firmware.bin", accept: "*/*", status: 511},
		{target: "http://api.example.com/v1/status", accept: "application/json", status: 511},
		{target: "http://example.com/", accept: "text/html", from: "[fe80::10%br-lan]:80", status: 200},
		{target: "http://example.com/", accept: "text/html", from: "[::ffff:192.0.2.10]:80", status: 200},
		{target: "http://example.com/", accept: "text/html", from: "192.0.2.11:80", status: 404},
		{target: "http://example.com/generate_204", accept: "*/*", from: "192.0.2.11:80", status: 404},
		{target: "http://example.com/", accept: "text/html", from: "@", status: 400},
	} {
		header := []string{"Accept", c.accept}
		if c.from != "" {
			header = append(header, "From", c.from)
		}
		r := get(p, "GET", c.target, header...)
		if r.StatusCode != c.status || r.Header.Get("Location") != c.location {
			t.Errorf("%s from %q: %d to %q, want %d to %q", c.target, c.from, r.StatusCode, r.Header.Get("Location"), c.status, c.location)
		}
	}
	if got := body(t, get(p, "GET", "/", "From", "192.0.2.11:1")); !strings.Contains(got, "This device is connected") || strings.Contains(got, "camera") {
		t.Errorf("a device that is not cut off is shown %q", got)
	}
}

// TestHost shows that a lying host name gets nowhere.
func TestHost(t *testing.T) {
	p := newPage(t, camera, nil)
	for _, host := range []string{"", "evil.example/path", "a@b", "evil.example?x", "a b", "a\r\nSet-Cookie: x=y", strings.Repeat("a", 300)} {
		r := httptest.NewRequest("GET", "/generate_204", nil)
		r.Host, r.RemoteAddr = host, "192.0.2.10:1"
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if got := w.Result().Header.Get("Location"); got != "/" {
			t.Errorf("host %q: sent to %q", host, got)
		}
	}
}

// TestAPI answers as RFC 8908 says.
func TestAPI(t *testing.T) {
	for _, c := range []struct{ from, portal, want string }{
		{"192.0.2.10:1", "https://my.example.net/devices", `{"captive":true,"user-portal-url":"https://my.example.net/devices"}`},
		{"192.0.2.10:1", "", `{"captive":true,"user-portal-url":"http://192.168.1.1/"}`},
		{"192.0.2.11:1", "https://my.example.net/devices", `{"captive":false}`},
	} {
		p := newPage(t, camera, func(cfg *page.Config) { cfg.PortalURL = c.portal })
		r := get(p, "GET", "http://192.168.1.1/.well-known/captive-portal", "From", c.from)
		if got := body(t, r); got != c.want || r.Header.Get("Content-Type") != "application/captive+json" {
			t.Errorf("%s: %q as %q, want %q", c.from, got, r.Header.Get("Content-Type"), c.want)
		}
	}
}

// TestChosen shows that a language of the address comes before the browser's.
func TestChosen(t *testing.T) {
	p := newPage(t, camera, nil)
	for query, want := range map[string]string{"lang=es": "es", "lang=fr": "de", "lang=es&x": "de", "": "de"} {
		if got := get(p, "GET", "/?"+query, "Accept-Language", "de").Header.Get("Content-Language"); got != want {
			t.Errorf("query %q: %q, want %q", query, got, want)
		}
	}
}

// TestLanguages shows which languages a page is offered in.
func TestLanguages(t *testing.T) {
	for _, c := range []struct{ configured, accept, want string }{
		{"", "es", "es"}, {"", "fr", "en"}, {"de-AT fr de", "es", "de"}, {"fr", "de", "de"}, {"es en", "fr", "es"},
	} {
		p := newPage(t, camera, func(cfg *page.Config) { cfg.Languages = strings.Fields(c.configured) })
		if got := get(p, "GET", "/", "Accept-Language", c.accept).Header.Get("Content-Language"); got != c.want {
			t.Errorf("configured %q, asked for %q: %q, want %q", c.configured, c.accept, got, c.want)
		}
	}
}

// TestNew refuses what cannot be shown.
func TestNew(t *testing.T) {
	lookup := func(netip.AddrPort) (page.Notice, bool) { return page.Notice{}, false }
	for _, cfg := range []page.Config{{}, {Lookup: lookup, PortalURL: "javascript:alert(1)"}, {Lookup: lookup, PortalURL: "my.example.net"}} {
		if _, err := page.New(cfg); err == nil {
			t.Errorf("%+v: taken", cfg)
		}
	}
}

// serve runs a Page on loopback for 127.0.0.1.
func serve(t *testing.T) string {
	t.Helper()
	p, err := page.New(page.Config{Lookup: func(netip.AddrPort) (page.Notice, bool) { return camera, true }})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// TestServe shows the page over a real connection, which is closed after it, and
// that a head too long is refused.
func TestServe(t *testing.T) {
	address := serve(t)
	r, err := http.Get("http://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if got := body(t, r); r.StatusCode != 200 || !r.Close || !strings.Contains(got, "Garden camera") {
		t.Errorf("%d, closed %t: %q", r.StatusCode, r.Close, got)
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n", bytes.Repeat([]byte("x"), 16<<10))
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a head of 16 KB: %v, %v", answer, err)
	}
}

// TestHoarder shows that a device that holds connections open gets no more than
// its share, and its place back when it lets go.
func TestHoarder(t *testing.T) {
	address := serve(t)
	var open []net.Conn
	for range 8 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	refused, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Close()
	refused.SetReadDeadline(time.Now().Add(4 * time.Second)) // before the others are hung up on
	if _, err := refused.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
		t.Errorf("the ninth connection is held: %v", err)
	}
	fmt.Fprintf(open[0], "GET / HTTP/1.0\r\nHost: a\r\n\r\n")
	if b, err := io.ReadAll(open[0]); err != nil || !bytes.Contains(b, []byte("Garden camera")) {
		t.Errorf("the first connection: %q, %v", b, err)
	}
	again, err := http.Get("http://" + address + "/")
	if err != nil {
		t.Fatalf("after one let go: %v", err)
	}
	again.Body.Close()
}
