// Package people has the routes of who may: log-in, oneself, other people, and the
// record. Package auth decides and writes the record of most; these routes speak JSON
// for it. Package api hangs them into its table.
package people

import (
	"context"
	"errors"

	"cordon"
	"cordon/core/api/desk"
	"cordon/core/api/view"
	"cordon/core/auth"
)

type usersInput struct {
	desk.Paging
	Account string `query:"account" maxLength:"64"`
	Text    string `query:"text" maxLength:"100" doc:"Beginning of a name or e-mail address."`
}

// person shows a user as who asks may see him.
func person(c *desk.Call, u *cordon.User) view.User {
	seen := auth.Visible(c.Subject, *u)
	return view.OfUser(&seen)
}

// ListUsers is GET /v1/users.
func ListUsers(ctx context.Context, d *desk.Desk, in *usersInput) (*desk.List[view.User], error) {
	q := desk.Query(in.Paging, desk.Where{Account: in.Account}, desk.Span{})
	q.Text = in.Text
	c := desk.CallOf(ctx)
	scope, err := d.Scope(c, q)
	if err != nil {
		return nil, err
	}
	p, err := d.Store.Users(ctx, scope, q)
	return desk.Page(p, func(u *cordon.User) view.User { return person(c, u) }, nil, nil), err
}

// UserPath is the path of a person.
type UserPath struct {
	User string `path:"user" maxLength:"64"`
}

// GetUser is GET /v1/users/{user}.
func GetUser(ctx context.Context, d *desk.Desk, _ *UserPath) (*desk.Record[view.User], error) {
	c := desk.CallOf(ctx)
	return desk.Of(person(c, &c.User), c.User.Version), nil
}

type inviteInput struct {
	Body struct {
		Email  string     `json:"email" maxLength:"254"`
		Name   string     `json:"name,omitempty" maxLength:"100"`
		Locale string     `json:"locale,omitempty" maxLength:"35"`
		Grant  view.Grant `json:"grant"`
	}
}

// invited is somebody who may log in now, or could before.
type invited struct {
	Body struct {
		User  view.User `json:"user"`
		Token string    `json:"token,omitempty" doc:"For POST /v1/session/invitation, once. Not there: he has logged in before, and has the role now. Shown once."`
	}
}

// Invite is POST /v1/invitations.
func Invite(ctx context.Context, d *desk.Desk, in *inviteInput) (*invited, error) {
	if err := errors.Join(desk.Printable("body.name", &in.Body.Name), desk.Locale(&in.Body.Locale)); err != nil {
		return nil, err
	}
	u, token, err := d.Auth.Invite(ctx, auth.Invitation{Email: in.Body.Email, Name: in.Body.Name, Locale: in.Body.Locale, Grant: in.Body.Grant.Grant()})
	if err != nil {
		return nil, err
	}
	out := &invited{}
	out.Body.User, out.Body.Token = person(desk.CallOf(ctx), &u), token
	return out, nil
}

type changeUserInput struct {
	UserPath
	desk.Match
	Body struct {
		Name     *string `json:"name,omitempty" maxLength:"100"`
		Locale   *string `json:"locale,omitempty" maxLength:"35"`
		Email    *string `json:"email,omitempty" maxLength:"254"`
		Disabled *bool   `json:"disabled,omitempty" doc:"He cannot log in, and his sessions end."`
	}
}

// ChangeUser is PATCH /v1/users/{user}.
func ChangeUser(ctx context.Context, d *desk.Desk, in *changeUserInput) (*desk.Record[view.User], error) {
	c, b := desk.CallOf(ctx), &in.Body
	c.Written = true // auth writes the record
	if err := errors.Join(in.Check(c.User.Version, true), desk.Printable("body.name", b.Name), desk.Locale(b.Locale)); err != nil {
		return nil, err
	}
	defer d.Events.EndOf(c.User.ID) // disabled, perhaps
	if err := d.Auth.ChangePerson(ctx, c.User.ID, auth.PersonUpdate{Name: b.Name, Locale: b.Locale, Email: b.Email, Disabled: b.Disabled}); err != nil {
		return nil, err
	}
	u, err := d.Store.User(ctx, c.User.ID)
	if err != nil {
		return nil, err
	}
	return desk.Of(person(c, &u), u.Version), nil
}

// EraseUser is DELETE /v1/users/{user}.
func EraseUser(ctx context.Context, d *desk.Desk, _ *UserPath) (*desk.None, error) {
	c := desk.CallOf(ctx)
	c.Written = true
	defer d.Events.EndOf(c.User.ID)
	return nil, d.Auth.ErasePerson(ctx, c.User.ID)
}

// resetToken lets a person choose a new password.
type resetToken struct {
	Body struct {
		Token string `json:"token" doc:"For POST /v1/session/invitation, once, within a day. Shown once."`
	}
}

// ResetUser is POST /v1/users/{user}/reset.
func ResetUser(ctx context.Context, d *desk.Desk, _ *UserPath) (*resetToken, error) {
	c := desk.CallOf(ctx)
	c.Written = true
	token, err := d.Auth.Reset(ctx, c.User.ID)
	if err != nil {
		return nil, err
	}
	out := &resetToken{}
	out.Body.Token = token
	return out, nil
}

type grantInput struct {
	UserPath
	Role    string `query:"role" required:"true" enum:"owner,member,business,installer,analyst,operator,administrator"`
	Account string `query:"account" maxLength:"64"`
	Site    string `query:"site" maxLength:"64"`
}

// RemoveGrant is DELETE /v1/users/{user}/grants.
func RemoveGrant(ctx context.Context, d *desk.Desk, in *grantInput) (*desk.None, error) {
	defer d.Events.EndOf(in.User)
	return nil, d.Auth.Remove(ctx, in.User, cordon.Grant{Role: cordon.Role(in.Role), Account: in.Account, Site: in.Site})
}

type auditInput struct {
	desk.Paging
	desk.Span
	Account string `query:"account" maxLength:"64"`
	Site    string `query:"site" maxLength:"64"`
	User    string `query:"user" maxLength:"64"`
	Verb    string `query:"verb" maxLength:"64"`
}

// ListAudit is GET /v1/audit.
func ListAudit(ctx context.Context, d *desk.Desk, in *auditInput) (*desk.List[view.Audit], error) {
	q := desk.Query(in.Paging, desk.Where{Account: in.Account, Site: in.Site}, in.Span)
	q.User, q.Verb = in.User, in.Verb
	c := desk.CallOf(ctx)
	scope, err := d.Scope(c, q)
	if err != nil {
		return nil, err
	}
	p, err := d.Store.Audits(ctx, scope, q)
	if c.Subject.Staff() {
		return desk.Page(p, view.OfAudit, nil, nil), err
	}
	return desk.Page(p, func(a *cordon.Audit) view.Audit { return view.OfAuditToCustomer(a, d.Provider) }, nil, nil), err
}
