package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"cordon"
	"cordon/core/auth/passkey"
)

// maxPasskeys bounds the passkeys of a person.
const maxPasskeys = 20

// once is the ceremonies' Once: the store counts, for all instances.
func (a *Auth) once(ctx context.Context, name string) error {
	n, err := a.cfg.Store.CountFailure(ctx, "ceremony "+name, a.now(), passkey.Life)
	if err != nil {
		return fmt.Errorf("ceremony: %w", err)
	}
	if n != 1 {
		return passkey.ErrRefused
	}
	return nil
}

// holder returns a user who is not disabled, with his passkeys.
func (a *Auth) holder(ctx context.Context, user string) (cordon.User, passkey.Person, error) {
	u, err := a.cfg.Store.User(ctx, user)
	switch {
	case errors.Is(err, cordon.ErrNotFound) || err == nil && u.Disabled:
		return u, passkey.Person{}, passkey.ErrRefused
	case err != nil:
		return u, passkey.Person{}, fmt.Errorf("user %s: %w", user, err)
	}
	list, err := a.cfg.Store.Passkeys(ctx, user)
	if err != nil {
		return u, passkey.Person{}, fmt.Errorf("passkeys of %s: %w", user, err)
	}
	return u, passkey.Person{ID: u.ID, Name: label(&u), Keys: list}, nil
}

// BeginPasskey begins to register a passkey of who asks: options is for
// navigator.credentials.create, id for FinishPasskey. It takes a fresh log-in.
func (a *Auth) BeginPasskey(ctx context.Context) (id string, options json.RawMessage, err error) {
	s := From(ctx)
	if err := a.fresh(s, SelfChange); err != nil {
		return "", nil, err
	}
	_, p, err := a.holder(ctx, s.User)
	if err != nil {
		return "", nil, err
	}
	if len(p.Keys) >= maxPasskeys {
		return "", nil, fmt.Errorf("%d passkeys: remove one first: %w", len(p.Keys), cordon.ErrInvalid)
	}
	return a.passkeys.BeginRegister(p)
}

// FinishPasskey registers the passkey that the browser made.
func (a *Auth) FinishPasskey(ctx context.Context, id, name string, response []byte) (cordon.Passkey, error) {
	s := From(ctx)
	if err := a.fresh(s, SelfChange); err != nil {
		return cordon.Passkey{}, err
	}
	if name == "" || len(name) > maxName {
		return cordon.Passkey{}, fmt.Errorf("name of a passkey: want 1 to %d bytes: %w", maxName, cordon.ErrInvalid)
	}
	_, p, err := a.holder(ctx, s.User)
	if err != nil {
		return cordon.Passkey{}, err
	}
	k, err := a.passkeys.Register(ctx, p, id, response)
	if errors.Is(err, passkey.ErrRefused) {
		err = fmt.Errorf("%w: %w", err, cordon.ErrInvalid)
	}
	if err == nil {
		k.Name = name
		err = a.cfg.Store.PutPasskey(ctx, &k)
	}
	k.Data = nil
	return k, a.recorded(ctx, s, line{verb: SelfChange, object: "passkey", reason: name}, err)
}

// BeginLogIn begins a log-in by passkey: options is for navigator.credentials.get, id
// for FinishLogIn. Nobody needs to say who he is.
func (a *Auth) BeginLogIn(ctx context.Context) (id string, options json.RawMessage, err error) {
	if err := a.gates.Address(a.now(), From(ctx).Addr); err != nil {
		return "", nil, err
	}
	return a.passkeys.BeginLogIn()
}

// FinishLogIn begins a session for who has the passkey. Failures of passwords do not
// keep him out.
func (a *Auth) FinishLogIn(ctx context.Context, id string, response []byte) (Entry, error) {
	s := From(ctx)
	if err := a.gates.Address(a.now(), s.Addr); err != nil {
		return Entry{}, err
	}
	var u cordon.User
	k, err := a.passkeys.LogIn(ctx, id, response, func(user string) (p passkey.Person, err error) {
		u, p, err = a.holder(ctx, user)
		return p, err
	})
	if err == nil {
		err = a.cfg.Store.TouchPasskey(ctx, k.ID, k.Data, k.Used)
	}
	if errors.Is(err, passkey.ErrRefused) || errors.Is(err, cordon.ErrNotFound) { // removed just now
		err = ErrCredentials
	}
	if err != nil {
		s.User, s.Name, s.Grants = u.ID, label(&u), u.Grants
		return Entry{}, a.recorded(ctx, s, line{verb: logIn, object: "passkey"}, err)
	}
	return a.enter(ctx, u, "passkey")
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
	u, p, err := a.holder(ctx, s.User)
	if err != nil {
		return err
	}
	mine := false
	for _, k := range p.Keys {
		mine = mine || string(k.ID) == string(id)
	}
	switch {
	case !mine:
		return fmt.Errorf("passkey: %w", cordon.ErrNotFound)
	case len(p.Keys) == 1 && u.Password == "":
		return fmt.Errorf("the last passkey of who has no password: %w", cordon.ErrInvalid)
	}
	err = a.cfg.Store.DeletePasskey(ctx, id)
	return a.recorded(ctx, s, line{verb: SelfChange, object: "passkey removed"}, err)
}
