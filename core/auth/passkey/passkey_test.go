package passkey

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/lab/authenticator"
)

// bed is ceremonies with a clock and a memory of their own.
type bed struct {
	*Ceremonies
	now  time.Time
	seen map[string]bool
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), seen: make(map[string]bool)}
	var err error
	b.Ceremonies, err = New(Config{Host: "cordon.example", Origin: "https://cordon.example", Provider: "Provider", Key: []byte(strings.Repeat("k", 32)),
		Now: func() time.Time { return b.now }, Once: func(_ context.Context, name string) error {
			if b.seen[name] {
				return ErrRefused
			}
			b.seen[name] = true
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// registered returns a key of anna, and anna with it.
func (b *bed) registered(t *testing.T) (*authenticator.Key, Person) {
	t.Helper()
	key, err := authenticator.New("https://cordon.example", "cordon.example")
	if err != nil {
		t.Fatal(err)
	}
	anna := Person{ID: "anna", Name: "Anna"}
	id, options, err := b.BeginRegister(anna)
	if err != nil {
		t.Fatal(err)
	}
	response, err := key.Create(options)
	if err != nil {
		t.Fatal(err)
	}
	k, err := b.Register(t.Context(), anna, id, response)
	if err != nil {
		t.Fatal(err)
	}
	anna.Keys = []cordon.Passkey{k}
	return key, anna
}

// logIn begins and ends a log-in; between may spoil it.
func (b *bed) logIn(t *testing.T, key *authenticator.Key, p Person, between func(id string, response []byte) (string, []byte)) (cordon.Passkey, error) {
	t.Helper()
	id, options, err := b.BeginLogIn()
	if err != nil {
		t.Fatal(err)
	}
	response, err := key.Get(options)
	if err != nil {
		t.Fatal(err)
	}
	if between != nil {
		id, response = between(id, response)
	}
	return b.LogIn(t.Context(), id, response, func(user string) (Person, error) {
		if user != p.ID {
			return Person{}, ErrRefused
		}
		return p, nil
	})
}

// TestLogIn takes a key that was registered, and says what it counts now.
func TestLogIn(t *testing.T) {
	b := newBed(t)
	key, anna := b.registered(t)
	key.Counter = 7
	k, err := b.logIn(t, key, anna, nil)
	if err != nil || k.User != "anna" || k.Used == 0 || string(k.ID) != string(key.ID) {
		t.Fatalf("%+v, %v", k, err)
	}
	anna.Keys = []cordon.Passkey{k}
	if _, err := b.logIn(t, key, anna, nil); err != nil {
		t.Errorf("again: %v", err)
	}
}

// TestRefused takes nothing else.
func TestRefused(t *testing.T) {
	for name, spoil := range map[string]func(b *bed, key *authenticator.Key, p *Person) func(string, []byte) (string, []byte){
		"another page's": func(_ *bed, key *authenticator.Key, _ *Person) func(string, []byte) (string, []byte) {
			key.Origin = "https://evil.example"
			return nil
		},
		"another host's key": func(_ *bed, key *authenticator.Key, _ *Person) func(string, []byte) (string, []byte) {
			key.Host = "evil.example"
			return nil
		},
		"without a finger": func(_ *bed, key *authenticator.Key, _ *Person) func(string, []byte) (string, []byte) {
			key.Verified = false
			return nil
		},
		"another person's": func(_ *bed, key *authenticator.Key, _ *Person) func(string, []byte) (string, []byte) {
			key.User = []byte("bert")
			return nil
		},
		"removed": func(_ *bed, _ *authenticator.Key, p *Person) func(string, []byte) (string, []byte) {
			p.Keys = nil
			return nil
		},
		"copied": func(_ *bed, key *authenticator.Key, p *Person) func(string, []byte) (string, []byte) {
			p.Keys[0].Data = []byte(strings.Replace(string(p.Keys[0].Data), `"authenticator":{`, `"authenticator":{"signCount":100,`, 1))
			key.Counter = 50
			return nil
		},
		"too late": func(b *bed, _ *authenticator.Key, _ *Person) func(string, []byte) (string, []byte) {
			return func(id string, r []byte) (string, []byte) { b.now = b.now.Add(Life); return id, r }
		},
		"changed id": func(*bed, *authenticator.Key, *Person) func(string, []byte) (string, []byte) {
			return func(id string, r []byte) (string, []byte) {
				raw, _ := base64.RawURLEncoding.DecodeString(id)
				raw[len(raw)/2] ^= 1
				return base64.RawURLEncoding.EncodeToString(raw), r
			}
		},
		"a registration's id": func(b *bed, _ *authenticator.Key, p *Person) func(string, []byte) (string, []byte) {
			return func(_ string, r []byte) (string, []byte) { id, _, _ := b.BeginRegister(*p); return id, r }
		},
		"another ceremony's id": func(b *bed, _ *authenticator.Key, _ *Person) func(string, []byte) (string, []byte) {
			return func(_ string, r []byte) (string, []byte) { id, _, _ := b.BeginLogIn(); return id, r }
		},
		"nothing": func(*bed, *authenticator.Key, *Person) func(string, []byte) (string, []byte) {
			return func(string, []byte) (string, []byte) { return "", nil }
		},
		"too much": func(*bed, *authenticator.Key, *Person) func(string, []byte) (string, []byte) {
			return func(id string, _ []byte) (string, []byte) { return id, make([]byte, maxResponse+1) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			key, anna := b.registered(t)
			if k, err := b.logIn(t, key, anna, spoil(b, key, &anna)); !errors.Is(err, ErrRefused) {
				t.Errorf("%+v, %v", k, err)
			}
		})
	}
}

// TestOnce takes an answer once.
func TestOnce(t *testing.T) {
	b := newBed(t)
	key, anna := b.registered(t)
	var id string
	var response []byte
	if _, err := b.logIn(t, key, anna, func(i string, r []byte) (string, []byte) { id, response = i, r; return i, r }); err != nil {
		t.Fatal(err)
	}
	if _, err := b.logIn(t, key, anna, func(string, []byte) (string, []byte) { return id, response }); !errors.Is(err, ErrRefused) {
		t.Errorf("a second time: %v", err)
	}
}

// TestTrouble tells a store that is away from a wrong key.
func TestTrouble(t *testing.T) {
	b := newBed(t)
	key, _ := b.registered(t)
	away := errors.New("away")
	id, options, err := b.BeginLogIn()
	if err != nil {
		t.Fatal(err)
	}
	response, err := key.Get(options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.LogIn(t.Context(), id, response, func(string) (Person, error) { return Person{}, away }); !errors.Is(err, away) {
		t.Errorf("%v, want %v", err, away)
	}
}

func FuzzLogIn(f *testing.F) {
	key, err := authenticator.New("https://cordon.example", "cordon.example")
	if err != nil {
		f.Fatal(err)
	}
	response, err := key.Get([]byte(`{"publicKey":{"challenge":"AAAA"}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("", response)
	f.Fuzz(func(t *testing.T, id string, response []byte) {
		b := newBed(t)
		person := func(string) (Person, error) { return Person{ID: "anna"}, nil }
		good, _, err := b.BeginLogIn()
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{id, good} {
			if k, err := b.LogIn(t.Context(), id, response, person); err == nil {
				t.Errorf("%q logs in: %+v", response, k)
			}
		}
		if k, err := b.Register(t.Context(), Person{ID: "anna"}, id, response); err == nil {
			t.Errorf("%q is registered: %+v", response, k)
		}
	})
}
