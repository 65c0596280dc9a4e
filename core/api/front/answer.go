package front

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Sizes of answers, in bytes.
const (
	// maxHeld is what is held back to make an ETag; a longer answer goes out as it
	// comes, without one. A page of 500 devices is half of it.
	maxHeld = 512 << 10
	// minPacked is the shortest answer that is compressed: below one network packet
	// nothing is won.
	minPacked = 1400
)

// answer is the http.ResponseWriter that the routes see. It holds a short answer back
// until it is whole, then gives it an ETag, compares that with If-None-Match, and
// compresses. A stream of events passes at once.
type answer struct {
	w       http.ResponseWriter
	r       *http.Request
	status  int
	held    bytes.Buffer
	direct  bool // what comes goes to the client as it is
	packed  *gzip.Writer
	written int // bytes, before compression
	abort   bool
}

// Header returns the client's headers.
func (a *answer) Header() http.Header { return a.w.Header() }

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.w }

// WriteHeader takes the status.
func (a *answer) WriteHeader(status int) {
	if a.status != 0 {
		return
	}
	a.status = status
	if strings.HasPrefix(a.Header().Get("Content-Type"), "text/event-stream") {
		a.direct = true
		a.w.WriteHeader(status)
	}
}

// Write takes a part of the body.
func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	a.written += len(b)
	if !a.direct && a.packed == nil && a.held.Len()+len(b) > maxHeld {
		if err := a.release(); err != nil {
			return 0, err
		}
	}
	switch {
	case a.packed != nil:
		return a.packed.Write(b)
	case a.direct:
		return a.w.Write(b)
	}
	return a.held.Write(b)
}

// Flush sends what a stream has written.
func (a *answer) Flush() {
	if a.direct && a.packed == nil {
		http.NewResponseController(a.w).Flush()
	}
}

// reset forgets what was held, and reports whether nothing has gone out yet.
func (a *answer) reset() bool {
	if a.direct {
		return false
	}
	a.held.Reset()
	a.status, a.written = 0, 0
	a.Header().Del("ETag")
	return true
}

// release begins to send an answer that is too long to be held.
func (a *answer) release() error {
	a.direct = true
	a.Header().Del("ETag") // of a part it would be a lie
	a.pack(maxHeld)
	a.w.WriteHeader(a.status)
	held := a.held.Bytes()
	a.held = bytes.Buffer{}
	var err error
	if a.packed != nil {
		_, err = a.packed.Write(held)
	} else {
		_, err = a.w.Write(held)
	}
	return err
}

// finish sends what was held.
func (a *answer) finish() {
	if a.abort {
		return
	}
	if a.packed != nil {
		a.packed.Close()
		packers.Put(a.packed)
		return
	}
	if a.direct {
		return
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	h := a.Header()
	read := a.r.Method == http.MethodGet || a.r.Method == http.MethodHead
	packs := a.packs(a.held.Len())
	if read && a.status == http.StatusOK {
		h.Set("Cache-Control", "private, no-cache") // keep it, but ask
	}
	if a.status < 300 && a.held.Len() > 0 && (read || h.Get("ETag") != "") {
		tag := ETag(h.Get("ETag"), a.held.Bytes(), packs)
		h.Set("ETag", tag)
		if read && a.status == http.StatusOK && fits(a.r.Header.Get("If-None-Match"), tag) {
			h.Del("Content-Type")
			a.status = http.StatusNotModified
			a.w.WriteHeader(a.status)
			return
		}
	}
	if !packs {
		if a.held.Len() > 0 {
			h.Set("Content-Length", strconv.Itoa(a.held.Len()))
		}
		a.w.WriteHeader(a.status)
		a.w.Write(a.held.Bytes()) // the client went: nobody is left to be told
		return
	}
	a.pack(a.held.Len())
	a.w.WriteHeader(a.status)
	a.packed.Write(a.held.Bytes())
	a.packed.Close()
	packers.Put(a.packed)
}

// packers are used again: a gzip.Writer is 800 KB.
var packers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return z
}}

// packs reports whether an answer of n bytes is to be compressed.
func (a *answer) packs(n int) bool {
	h := a.Header()
	kind := h.Get("Content-Type")
	return n >= minPacked && h.Get("Content-Encoding") == "" && accepts(a.r.Header.Get("Accept-Encoding"), "gzip") &&
		(strings.Contains(kind, "json") || strings.HasPrefix(kind, "text/"))
}

// pack begins to compress, if that is wanted.
func (a *answer) pack(n int) {
	a.Header().Add("Vary", "Accept-Encoding")
	if !a.packs(n) {
		return
	}
	a.Header().Set("Content-Encoding", "gzip")
	a.packed = packers.Get().(*gzip.Writer)
	a.packed.Reset(a.w)
}

// ETag returns the ETag of a body. Version is what the handler gave, the quoted version
// of a record, or empty: it stays in front, so that If-Match can name it.
func ETag(version string, body []byte, packed bool) string {
	sum := sha256.Sum256(body)
	tag := hex.EncodeToString(sum[:8])
	if v := strings.Trim(version, `"`); v != "" {
		tag = v + "." + tag
	}
	if packed {
		tag += ".gz" // another representation, RFC 9110 §8.8.3.3
	}
	return `"` + tag + `"`
}

// fits reports whether an If-None-Match names the tag (RFC 9110 §13.1.2).
func fits(header, tag string) bool {
	if header == "*" {
		return true
	}
	for part := range strings.SplitSeq(header, ",") {
		if strings.TrimPrefix(strings.TrimSpace(part), "W/") == tag {
			return true
		}
	}
	return false
}
