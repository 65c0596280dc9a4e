// Package passkey holds the two ceremonies of WebAuthn: to register a passkey, and to
// log in with one without saying who one is.
//
// A ceremony has two requests, and any instance of core may get the second. What must be
// remembered in between is sealed with core's key and given to the browser as the
// ceremony's id: nobody can read or change it, it ends after five minutes, and it is
// good for once, which Once sees to. So strangers who begin log-ins and never end them fill
// no table. Only core/auth calls it.
package passkey

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cordon"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// Life is how long a person may look for his key.
const Life = 5 * time.Minute

// maxResponse bounds what a browser sends, in bytes.
const maxResponse = 32 << 10

// ErrRefused means that the ceremony proved nothing: nothing says why.
var ErrRefused = errors.New("passkey refused")

// Config configures Ceremonies. All but Log is required.
type Config struct {
	Host     string // to whose pages a passkey belongs
	Origin   string // of those pages: "https://cordon.example"
	Provider string // what the browser shows
	Key      []byte // seals ceremonies; 32 bytes, the same in all instances of core
	// Once returns nil to the first who calls it with that name within Life,
	// ErrRefused to all others, in all instances of core.
	Once func(ctx context.Context, name string) error
	Now  func() time.Time
	Log  *slog.Logger // nil: none
}

// Ceremonies begins and ends ceremonies. It is safe for concurrent use.
type Ceremonies struct {
	cfg  Config
	lib  *webauthn.WebAuthn
	aead cipher.AEAD
}

// New returns Ceremonies. The key must ask the person for a PIN or a finger: it is the
// only factor.
func New(cfg Config) (*Ceremonies, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	lib, err := webauthn.New(&webauthn.Config{RPID: cfg.Host, RPDisplayName: cfg.Provider, RPOrigins: []string{cfg.Origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{RequireResidentKey: protocol.ResidentKeyRequired(),
			ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired}})
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(cfg.Key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Ceremonies{cfg: cfg, lib: lib, aead: aead}, nil
}

// Person is who has passkeys.
type Person struct {
	ID   string // User.ID: what the key keeps, says nothing about the person
	Name string // what the browser shows
	Keys []cordon.Passkey
}

// holder is a Person as the library wants one.
type holder struct {
	Person
	keys []webauthn.Credential
}

// WebAuthnID is the user handle.
func (h *holder) WebAuthnID() []byte { return []byte(h.ID) }

// WebAuthnName is what the browser shows.
func (h *holder) WebAuthnName() string { return h.Name }

// WebAuthnDisplayName is what the browser shows.
func (h *holder) WebAuthnDisplayName() string { return h.Name }

// WebAuthnCredentials returns the passkeys.
func (h *holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

// hold decodes the passkeys of p.
func hold(p Person) (*holder, error) {
	h := &holder{Person: p, keys: make([]webauthn.Credential, len(p.Keys))}
	for i, k := range p.Keys {
		if err := json.Unmarshal(k.Data, &h.keys[i]); err != nil {
			return nil, fmt.Errorf("passkey of %s: %w", p.ID, err)
		}
	}
	return h, nil
}

// BeginRegister begins to register a passkey: options is for
// navigator.credentials.create, id for Register.
func (c *Ceremonies) BeginRegister(p Person) (id string, options json.RawMessage, err error) {
	h, err := hold(p)
	if err != nil {
		return "", nil, err
	}
	creation, data, err := c.lib.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.keys).CredentialDescriptors()))
	if err != nil {
		return "", nil, fmt.Errorf("begin passkey: %w", err)
	}
	return c.seal("register", data, creation)
}

// Register returns the passkey that the browser made.
func (c *Ceremonies) Register(ctx context.Context, p Person, id string, response []byte) (cordon.Passkey, error) {
	data, err := c.open(ctx, "register", id)
	if err != nil {
		return cordon.Passkey{}, err
	}
	h, err := hold(p)
	if err != nil {
		return cordon.Passkey{}, err
	}
	if len(response) > maxResponse {
		return cordon.Passkey{}, ErrRefused
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return cordon.Passkey{}, c.refuse(ctx, err)
	}
	made, err := c.lib.CreateCredential(h, data, parsed)
	if err != nil {
		return cordon.Passkey{}, c.refuse(ctx, err)
	}
	b, err := json.Marshal(made)
	if err != nil {
		return cordon.Passkey{}, fmt.Errorf("encode passkey: %w", err)
	}
	return cordon.Passkey{ID: made.ID, User: p.ID, Data: b, Created: cordon.TimeOf(c.cfg.Now())}, nil
}

// BeginLogIn begins a log-in: options is for navigator.credentials.get, id for LogIn.
func (c *Ceremonies) BeginLogIn() (id string, options json.RawMessage, err error) {
	assertion, data, err := c.lib.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return "", nil, fmt.Errorf("begin log-in: %w", err)
	}
	return c.seal("log in", data, assertion)
}

// LogIn returns the passkey with which the browser signed, as it is to be stored now.
// person finds a user; only its errors are told apart from ErrRefused.
func (c *Ceremonies) LogIn(ctx context.Context, id string, response []byte, person func(user string) (Person, error)) (cordon.Passkey, error) {
	data, err := c.open(ctx, "log in", id)
	if err != nil {
		return cordon.Passkey{}, err
	}
	if len(response) > maxResponse {
		return cordon.Passkey{}, ErrRefused
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return cordon.Passkey{}, c.refuse(ctx, err)
	}
	var h *holder
	var trouble error
	find := func(_, user []byte) (webauthn.User, error) {
		var p Person
		if p, trouble = person(string(user[:min(len(user), 64)])); trouble == nil {
			h, trouble = hold(p)
		}
		return h, trouble
	}
	used, err := c.lib.ValidateDiscoverableLogin(find, data, parsed)
	switch {
	case trouble != nil:
		return cordon.Passkey{}, trouble
	case err != nil:
		return cordon.Passkey{User: h.id()}, c.refuse(ctx, err)
	case used.Authenticator.CloneWarning:
		c.cfg.Log.WarnContext(ctx, "passkey counts backwards: it may have been copied", "user", h.ID)
		return cordon.Passkey{User: h.ID}, ErrRefused
	}
	for _, k := range h.Keys {
		if string(k.ID) == string(used.ID) {
			k.Used = cordon.TimeOf(c.cfg.Now())
			k.Data, err = json.Marshal(used)
			return k, err
		}
	}
	return cordon.Passkey{User: h.ID}, ErrRefused
}

// id returns who h is, "" for nobody.
func (h *holder) id() string {
	if h == nil {
		return ""
	}
	return h.ID
}

// refuse says why at debug only.
func (c *Ceremonies) refuse(ctx context.Context, err error) error {
	c.cfg.Log.DebugContext(ctx, "passkey refused", "err", err)
	return ErrRefused
}

// ritual is what is remembered of a ceremony.
type ritual struct {
	Data    webauthn.SessionData
	Expires cordon.Time
}

// seal encrypts what must be remembered of a ceremony and encodes the options.
func (c *Ceremonies) seal(purpose string, data *webauthn.SessionData, options any) (string, json.RawMessage, error) {
	text, err := json.Marshal(ritual{Data: *data, Expires: cordon.TimeOf(c.cfg.Now().Add(Life))})
	if err != nil {
		return "", nil, fmt.Errorf("encode ceremony: %w", err)
	}
	encoded, err := json.Marshal(options)
	if err != nil {
		return "", nil, fmt.Errorf("encode ceremony: %w", err)
	}
	nonce := make([]byte, c.aead.NonceSize())
	rand.Read(nonce)
	return base64.RawURLEncoding.EncodeToString(c.aead.Seal(nonce, nonce, text, []byte(purpose))), encoded, nil
}

// open returns what seal sealed: once, and not after its time.
func (c *Ceremonies) open(ctx context.Context, purpose, id string) (webauthn.SessionData, error) {
	n := c.aead.NonceSize()
	b, err := base64.RawURLEncoding.DecodeString(id[:min(len(id), maxResponse)])
	if err != nil || len(b) < n {
		return webauthn.SessionData{}, ErrRefused
	}
	text, err := c.aead.Open(nil, b[:n], b[n:], []byte(purpose))
	var r ritual
	if err != nil || json.Unmarshal(text, &r) != nil || r.Expires <= cordon.TimeOf(c.cfg.Now()) {
		return webauthn.SessionData{}, ErrRefused
	}
	sum := sha256.Sum256(text)
	return r.Data, c.cfg.Once(ctx, hex.EncodeToString(sum[:]))
}
