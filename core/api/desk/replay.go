package desk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"cordon"
	"cordon/core/api/problem"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Answers that may be asked for again (draft-ietf-httpapi-idempotency-key-header). The
// store keeps the answer to a user's key for a day. Two requests with one key at the
// same time are one and a refusal in one instance of core; between two instances, and
// in a power cut between the change and its answer, orders are still only one, because
// their ids follow from the key and the request (see Call.NewID).

// keepWithin is how long it may take to keep an answer.
const keepWithin = 5 * time.Second

// maxReplay bounds an answer that is kept, in bytes.
const maxReplay = 256 << 10

// kept is an answer as the store keeps it.
type kept struct {
	Status int             `json:"status"`
	Type   string          `json:"type,omitempty"`
	ETag   string          `json:"etag,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
	Secret bool            `json:"secret,omitempty"` // the answer held a secret, which is kept nowhere
	Long   bool            `json:"long,omitempty"`   // the answer was longer than maxReplay: it is not kept, and nothing is done again
}

// replay answers a request from what was answered before, or answers it and keeps that.
func (d *Desk) replay(hc huma.Context, c *Call, key string, w http.ResponseWriter, next func(huma.Context)) {
	if len(key) > 200 {
		d.refuse(w, c.Request, problem.New(problem.BadRequest, "the Idempotency-Key is longer than 200 bytes"))
		return
	}
	body, err := readBody(w, c.Request)
	if err != nil {
		d.refuse(w, c.Request, err)
		return
	}
	c.Request.Body = io.NopCloser(bytes.NewReader(body))
	hash := requestHash(c.Request, body)
	c.request = hash
	flight := c.Subject.User + "\x00" + key
	if !d.keys.begin(flight) {
		d.refuse(w, c.Request, problem.New(problem.Progress, ""))
		return
	}
	defer d.keys.end(flight)
	ctx := c.Request.Context()
	before, answer, err := d.Store.Recall(ctx, c.Subject.User, key)
	switch {
	case err == nil:
		d.again(w, c.Request, hash == before, answer)
		return
	case !errors.Is(err, cordon.ErrNotFound):
		d.refuse(w, c.Request, err)
		return
	}
	rec := &recorder{ResponseWriter: w}
	next(humago.NewContext(hc.Operation(), c.Request, rec))
	if rec.status >= 500 || rec.status == 0 {
		return // to be tried again
	}
	k := kept{Status: rec.status, Type: w.Header().Get("Content-Type"), ETag: w.Header().Get("ETag"), Secret: c.Route.Secret && rec.status < 300,
		Long: rec.long}
	if !k.Secret && !k.Long && json.Valid(rec.body.Bytes()) {
		k.Body = rec.body.Bytes()
	}
	data, err := json.Marshal(k)
	if err == nil { // who went away in the middle is who will ask again
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWithin)
		defer cancel()
		err = d.Store.Remember(ctx, c.Subject.User, key, hash, data)
	}
	if err != nil {
		d.Log.WarnContext(ctx, "answer not kept", "route", c.Route.Path, "err", err)
	}
}

// readBody reads the body of a request, within the time that its handler would have for
// it.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(BodyWithin)) // of the connection, not of the records
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, problem.New(problem.TooLarge, "")
	case err != nil:
		return nil, problem.Wrap(problem.Slow, "", err)
	}
	return body, nil
}

// again answers with what was answered before.
func (d *Desk) again(w http.ResponseWriter, r *http.Request, same bool, answer []byte) {
	var k kept
	switch err := json.Unmarshal(answer, &k); {
	case !same:
		d.refuse(w, r, problem.New(problem.KeyReused, ""))
		return
	case err != nil || k.Status < 200 || k.Status > 499:
		d.refuse(w, r, problem.Wrap(problem.Internal, "", errors.Join(err, errors.New("kept answer cannot be read"))))
		return
	case k.Secret:
		d.refuse(w, r, problem.New(problem.Conflict, "it was done; the secret in the answer is shown only once"))
		return
	case k.Long:
		d.refuse(w, r, problem.New(problem.Conflict, "it was answered; the answer was too long to be kept"))
		return
	}
	w.Header().Set("Idempotency-Replayed", "true")
	if k.Type != "" {
		w.Header().Set("Content-Type", k.Type)
	}
	if k.ETag != "" {
		w.Header().Set("ETag", k.ETag)
	}
	w.WriteHeader(k.Status)
	w.Write(k.Body)
}

// requestHash tells requests apart.
func requestHash(r *http.Request, body []byte) (sum [32]byte) {
	h := sha256.New()
	for _, part := range []string{r.Method, r.URL.RequestURI(), r.Header.Get("If-Match"), r.Header.Get("Content-Type")} {
		io.WriteString(h, part)
		h.Write([]byte{0})
	}
	h.Write(body)
	h.Sum(sum[:0])
	return sum
}

// recorder writes an answer and keeps a copy.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	long   bool
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader keeps the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write keeps the body.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.body.Len()+len(b) > maxReplay {
		r.long = true
	} else {
		r.body.Write(b)
	}
	return r.ResponseWriter.Write(b)
}

// inFlight is which keys are being worked on.
type inFlight struct {
	mu   sync.Mutex
	keys map[string]struct{} // guarded by mu
}

func newInFlight() *inFlight { return &inFlight{keys: make(map[string]struct{})} }

func (f *inFlight) begin(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, busy := f.keys[key]; busy {
		return false
	}
	f.keys[key] = struct{}{}
	return true
}

func (f *inFlight) end(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.keys, key)
}
