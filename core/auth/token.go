package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cordon"
	"cordon/core/auth/secret"
	"cordon/internal/ident"
)

// Bounds of tokens.
const (
	maxTokens    = 100
	maxTokenLife = 366 * 24 * time.Hour
	maxName      = 100
	// usedEvery is how often the last use of a token is written down.
	usedEvery = 10 * time.Minute
)

// byToken completes from with who has that token. A wrong one is an error: a program
// must not go on as nobody.
func (a *Auth) byToken(ctx context.Context, from Subject, token string, u use) (Subject, error) {
	if err := a.gates.Token(a.now(), from.Addr); err != nil {
		return Subject{}, err
	}
	hash, ok := secret.Hash(token, secret.API)
	if !ok {
		a.gates.WrongToken(a.now(), from.Addr)
		return Subject{}, ErrCredentials
	}
	t, err := a.cfg.Store.TokenByHash(ctx, hash)
	if err != nil && !errors.Is(err, cordon.ErrNotFound) {
		return Subject{}, fmt.Errorf("token: %w", err)
	}
	if err != nil || t.Use != cordon.TokenAPI || t.Expires <= a.now() {
		a.gates.WrongToken(a.now(), from.Addr)
		return Subject{}, ErrCredentials
	}
	s := from
	s.Way, s.Key, s.Since = ByToken, t.ID, t.Created
	if s, err = a.subject(ctx, s, t.User, t.Grants); err != nil {
		return Subject{}, err
	}
	if s.User == "" {
		return Subject{}, ErrCredentials
	}
	if u == used && a.now().Sub(t.Used) >= usedEvery {
		switch err := a.cfg.Store.TouchToken(ctx, t.ID, a.now()); {
		case errors.Is(err, cordon.ErrNotFound): // ended just now
			return Subject{}, ErrCredentials
		case err != nil:
			return Subject{}, fmt.Errorf("token %s: %w", t.ID, err)
		}
	}
	return s, nil
}

// MakeToken makes a token for who asks and returns it with its text, which nobody can
// read again. No grants: all of the person's own. It takes a fresh log-in.
func (a *Auth) MakeToken(ctx context.Context, name string, grants []cordon.Grant, expires cordon.Time) (cordon.Token, string, error) {
	s := From(ctx)
	if err := a.fresh(s, SelfToken); err != nil {
		return cordon.Token{}, "", err
	}
	t, text, err := a.makeToken(ctx, s, name, grants, expires)
	return t, text, a.recorded(ctx, s, line{verb: SelfToken, object: "token " + t.ID, reason: name}, err)
}

// makeToken is MakeToken after the permission.
func (a *Auth) makeToken(ctx context.Context, s Subject, name string, grants []cordon.Grant, expires cordon.Time) (cordon.Token, string, error) {
	if len(grants) == 0 {
		grants = s.Grants
	}
	now := a.now()
	switch {
	case name == "" || len(name) > maxName:
		return cordon.Token{}, "", fmt.Errorf("name of a token: want 1 to %d bytes: %w", maxName, cordon.ErrInvalid)
	case expires <= now || expires.Sub(now) > maxTokenLife:
		return cordon.Token{}, "", fmt.Errorf("expiry of a token: want a time within a year from now: %w", cordon.ErrInvalid)
	case len(grants) > len(s.Grants)*len(cordon.Roles):
		return cordon.Token{}, "", fmt.Errorf("%d roles of a token: %w", len(grants), cordon.ErrInvalid)
	}
	for _, g := range grants {
		if !within(g, s.Grants) {
			return cordon.Token{}, "", fmt.Errorf("role %s for a token: not yours: %w", g.Role, ErrForbidden)
		}
	}
	list, err := a.cfg.Store.Tokens(ctx, s.User)
	if err != nil {
		return cordon.Token{}, "", fmt.Errorf("tokens of %s: %w", s.User, err)
	}
	if len(list) >= maxTokens {
		return cordon.Token{}, "", fmt.Errorf("%d tokens: end one first: %w", len(list), cordon.ErrInvalid)
	}
	text, hash := secret.New(secret.API)
	t := cordon.Token{ID: ident.New(a.cfg.Now()), Hash: hash, User: s.User, Name: name, Grants: grants, Created: now, Expires: expires}
	if err := a.cfg.Store.PutToken(ctx, &t); err != nil {
		return cordon.Token{}, "", fmt.Errorf("store token: %w", err)
	}
	return t, text, nil
}

// Tokens returns the tokens of who asks, newest first.
func (a *Auth) Tokens(ctx context.Context) ([]cordon.Token, error) {
	s := From(ctx)
	if err := May(s, SelfView, Object{}); err != nil {
		return nil, err
	}
	list, err := a.cfg.Store.Tokens(ctx, s.User)
	if err != nil {
		return nil, fmt.Errorf("tokens of %s: %w", s.User, err)
	}
	var own []cordon.Token
	for _, t := range list {
		if t.Use == cordon.TokenAPI {
			own = append(own, t)
		}
	}
	return newestFirst(own, func(t cordon.Token) cordon.Time { return t.Created }), nil
}

// EndToken ends a token of who asks.
func (a *Auth) EndToken(ctx context.Context, id string) error {
	s := From(ctx)
	if err := May(s, SelfToken, Object{}); err != nil {
		return err
	}
	list, err := a.Tokens(ctx)
	if err != nil {
		return err
	}
	for _, t := range list {
		if t.ID == id {
			err := a.cfg.Store.DeleteToken(ctx, id)
			return a.recorded(ctx, s, line{verb: "token.end", object: "token " + id}, err)
		}
	}
	return fmt.Errorf("token %s: %w", id, cordon.ErrNotFound)
}
