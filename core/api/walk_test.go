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
	"cordon/lab/office"
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
	"limit": `{"target":{"ports":[443]},"rate":{"packets":9}}`, "allow": `{"target":{"peer":"203.0.113.9"}}`, "release": `{}`, "undo": `{}`,
	"getIncident": "", "closeIncident": `{"closing":"mended"}`, "getDetection": "",
	"listDevices": "", "listIncidents": "", "listDetections": "", "listActions": "", "listen": "",
	"listRouters": "", "importRouters": `[]`, "exportRouters": "", "getRouter": "", "revokeRouter": `{"reason":"stolen"}`, "resetRouter": "",
	"listShadows": "", "createShadow": `{"kind":"scan.*","reason":"fires everywhere"}`, "liftShadow": "",
	"listUsers": "", "invite": "", "getUser": "", "changeUser": `{"name":"x"}`, "eraseUser": "", "resetUser": "", "removeGrant": "",
	"listAudit": "",
}

// place fills a route's path with what is h's.
func place(path string, h *office.Home) string {
	return strings.NewReplacer("{account}", h.Account, "{site}", h.Site, "{router}", h.Router, "{webhook}", h.Webhook, "{device}", h.Device,
		"{incident}", h.Incident, "{detection}", h.Detection, "{action}", h.Action, "{user}", h.Owner.ID,
		"{session}", "s", "{passkey}", "cA", "{token}", "t", "{shadow}", "x").Replace(path)
}

// object is what a route is about.
func object(r *desk.Route, h *office.Home) auth.Object {
	switch {
	case strings.Contains(r.Path, "{site}"), strings.Contains(r.Path, "{router}"):
		return auth.Object{Account: h.Account, Site: h.Site}
	case strings.Contains(r.Path, "{account}"):
		return auth.Object{Account: h.Account}
	case strings.Contains(r.Path, "{user}"):
		return auth.Object{Person: &h.Owner}
	}
	return auth.Object{}
}

// request completes what is sent to a route.
func request(r *desk.Route, h *office.Home) (path, body string) {
	path, body = place(r.Path, h), walked[r.ID]
	switch r.ID {
	case "invite":
		body = fmt.Sprintf(`{"email":"new@example.com","grant":{"role":"member","account":%q}}`, h.Account)
	case "removeGrant":
		path += "?role=owner&account=" + h.Account
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
			o := office.New(t)
			nobody(t, o, &r)
			for _, role := range cordon.Roles {
				for _, whose := range []string{"other", "own"} {
					if r.Method != http.MethodGet && whose == "own" { // what was changed is not there for the next
						o = office.New(t)
					}
					t.Run(string(role)+" "+whose, func(t *testing.T) { walk(t, o, &r, role, whose) })
				}
			}
		})
	}
	if n := len(api.Routes()); n != len(walked) {
		t.Errorf("%d routes, %d entries", n, len(walked))
	}
}

// nobody is told to log in.
func nobody(t *testing.T, o *office.Office, r *desk.Route) {
	path, body := request(r, &o.Own)
	if a := o.Send(r.Method, path, body); a.Status != http.StatusUnauthorized || a.Code() != "not-logged-in" {
		t.Errorf("nobody: %d %s", a.Status, a.Text)
	}
}

// walk goes to one route as one role.
func walk(t *testing.T, o *office.Office, r *desk.Route, role cordon.Role, whose string) {
	u := o.People[role]
	h := &o.Own
	if whose == "other" {
		h = &o.Other
	}
	subject := auth.Subject{User: u.ID, Grants: u.Grants, Way: auth.BySession}
	may := auth.May(subject, r.Verb, object(r, h))
	switch scope := auth.Scope(subject, r.Verb); {
	case r.List && !scope.All && len(scope.Accounts)+len(scope.Sites) == 0:
		may = auth.ErrForbidden
	case r.List:
		may = nil
	case r.ID == "invite", r.ID == "removeGrant":
		g := auth.Object{Account: h.Account}
		if may = auth.May(subject, r.Verb, g); may == nil {
			may = auth.MayGrant(subject, cordon.Grant{Role: cordon.RoleMember, Account: h.Account}, h.Account)
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
	a := o.Ask(u, r.Method, path, body, "Cordon-Reason: ticket 4711", "If-Match: *")
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
		t.Errorf("%s: %d %s\n%s", whose, a.Status, a.Text, o.Log)
	case whose == "other" && !role.Staff() && len(object(r, h).Account) > 0 && !refused:
		t.Errorf("somebody else's: %d %s", a.Status, a.Text)
	}
	if whose == "other" && !role.Staff() {
		for _, theirs := range []string{"Bert", o.Other.Account, o.Other.Site, o.Other.Router, "SN-Bert"} {
			if strings.Contains(a.Text, theirs) {
				t.Errorf("%q is in the answer: %s", theirs, a.Text)
			}
		}
	}
}

// TestTenants lists everything as each customer, with filters for somebody else's.
func TestTenants(t *testing.T) {
	o := office.New(t)
	for _, r := range api.Routes() {
		if !r.List || r.Stream {
			continue
		}
		for _, role := range []cordon.Role{cordon.RoleOwner, cordon.RoleMember, cordon.RoleBusiness, cordon.RoleInstaller} {
			for _, filter := range []string{"", "?account=" + o.Other.Account, "?site=" + o.Other.Site} {
				a := o.Ask(o.People[role], "GET", r.Path+filter, "")
				if strings.Contains(a.Text, "Bert") || a.Status == 200 && strings.Contains(a.Text, o.Other.Site) {
					t.Errorf("%s as %s: %s", r.Path+filter, role, a.Text)
				}
			}
		}
	}
}

// TestVeiled shows homes to an analyst by pseudonym until a case is open.
func TestVeiled(t *testing.T) {
	o := office.New(t)
	analyst := o.People[cordon.RoleAnalyst]
	paths := []string{"/v1/accounts", "/v1/sites", "/v1/routers", "/v1/devices", "/v1/incidents", "/v1/detections", "/v1/actions", "/v1/routers/export",
		"/v1/sites/" + o.Own.Site, "/v1/sites/" + o.Own.Site + "/overview", "/v1/sites/" + o.Own.Site + "/incidents/i1",
		"/v1/sites/" + o.Own.Site + "/detections/d1", "/v1/accounts/" + o.Own.Account, "/v1/routers/" + o.Own.Router}
	for _, path := range paths {
		a := o.Ask(analyst, "GET", path, "")
		if a.Status != 200 {
			t.Errorf("%s: %d %s", path, a.Status, a.Text)
		}
		for _, name := range []string{"Anna", "Bert", "02:00:00:00:00:01", "192.168", "SN-"} {
			if strings.Contains(a.Text, name) {
				t.Errorf("%s shows %q: %s", path, name, a.Text)
			}
		}
	}
	lines := o.Ask(o.People[cordon.RoleAdministrator], "GET", "/v1/audit?user="+analyst.ID, "")
	if items, _ := lines.JSON["items"].([]any); len(items) != 1 { // the log-in
		t.Errorf("lines for looks that show nobody: %s", lines.Text)
	}
	if a := o.Ask(analyst, "GET", "/v1/devices?text=Anna", ""); a.Status != 403 {
		t.Errorf("searched by name: %d %s", a.Status, a.Text)
	}
	if a := o.Ask(analyst, "POST", "/v1/sites/"+o.Own.Site+"/case", `{"reason":"ticket 4711 of Anna"}`); a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Text)
	}
	if a := o.Ask(analyst, "GET", paths[10], ""); !strings.Contains(a.Text, "Camera of Anna") {
		t.Errorf("case is open: %d %s", a.Status, a.Text)
	}
	if a := o.Ask(analyst, "GET", "/v1/incidents", "", "Cordon-Reason: ticket 4711"); !strings.Contains(a.Text, "Anna") || strings.Contains(a.Text, "Bert") {
		t.Errorf("list with a case: %s", a.Text)
	}
}

// TestReason makes the provider's people say why they look, once in a while, and the
// owner read it.
func TestReason(t *testing.T) {
	o := office.New(t)
	operator, owner := o.People[cordon.RoleOperator], o.People[cordon.RoleOwner]
	path := "/v1/sites/" + o.Own.Site + "/devices/" + o.Own.Device
	for _, reason := range []string{"", "x", strings.Repeat("x", 300)} {
		if a := o.Ask(operator, "GET", path, "", "Cordon-Reason: "+reason); a.Status != 403 || a.Code() != "reason-required" || strings.Contains(a.Text, "Anna") {
			t.Errorf("reason %q: %d %s", reason, a.Status, a.Text)
		}
	}
	for range 3 {
		if a := o.Ask(operator, "GET", path, "", "Cordon-Reason: ticket 4711"); a.Status != 200 {
			t.Errorf("%d %s", a.Status, a.Text)
		}
	}
	a := o.Ask(owner, "GET", "/v1/audit?verb=device.view", "")
	if items, _ := a.JSON["items"].([]any); len(items) != 1 || !strings.Contains(a.Text, "ticket 4711") || strings.Contains(a.Text, operator.ID) ||
		!strings.Contains(a.Text, `"who":"Provider"`) || strings.Contains(a.Text, "127.0.0.1") {
		t.Errorf("%s", a.Text)
	}
	if a := o.Ask(o.People[cordon.RoleAdministrator], "GET", "/v1/audit?verb=device.view", ""); !strings.Contains(a.Text, operator.ID) || !strings.Contains(a.Text, `"who":"operator"`) {
		t.Errorf("%s", a.Text)
	}
	if a := o.Ask(o.People[cordon.RoleMember], "PATCH", path, `{"name":"Cam","policy":"off"}`); a.Status != 403 {
		t.Errorf("a member switched inspection off: %d %s", a.Status, a.Text)
	}
	if a := o.Ask(owner, "GET", path, ""); a.Status != 200 {
		t.Errorf("the owner needs none: %d %s", a.Status, a.Text)
	}
}

// TestWhy is one notion: the header, or the open case, before what an order says itself.
func TestWhy(t *testing.T) {
	o := office.New(t)
	analyst, device := o.People[cordon.RoleAnalyst], "/v1/sites/"+o.Own.Site+"/devices/"+o.Own.Device
	long := "ticket 4711: " + strings.Repeat("ä", 480)
	if a := o.Ask(analyst, "POST", "/v1/sites/"+o.Own.Site+"/case", fmt.Sprintf(`{"reason":%q}`, long)); a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Text)
	}
	for n, c := range []struct{ method, path, body, header, verb, want string }{
		{"GET", device, "", "", "device.view", long},
		{"POST", device + "/quarantine", `{"reason":"it floods"}`, "", "device.restrict", long + ": it floods"},
		{"POST", device + "/release", `{"reason":"mended"}`, "ticket 4712", "device.release", "ticket 4712: mended"},
	} {
		if a := o.Ask(analyst, c.method, c.path, c.body, "Cordon-Reason: "+c.header); a.Status != 200 {
			t.Errorf("%d: %d %s", n, a.Status, a.Text)
		}
		a := o.Ask(o.People[cordon.RoleOwner], "GET", "/v1/audit?verb="+c.verb, "")
		if !strings.Contains(a.Text, c.want) || strings.Contains(a.Text, analyst.ID) {
			t.Errorf("%d: %s", n, a.Text)
		}
	}
}

// TestUnseen shows nothing that the record cannot say was looked at, and forgets no look
// because its first line failed.
func TestUnseen(t *testing.T) {
	o := office.New(t)
	look := func() office.Answer {
		return o.Ask(o.People[cordon.RoleOperator], "GET", "/v1/devices?account="+o.Own.Account, "", "Cordon-Reason: ticket 4712")
	}
	o.Store.Fail(errDown)
	if a := look(); a.Status < 500 || strings.Contains(a.Text, "fire") || strings.Contains(a.Text, "Anna") {
		t.Errorf("looked unseen: %d %s", a.Status, a.Text)
	}
	o.Store.Fail(nil)
	for range 2 {
		if a := look(); a.Status != 200 || !strings.Contains(a.Text, "Anna") {
			t.Errorf("%d %s", a.Status, a.Text)
		}
	}
	a := o.Ask(o.People[cordon.RoleOwner], "GET", "/v1/audit?verb=device.view", "")
	if items, _ := a.JSON["items"].([]any); len(items) != 1 || !strings.Contains(a.Text, "ticket 4712") {
		t.Errorf("want one line: %s", a.Text)
	}
}
