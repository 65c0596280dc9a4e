// Package fleet has the routes of what a provider runs: accounts, sites, routers, rules in
// shadow, webhooks. Package api hangs them into its table.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cordon"
	"cordon/core/api/desk"
	"cordon/core/api/view"
	"cordon/core/auth"
	"cordon/internal/ident"
)

type accountsInput struct {
	desk.Paging
	Text string `query:"text" maxLength:"100" doc:"Beginning of a name or number."`
}

// ListAccounts is GET /v1/accounts.
func ListAccounts(ctx context.Context, d *desk.Desk, in *accountsInput) (*desk.List[view.Account], error) {
	q := desk.Query(in.Paging, desk.Where{}, desk.Span{})
	q.Text = in.Text
	c := desk.CallOf(ctx)
	scope, err := d.Scope(c, q)
	if err != nil {
		return nil, err
	}
	p, err := d.Store.Accounts(ctx, scope, q)
	return desk.Page(p, view.OfAccount, func(a *cordon.Account) bool { return c.Veils(a.ID, "") }, d.Auth.Veil().Account), err
}

type createAccountInput struct {
	Body struct {
		Reference string `json:"reference,omitempty" maxLength:"64"`
		Name      string `json:"name" minLength:"1" maxLength:"200"`
		Sort      string `json:"sort,omitempty" enum:"household,business" default:"household"`
		Locale    string `json:"locale,omitempty" maxLength:"35"`
	}
}

// CreateAccount is POST /v1/accounts.
func CreateAccount(ctx context.Context, d *desk.Desk, in *createAccountInput) (*desk.Record[view.Account], error) {
	if err := errors.Join(desk.Printable("body.name", &in.Body.Name), desk.Printable("body.reference", &in.Body.Reference), desk.Locale(&in.Body.Locale)); err != nil {
		return nil, err
	}
	c := desk.CallOf(ctx)
	a := cordon.Account{ID: ident.New(d.Now()), Reference: in.Body.Reference, Name: in.Body.Name, Sort: cordon.AccountSort(in.Body.Sort),
		Locale: in.Body.Locale, Created: d.Moment()}
	if err := d.Store.PutAccount(ctx, &a); err != nil {
		return nil, err
	}
	c.Object.Account, c.What = a.ID, "account "+a.ID
	return desk.Of(view.OfAccount(&a), a.Version), nil
}

// GetAccount is GET /v1/accounts/{account}.
func GetAccount(ctx context.Context, d *desk.Desk, _ *desk.AccountPath) (*desk.Record[view.Account], error) {
	c := desk.CallOf(ctx)
	if c.Veiled {
		d.Auth.Veil().Account(&c.Account)
	}
	return desk.Of(view.OfAccount(&c.Account), c.Account.Version), nil
}

type changeAccountInput struct {
	desk.AccountPath
	desk.Match
	Body struct {
		Name      *string `json:"name,omitempty" minLength:"1" maxLength:"200"`
		Locale    *string `json:"locale,omitempty" maxLength:"35"`
		Reference *string `json:"reference,omitempty" maxLength:"64" doc:"For the provider's people only."`
		Sort      *string `json:"sort,omitempty" enum:"household,business" doc:"For the provider's people only."`
	}
}

// ChangeAccount is PATCH /v1/accounts/{account}.
func ChangeAccount(ctx context.Context, d *desk.Desk, in *changeAccountInput) (*desk.Record[view.Account], error) {
	c := desk.CallOf(ctx)
	a := c.Account
	if err := errors.Join(in.Check(a.Version, false), desk.Printable("body.name", in.Body.Name), desk.Printable("body.reference", in.Body.Reference), desk.Locale(in.Body.Locale)); err != nil {
		return nil, err
	}
	if in.Body.Reference != nil || in.Body.Sort != nil {
		if err := auth.May(c.Subject, auth.SitePlace, c.Object); err != nil {
			return nil, err
		}
	}
	desk.Set(&a.Name, in.Body.Name)
	desk.Set(&a.Locale, in.Body.Locale)
	desk.Set(&a.Reference, in.Body.Reference)
	if in.Body.Sort != nil {
		a.Sort = cordon.AccountSort(*in.Body.Sort)
	}
	if err := d.Store.PutAccount(ctx, &a); err != nil {
		return nil, err
	}
	return desk.Of(view.OfAccount(&a), a.Version), nil
}

type policyBody struct {
	Policy string `json:"policy" enum:"off,observe,ask,protect," doc:"Empty: as the next above says (site, account, provider)."`
}

type accountPolicyInput struct {
	desk.AccountPath
	Body policyBody
}

// SetAccountPolicy is PUT /v1/accounts/{account}/policy.
func SetAccountPolicy(ctx context.Context, d *desk.Desk, in *accountPolicyInput) (*desk.Record[view.Account], error) {
	c := desk.CallOf(ctx)
	a := c.Account
	a.Policy = cordon.Policy(in.Body.Policy)
	if err := d.Store.PutAccount(ctx, &a); err != nil {
		return nil, err
	}
	own := cordon.Scope{Accounts: []string{a.ID}}
	q := cordon.Query{Account: a.ID, Limit: cordon.MaxLimit}
	for {
		p, err := d.Store.Sites(ctx, own, q)
		if err != nil {
			return nil, fmt.Errorf("sites of %s: %w", a.ID, err)
		}
		for i := range p.Items {
			if err := applyPolicy(ctx, d, c, &a, &p.Items[i]); err != nil {
				return nil, err
			}
		}
		if q.Cursor = p.Next; q.Cursor == "" {
			break
		}
	}
	return desk.Of(view.OfAccount(&a), a.Version), nil
}

// applyPolicy makes a site's router go by the policy that now counts there.
func applyPolicy(ctx context.Context, d *desk.Desk, c *desk.Call, a *cordon.Account, site *cordon.Site) error {
	policy := d.Policy
	for _, p := range []cordon.Policy{site.Policy, a.Policy} {
		if p != "" {
			policy = p
			break
		}
	}
	now, err := d.Store.Desired(ctx, site.ID)
	if err != nil || now.Policy == policy && now.Version > 0 {
		return err
	}
	line := d.Change(c, "policy "+string(policy))
	line.Account, line.Site = site.Account, site.ID
	if _, err = d.Store.ChangeDesired(ctx, site.ID, line, func(d *cordon.Desired) error {
		d.Policy = policy
		return nil
	}); err != nil {
		return fmt.Errorf("policy of site %s: %w", site.ID, err)
	}
	c.Written = true
	d.Announce(ctx, site.Account, site.ID)
	return nil
}

type eraseAccountInput struct {
	desk.AccountPath
	desk.Match
}

// EraseAccount is DELETE /v1/accounts/{account}.
func EraseAccount(ctx context.Context, d *desk.Desk, in *eraseAccountInput) (*desk.None, error) {
	c := desk.CallOf(ctx)
	if err := in.Check(c.Account.Version, false); err != nil {
		return nil, err
	}
	var keys []string
	q := cordon.Query{Account: c.Account.ID, Limit: cordon.MaxLimit}
	for {
		p, err := d.Store.Routers(ctx, cordon.Scope{Accounts: []string{c.Account.ID}}, q)
		if err != nil {
			return nil, err
		}
		for i := range p.Items {
			if p.Items[i].Key != "" {
				keys = append(keys, p.Items[i].Key)
			}
		}
		if q.Cursor = p.Next; q.Cursor == "" {
			break
		}
	}
	if err := d.Store.EraseAccount(ctx, c.Account.ID); err != nil {
		return nil, err
	}
	for _, key := range keys {
		if err := d.Line.Cut(ctx, key); err != nil { // its reports are refused in any case: core knows the router no more
			d.Log.WarnContext(ctx, "router of an erased account not cut off", "err", err)
		}
	}
	return nil, nil
}

type createSiteInput struct {
	desk.AccountPath
	Body struct {
		Reference string `json:"reference,omitempty" maxLength:"64"`
		Name      string `json:"name" minLength:"1" maxLength:"200"`
		Area      string `json:"area,omitempty" maxLength:"64"`
		Group     string `json:"group,omitempty" maxLength:"64"`
	}
}

// CreateSite is POST /v1/accounts/{account}/sites.
func CreateSite(ctx context.Context, d *desk.Desk, in *createSiteInput) (*desk.Record[view.Site], error) {
	c := desk.CallOf(ctx)
	b := &in.Body
	if err := errors.Join(desk.Printable("body.name", &b.Name), desk.Printable("body.reference", &b.Reference), desk.Printable("body.area", &b.Area), desk.Printable("body.group", &b.Group)); err != nil {
		return nil, err
	}
	if b.Reference != "" || b.Area != "" || b.Group != "" {
		if err := auth.May(c.Subject, auth.SitePlace, c.Object); err != nil {
			return nil, err
		}
	}
	site := cordon.Site{ID: ident.New(d.Now()), Account: c.Account.ID, Reference: b.Reference, Name: b.Name, Area: b.Area, Group: b.Group, Created: d.Moment()}
	if err := d.Store.PutSite(ctx, &site); err != nil {
		return nil, err
	}
	c.Object.Site, c.What = site.ID, "site "+site.ID
	return desk.Of(view.OfSite(&site), site.Version), nil
}

type sitesInput struct {
	desk.Paging
	Account string `query:"account" maxLength:"64"`
	Area    string `query:"area" maxLength:"64"`
	Group   string `query:"group" maxLength:"64"`
	Text    string `query:"text" maxLength:"100" doc:"Beginning of a name or number."`
}

// ListSites is GET /v1/sites.
func ListSites(ctx context.Context, d *desk.Desk, in *sitesInput) (*desk.List[view.Site], error) {
	q := desk.Query(in.Paging, desk.Where{Account: in.Account, Area: in.Area, Group: in.Group}, desk.Span{})
	q.Text = in.Text
	c := desk.CallOf(ctx)
	scope, err := d.Scope(c, q)
	if err != nil {
		return nil, err
	}
	p, err := d.Store.Sites(ctx, scope, q)
	return desk.Page(p, view.OfSite, func(v *cordon.Site) bool { return c.Veils(v.Account, v.ID) }, d.Auth.Veil().Site), err
}

// GetSite is GET /v1/sites/{site}.
func GetSite(ctx context.Context, d *desk.Desk, _ *desk.SitePath) (*desk.Record[view.Site], error) {
	c := desk.CallOf(ctx)
	if c.Veiled {
		d.Auth.Veil().Site(&c.Site)
	}
	return desk.Of(view.OfSite(&c.Site), c.Site.Version), nil
}

type changeSiteInput struct {
	desk.SitePath
	desk.Match
	Body struct {
		Name      *string `json:"name,omitempty" minLength:"1" maxLength:"200"`
		Reference *string `json:"reference,omitempty" maxLength:"64"`
		Area      *string `json:"area,omitempty" maxLength:"64"`
		Group     *string `json:"group,omitempty" maxLength:"64"`
	}
}

// ChangeSite is PATCH /v1/sites/{site}.
func ChangeSite(ctx context.Context, d *desk.Desk, in *changeSiteInput) (*desk.Record[view.Site], error) {
	c := desk.CallOf(ctx)
	site, b := c.Site, &in.Body
	if err := errors.Join(in.Check(site.Version, false), desk.Printable("body.name", b.Name), desk.Printable("body.reference", b.Reference), desk.Printable("body.area", b.Area), desk.Printable("body.group", b.Group)); err != nil {
		return nil, err
	}
	if b.Reference != nil || b.Area != nil || b.Group != nil {
		if err := auth.May(c.Subject, auth.SitePlace, c.Object); err != nil {
			return nil, err
		}
	}
	desk.Set(&site.Name, b.Name)
	desk.Set(&site.Reference, b.Reference)
	desk.Set(&site.Area, b.Area)
	desk.Set(&site.Group, b.Group)
	if err := d.Store.PutSite(ctx, &site); err != nil {
		return nil, err
	}
	return desk.Of(view.OfSite(&site), site.Version), nil
}

type sitePolicyInput struct {
	desk.SitePath
	Body policyBody
}

// SetSitePolicy is PUT /v1/sites/{site}/policy.
func SetSitePolicy(ctx context.Context, d *desk.Desk, in *sitePolicyInput) (*desk.Record[view.Site], error) {
	c := desk.CallOf(ctx)
	site := c.Site
	site.Policy = cordon.Policy(in.Body.Policy)
	if err := d.Store.PutSite(ctx, &site); err != nil {
		return nil, err
	}
	a, err := d.Store.Account(ctx, site.Account)
	if err != nil {
		return nil, err
	}
	if err := applyPolicy(ctx, d, c, &a, &site); err != nil {
		return nil, err
	}
	return desk.Of(view.OfSite(&site), site.Version), nil
}

// HandOver is POST /v1/sites/{site}/hand-over.
func HandOver(ctx context.Context, d *desk.Desk, _ *desk.SitePath) (*desk.Record[view.Site], error) {
	c := desk.CallOf(ctx)
	c.Written = true // auth writes the record
	defer d.Events.EndOf(c.Site.Installer)
	if err := d.Auth.HandOver(ctx, c.Site.ID); err != nil {
		return nil, err
	}
	site, err := d.Store.Site(ctx, c.Site.ID)
	if err != nil {
		return nil, err
	}
	return desk.Of(view.OfSite(&site), site.Version), nil
}

type caseInput struct {
	desk.SitePath
	Body struct {
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

// OpenCase is POST /v1/sites/{site}/case.
func OpenCase(ctx context.Context, d *desk.Desk, in *caseInput) (*desk.Record[desk.OpenedCase], error) {
	c := desk.CallOf(ctx)
	c.Written = true // auth writes the record
	opened, err := d.Auth.OpenCase(ctx, c.Object, strings.TrimSpace(in.Body.Reason))
	if err != nil {
		return nil, err
	}
	return desk.Of(desk.OfCase(&opened), 1), nil
}

// CloseCase is DELETE /v1/sites/{site}/case.
func CloseCase(ctx context.Context, d *desk.Desk, _ *desk.SitePath) (*desk.None, error) {
	c := desk.CallOf(ctx)
	c.Written = true
	defer d.Events.EndOf(c.Subject.User)
	return nil, d.Auth.CloseCase(ctx, c.Object)
}
