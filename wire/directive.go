package wire

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"cordon"
)

// All is the receiver of a directive to every router.
const All = "all"

// Directive is what core tells one router, or all. It is signed, numbered and bound
// to its receiver. Each receiver's numbers grow; what has a lower number than what a
// router has is old.
type Directive struct {
	Number   uint64
	Receiver string // Router.ID or All
	Issued   cordon.Time
	Expires  cordon.Time // not taken from then on
	// Least is the lowest Version that may act on the directive; 0: any. It is how a
	// newer core says that something in it must not be overlooked.
	Least uint32

	Desired       *cordon.Desired // for one router
	Shadows       *Shadows
	Indicators    *Indicators
	Configuration *Configuration

	// Unknown is what Open found and does not know: to be refused and reported. An
	// order, permission or shadow of which a field is unknown is left out, since without
	// it it would say something else, and is here by its id.
	Unknown []string
}

// Shadows is every rule that lies in shadow. It replaces what was before.
type Shadows struct{ List []cordon.Shadow }

// Indicators is a whole set (Base 0), or the difference to the set of number Base.
type Indicators struct {
	Base    uint64
	Added   []cordon.Indicator
	Removed []cordon.Indicator // Type and Value count
}

// Configuration is what the provider sets on agents. It replaces what was before.
type Configuration struct{ Settings []Setting }

// Setting is one key of an agent's configuration. Which of them core may set, the
// agent decides.
type Setting struct {
	Name  string // dotted, as in agent.toml
	Value string // as in TOML
}

// The reasons for which a signed message is not taken.
var (
	ErrForged   = errors.New("not signed by core")
	ErrNotForUs = errors.New("for another router")
	ErrExpired  = errors.New("expired")
	ErrNewer    = errors.New("of a newer core")
)

// Keys are core's directive keys by KeyID: the one in use, and while it is changed
// also the next.
type Keys map[string]ed25519.PublicKey

// KeyID names a key: the first eight bytes, in hexadecimal.
func KeyID(key ed25519.PublicKey) string { return hex.EncodeToString(key[:8]) }

// What a signature is for stands in front of what is signed, so that a question is
// never taken for a directive.
const (
	forDirective = "cordon directive 1\x00"
	forQuestion  = "cordon question 1\x00"
)

// signed is the envelope: what is in it is signed as it is on the wire.
type signed struct{ key, signature, body []byte }

func codeSigned(c *codec, s *signed) {
	c.bytes(1, &s.key)
	c.bytes(2, &s.signature)
	c.bytes(3, &s.body)
}

// statement is what is signed of a body: its digest, so that a router need not copy a
// set of indicators, and that a key in hardware can sign one.
func statement(purpose string, body []byte) []byte {
	sum := sha512.Sum512(body)
	return append([]byte(purpose), sum[:]...)
}

func seal(purpose string, key ed25519.PrivateKey, f func(*codec)) ([]byte, error) {
	body, err := encode(true, f)
	if err != nil {
		return nil, err
	}
	public := key.Public().(ed25519.PublicKey)
	s := signed{key: public[:8], signature: ed25519.Sign(key, statement(purpose, body)), body: body}
	data, err := encode(true, func(c *codec) { codeSigned(c, &s) })
	if err == nil && len(data) > MaxDirective {
		err = fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(data), MaxDirective)
	}
	return data, err
}

func unseal(purpose string, data []byte, keys Keys, f func(*codec)) error {
	var s signed
	if err := decode(data, MaxDirective, func(c *codec) { codeSigned(c, &s) }); err != nil {
		return err
	}
	key, ok := keys[hex.EncodeToString(s.key)]
	if !ok || len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, statement(purpose, s.body), s.signature) {
		return ErrForged
	}
	return decode(s.body, MaxDirective, f)
}

// Sign writes a directive and signs it.
func Sign(d Directive, key ed25519.PrivateKey) ([]byte, error) {
	if d.Receiver == "" || d.Expires == 0 {
		return nil, errors.New("sign directive: it has no receiver or no end")
	}
	data, err := seal(forDirective, key, func(c *codec) { codeDirective(c, &d) })
	if err != nil {
		return nil, fmt.Errorf("sign directive: %w", err)
	}
	return data, nil
}

// Open reads a directive for a router at a moment. Its errors wrap ErrForged,
// ErrNotForUs, ErrExpired or ErrMalformed. Of a directive that asks for a newer Version
// only the number and Unknown are returned.
func Open(data []byte, keys Keys, router string, now cordon.Time) (Directive, error) {
	var d Directive
	err := unseal(forDirective, data, keys, func(c *codec) {
		if codeDirective(c, &d); d.Least <= Version {
			c.skip(maxNumber)
			d.unknown(c, "directive")
		} else {
			d.Unknown = []string{fmt.Sprintf("messages of version %d", d.Least)}
		}
	})
	if err != nil {
		return Directive{}, fmt.Errorf("open directive: %w", err)
	}
	if err := due(d.Receiver, router, d.Expires, now); err != nil {
		return Directive{}, fmt.Errorf("open directive %d: %w", d.Number, err)
	}
	return d, nil
}

// due reports why a signed message does not count here and now.
func due(receiver, router string, expires, now cordon.Time) error {
	if receiver != router && receiver != All {
		return ErrNotForUs
	}
	if expires <= now {
		return ErrExpired
	}
	return nil
}

// Question is what somebody asks a router now, and what nobody keeps.
type Question struct {
	ID       string
	Receiver string // Router.ID
	What     string // "status", "devices", "incidents", "why", "destinations", "ledger"
	Device   string // Device.ID, where it is about one
	Issued   cordon.Time
	Expires  cordon.Time
}

// QuestionLife is how long a question may be answered.
const QuestionLife = 30 * time.Second

func codeQuestion(c *codec, q *Question) {
	text(c, 1, &q.ID)
	text(c, 2, &q.Receiver)
	text(c, 3, &q.What)
	text(c, 4, &q.Device)
	integer(c, 5, &q.Issued)
	integer(c, 6, &q.Expires)
}

// SignQuestion writes a question and signs it.
func SignQuestion(q Question, key ed25519.PrivateKey) ([]byte, error) {
	data, err := seal(forQuestion, key, func(c *codec) { codeQuestion(c, &q) })
	if err != nil {
		return nil, fmt.Errorf("sign question: %w", err)
	}
	return data, nil
}

// OpenQuestion reads a question for a router. Its errors are those of Open, and
// ErrNewer if something in the question is unknown.
func OpenQuestion(data []byte, keys Keys, router string, now cordon.Time) (Question, error) {
	var q Question
	strange := ""
	err := unseal(forQuestion, data, keys, func(c *codec) {
		codeQuestion(c, &q)
		c.skip(maxNumber)
		strange = c.strange
	})
	if err == nil {
		err = due(q.Receiver, router, q.Expires, now)
	}
	if err == nil && strange != "" {
		err = fmt.Errorf("%w: %s", ErrNewer, strange)
	}
	if err != nil {
		return Question{}, fmt.Errorf("open question: %w", err)
	}
	return q, nil
}
