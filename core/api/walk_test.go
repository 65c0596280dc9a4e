package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"cordon"
	"cordon/core/api"
	"cordon/core/api/desk"
	"cordon/core/auth"
)

// walked is what the walk sends to each route. A route that is not here fails the test:
// whoever adds one thinks about who may.
var walked = map[string]string{
	"logIn": `{"email":"x@example.com","password":"x"}`, "logOut": "", "getSession": "", "beginPasskeyLogIn": "", "finishPasskeyLogIn": `{"id":"x","response":{}}`,
	"acceptInvitation": `{"token":"x","password":"x"}`,
	"getMe":            "", "changeMe": `{"name":"x"}`, "changePassword": `{"password":"x"}`, "listSessions": "", "endSession": "", "listPasskeys": "",
	"beginPasskey": "", "finishPasskey": `{"id":"x","response":{}}`, "removePasskey": "", "listTokens": "", "makeToken": `{"name":"x","expires":"2020-01-01T00:00:00Z"}`, "endToken": "",
	"listAccounts": "", "createAccount": `{"name":"x"}`, "getAccount": "", "changeAccount": `{"name":"x"}`, "setAccountPolicy": `{"policy":"ask"}`, "eraseAccount": "",
	"createSite": `{"name":"x"}`, "listWebhooks": "", "createWebhook": `{"url":"https://x.example/","events":["incident"]}`, "getWebhook": "",
	"changeWebhook": `{"level":"act"}`, "deleteWebhook": "",
	"listSites": "", "getSite": "", "changeSite": `{"name":"x"}`, "setSitePolicy": `{"policy":"ask"}`, "getOverview": "", "handOver": "", "openCase": `{"reason":"ticket 4711"}`,
	"closeCase": "", "getDesired": "", "askLedger": "",
	"getDevice": "", "changeDevice": `{"name":"x"}`, "askDestinations": "", "quarantine": `{}`, "block": `{"target":{"peer":"203.0.113.9"}}`,
	"limit": `{"rate":{"packets":9}}`, "allow": `{"target":{"peer":"203.0.113.9"}}`, "release": `{}`, "undo": `{}`,
	"getIncident": "", "closeIncident": `{"closing":"mended"}`, "getDetection": "",
	"listDevices": "", "listIncidents": "", "listDetections": "", "listActions": "", "listen": "",
	"listRouters": "", "importRouters": `[]`, "exportRouters": "", "getRouter": "", "revokeRouter": `{"reason":"stolen"}`, "resetRouter": "",
	"listShadows": "", "createShadow": `{"kind":"scan.*","reason":"fires everywhere"}`, "liftShadow": "",
	"listUsers": "", "invite": "", "getUser": "", "changeUser": `{"name":"x"}`, "eraseUser": "", "resetUser": "", "removeGrant": "",
	"listAudit": "",
}

// place fills a route's path with what is h's.
func place(path string, h *home) string {
	return strings.NewReplacer("{account}", h.account, "{site}", h.site, "{router}", h.router, "{webhook}", h.webhook, "{device}", h.device,
		"{incident}", h.incident, "{detection}", h.detection, "{action}", h.action, "{user}", h.owner.ID,
		"{session}", "s", "{passkey}", "cA", "{token}", "t", "{shadow}", "x").Replace(path)
}

// object is what a route is about.
func object(r *desk.Route, h *home) auth.Object {
	switch {
	case strings.Contains(r.Path, "{site}"), strings.Contains(r.Path, "{router}"):
		return auth.Object{Account: h.account, Site: h.site}
	case strings.Contains(r.Path, "{account}"):
		return auth.Object{Account: h.account}
	case strings.Contains(r.Path, "{user}"):
		return auth.Object{Person: &h.owner}
	}
	return auth.Object{}
}

// request completes what is sent to a route.
func request(r *desk.Route, h *home) (path, body string) {
	path, body = place(r.Path, h), walked[r.ID]
	switch r.ID {
	case "invite":
		body = fmt.Sprintf(`{"email":"new@example.com","grant":{"role":"member","account":%q}}`, h.account)
	case "removeGrant":
		path += "?role=owner&account=" + h.account
	}
	return path, body
}

// TestWalk goes to every route as every role: with somebody else's objects and with
// one's own.
func TestWalk(t *testing.T) {
	for _, r := range api.Routes() {
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			if _, there := walked[r.ID]; !there {
				t.Fatalf("%s %s has no entry in walked", r.Method, r.Path)
			}
			if r.Open {
				return
			}
			nobody(t, &r)
			o := newOffice(t)
			for _, role := range cordon.Roles {
				for _, whose := range []string{"other", "own"} {
					if r.Method != http.MethodGet { // what was changed is not there for the next
						o = newOffice(t)
					}
					t.Run(string(role)+" "+whose, func(t *testing.T) { o.walk(t, &r, role, whose) })
				}
			}
		})
	}
	if n := len(api.Routes()); n != len(walked) {
		t.Errorf("%d routes, %d entries", n, len(walked))
	}
}

// nobody is told to log in.
func nobody(t *testing.T, r *desk.Route) {
	o := newOffice(t)
	path, body := request(r, &o.own)
	if a := o.send(r.Method, path, body); a.Status != http.StatusUnauthorized || a.code() != "not-logged-in" {
		t.Errorf("nobody: %d %s", a.Status, a.Text)
	}
}

// walk goes to one route as one role.
func (o *office) walk(t *testing.T, r *desk.Route, role cordon.Role, whose string) {
	u := o.people[role]
	h := &o.own
	if whose == "other" {
		h = &o.other
	}
	subject := auth.Subject{User: u.ID, Grants: u.Grants, Way: auth.BySession}
	may := auth.May(subject, r.Verb, object(r, h))
	switch scope := auth.Scope(subject, r.Verb); {
	case r.List && !scope.All && len(scope.Accounts)+len(scope.Sites) == 0:
		may = auth.ErrForbidden
	case r.List:
		may = nil
	case r.ID == "invite", r.ID == "removeGrant":
		g := auth.Object{Account: h.account}
		if may = auth.May(subject, r.Verb, g); may == nil {
			may = auth.MayGrant(subject, cordon.Grant{Role: cordon.RoleMember, Account: h.account}, h.account)
		}
		if r.ID == "removeGrant" && may == nil && role == cordon.RoleBusiness {
			may = auth.ErrForbidden // it gives no owners
		}
	case strings.Contains(r.Path, "{device}") && auth.Veiled(subject, r.Verb, object(r, h)):
		may = auth.ErrForbidden // until a case is open
	}
	if r.Stream && may == nil {
		return // TestEvents reads it
	}
	path, body := request(r, h)
	a := o.ask(u, r.Method, path, body, "Cordon-Reason: ticket 4711", "If-Match: *")
	refused := a.Status == http.StatusForbidden || a.Status == http.StatusNotFound
	ofRecord := !strings.Contains(r.Path, "{") || r.ID == "liftShadow" || r.On == nil
	switch {
	case errors.Is(may, cordon.ErrNotFound) && a.Status != http.StatusNotFound:
		t.Errorf("%s: %d %s, want 404", whose, a.Status, a.Text)
	case may != nil && !refused:
		t.Errorf("%s: %d %s, want 403 or 404: %v", whose, a.Status, a.Text, may)
	case may == nil && a.Status == http.StatusForbidden, may == nil && refused && !ofRecord:
		t.Errorf("%s: %d %s, want it done", whose, a.Status, a.Text)
	case a.Status >= 500 && !strings.HasPrefix(r.ID, "ask"):
		t.Errorf("%s: %d %s\n%s", whose, a.Status, a.Text, o.log)
	case whose == "other" && !role.Staff() && len(object(r, h).Account) > 0 && !refused:
		t.Errorf("somebody else's: %d %s", a.Status, a.Text)
	}
	if whose == "other" && !role.Staff() {
		for _, theirs := range []string{"Bert", o.other.account, o.other.site, o.other.router, "SN-Bert"} {
			if strings.Contains(a.Text, theirs) {
				t.Errorf("%q is in the answer: %s", theirs, a.Text)
			}
		}
	}
}

// TestTenants lists everything as each customer, with filters for somebody else's.
func TestTenants(t *testing.T) {
	o := newOffice(t)
	for _, r := range api.Routes() {
		if !r.List || r.Stream {
			continue
		}
		for _, role := range []cordon.Role{cordon.RoleOwner, cordon.RoleMember, cordon.RoleBusiness, cordon.RoleInstaller} {
			for _, filter := range []string{"", "?account=" + o.other.account, "?site=" + o.other.site} {
				a := o.ask(o.people[role], "GET", r.Path+filter, "")
				if strings.Contains(a.Text, "Bert") || a.Status == 200 && strings.Contains(a.Text, o.other.site) {
					t.Errorf("%s as %s: %s", r.Path+filter, role, a.Text)
				}
			}
		}
	}
}

// TestVeiled shows homes to an analyst by pseudonym until a case is open.
func TestVeiled(t *testing.T) {
	o := newOffice(t)
	analyst := o.people[cordon.RoleAnalyst]
	paths := []string{"/v1/accounts", "/v1/sites", "/v1/routers", "/v1/devices", "/v1/incidents", "/v1/detections", "/v1/actions", "/v1/routers/export",
		"/v1/sites/" + o.own.site, "/v1/sites/" + o.own.site + "/overview", "/v1/sites/" + o.own.site + "/incidents/i1",
		"/v1/sites/" + o.own.site + "/detections/d1", "/v1/accounts/" + o.own.account, "/v1/routers/" + o.own.router}
	for _, path := range paths {
		a := o.ask(analyst, "GET", path, "")
		if a.Status != 200 {
			t.Errorf("%s: %d %s", path, a.Status, a.Text)
		}
		for _, name := range []string{"Anna", "Bert", "02:00:00:00:00:01", "192.168", "SN-"} {
			if strings.Contains(a.Text, name) {
				t.Errorf("%s shows %q: %s", path, name, a.Text)
			}
		}
	}
	if n := len(o.store.audits); n != 1 { // the log-in
		t.Errorf("%d lines for looks that show nobody", n)
	}
	if a := o.ask(analyst, "GET", "/v1/devices?text=Anna", ""); a.Status != 403 {
		t.Errorf("searched by name: %d %s", a.Status, a.Text)
	}
	if a := o.ask(analyst, "POST", "/v1/sites/"+o.own.site+"/case", `{"reason":"ticket 4711 of Anna"}`); a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Text)
	}
	if a := o.ask(analyst, "GET", paths[10], ""); !strings.Contains(a.Text, "Camera of Anna") {
		t.Errorf("case is open: %d %s", a.Status, a.Text)
	}
	if a := o.ask(analyst, "GET", "/v1/incidents", "", "Cordon-Reason: ticket 4711"); !strings.Contains(a.Text, "Anna") || strings.Contains(a.Text, "Bert") {
		t.Errorf("list with a case: %s", a.Text)
	}
}

// TestReason makes the provider's people say why they look, once in a while, and the
// owner read it.
func TestReason(t *testing.T) {
	o := newOffice(t)
	operator, owner := o.people[cordon.RoleOperator], o.people[cordon.RoleOwner]
	path := "/v1/sites/" + o.own.site + "/devices/" + o.own.device
	for _, reason := range []string{"", "x", strings.Repeat("x", 300)} {
		if a := o.ask(operator, "GET", path, "", "Cordon-Reason: "+reason); a.Status != 403 || a.code() != "reason-required" || strings.Contains(a.Text, "Anna") {
			t.Errorf("reason %q: %d %s", reason, a.Status, a.Text)
		}
	}
	for range 3 {
		if a := o.ask(operator, "GET", path, "", "Cordon-Reason: ticket 4711"); a.Status != 200 {
			t.Errorf("%d %s", a.Status, a.Text)
		}
	}
	a := o.ask(owner, "GET", "/v1/audit?verb=device.view", "")
	if items, _ := a.JSON["items"].([]any); len(items) != 1 || !strings.Contains(a.Text, "ticket 4711") || strings.Contains(a.Text, operator.ID) {
		t.Errorf("%s", a.Text)
	}
	if a := o.ask(o.people[cordon.RoleMember], "PATCH", path, `{"name":"Cam","policy":"off"}`); a.Status != 403 {
		t.Errorf("a member switched inspection off: %d %s", a.Status, a.Text)
	}
	if a := o.ask(owner, "GET", path, ""); a.Status != 200 {
		t.Errorf("the owner needs none: %d %s", a.Status, a.Text)
	}
	o.store.down = errDown
	if a := o.ask(operator, "GET", path, "", "Cordon-Reason: ticket 4712"); a.Status < 500 || strings.Contains(a.Text, "fire") {
		t.Errorf("looked unseen: %d %s", a.Status, a.Text)
	}
}
