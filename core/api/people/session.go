package people

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"cordon"
	"cordon/core/api/desk"
	"cordon/core/api/problem"
	"cordon/core/api/view"
	"cordon/core/auth"
)

// These routes are auth's: they ask May and write the record themselves.

// me is who is logged in.
type me struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Email   string            `json:"email,omitempty"`
	Locale  string            `json:"locale,omitempty"`
	Grants  []view.Grant      `json:"grants" nullable:"false" doc:"That hold now, of the token or the session."`
	Staff   bool              `json:"staff" doc:"One of the provider's people."`
	By      string            `json:"by" enum:"session,token"`
	Since   time.Time         `json:"since,omitzero" doc:"Of the log-in; of a token, when it was made."`
	Cases   []desk.OpenedCase `json:"cases" nullable:"false" doc:"Homes that may be seen by name."`
	Version int64             `json:"version"`
}

// GetMe is GET /v1/session.
func GetMe(ctx context.Context, d *desk.Desk, _ *desk.None) (*desk.Record[me], error) {
	subject := desk.CallOf(ctx).Subject
	u, err := d.Store.User(ctx, subject.User)
	if err != nil {
		return nil, err
	}
	return desk.Of(me{ID: u.ID, Name: u.Name, Email: u.Email, Locale: u.Locale, Grants: view.Each(subject.Grants, view.OfGrant),
		Staff: subject.Staff(), By: string(subject.Way), Since: subject.Since.Std(), Cases: view.Each(subject.Cases, desk.OfCase),
		Version: u.Version}, u.Version), nil
}

// entered answers a log-in.
type entered struct {
	SetCookie []string `header:"Set-Cookie"`
	Body      struct {
		User view.User `json:"user"`
	}
}

func enter(e auth.Entry) *entered {
	out := &entered{SetCookie: desk.Cookies(e.Cookies)}
	out.Body.User = view.OfUser(&e.User)
	return out
}

type logInInput struct {
	Body struct {
		Email    string `json:"email" maxLength:"320"`
		Password string `json:"password" maxLength:"1024" format:"password"`
	}
}

// LogIn is POST /v1/session.
func LogIn(ctx context.Context, d *desk.Desk, in *logInInput) (*entered, error) {
	e, err := d.Auth.LogIn(ctx, in.Body.Email, in.Body.Password)
	if err != nil {
		return nil, err
	}
	return enter(e), nil
}

type left struct {
	SetCookie []string `header:"Set-Cookie"`
}

// LogOut is DELETE /v1/session.
func LogOut(ctx context.Context, d *desk.Desk, _ *desk.None) (*left, error) {
	defer d.Events.EndOf(desk.CallOf(ctx).Subject.User)
	c, err := d.Auth.LogOut(ctx)
	if err != nil {
		return nil, err
	}
	return &left{desk.Cookies([]http.Cookie{c})}, nil
}

// ceremony is the beginning of something with a passkey.
type ceremony struct {
	Body struct {
		ID      string `json:"id" doc:"For the finish."`
		Options any    `json:"options" doc:"For navigator.credentials (WebAuthn)."`
	}
}

func begun(id string, options json.RawMessage, err error) (*ceremony, error) {
	if err != nil {
		return nil, err
	}
	out := &ceremony{}
	out.Body.ID, out.Body.Options = id, options
	return out, nil
}

// finishing is its end.
type finishing struct {
	Body struct {
		ID       string         `json:"id" maxLength:"4096"`
		Name     string         `json:"name,omitempty" maxLength:"100" doc:"What the passkey is to be called, to register one."`
		Response map[string]any `json:"response" doc:"What navigator.credentials returned, as JSON."`
	}
}

func (f *finishing) response() []byte {
	b, _ := json.Marshal(f.Body.Response) // it came from JSON
	return b
}

// BeginLogIn is POST /v1/session/passkey.
func BeginLogIn(ctx context.Context, d *desk.Desk, _ *desk.None) (*ceremony, error) {
	return begun(d.Auth.BeginLogIn(ctx))
}

// FinishLogIn is POST /v1/session/passkey/finish.
func FinishLogIn(ctx context.Context, d *desk.Desk, in *finishing) (*entered, error) {
	e, err := d.Auth.FinishLogIn(ctx, in.Body.ID, in.response())
	if err != nil {
		return nil, err
	}
	return enter(e), nil
}

type acceptInput struct {
	Body struct {
		Token    string `json:"token" maxLength:"200"`
		Password string `json:"password" maxLength:"1024" format:"password"`
	}
}

// Accept is POST /v1/session/invitation.
func Accept(ctx context.Context, d *desk.Desk, in *acceptInput) (*entered, error) {
	e, err := d.Auth.Accept(ctx, in.Body.Token, in.Body.Password)
	if err != nil {
		return nil, err
	}
	d.Events.EndOf(e.User.ID) // his other sessions have ended
	return enter(e), nil
}

type changeMeInput struct {
	Body struct {
		Name   *string `json:"name,omitempty" maxLength:"100"`
		Locale *string `json:"locale,omitempty" maxLength:"35"`
	}
}

// ChangeMe is PATCH /v1/me.
func ChangeMe(ctx context.Context, d *desk.Desk, in *changeMeInput) (*desk.Record[me], error) {
	err := d.Auth.ChangePerson(ctx, desk.CallOf(ctx).Subject.User, auth.PersonUpdate{Name: in.Body.Name, Locale: in.Body.Locale})
	if err != nil {
		return nil, err
	}
	return GetMe(ctx, d, nil)
}

type passwordInput struct {
	Body struct {
		Before   string `json:"before,omitempty" maxLength:"1024" format:"password" doc:"The password until now, if there is one."`
		Password string `json:"password" maxLength:"1024" format:"password"`
	}
}

// ChangePassword is PUT /v1/me/password.
func ChangePassword(ctx context.Context, d *desk.Desk, in *passwordInput) (*entered, error) {
	defer d.Events.EndOf(desk.CallOf(ctx).Subject.User) // his other sessions end
	e, err := d.Auth.SetPassword(ctx, in.Body.Before, in.Body.Password)
	if err != nil {
		return nil, err
	}
	return enter(e), nil
}

type session struct {
	ID      string    `json:"id"`
	Agent   string    `json:"agent" doc:"The browser; hostile text."`
	Address string    `json:"address"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Current bool      `json:"current"`
}

// MySessions is GET /v1/me/sessions.
func MySessions(ctx context.Context, d *desk.Desk, _ *desk.None) (*desk.List[session], error) {
	all, err := d.Auth.Sessions(ctx)
	return desk.Page(cordon.Page[auth.SessionInfo]{Items: all}, func(i *auth.SessionInfo) session {
		return session{i.ID, i.Agent, i.Addr, i.Created.Std(), i.Expires.Std(), i.Current}
	}, nil, nil), err
}

type sessionPath struct {
	Session string `path:"session" maxLength:"64"`
}

// EndSession is DELETE /v1/me/sessions/{session}.
func EndSession(ctx context.Context, d *desk.Desk, in *sessionPath) (*desk.None, error) {
	defer d.Events.EndOf(desk.CallOf(ctx).Subject.User)
	return nil, d.Auth.EndSession(ctx, in.Session)
}

type passkey struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"`
}

func ofPasskey(k *cordon.Passkey) passkey {
	p := passkey{ID: base64.RawURLEncoding.EncodeToString(k.ID), Name: k.Name, Created: k.Created.Std()}
	if k.Used != 0 {
		p.Used = k.Used.Std()
	}
	return p
}

// MyPasskeys is GET /v1/me/passkeys.
func MyPasskeys(ctx context.Context, d *desk.Desk, _ *desk.None) (*desk.List[passkey], error) {
	all, err := d.Auth.Passkeys(ctx)
	return desk.Page(cordon.Page[cordon.Passkey]{Items: all}, ofPasskey, nil, nil), err
}

// BeginPasskey is POST /v1/me/passkeys.
func BeginPasskey(ctx context.Context, d *desk.Desk, _ *desk.None) (*ceremony, error) {
	return begun(d.Auth.BeginPasskey(ctx))
}

// FinishPasskey is POST /v1/me/passkeys/finish.
func FinishPasskey(ctx context.Context, d *desk.Desk, in *finishing) (*desk.Record[passkey], error) {
	k, err := d.Auth.FinishPasskey(ctx, in.Body.ID, in.Body.Name, in.response())
	if err != nil {
		return nil, err
	}
	return desk.Of(ofPasskey(&k), 1), nil
}

type passkeyPath struct {
	Passkey string `path:"passkey" maxLength:"1400"`
}

// RemovePasskey is DELETE /v1/me/passkeys/{passkey}.
func RemovePasskey(ctx context.Context, d *desk.Desk, in *passkeyPath) (*desk.None, error) {
	id, err := base64.RawURLEncoding.DecodeString(in.Passkey)
	if err != nil {
		return nil, problem.New(problem.NotFound, "")
	}
	return nil, d.Auth.RemovePasskey(ctx, id)
}

type token struct {
	ID      string       `json:"id"`
	Name    string       `json:"name"`
	Grants  []view.Grant `json:"grants" nullable:"false"`
	Created time.Time    `json:"created"`
	Used    time.Time    `json:"used,omitzero"`
	Expires time.Time    `json:"expires"`
	Token   string       `json:"token,omitempty" doc:"Shown once."`
}

func ofToken(t *cordon.Token) token {
	v := token{ID: t.ID, Name: t.Name, Grants: view.Each(t.Grants, view.OfGrant), Created: t.Created.Std(), Expires: t.Expires.Std()}
	if t.Used != 0 {
		v.Used = t.Used.Std()
	}
	return v
}

// MyTokens is GET /v1/me/tokens.
func MyTokens(ctx context.Context, d *desk.Desk, _ *desk.None) (*desk.List[token], error) {
	all, err := d.Auth.Tokens(ctx)
	return desk.Page(cordon.Page[cordon.Token]{Items: all}, ofToken, nil, nil), err
}

type tokenInput struct {
	Body struct {
		Name    string       `json:"name" minLength:"1" maxLength:"100"`
		Grants  []view.Grant `json:"grants,omitempty" nullable:"false" maxItems:"100" doc:"A part of one's own; empty: all of them."`
		Expires time.Time    `json:"expires"`
	}
}

// MakeToken is POST /v1/me/tokens.
func MakeToken(ctx context.Context, d *desk.Desk, in *tokenInput) (*desk.Record[token], error) {
	grants := view.Each(in.Body.Grants, (*view.Grant).Grant)
	t, text, err := d.Auth.MakeToken(ctx, in.Body.Name, grants, desk.Time(in.Body.Expires))
	if err != nil {
		return nil, err
	}
	v := ofToken(&t)
	v.Token = text
	return desk.Of(v, 1), nil
}

type tokenPath struct {
	Token string `path:"token" maxLength:"64"`
}

// EndToken is DELETE /v1/me/tokens/{token}.
func EndToken(ctx context.Context, d *desk.Desk, in *tokenPath) (*desk.None, error) {
	defer d.Events.EndOf(desk.CallOf(ctx).Subject.User)
	return nil, d.Auth.EndToken(ctx, in.Token)
}
