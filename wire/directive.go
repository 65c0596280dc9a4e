package wire

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"cordon"
	"cordon/wire/internal/pb"
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

	Desired    *cordon.Desired // for one router
	Shadows    *Shadows
	Indicators *Indicators

	// Unknown is what Open found and does not know: to be refused and reported.
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

// The reasons for which a signed message is not taken.
var (
	ErrForged   = errors.New("not signed by core")
	ErrNotForUs = errors.New("for another router")
	ErrExpired  = errors.New("expired")
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

func sign(purpose string, body proto.Message, key ed25519.PrivateKey) ([]byte, error) {
	data, err := proto.Marshal(body)
	if err != nil {
		return nil, err
	}
	public := key.Public().(ed25519.PublicKey)
	return proto.Marshal(&pb.Signed{Key: public[:8], Signature: ed25519.Sign(key, append([]byte(purpose), data...)), Body: data})
}

func verify(purpose string, data []byte, keys Keys, body proto.Message) error {
	var s pb.Signed
	if err := read(data, MaxDirective, &s); err != nil {
		return err
	}
	key, ok := keys[hex.EncodeToString(s.Key)]
	if !ok || len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, append([]byte(purpose), s.Body...), s.Signature) {
		return ErrForged
	}
	return read(s.Body, MaxDirective, body)
}

// Sign writes a directive and signs it.
func Sign(d Directive, key ed25519.PrivateKey) ([]byte, error) {
	p := &pb.Directive{Number: d.Number, Receiver: d.Receiver, Issued: int64(d.Issued), Expires: int64(d.Expires), Least: d.Least}
	if d.Receiver == "" || d.Expires == 0 {
		return nil, errors.New("directive without receiver or end")
	}
	if d.Desired != nil {
		p.Desired = fromDesired(d.Desired)
	}
	if d.Shadows != nil {
		p.Shadows = &pb.Shadows{List: each(d.Shadows.List, fromShadow)}
	}
	if d.Indicators != nil {
		p.Indicators = &pb.Indicators{Base: d.Indicators.Base, Added: each(d.Indicators.Added, fromIndicator),
			Removed: each(d.Indicators.Removed, fromIndicator)}
	}
	data, err := sign(forDirective, p, key)
	if err != nil {
		return nil, fmt.Errorf("sign directive: %w", err)
	}
	if len(data) > MaxDirective {
		return nil, fmt.Errorf("sign directive: %d bytes: at most %d fit", len(data), MaxDirective)
	}
	return data, nil
}

// Open reads a directive for a router at a moment. Its errors wrap ErrForged,
// ErrNotForUs, ErrExpired or ErrMalformed.
func Open(data []byte, keys Keys, router string, now cordon.Time) (Directive, error) {
	var p pb.Directive
	if err := verify(forDirective, data, keys, &p); err != nil {
		return Directive{}, fmt.Errorf("open directive: %w", err)
	}
	if err := due(p.Receiver, router, p.Expires, now); err != nil {
		return Directive{}, fmt.Errorf("open directive %d: %w", p.Number, err)
	}
	d := Directive{Number: p.Number, Receiver: p.Receiver, Issued: cordon.Time(p.Issued), Expires: cordon.Time(p.Expires), Least: p.Least}
	if p.Least > Version {
		d.Unknown = append(d.Unknown, fmt.Sprintf("messages of version %d", p.Least))
		return d, nil
	}
	var r reader
	if p.Desired != nil {
		d.Desired = r.desired(p.Desired)
	}
	if p.Shadows != nil {
		d.Shadows = &Shadows{List: all(&r, p.Shadows.List, r.shadow)}
	}
	if p.Indicators != nil {
		d.Indicators = r.indicators(p.Indicators)
	}
	if n := len(p.ProtoReflect().GetUnknown()); n > 0 {
		d.Unknown = append(d.Unknown, fmt.Sprintf("%d bytes of a newer core", n))
	}
	if r.err != nil {
		return Directive{}, fmt.Errorf("open directive %d: %w", p.Number, r.err)
	}
	return d, nil
}

// maxIndicators bounds a set: a router's budget, four times.
const maxIndicators = 80_000

func (r *reader) indicators(p *pb.Indicators) *Indicators {
	i := &Indicators{Base: p.Base}
	if len(p.Added) > maxIndicators || len(p.Removed) > maxIndicators {
		r.fail("%d indicators", len(p.Added)+len(p.Removed))
		return i
	}
	for _, x := range p.Added {
		i.Added = append(i.Added, r.indicator(x))
	}
	for _, x := range p.Removed {
		i.Removed = append(i.Removed, r.indicator(x))
	}
	return i
}

// due reports why a signed message does not count here and now.
func due(receiver, router string, expires int64, now cordon.Time) error {
	if receiver != router && receiver != All {
		return ErrNotForUs
	}
	if cordon.Time(expires) <= now {
		return ErrExpired
	}
	return nil
}

// Question is what somebody asks a router now, and what nobody keeps.
type Question struct {
	ID       string
	Receiver string // Router.ID
	What     string // "status", "devices", "destinations", "why", "ledger"
	Device   string // Device.ID, where it is about one
	Issued   cordon.Time
	Expires  cordon.Time
}

// QuestionLife is how long a question may be answered.
const QuestionLife = 30 * time.Second

// SignQuestion writes a question and signs it.
func SignQuestion(q Question, key ed25519.PrivateKey) ([]byte, error) {
	data, err := sign(forQuestion, &pb.Question{Id: q.ID, Receiver: q.Receiver, What: q.What, Device: q.Device,
		Issued: int64(q.Issued), Expires: int64(q.Expires)}, key)
	if err != nil {
		return nil, fmt.Errorf("sign question: %w", err)
	}
	return data, nil
}

// OpenQuestion reads a question for a router. Its errors are those of Open.
func OpenQuestion(data []byte, keys Keys, router string, now cordon.Time) (Question, error) {
	var p pb.Question
	if err := verify(forQuestion, data, keys, &p); err != nil {
		return Question{}, fmt.Errorf("open question: %w", err)
	}
	if err := due(p.Receiver, router, p.Expires, now); err != nil {
		return Question{}, fmt.Errorf("open question: %w", err)
	}
	var r reader
	q := Question{ID: r.text(p.Id), Receiver: p.Receiver, What: r.text(p.What), Device: r.text(p.Device),
		Issued: cordon.Time(p.Issued), Expires: cordon.Time(p.Expires)}
	return q, r.err
}
