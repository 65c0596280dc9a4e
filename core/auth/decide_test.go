package auth

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cordon"
)

var update = flag.Bool("update", false, "write docs/roles.md anew")

// TestRoles holds docs/roles.md to the table.
func TestRoles(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Who may see and do what\n\nWritten from `core/auth/verb.go` by a test. What has no mark is denied.\n\n" +
		"- **yes**: in the account of the role (owner, member, business), at its site (installer), everywhere (the provider's people)\n" +
		"- **by pseudonym**: everywhere, homes without names until a case is open for one\n" +
		"- **in a case**: in homes of which the person has a case open\n" +
		"- **†**: in person; a token is not enough\n\n| verb | what |")
	for _, r := range cordon.Roles {
		fmt.Fprintf(&b, " %s |", r)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(cordon.Roles)) + "\n")
	words := map[cell]string{no: "", yes: "yes", veiled: "by pseudonym", inCase: "in a case"}
	for _, r := range table {
		mark := ""
		if r.inPerson {
			mark = " †"
		}
		fmt.Fprintf(&b, "| `%s`%s | %s |", r.verb, mark, r.text)
		for _, c := range r.may {
			fmt.Fprintf(&b, " %s |", words[c])
		}
		b.WriteString("\n")
	}
	b.WriteString("\n## Who may give which role\n\n| role | may give and take |\n|---|---|\n")
	for _, r := range cordon.Roles {
		if len(gives[r]) > 0 {
			fmt.Fprintf(&b, "| %s | %s |\n", r, strings.Trim(fmt.Sprint(gives[r]), "[]"))
		}
	}
	b.WriteString(`
## Whom one sees

- A customer sees the people who have a role in the account, and by name (` + "`GET /v1/users/{user}`" + `) who sets up
  one of its sites: the site's ` + "`installer`" + `. After the hand-over the installer is a stranger again.
- Of the provider's people a customer sees no names. In the record, at orders and at closed incidents
  they are the provider; the record says their role, when, why and what.
- The provider's people see each other by name in the record.
`)
	path := filepath.Join("..", "..", "docs", "roles.md")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(committed) != b.String() {
		t.Error("docs/roles.md differs from the table: go test ./core/auth -run TestRoles -update")
	}
}

// holder returns somebody with one role in account "mine" or at site "mine".
func holder(r cordon.Role) Subject {
	g := cordon.Grant{Role: r}
	switch {
	case r.Staff():
	case r == cordon.RoleInstaller:
		g.Site = "mine"
	default:
		g.Account = "mine"
	}
	return Subject{User: "somebody", Grants: []cordon.Grant{g}, Way: BySession}
}

// TestEveryVerb tries every verb as every role, on what is one's own and on what is
// somebody else's.
func TestEveryVerb(t *testing.T) {
	own, other := Object{Account: "mine", Site: "mine"}, Object{Account: "theirs", Site: "theirs"}
	for _, row := range table {
		for i, role := range cordon.Roles {
			s, c := holder(role), row.may[i]
			if row.self() {
				if err := May(s, row.verb, Object{}); err != nil {
					t.Errorf("%s as %s: %v", row.verb, role, err)
				}
				continue
			}
			if err := May(s, row.verb, own); (err == nil) != (c == yes || c == veiled) {
				t.Errorf("%s as %s on one's own: %v, the table says %d", row.verb, role, err, c)
			}
			err := May(s, row.verb, other)
			switch {
			case role.Staff() && (c == yes || c == veiled):
				if err != nil {
					t.Errorf("%s as %s anywhere: %v", row.verb, role, err)
				}
			case err == nil:
				t.Errorf("%s as %s on somebody else's is permitted", row.verb, role)
			case !role.Staff() && !errors.Is(err, cordon.ErrNotFound):
				t.Errorf("%s as %s on somebody else's: %v tells that it is there", row.verb, role, err)
			}
			if got := Veiled(s, row.verb, other); got != (c == veiled) {
				t.Errorf("%s as %s veiled: %v", row.verb, role, got)
			}
			if err := May(Subject{}, row.verb, own); !errors.Is(err, ErrNobody) {
				t.Errorf("%s as nobody: %v", row.verb, err)
			}
			if got := May(Subject{User: "x", Grants: []cordon.Grant{{Role: "king", Account: "mine"}}}, row.verb, own); got == nil {
				t.Errorf("%s as a role that is not known is permitted", row.verb)
			}
		}
	}
	if err := May(holder(cordon.RoleAdministrator), "world.rule", Object{}); err == nil {
		t.Error("a verb that is not known is permitted")
	}
}

// TestScope holds lists to what single objects permit.
func TestScope(t *testing.T) {
	for _, row := range table {
		for i, role := range cordon.Roles {
			if row.self() {
				continue
			}
			s, c := holder(role), row.may[i]
			got := Scope(s, row.verb)
			want := cordon.Scope{}
			switch {
			case c == no, c == inCase:
			case role.Staff():
				want.All = true
			case role == cordon.RoleInstaller:
				want.Sites = []string{"mine"}
			default:
				want.Accounts = []string{"mine"}
			}
			if got.All != want.All || !slices.Equal(got.Accounts, want.Accounts) || !slices.Equal(got.Sites, want.Sites) {
				t.Errorf("%s as %s: scope %+v, want %+v", row.verb, role, got, want)
			}
		}
	}
}

// TestCase opens one home to an analyst, and no other.
func TestCase(t *testing.T) {
	s := holder(cordon.RoleAnalyst)
	home, other := Object{Account: "a", Site: "home"}, Object{Account: "a", Site: "other"}
	if !Veiled(s, DeviceView, home) || May(s, DeviceRestrict, home) == nil {
		t.Error("without a case an analyst sees names, or acts")
	}
	s.Cases = []Case{{Site: "home", Account: "a"}}
	if Veiled(s, DeviceView, home) || May(s, DeviceRestrict, home) != nil {
		t.Error("with a case an analyst sees no names, or cannot act")
	}
	if !Veiled(s, DeviceView, other) || May(s, DeviceRestrict, other) == nil {
		t.Error("a case opens another home")
	}
	if got := Scope(s, DeviceRestrict); !slices.Equal(got.Sites, []string{"home"}) || got.All {
		t.Errorf("scope %+v", got)
	}
	if err := CheckQuery(s, DeviceView, cordon.Query{Text: "Anna"}); !errors.Is(err, ErrForbidden) {
		t.Errorf("an analyst searches all homes by name: %v", err)
	}
	s.Way = ByToken
	if May(s, CaseOpen, home) == nil {
		t.Error("a program opens a case")
	}
}

// TestMayGrant lets nobody give more than he has, nor elsewhere.
func TestMayGrant(t *testing.T) {
	for _, c := range []struct {
		giver cordon.Role
		grant cordon.Grant
		site  string // the account of the grant's site
		want  bool
	}{
		{cordon.RoleOwner, cordon.Grant{Role: cordon.RoleMember, Account: "mine"}, "", true},
		{cordon.RoleOwner, cordon.Grant{Role: cordon.RoleMember, Account: "theirs"}, "", false},
		{cordon.RoleOwner, cordon.Grant{Role: cordon.RoleInstaller, Site: "s"}, "mine", true},
		{cordon.RoleOwner, cordon.Grant{Role: cordon.RoleInstaller, Site: "s"}, "theirs", false},
		{cordon.RoleOwner, cordon.Grant{Role: cordon.RoleInstaller, Site: "s"}, "", false},
		{cordon.RoleOwner, cordon.Grant{Role: cordon.RoleOperator}, "", false},
		{cordon.RoleMember, cordon.Grant{Role: cordon.RoleMember, Account: "mine"}, "", false},
		{cordon.RoleInstaller, cordon.Grant{Role: cordon.RoleInstaller, Site: "mine"}, "mine", false},
		{cordon.RoleOperator, cordon.Grant{Role: cordon.RoleOwner, Account: "any"}, "", true},
		{cordon.RoleOperator, cordon.Grant{Role: cordon.RoleOperator}, "", false},
		{cordon.RoleAnalyst, cordon.Grant{Role: cordon.RoleMember, Account: "any"}, "", false},
		{cordon.RoleAdministrator, cordon.Grant{Role: cordon.RoleAdministrator}, "", true},
	} {
		if err := MayGrant(holder(c.giver), c.grant, c.site); (err == nil) != c.want {
			t.Errorf("%s gives %+v: %v, want %v", c.giver, c.grant, err, c.want)
		}
	}
	for _, g := range []cordon.Grant{{}, {Role: "king"}, {Role: cordon.RoleOwner}, {Role: cordon.RoleOwner, Site: "s"},
		{Role: cordon.RoleOperator, Account: "a"}, {Role: cordon.RoleInstaller, Account: "a"}} {
		if err := CheckGrant(g); !errors.Is(err, cordon.ErrInvalid) {
			t.Errorf("grant %+v: %v", g, err)
		}
	}
}

// TestPersons lets nobody become more by changing somebody who is more.
func TestPersons(t *testing.T) {
	person := func(g ...cordon.Grant) *cordon.User { return &cordon.User{ID: "other", Grants: g} }
	operator, administrator := holder(cordon.RoleOperator), holder(cordon.RoleAdministrator)
	owner := person(cordon.Grant{Role: cordon.RoleOwner, Account: "a"})
	boss := person(cordon.Grant{Role: cordon.RoleAdministrator})
	for _, c := range []struct {
		s    Subject
		v    Verb
		p    *cordon.User
		want bool
	}{
		{operator, PersonReset, owner, true}, {operator, PersonReset, boss, false}, {administrator, PersonReset, boss, true},
		{holder(cordon.RoleOwner), PersonReset, owner, false}, {holder(cordon.RoleOwner), PersonView, owner, false},
		{holder(cordon.RoleOwner), PersonView, person(cordon.Grant{Role: cordon.RoleMember, Account: "mine"}), true},
		{holder(cordon.RoleMember), SelfChange, person(), false},
	} {
		if err := May(c.s, c.v, Object{Person: c.p}); (err == nil) != c.want {
			t.Errorf("%s by %s on %+v: %v, want %v", c.v, c.s.Role(), c.p.Grants, err, c.want)
		}
	}
}

// TestContains holds what a token may be instead of its user to what that is worth.
func TestContains(t *testing.T) {
	for role, parts := range contains {
		for _, part := range parts {
			for _, row := range table {
				whole, p := row.cell(role), row.cell(part)
				if p > whole && !(p == veiled && whole == yes) {
					t.Errorf("%s: %s may %d, but %s, which it contains, %d", row.verb, role, whole, part, p)
				}
			}
		}
	}
}
