package reader

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"cordon"
	"cordon/lab/records"
)

// list is a list that the API has, and how it is filtered.
type list struct {
	name   string
	weight int
	roles  []cordon.Role // that may read it; nil: all
	filter func(p *person, q url.Values)
}

// lists are all of them. Weights, here and below, are a guess of what a portal asks for:
// there is no provider yet whose log could be counted.
var lists = []list{
	{"devices", 20, nil, filterDevices},
	{"incidents", 24, nil, filterIncidents},
	{"detections", 10, nil, filterDetections},
	{"actions", 8, nil, filterActions},
	{"routers", 10, nil, filterRouters},
	{"sites", 8, nil, filterSites},
	{"accounts", 4, nil, func(p *person, q url.Values) { p.text(q, "text", 2, "Ada", "Ben M", "K000", "K0001", "Zoe") }},
	{"audit", 5, []cordon.Role{cordon.RoleOwner, cordon.RoleAdministrator}, filterAudit},
}

// maybe sets a filter once in n requests.
func (p *person) maybe(q url.Values, key string, n int, value func() string) {
	if p.rng.IntN(n) == 0 {
		q.Set(key, value())
	}
}

// one sets a filter to one of some values, once in n requests.
func (p *person) one(q url.Values, key string, n int, of ...string) {
	p.maybe(q, key, n, func() string { return of[p.rng.IntN(len(of))] })
}

// text searches, which who sees homes by pseudonym may not.
func (p *person) text(q url.Values, key string, n int, of ...string) {
	if p.role != cordon.RoleAnalyst {
		p.one(q, key, n, of...)
	}
}

// where says which homes are wanted.
func (p *person) where(q url.Values) {
	if p.role.Staff() {
		p.maybe(q, "area", 4, func() string { return records.Area(p.rng.IntN(100)) })
		p.maybe(q, "group", 6, func() string { return records.Group(p.rng.IntN(10)) })
	}
	if i, ok := p.any("sites"); ok {
		p.one(q, "site", 8, i.ID)
	}
	if i, ok := p.any("accounts"); ok {
		p.one(q, "account", 12, i.ID)
	}
}

// span says which time is wanted.
func (p *person) span(q url.Values) {
	ago := func() string {
		return time.Now().Add(-time.Duration(p.rng.Int64N(int64(90 * 24 * time.Hour)))).UTC().Format(time.RFC3339)
	}
	p.maybe(q, "since", 5, ago)
	p.maybe(q, "until", 3, ago)
}

func (p *person) level(q url.Values, n int) { p.one(q, "level", n, "watch", "notify", "act") }

func (p *person) kind(q url.Values, n int) {
	p.maybe(q, "kind", n, func() string {
		all := cordon.Kinds()
		if p.rng.IntN(4) == 0 {
			return "scan.*"
		}
		return string(all[p.rng.IntN(len(all))])
	})
}

// device asks for one device's records, by a name that occurs in many homes or in one.
func (p *person) device(q url.Values, n int) {
	if i, ok := p.any("devices"); ok {
		p.text(q, "device", n, i.ID)
	}
}

func filterDevices(p *person, q url.Values) {
	p.where(q)
	p.maybe(q, "model", 5, func() string { return records.Model(p.rng.IntN(200)) })
	p.one(q, "state", 6, "watched", "limited", "blocked", "quarantined")
	p.level(q, 5)
	p.text(q, "text", 6, "cam", "cam-1a", "printer-0", "Acme", "Lumen", "192.168.1.1", "02:00:00:0", "nothing of that name")
}

func filterIncidents(p *person, q url.Values) {
	p.where(q)
	p.span(q)
	p.kind(q, 5)
	p.level(q, 3)
	p.one(q, "state", 3, "open", "over")
	p.device(q, 10)
}

func filterDetections(p *person, q url.Values) {
	p.where(q)
	p.span(q)
	p.kind(q, 3)
	p.level(q, 4)
	p.device(q, 10)
}

func filterActions(p *person, q url.Values) {
	p.where(q)
	p.span(q)
	p.one(q, "verb", 3, "notify", "limit", "block", "quarantine", "release")
	p.device(q, 10)
}

func filterRouters(p *person, q url.Values) {
	p.where(q)
	p.text(q, "serial", 6, "SN0", "SN0001", "SN000012", "LIVE")
	p.one(q, "model", 6, "Box 3", "Box 4", "Box 5")
	p.one(q, "state", 6, "expected", "enrolled", "reset", "revoked")
	p.one(q, "online", 6, "true", "false")
}

func filterSites(p *person, q url.Values) {
	p.where(q)
	q.Del("site") // a site is no site's
	p.text(q, "text", 6, "Mill Lane", "Via", "L0000", "L00001")
}

func filterAudit(p *person, q url.Values) {
	p.span(q)
	p.one(q, "verb", 3, "device.view", "incident.view", "device.change", "session.begin")
	if i, ok := p.any("sites"); ok {
		p.one(q, "site", 6, i.ID)
	}
}

// record is a request about one record that a list showed.
type record struct {
	route  string
	list   string // of which it is; empty: of none
	weight int
	roles  []cordon.Role // that may; nil: all
	body   func(p *person) any
}

// byName are the roles that see devices by name.
var byName = []cordon.Role{cordon.RoleOwner, cordon.RoleOperator, cordon.RoleAdministrator}

// single is what is asked about one record. The last are changes, 4 of 100 requests.
var single = []record{
	{"GET /v1/me", "", 6, nil, nil},
	{"GET /v1/accounts/{account}", "accounts", 3, nil, nil},
	{"GET /v1/sites/{site}", "sites", 4, nil, nil},
	{"GET /v1/sites/{site}/overview", "sites", 8, nil, nil},
	{"GET /v1/sites/{site}/desired", "sites", 3, byName, nil},
	{"GET /v1/routers/{router}", "routers", 4, nil, nil},
	{"GET /v1/sites/{site}/devices/{device}", "devices", 12, byName, nil},
	{"GET /v1/sites/{site}/incidents/{incident}", "incidents", 14, nil, nil},
	{"GET /v1/sites/{site}/detections/{detection}", "detections", 6, nil, nil},
	{"PATCH /v1/sites/{site}/devices/{device}", "devices", 4, byName, func(p *person) any {
		return map[string]string{"room": fmt.Sprintf("Room %d", p.rng.IntN(9)), "name": fmt.Sprintf("Thing %d", p.rng.IntN(99))}
	}},
	{"POST /v1/sites/{site}/devices/{device}/quarantine", "devices", 2, byName, func(*person) any { return map[string]string{"reason": "It scans."} }},
	{"POST /v1/sites/{site}/devices/{device}/release", "devices", 1, byName, func(*person) any { return map[string]string{"reason": "It was mended."} }},
	{"POST /v1/sites/{site}/incidents/{incident}/close", "incidents", 1, byName, func(*person) any { return map[string]string{"closing": "mended"} }},
}

// goesOn is the share of pages after which the next one is asked for, and resumes that of
// the provider's people's questions that go on in the middle of a list.
const goesOn, resumes = 0.5, 0.15

// next is what somebody asks next.
func (p *person) next(lib *library) *request {
	switch {
	case p.check != nil:
		return p.check.request()
	case p.walk != nil:
		w := p.walk
		p.walk = nil
		return w.page(p.limit())
	}
	if p.role.Staff() && p.rng.Float64() < resumes {
		if w := lib.take(p); w != nil {
			return w.page(p.limit())
		}
	}
	for {
		if r := p.choose(); r != nil {
			return r
		}
	}
}

// limit is how long a page is to be.
func (p *person) limit() int {
	switch n := p.rng.IntN(100); {
	case n < 75:
		return 50
	case n < 88:
		return 20
	case n < 98:
		return 100
	}
	return 500
}

// choose throws a die; nil: it is nothing that p may or can ask.
func (p *person) choose() *request {
	all := 0
	for i := range lists {
		all += lists[i].weight
	}
	for i := range single {
		all += single[i].weight
	}
	n := p.rng.IntN(all)
	for i := range lists {
		if n -= lists[i].weight; n < 0 {
			return p.listed(&lists[i])
		}
	}
	for i := range single {
		if n -= single[i].weight; n < 0 {
			return p.named(&single[i])
		}
	}
	return nil
}

// may reports whether p has one of the roles.
func (p *person) may(roles []cordon.Role) bool {
	for _, r := range roles {
		if r == p.role {
			return true
		}
	}
	return roles == nil
}

// listed asks for the beginning of a list.
func (p *person) listed(l *list) *request {
	if !p.may(l.roles) {
		return nil
	}
	q := make(url.Values)
	l.filter(p, q)
	return (&walk{list: l.name, query: q}).page(p.limit())
}

// named asks about one record.
func (p *person) named(r *record) *request {
	if !p.may(r.roles) {
		return nil
	}
	q := &request{route: r.route}
	if r.body != nil {
		q.body = r.body(p)
	}
	var i item
	if r.list != "" {
		var ok bool
		if i, ok = p.any(r.list); !ok {
			return nil
		}
	}
	q.path = path(r.route, i)
	return q
}

// path is the path of a route about a record.
func path(route string, i item) string {
	_, path, _ := strings.Cut(route, " ")
	return placeholder.ReplaceAllStringFunc(path, func(name string) string {
		switch name {
		case "{site}":
			return url.PathEscape(i.Site)
		case "{account}":
			return url.PathEscape(i.Account)
		}
		return url.PathEscape(i.ID)
	})
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)
