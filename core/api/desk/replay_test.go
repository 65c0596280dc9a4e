package desk

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestAgain gives the same answer again, or says why there is none.
func TestAgain(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		other  bool // another request
		status int
		body   string
	}{
		"record":  {`{"status":201,"type":"application/json","etag":"\"1\"","body":{"id":"a"}}`, false, 201, `{"id":"a"}`},
		"nothing": {`{"status":204}`, false, 204, ""},
		"problem": {`{"status":422,"type":"application/problem+json","body":{}}`, false, 422, "{}"},
		"other":   {`{"status":204}`, true, 422, "idempotency-key-reused"},
		"secret":  {`{"status":201,"secret":true}`, false, 409, "shown only once"},
		"long":    {`{"status":200,"long":true}`, false, 409, "too long"},
		"broken":  {`{"status":`, false, 500, "internal"},
		"status":  {`{"status":0}`, false, 500, "internal"},
	} {
		w := httptest.NewRecorder()
		new(Desk).again(w, httptest.NewRequest("POST", "/", nil), !c.other, []byte(c.answer))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// TestRecorder keeps what is short, and passes everything on.
func TestRecorder(t *testing.T) {
	w := httptest.NewRecorder()
	r := &recorder{ResponseWriter: w}
	part := bytes.Repeat([]byte("1"), maxReplay/2)
	for range 3 {
		r.Write(part)
	}
	if r.status != 200 || !r.long || r.body.Len() > maxReplay || w.Body.Len() != 3*len(part) {
		t.Errorf("%d, long %v, %d kept, %d passed on", r.status, r.long, r.body.Len(), w.Body.Len())
	}
	if data, err := json.Marshal(kept{Status: r.status, Long: r.long}); err != nil || len(data) > 100 {
		t.Errorf("%v, %d bytes", err, len(data))
	}
}
