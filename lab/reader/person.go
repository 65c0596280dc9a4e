package reader

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"cordon"
)

// person is who asks: one of the provider's people or a customer, at a screen or by a
// program. He has a connection of his own, and one request at a time.
type person struct {
	role   cordon.Role
	base   string // of the API
	addr   string // from where his requests come
	http   *http.Client
	cookie string
	rng    *rand.Rand

	known known   // what lists showed him
	walk  *walk   // the list in which he goes on
	check *census // he compares whole lists with what they held before; nil: he looks around
}

// newPerson returns somebody who has not logged in.
func newPerson(base string, n int, seed uint64, role cordon.Role) *person {
	return &person{role: role, base: base, addr: fmt.Sprintf("198.51.%d.%d", 100+n/250, 1+n%250), rng: rand.New(rand.NewPCG(seed, uint64(n))),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute}}}
}

// request is something that is asked.
type request struct {
	route  string // as the API's table has it: "GET /v1/devices"
	path   string
	query  url.Values
	body   any   // nil: none
	walked *walk // the list of which it is a page; nil: of none
}

// target is the request's path and query.
func (r *request) target() string {
	if len(r.query) == 0 {
		return r.path
	}
	return r.path + "?" + r.query.Encode()
}

// csv is a body that is none of JSON.
type csv string

// encode returns the body and what it is.
func (r *request) encode() (body io.Reader, kind string, err error) {
	switch b := r.body.(type) {
	case nil:
		return nil, "", nil
	case csv:
		return strings.NewReader(string(b)), "text/csv", nil
	}
	text, err := json.Marshal(r.body)
	return bytes.NewReader(text), "application/json", err
}

// refusal is an answer that is an error.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.text) }

// maxAnswer bounds an answer, in bytes: a page of 500 incidents has some 500 KB.
const maxAnswer = 16 << 20

// ask asks and returns the whole answer. An answer that is an error is a *refusal.
func (p *person) ask(ctx context.Context, r *request) ([]byte, error) {
	resp, err := p.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		return nil, &refusal{resp.StatusCode, string(text[:min(len(text), 500)])}
	}
	for _, c := range resp.Cookies() {
		if c.Name == "cordon" {
			p.cookie = c.Value
		}
	}
	return text, nil
}

// send asks and returns the answer, of which the body may go on.
func (p *person) send(ctx context.Context, r *request) (*http.Response, error) {
	body, kind, err := r.encode()
	if err != nil {
		return nil, err
	}
	method, _, _ := strings.Cut(r.route, " ")
	req, err := http.NewRequestWithContext(ctx, method, p.base+r.target(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Forwarded-For", p.addr)
	req.Header.Set("User-Agent", "cordon-lab")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if p.cookie != "" {
		req.AddCookie(&http.Cookie{Name: "cordon", Value: p.cookie})
	}
	if p.role.Staff() {
		req.Header.Set("Cordon-Reason", fmt.Sprintf("ticket %d", 4000+p.rng.IntN(20)))
	}
	return p.http.Do(req)
}

// get asks for something and reads it into out.
func (p *person) get(ctx context.Context, r *request, out any) error {
	text, err := p.ask(ctx, r)
	if err != nil {
		return fmt.Errorf("%s: %w", r.route, err)
	}
	return json.Unmarshal(text, out)
}

// hire makes an administrator, as who runs core does, who invites everybody else. They
// all choose a password and are logged in then.
func (o *office) hire(ctx context.Context) error {
	o.admin = newPerson("http://"+o.stage.core.Address("api"), 0, o.cfg.Seed, cordon.RoleAdministrator)
	day := fmt.Sprint(time.Now().UnixNano()) // a directory that is kept has those of earlier days
	email := "admin-" + day + "@lab.example"
	password, err := o.stage.core.Administrator(email)
	if err != nil {
		return err
	}
	if _, err := o.admin.ask(ctx, &request{route: "POST /v1/session", path: "/v1/session", body: map[string]string{"email": email, "password": password}}); err != nil {
		return err
	}
	accounts, err := o.accounts(ctx)
	if err != nil {
		return err
	}
	for i := range o.cfg.Clients {
		p := newPerson(o.admin.base, i+1, o.cfg.Seed, roles[i%len(roles)])
		grant := map[string]string{"role": string(p.role)}
		if p.role == cordon.RoleOwner {
			grant["account"] = accounts[p.rng.IntN(len(accounts))]
		}
		if err := o.invite(ctx, p, fmt.Sprintf("reader-%d-%s@lab.example", i, day), grant); err != nil {
			return err
		}
		o.people = append(o.people, p)
	}
	return o.count(ctx)
}

// accounts returns some customers.
func (o *office) accounts(ctx context.Context) ([]string, error) {
	var found page
	if err := o.admin.get(ctx, &request{route: "GET /v1/accounts", path: "/v1/accounts", query: url.Values{"limit": {"500"}}}, &found); err != nil {
		return nil, err
	}
	if len(found.Items) == 0 {
		return nil, fmt.Errorf("there are no accounts")
	}
	var ids []string
	for _, i := range found.Items {
		ids = append(ids, i.ID)
	}
	return ids, nil
}

// invite lets p in.
func (o *office) invite(ctx context.Context, p *person, email string, grant map[string]string) error {
	var invited struct{ Token string }
	if err := o.admin.get(ctx, &request{route: "POST /v1/invitations", path: "/v1/invitations",
		body: map[string]any{"email": email, "name": "Reader", "grant": grant}}, &invited); err != nil {
		return err
	}
	var random [12]byte
	for i := range random {
		random[i] = 'a' + byte(p.rng.IntN(26))
	}
	_, err := p.ask(ctx, &request{route: "POST /v1/session/invitation", path: "/v1/session/invitation",
		body: map[string]string{"token": invited.Token, "password": "reader " + string(random[:])}})
	return err
}

// page is a part of a list, as far as it is looked at.
type page struct {
	Items []item `json:"items"`
	Next  string `json:"next"`
}

// item names a record.
type item struct {
	ID      string `json:"id"`
	Site    string `json:"site"`
	Account string `json:"account"`
}

// known is what lists showed somebody, so that he asks for what is there: the last
// records of each list.
type known map[string][]item

// maxKnown is how many records of each list somebody remembers.
const maxKnown = 200

// add remembers a page.
func (k *known) add(list string, items []item) {
	if *k == nil {
		*k = make(known)
	}
	all := append((*k)[list], items[:min(len(items), maxKnown)]...)
	(*k)[list] = slices.Clip(all[max(0, len(all)-maxKnown):])
}

// any returns one of what is known of a list, with its site filled in.
func (p *person) any(list string) (item, bool) {
	all := p.known[list]
	if len(all) == 0 {
		return item{}, false
	}
	i := all[p.rng.IntN(len(all))]
	if list == "sites" {
		i.Site = i.ID
	}
	i.Account = cmp.Or(i.Account, i.ID)
	return i, true
}
