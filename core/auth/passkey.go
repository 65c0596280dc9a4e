package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cordon"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// Passkeys. A ceremony has two requests, and any instance of core may get the second.
// What core must remember in between it seals with its key and hands to the browser as
// the ceremony's id: nobody can read or change it, it ends after ritualLife, and it is
// good for once (the store counts its uses). So strangers who begin log-ins and never
// end them fill no table.

const (
	// ritualLife is how long a person may look for his key.
	ritualLife = 5 * time.Minute
	// maxResponse bounds what a browser answers, in bytes.
	maxResponse = 32 << 10
	maxPasskeys = 20
)

// newPasskeys sets the library up. The key must ask the person for a PIN or a finger:
// it is the only factor.
func newPasskeys(host, origin, provider string) (*webauthn.WebAuthn, error) {
	return webauthn.New(&webauthn.Config{RPID: host, RPDisplayName: provider, RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{RequireResidentKey: protocol.ResidentKeyRequired(),
			ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired}})
}

// holder is a user as the library wants one.
type holder struct {
	user cordon.User
	keys []webauthn.Credential
}

// WebAuthnID is the user handle: it says nothing about the person.
func (h *holder) WebAuthnID() []byte { return []byte(h.user.ID) }

// WebAuthnName is what the browser shows.
func (h *holder) WebAuthnName() string { return label(&h.user) }

// WebAuthnDisplayName is what the browser shows.
func (h *holder) WebAuthnDisplayName() string { return label(&h.user) }

// WebAuthnCredentials returns the passkeys.
func (h *holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

// holder returns a user who is not disabled, with his passkeys.
func (a *Auth) holder(ctx context.Context, user string) (*holder, error) {
	u, err := a.cfg.Store.User(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", user, err)
	}
	if u.Disabled {
		return nil, ErrCredentials
	}
	list, err := a.cfg.Store.Passkeys(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("passkeys of %s: %w", user, err)
	}
	h := &holder{user: u, keys: make([]webauthn.Credential, len(list))}
	for i, k := range list {
		if err := json.Unmarshal(k.Data, &h.keys[i]); err != nil {
			return nil, fmt.Errorf("passkey of %s: %w", user, err)
		}
	}
	return h, nil
}

// BeginPasskey begins to register a passkey of who asks: options is for
// navigator.credentials.create, id for FinishPasskey. It takes a fresh log-in.
func (a *Auth) BeginPasskey(ctx context.Context) (id string, options json.RawMessage, err error) {
	s := From(ctx)
	if err := a.fresh(s, SelfChange); err != nil {
		return "", nil, err
	}
	h, err := a.holder(ctx, s.User)
	if err != nil {
		return "", nil, err
	}
	if len(h.keys) >= maxPasskeys {
		return "", nil, fmt.Errorf("%d passkeys: remove one first: %w", len(h.keys), cordon.ErrInvalid)
	}
	creation, data, err := a.passkeys.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.keys).CredentialDescriptors()))
	if err != nil {
		return "", nil, fmt.Errorf("begin passkey: %w", err)
	}
	return a.seal("register", data, creation)
}

// FinishPasskey registers the passkey that the browser made.
func (a *Auth) FinishPasskey(ctx context.Context, id, name string, response []byte) (cordon.Passkey, error) {
	s := From(ctx)
	if err := a.fresh(s, SelfChange); err != nil {
		return cordon.Passkey{}, err
	}
	k, err := a.register(ctx, s, id, name, response)
	return k, a.recorded(ctx, s, line{verb: SelfChange, object: "passkey", reason: cut(name, maxName)}, err)
}

// register is FinishPasskey after the permission.
func (a *Auth) register(ctx context.Context, s Subject, id, name string, response []byte) (cordon.Passkey, error) {
	if name == "" || len(name) > maxName {
		return cordon.Passkey{}, fmt.Errorf("name of a passkey: want 1 to %d bytes: %w", maxName, cordon.ErrInvalid)
	}
	data, err := a.open(ctx, "register", id)
	if err != nil {
		return cordon.Passkey{}, err
	}
	h, err := a.holder(ctx, s.User)
	if err != nil {
		return cordon.Passkey{}, err
	}
	if len(response) > maxResponse {
		return cordon.Passkey{}, fmt.Errorf("passkey of %d bytes: %w", len(response), cordon.ErrInvalid)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return cordon.Passkey{}, fmt.Errorf("passkey: %w: %w", err, cordon.ErrInvalid)
	}
	c, err := a.passkeys.CreateCredential(h, data, parsed)
	if err != nil {
		return cordon.Passkey{}, fmt.Errorf("passkey: %w: %w", err, cordon.ErrInvalid)
	}
	b, err := json.Marshal(c)
	if err != nil {
		return cordon.Passkey{}, fmt.Errorf("passkey: %w", err)
	}
	k := cordon.Passkey{ID: c.ID, User: s.User, Name: name, Data: b, Created: a.now()}
	if err := a.cfg.Store.PutPasskey(ctx, &k); err != nil {
		return cordon.Passkey{}, fmt.Errorf("store passkey: %w", err)
	}
	return k, nil
}

// BeginLogIn begins a log-in by passkey: options is for navigator.credentials.get, id
// for FinishLogIn. Nobody needs to say who he is.
func (a *Auth) BeginLogIn(ctx context.Context) (id string, options json.RawMessage, err error) {
	if err := a.gates.address(a.now(), From(ctx).Addr); err != nil {
		return "", nil, err
	}
	assertion, data, err := a.passkeys.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return "", nil, fmt.Errorf("begin log-in: %w", err)
	}
	return a.seal("log in", data, assertion)
}

// FinishLogIn begins a session for who has the passkey. Failures of passwords do not
// keep him out.
func (a *Auth) FinishLogIn(ctx context.Context, id string, response []byte) (Entry, error) {
	s := From(ctx)
	if err := a.gates.address(a.now(), s.Addr); err != nil {
		return Entry{}, err
	}
	h, err := a.assert(ctx, id, response)
	if err != nil {
		if h != nil {
			s.User, s.Name, s.Grants = h.user.ID, label(&h.user), h.user.Grants
		}
		return Entry{}, a.recorded(ctx, s, line{verb: logIn, object: "passkey"}, err)
	}
	return a.enter(ctx, h.user, "passkey")
}

// assert returns who signed the response; also with an error, if that is known.
func (a *Auth) assert(ctx context.Context, id string, response []byte) (*holder, error) {
	data, err := a.open(ctx, "log in", id)
	if err != nil {
		return nil, err
	}
	if len(response) > maxResponse {
		return nil, ErrCredentials
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, ErrCredentials
	}
	var h *holder
	c, err := a.passkeys.ValidateDiscoverableLogin(func(_, user []byte) (_ webauthn.User, err error) {
		h, err = a.holder(ctx, string(user[:min(len(user), 64)]))
		return h, err
	}, data, parsed)
	if err != nil {
		a.cfg.Log.DebugContext(ctx, "passkey refused", "err", err)
		return h, ErrCredentials
	}
	if c.Authenticator.CloneWarning {
		a.cfg.Log.WarnContext(ctx, "passkey counts backwards: it may have been copied", "user", h.user.ID)
		return h, ErrCredentials
	}
	return h, a.used(ctx, h.user.ID, c)
}

// used writes down that a passkey was used, and what it counts.
func (a *Auth) used(ctx context.Context, user string, c *webauthn.Credential) error {
	list, err := a.cfg.Store.Passkeys(ctx, user)
	if err != nil {
		return fmt.Errorf("passkeys of %s: %w", user, err)
	}
	for _, k := range list {
		if string(k.ID) != string(c.ID) {
			continue
		}
		if k.Data, err = json.Marshal(c); err != nil {
			return fmt.Errorf("passkey: %w", err)
		}
		k.Used = a.now()
		if err := a.cfg.Store.PutPasskey(ctx, &k); err != nil {
			return fmt.Errorf("store passkey: %w", err)
		}
		return nil
	}
	return ErrCredentials // removed meanwhile
}

// Passkeys returns the passkeys of who asks, newest first, without their data.
func (a *Auth) Passkeys(ctx context.Context) ([]cordon.Passkey, error) {
	s := From(ctx)
	if err := May(s, SelfView, Object{}); err != nil {
		return nil, err
	}
	list, err := a.cfg.Store.Passkeys(ctx, s.User)
	if err != nil {
		return nil, fmt.Errorf("passkeys of %s: %w", s.User, err)
	}
	for i := range list {
		list[i].Data = nil
	}
	return newestFirst(list, func(k cordon.Passkey) cordon.Time { return k.Created }), nil
}

// RemovePasskey removes a passkey of who asks, but not the last way to log in. It
// takes a fresh log-in.
func (a *Auth) RemovePasskey(ctx context.Context, id []byte) error {
	s := From(ctx)
	if err := a.fresh(s, SelfChange); err != nil {
		return err
	}
	h, err := a.holder(ctx, s.User)
	if err != nil {
		return err
	}
	mine := false
	for _, k := range h.keys {
		mine = mine || string(k.ID) == string(id)
	}
	switch {
	case !mine:
		return fmt.Errorf("passkey: %w", cordon.ErrNotFound)
	case len(h.keys) == 1 && h.user.Password == "":
		return fmt.Errorf("the last passkey of who has no password: %w", cordon.ErrInvalid)
	}
	err = a.cfg.Store.DeletePasskey(ctx, id)
	return a.recorded(ctx, s, line{verb: SelfChange, object: "passkey removed"}, err)
}

// ritual is what core remembers of a ceremony.
type ritual struct {
	Data    webauthn.SessionData
	Expires cordon.Time
}

// seal encrypts what core must remember of a ceremony and encodes the options.
func (a *Auth) seal(purpose string, data *webauthn.SessionData, options any) (string, json.RawMessage, error) {
	text, err := json.Marshal(ritual{Data: *data, Expires: a.now().Add(ritualLife)})
	if err != nil {
		return "", nil, fmt.Errorf("ceremony: %w", err)
	}
	opts, err := json.Marshal(options)
	if err != nil {
		return "", nil, fmt.Errorf("ceremony: %w", err)
	}
	aead, err := a.aead()
	if err != nil {
		return "", nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, text, []byte(purpose))), opts, nil
}

// open returns what seal sealed: once, and not after its time.
func (a *Auth) open(ctx context.Context, purpose, id string) (webauthn.SessionData, error) {
	var r ritual
	aead, err := a.aead()
	if err != nil {
		return r.Data, err
	}
	b, err := base64.RawURLEncoding.DecodeString(cut(id, maxResponse))
	if err != nil || len(b) < aead.NonceSize() {
		return r.Data, ErrCredentials
	}
	text, err := aead.Open(nil, b[:aead.NonceSize()], b[aead.NonceSize():], []byte(purpose))
	if err != nil || json.Unmarshal(text, &r) != nil || r.Expires <= a.now() {
		return webauthn.SessionData{}, ErrCredentials
	}
	n, err := a.cfg.Store.CountFailure(ctx, fmt.Sprintf("ceremony %x", sha256.Sum256(text)), a.now(), ritualLife)
	if err != nil {
		return webauthn.SessionData{}, fmt.Errorf("ceremony: %w", err)
	}
	if n != 1 {
		return webauthn.SessionData{}, ErrCredentials
	}
	return r.Data, nil
}

// aead returns the cipher of ceremonies.
func (a *Auth) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(a.mac("ceremony"))
	if err != nil {
		return nil, errors.Join(errors.New("ceremony's key"), err)
	}
	return cipher.NewGCM(block)
}
