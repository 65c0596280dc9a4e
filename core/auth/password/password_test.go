package password

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cordon"
)

// quick is Argon2id at its least, so that tests take no time.
var quick = Work{Memory: 8, Passes: 1, Lanes: 1}

func hasher(t testing.TB, w Work) *Hasher {
	t.Helper()
	h, err := New(w)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestVerify takes the password that was hashed, however it was typed, and no other.
func TestVerify(t *testing.T) {
	h := hasher(t, quick)
	hashed, err := h.Hash(t.Context(), "caf\u00e9 au lait")
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Hash(t.Context(), "caf\u00e9 au lait")
	if err != nil || hashed == again {
		t.Errorf("the same password has the same hash: %v", err)
	}
	for password, want := range map[string]bool{"caf\u00e9 au lait": true, "cafe\u0301 au lait": true, "cafe au lait": false, "": false} {
		ok, old, err := h.Verify(t.Context(), hashed, password)
		if ok != want || old || err != nil {
			t.Errorf("%q: %v, %v, %v", password, ok, old, err)
		}
	}
	if ok, _, err := h.Verify(t.Context(), "", ""); ok || err != nil {
		t.Errorf("nobody's password: %v, %v", ok, err)
	}
	better := hasher(t, Work{Memory: 16, Passes: 1, Lanes: 1})
	if ok, old, err := better.Verify(t.Context(), hashed, "caf\u00e9 au lait"); !ok || !old || err != nil {
		t.Errorf("a hash of other work: %v, %v, %v", ok, old, err)
	}
}

// TestDefault holds the defaults to what RFC 9106 recommends.
func TestDefault(t *testing.T) {
	hashed, err := hasher(t, Work{}).Hash(t.Context(), "correct horse battery")
	if err != nil || !strings.HasPrefix(hashed, "$argon2id$v=19$m=65536,t=3,p=4$") {
		t.Errorf("%q, %v", hashed, err)
	}
	for _, w := range []Work{{Memory: 1, Passes: 1, Lanes: 1}, {Memory: 8, Lanes: 1}, {Memory: 1 << 30, Passes: 1, Lanes: 1}} {
		if _, err := New(w); err == nil {
			t.Errorf("%+v is taken", w)
		}
	}
}

// TestCheck refuses what is guessed first.
func TestCheck(t *testing.T) {
	u := &cordon.User{Email: "anna.meier@example.org", Name: "Anna Meier"}
	for password, want := range map[string]bool{
		"korrekt Pferd Batterie": true, "zwölf Zeichen!": true, "elf Zeichen": false, "password1234": false, "aaaaaaaaaaaaaaaa": false,
		"anna.meier@example.org": false, "AnnaMeier1234": false, strings.Repeat("x1", 200): false, "\xff\xfe not a text at all": false,
	} {
		if err := Check(password, u); (err == nil) != want || err != nil && !errors.Is(err, cordon.ErrInvalid) {
			t.Errorf("%q: %v, want taken: %v", password, err, want)
		}
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$dGFndGFndGFndGFndGFndGFndGFn")
	f.Fuzz(func(t *testing.T, s string) {
		p, salt, tag, err := parsePHC(s)
		if err == nil && phc(p, salt, tag) != s {
			t.Errorf("%q is read as %q", s, phc(p, salt, tag))
		}
	})
}

// TestBusy hashes only as many at once as there is memory for, lets some wait, and sends
// the others away.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hasher(t, quick)
		for range cap(h.slots) {
			h.slots <- struct{}{} // all are taken
		}
		began, results := time.Now(), make(chan error, 2*maxWaiting)
		ctx, cancel := context.WithCancel(t.Context())
		for range maxWaiting - 1 {
			go func() { _, err := h.Hash(t.Context(), "correct horse"); results <- err }()
		}
		synctest.Wait()
		go func() { _, err := h.Hash(ctx, "correct horse"); results <- err }()
		synctest.Wait()
		if _, err := h.Hash(t.Context(), "correct horse"); !errors.Is(err, ErrBusy) {
			t.Errorf("one too many: %v", err)
		}
		cancel()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("who goes away: %v", err)
		}
		<-h.slots // one is free again
		if err := <-results; err != nil {
			t.Errorf("who waited: %v", err)
		}
		if waited := time.Since(began); waited >= maxWait {
			t.Errorf("waited %v", waited)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := hasher(t, quick)
		for range cap(h.slots) {
			h.slots <- struct{}{}
		}
		if _, err := h.Hash(t.Context(), "correct horse"); !errors.Is(err, ErrBusy) {
			t.Errorf("after %v: %v", maxWait, err)
		}
		if n := h.waiting.Load(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

// BenchmarkVerify is a log-in with the default work.
func BenchmarkVerify(b *testing.B) {
	h := hasher(b, Work{})
	hashed, err := h.Hash(b.Context(), "correct horse battery")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if ok, _, err := h.Verify(b.Context(), hashed, "correct horse battery"); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
