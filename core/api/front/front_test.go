package front_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cordon/core/api/front"
	"cordon/core/api/problem"
)

// serve answers one request through a front.
func serve(t *testing.T, h http.HandlerFunc, change func(*http.Request)) (*http.Response, string, string) {
	t.Helper()
	var log bytes.Buffer
	mux := http.NewServeMux()
	mux.HandleFunc("GET /x", h)
	mux.HandleFunc("POST /x", h)
	f := front.Wrap(front.Mux(mux), front.Config{Secure: true, Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
	s := httptest.NewServer(f)
	defer s.Close()
	r, _ := http.NewRequest("GET", s.URL+"/x?token=hidden", nil)
	r.Header.Set("Accept-Encoding", "identity")
	if change != nil {
		change(r)
	}
	a, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	var body io.Reader = a.Body
	if a.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(a.Body); err != nil {
			t.Fatal(err)
		}
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return a, string(text), log.String()
}

func write(size int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", `"7"`)
		for range size / 10 {
			io.WriteString(w, `0123456789`)
		}
	}
}

// TestETag answers a second read with nothing, in whatever form the first was.
func TestETag(t *testing.T) {
	for _, coding := range []string{"identity", "gzip", "br, gzip;q=0.5"} {
		a, body, _ := serve(t, write(5000), func(r *http.Request) { r.Header.Set("Accept-Encoding", coding) })
		tag := a.Header.Get("ETag")
		if len(body) != 5000 || !strings.HasPrefix(tag, `"7.`) || a.Header.Get("Cache-Control") != "private, no-cache" {
			t.Fatalf("%s: %d bytes, %v", coding, len(body), a.Header)
		}
		if packed := a.Header.Get("Content-Encoding") == "gzip"; packed != strings.Contains(coding, "gzip") {
			t.Errorf("%s: packed %v", coding, packed)
		}
		for _, again := range []string{tag, `"x", W/` + tag, "*"} {
			a, body, _ = serve(t, write(5000), func(r *http.Request) {
				r.Header.Set("Accept-Encoding", coding)
				r.Header.Set("If-None-Match", again)
			})
			if a.StatusCode != http.StatusNotModified || body != "" || a.Header.Get("ETag") != tag {
				t.Errorf("%s, If-None-Match %s: %d %q", coding, again, a.StatusCode, body)
			}
		}
		if a, _, _ = serve(t, write(5010), func(r *http.Request) { r.Header.Set("If-None-Match", tag) }); a.StatusCode != 200 {
			t.Errorf("%s: changed body, but %d", coding, a.StatusCode)
		}
	}
	if a, _, _ := serve(t, write(5000), func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip;q=0") }); a.Header.Get("Content-Encoding") != "" {
		t.Error("gzip was refused and sent")
	}
}

// TestLong sends what is too long to be held as it comes.
func TestLong(t *testing.T) {
	for _, coding := range []string{"identity", "gzip"} {
		a, body, _ := serve(t, write(3<<20), func(r *http.Request) { r.Header.Set("Accept-Encoding", coding) })
		if len(body) != 3<<20/10*10 || a.Header.Get("ETag") != "" || a.StatusCode != 200 {
			t.Errorf("%s: %d %d bytes, ETag %q", coding, a.StatusCode, len(body), a.Header.Get("ETag"))
		}
	}
}

// TestRefusals are problem documents.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		h      http.HandlerFunc
		change func(*http.Request)
		status int
		code   string
	}{
		{"no route", nil, func(r *http.Request) { r.URL.Path = "/y" }, 404, "no-such-route"},
		{"no method", nil, func(r *http.Request) { r.Method = "DELETE" }, 405, "no-such-method"},
		{"odd method", nil, func(r *http.Request) { r.Method = "BREW" }, 405, "no-such-method"},
		{"long", nil, func(r *http.Request) { r.URL.RawQuery = strings.Repeat("x", 9000) }, 400, "bad-request"},
		{"panic", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "half"); panic("secret of core") }, nil, 500, "internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.h == nil {
				c.h = write(10)
			}
			a, body, log := serve(t, c.h, c.change)
			if a.StatusCode != c.status || a.Header.Get("Content-Type") != "application/problem+json" ||
				!strings.Contains(body, `"code":"`+c.code+`"`) || !strings.Contains(body, a.Header.Get("X-Request-Id")) || strings.Contains(body, "half") {
				t.Errorf("%d %s\n%s", a.StatusCode, a.Header, body)
			}
			if strings.Contains(body, "secret") || strings.Count(log, "msg=request ") != 1 || c.code == "no-such-method" && a.Header.Get("Allow") == "" {
				t.Errorf("%s\n%s", body, log)
			}
		})
	}
}

// TestHeaders are on every answer, and the log holds no query.
func TestHeaders(t *testing.T) {
	a, _, log := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := front.NoteOf(r.Context())
		n.Route, n.User, n.Err = "GET /x", "u1", problem.New(problem.Invalid, "name hidden")
	}, func(r *http.Request) { r.Header.Set("Authorization", "Bearer hidden") })
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Strict-Transport-Security": "max-age=31536000", "Referrer-Policy": "no-referrer"} {
		if a.Header.Get(name) != want {
			t.Errorf("%s: %q", name, a.Header.Get(name))
		}
	}
	if strings.Contains(log, "hidden") || !strings.Contains(log, "route=\"GET /x\"") || !strings.Contains(log, "user=u1") || !strings.Contains(log, "problem=invalid") {
		t.Error(log)
	}
}

// TestStream lets events out one by one.
func TestStream(t *testing.T) {
	next := make(chan bool)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /x", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range 3 {
			fmt.Fprintf(w, "%d\n", n)
			http.NewResponseController(w).Flush()
			<-next
		}
	})
	s := httptest.NewServer(front.Wrap(front.Mux(mux), front.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)}))
	defer s.Close()
	a, err := s.Client().Get(s.URL + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b := make([]byte, 2)
	for n := range 3 {
		if _, err := io.ReadFull(a.Body, b); err != nil || string(b) != fmt.Sprintf("%d\n", n) {
			t.Fatalf("%q %v", b, err)
		}
		next <- true
	}
	if _, err := a.Body.Read(b); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// FuzzETag takes any If-None-Match and Accept-Encoding.
func FuzzETag(f *testing.F) {
	f.Add(`"7.abc", W/"x"`, "gzip;q=0.3, br")
	f.Fuzz(func(t *testing.T, match, accept string) {
		r := httptest.NewRequest("GET", "/x", nil)
		r.Header = http.Header{"If-None-Match": {match}, "Accept-Encoding": {accept}}
		w := httptest.NewRecorder()
		front.Wrap(write(2000), front.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)}).ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 304 {
			t.Errorf("%d", w.Code)
		}
	})
}
