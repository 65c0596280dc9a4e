package api_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cordon/core/api"
	"cordon/core/api/problem"
	"cordon/core/provision"
	"cordon/lab/office"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write generated files instead of comparing them")

// Files that are written from the code.
const (
	openAPIFile   = "../../docs/reference/openapi.json"
	referenceFile = "../../docs/reference/api.md"
)

// compare holds a committed file to what the code says, or writes it.
func compare(t *testing.T, file, is string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(is), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(was), "\n"), strings.Split(is, "\n")); diff != "" {
		t.Errorf("%s is not what the code says: run `make gen`\n%s", file, diff)
	}
}

// TestOpenAPI compares the description with the committed one, and holds it to what
// generators of clients need.
func TestOpenAPI(t *testing.T) {
	o := office.New(t)
	a := o.Send("GET", "/openapi.json", "")
	if a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Text)
	}
	compare(t, openAPIFile, a.Text)
	for _, bad := range []string{"$schema", "ErrorModel", "unpkg.com", "SetCookie"} {
		if strings.Contains(a.Text, bad) {
			t.Errorf("%q is in it", bad)
		}
	}
	var d struct {
		Paths map[string]map[string]struct {
			OperationID string
			Parameters  []struct{ Name, In string }
			Responses   map[string]any
		}
	}
	if err := json.Unmarshal([]byte(a.Text), &d); err != nil {
		t.Fatal(err)
	}
	n := 0
	ids := make(map[string]bool)
	for path, methods := range d.Paths {
		for method, op := range methods {
			n++
			if ids[op.OperationID] || op.OperationID == "" {
				t.Errorf("%s %s: operation id %q", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
			if op.Responses["default"] == nil {
				t.Errorf("%s %s: no problem is described", method, path)
			}
			for _, part := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.Name == part[1] && p.In == "path" }) {
					t.Errorf("%s %s: parameter %s is not described", method, path, part[1])
				}
			}
		}
	}
	if n != len(api.Routes()) {
		t.Errorf("%d operations, %d routes", n, len(api.Routes()))
	}
}

// TestReference compares docs/reference/api.md with the tables.
func TestReference(t *testing.T) {
	var b strings.Builder
	text, err := os.ReadFile("testdata/api.md")
	if err != nil {
		t.Fatal(err)
	}
	b.WriteString(strings.ReplaceAll(string(text), "COLUMNS", "`"+strings.Join(provision.Columns(), "`, `")+"`"))
	b.WriteString("\n## Routes\n\nThe verb is what docs/roles.md gives to roles; none: nobody needs to be logged in. R: the\n" +
		"provider's people say why (`Cordon-Reason`). K: takes an `Idempotency-Key`.\n\n" +
		"| route | does | verb | |\n|---|---|---|---|\n")
	for _, r := range api.Routes() {
		verb, notes := "`"+string(r.Verb)+"`", ""
		if r.Open {
			verb = ""
		}
		for _, n := range []struct {
			is   bool
			note string
		}{{r.Looks, "R"}, {r.Replays(), "K"}} {
			if n.is {
				notes += n.note
			}
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s | %s |\n", r.Method, r.Path, r.Text, verb, notes)
	}
	b.WriteString("\n## Problems\n\n| code | status | means | what to do |\n|---|---|---|---|\n")
	for _, k := range problem.Kinds() {
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s |\n", k.Code, k.Status, k.Title, k.Hint)
	}
	compare(t, referenceFile, b.String())
}

// TestKinds holds the problems to their order and names.
func TestKinds(t *testing.T) {
	seen := make(map[string]bool)
	last := 0
	for _, k := range problem.Kinds() {
		if seen[k.Code] || k.Status < last || http.StatusText(k.Status) == "" || k.Title == "" || k.Hint == "" ||
			!regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(k.Code) {
			t.Errorf("%+v", k)
		}
		seen[k.Code], last = true, k.Status
	}
}
