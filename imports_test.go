package cordon_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The arrows between the packages of the house ("Who may import what" and
// "Third-party limits" of ARCHITECTURE.md). A pattern is an import path; with
// "/..." at its end it also means everything below. In a list of imports, "own"
// means the importing package and everything below it.

// arrows says which packages of ours a package may import. The first pattern
// that fits a package counts; a package that none fits is an error.
var arrows = []struct {
	packages []string
	imports  []string
}{
	{[]string{"cordon/internal/spool"}, []string{"cordon/internal/medium"}}, // a queue of files
	{[]string{"cordon", "cordon/agent/packet", "cordon/internal/...", "cordon/portal"}, nil},
	{[]string{"cordon/wire"}, []string{"cordon", "own"}},
	{[]string{"cordon/wire/internal/..."}, nil},
	{[]string{"cordon/agent"}, []string{"cordon", "cordon/wire", "cordon/internal/...", "own"}},
	{[]string{"cordon/core"}, []string{"cordon", "cordon/wire", "cordon/portal", "cordon/internal/...", "own"}},
	{[]string{"cordon/agent/pipeline", "cordon/agent/home"}, // what ties the stages together, and shows them to people and core
		[]string{"cordon", "cordon/internal/...", "cordon/agent/..."}},
	{[]string{"cordon/agent/uplink", "cordon/core/gateway", "cordon/core/push/agents"},
		[]string{"cordon", "cordon/wire", "cordon/internal/..."}},
	{[]string{"cordon/core/api/..."}, []string{"cordon", "cordon/core/auth/...", "cordon/core/provision", "cordon/internal/...",
		"cordon/core/api/..."}}, // a request is a person who may, or may not
	{[]string{"cordon/core/store/intake", "cordon/core/store/dump", "cordon/core/store/people"},
		[]string{"cordon", "cordon/core/store/table/...", "cordon/internal/..."}}, // rows of their own kind, on one ground
	{[]string{"cordon/agent/observe/..."}, []string{"cordon", "cordon/agent/packet", "cordon/internal/...",
		"cordon/agent/observe/..."}},
	{[]string{"cordon/agent/..."}, []string{"cordon", "cordon/agent/packet", "cordon/internal/...", "own"}},
	{[]string{"cordon/core/..."}, []string{"cordon", "cordon/internal/...", "own"}},
	{[]string{"cordon/lab/..."}, []string{"cordon", "cordon/wire", "cordon/agent/...", "cordon/core/...",
		"cordon/portal", "cordon/internal/...", "cordon/lab/..."}},
	{[]string{"cordon/deploy/..."}, []string{"cordon", "cordon/agent/config", "cordon/core/config"}}, // which its tests hold the packages to
	{[]string{"cordon/cmd/..."}, []string{"cordon", "cordon/agent", "cordon/agent/capture/file",
		"cordon/agent/indicator/...", "cordon/agent/packet", "cordon/agent/config", "cordon/agent/control",
		"cordon/core", "cordon/core/config", "cordon/lab/...", "cordon/internal/..."}},
}

// testArrows is what tests may import of ours on top of what their package may:
// what they test, and the lab, which makes captures and homes.
var testArrows = []string{"own", "cordon/lab/..."}

// limits says which packages may import a thing from outside the house. Tests
// are held to them too, unless tests is set.
var limits = []struct {
	what     string
	outside  []string
	packages []string
	tests    bool
}{
	{"netlink and eBPF", []string{"github.com/cilium/ebpf/...", "github.com/google/nftables/...",
		"github.com/vishvananda/...", "github.com/mdlayher/...", "github.com/jsimonetti/rtnetlink/..."},
		[]string{"cordon/agent/capture/...", "cordon/agent/enforce/...", "cordon/agent/network/...", "cordon/lab/..."}, false},
	{"SQL", sql, []string{"cordon/core/store/..."}, false},
	{"NATS", []string{"github.com/nats-io/..."},
		[]string{"cordon/core/bus/...", "cordon/core/gateway/...", "cordon/agent/uplink/...", "cordon/lab/..."}, false},
	{"gopacket", gopacket, []string{"cordon/lab/..."}, true},
	{"test helpers", []string{"github.com/google/go-cmp/...", "pgregory.net/rapid/...",
		"github.com/rogpeppe/go-internal/..."}, []string{"cordon/lab/detectiontest"}, true},
}

var (
	sql = []string{"database/sql/...", "modernc.org/sqlite/...", "github.com/mattn/go-sqlite3/...",
		"github.com/jackc/...", "github.com/lib/pq/...", "github.com/pressly/goose/..."}
	gopacket = []string{"github.com/gopacket/gopacket/...", "github.com/google/gopacket/..."}
)

// unreachable is what the router's program must not contain, also not through
// something else.
var unreachable = slices.Concat(sql, gopacket, []string{"cordon/core/...", "cordon/portal/...", "cordon/lab/...",
	"github.com/danielgtaylor/huma/..."})

// listed is a package as `go list -json` describes it.
type listed struct {
	ImportPath   string
	Standard     bool
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// TestImports holds the whole tree to the arrows and limits.
func TestImports(t *testing.T) {
	for _, p := range list(t, "-json=ImportPath,Imports,TestImports,XTestImports", "./...") {
		for _, offence := range offences(p) {
			t.Error(offence)
		}
	}
}

// TestImportsOfAgent holds everything that the router's program links to what
// it may reach.
func TestImportsOfAgent(t *testing.T) {
	for _, p := range agentLinks(t) {
		if matches(unreachable, p.ImportPath, "") {
			t.Errorf("cordon/cmd/cordon-agent reaches %s", p.ImportPath)
		}
	}
}

var update = flag.Bool("update", false, "write generated files instead of comparing them")

// TestDeps compares what the router's program links from outside the standard
// library with cmd/cordon-agent/deps.txt, so that a new dependency is seen in
// review. `make gen` rewrites the file.
func TestDeps(t *testing.T) {
	file := filepath.Join("cmd", "cordon-agent", "deps.txt")
	var is []string
	for _, p := range agentLinks(t) {
		if !p.Standard {
			is = append(is, p.ImportPath)
		}
	}
	slices.Sort(is)
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(is, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	was := strings.Fields(string(committed))
	for _, path := range is {
		if !slices.Contains(was, path) {
			t.Errorf("the agent now links %s: say why in the commit and run `make gen`", path)
		}
	}
	for _, path := range was {
		if !slices.Contains(is, path) {
			t.Errorf("the agent no longer links %s: run `make gen`", path)
		}
	}
}

// offences returns one sentence for every import of p that breaks a rule.
func offences(p listed) (found []string) {
	rule := slices.IndexFunc(arrows, func(a struct{ packages, imports []string }) bool {
		return matches(a.packages, p.ImportPath, "")
	})
	if rule < 0 {
		return []string{fmt.Sprintf("%s: no rule says what this package may import", p.ImportPath)}
	}
	check := func(importing string, imports, allowed []string, test bool) {
		for _, path := range imports {
			switch {
			case matches([]string{"cordon/..."}, path, ""):
				if !matches(allowed, path, p.ImportPath) {
					found = append(found, fmt.Sprintf("%s imports %s: it may import of ours only %q", importing, path, allowed))
				}
			case p.ImportPath == "cordon" && !test && strings.Contains(path, "."):
				found = append(found, fmt.Sprintf("cordon imports %s: the vocabulary needs the standard library only", path))
			}
			found = append(found, overLimit(importing, p.ImportPath, path, test)...)
		}
	}
	check(p.ImportPath, p.Imports, arrows[rule].imports, false)
	check("a test of "+p.ImportPath, slices.Concat(p.TestImports, p.XTestImports),
		slices.Concat(arrows[rule].imports, testArrows), true)
	return found
}

// overLimit returns a sentence for each limit that importing path breaks.
func overLimit(importing, owner, path string, test bool) (found []string) {
	for _, l := range limits {
		if matches(l.outside, path, "") && !matches(l.packages, owner, "") && !(test && l.tests) {
			found = append(found, fmt.Sprintf("%s imports %s: %s only in %q", importing, path, l.what, l.packages))
		}
	}
	return found
}

// matches reports whether path fits one of the patterns; "own" stands for owner
// and what is below it.
func matches(patterns []string, path, owner string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if pattern == "own" {
			pattern = owner + "/..."
		}
		tree, isTree := strings.CutSuffix(pattern, "/...")
		return path == tree || isTree && strings.HasPrefix(path, tree+"/")
	})
}

// agentLinks returns every package in the router's program.
func agentLinks(t *testing.T) []listed {
	t.Helper()
	return list(t, "-deps", "-json=ImportPath,Standard", "./cmd/cordon-agent")
}

// list runs `go list` as for a router, so that the answer is the same on every
// machine.
func list(t *testing.T, args ...string) (packages []listed) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("go list %q: %v\n%s", args, err, exit.Stderr)
	} else if err != nil {
		t.Fatalf("go list %q: %v", args, err)
	}
	for stream := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := stream.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("go list %q: %v", args, err)
		}
		packages = append(packages, p)
	}
}

// TestOffences shows that the rules catch what they are for.
func TestOffences(t *testing.T) {
	for _, c := range []struct {
		name    string
		listed  listed
		offence string // a part of the one sentence expected, or "" for none
	}{
		{"packet is a leaf", listed{ImportPath: "cordon/agent/packet", Imports: []string{"cordon"}}, "cordon/agent/packet imports cordon:"},
		{"internal is a leaf", listed{ImportPath: "cordon/internal/term", Imports: []string{"cordon/internal/oui"}}, "imports cordon/internal/oui"},
		{"vocabulary imports nothing of ours", listed{ImportPath: "cordon", Imports: []string{"cordon/internal/term"}}, "cordon imports cordon/internal/term"},
		{"vocabulary imports nothing foreign", listed{ImportPath: "cordon", Imports: []string{"golang.org/x/net/idna"}}, "standard library only"},
		{"stage imports neighbour", listed{ImportPath: "cordon/agent/flow", Imports: []string{"cordon/agent/device"}}, "cordon/agent/flow imports cordon/agent/device"},
		{"detector imports neighbour", listed{ImportPath: "cordon/agent/detect/scan", Imports: []string{"cordon/agent/detect/beacon"}}, "imports cordon/agent/detect/beacon"},
		{"stage imports its whole", listed{ImportPath: "cordon/agent/flow", Imports: []string{"cordon/agent"}}, "cordon/agent/flow imports cordon/agent:"},
		{"stage speaks to core", listed{ImportPath: "cordon/agent/respond", Imports: []string{"cordon/wire"}}, "imports cordon/wire"},
		{"agent imports core", listed{ImportPath: "cordon/agent", Imports: []string{"cordon/core"}}, "cordon/agent imports cordon/core"},
		{"core imports agent", listed{ImportPath: "cordon/core/fleet", Imports: []string{"cordon/agent/packet"}}, "imports cordon/agent/packet"},
		{"lab imports a program", listed{ImportPath: "cordon/lab/eval", Imports: []string{"cordon/cmd/cordon-agent"}}, "imports cordon/cmd/cordon-agent"},
		{"program imports a stage", listed{ImportPath: "cordon/cmd/cordon-agent", Imports: []string{"cordon/agent/flow"}}, "imports cordon/agent/flow"},
		{"no rule", listed{ImportPath: "cordon/pkg/common"}, "cordon/pkg/common: no rule"},
		{"SQL in a stage", listed{ImportPath: "cordon/core/fleet", Imports: []string{"database/sql"}}, "SQL only in"},
		{"SQL driver in a test", listed{ImportPath: "cordon/core/api", XTestImports: []string{"modernc.org/sqlite"}}, "a test of cordon/core/api imports modernc.org/sqlite"},
		{"NATS in a stage", listed{ImportPath: "cordon/core/push/rpz", Imports: []string{"github.com/nats-io/nats.go"}}, "NATS only in"},
		{"eBPF in a stage", listed{ImportPath: "cordon/agent/flow", Imports: []string{"github.com/cilium/ebpf/link"}}, "netlink and eBPF only in"},
		{"gopacket in a stage", listed{ImportPath: "cordon/agent/capture/file", Imports: []string{"github.com/gopacket/gopacket/pcapgo"}}, "gopacket only in"},
		{"test helper in a stage", listed{ImportPath: "cordon/agent/flow", Imports: []string{"github.com/google/go-cmp/cmp"}}, "test helpers only in"},
		{"test imports neighbour", listed{ImportPath: "cordon/agent/flow", TestImports: []string{"cordon/agent/device"}}, "a test of cordon/agent/flow imports cordon/agent/device"},
		{"test imports a program", listed{ImportPath: "cordon/lab", XTestImports: []string{"cordon/cmd/cordon-lab"}}, "imports cordon/cmd/cordon-lab"},

		{"stage", listed{ImportPath: "cordon/agent/observe/dns", Imports: []string{"cordon", "cordon/agent/packet", "cordon/internal/oui", "strings"}}, ""},
		{"tests", listed{ImportPath: "cordon/agent/flow", XTestImports: []string{"cordon/agent/flow", "cordon/lab/synth",
			"github.com/google/go-cmp/cmp", "github.com/gopacket/gopacket", "pgregory.net/rapid"}}, ""},
		{"agent", listed{ImportPath: "cordon/agent", Imports: []string{"cordon", "cordon/wire", "cordon/agent/detect/scan"}}, ""},
		{"hands", listed{ImportPath: "cordon/agent/enforce/nft", Imports: []string{"cordon", "github.com/google/nftables/expr"}}, ""},
		{"store", listed{ImportPath: "cordon/core/store", Imports: []string{"cordon", "database/sql"}}, ""},
		{"lab", listed{ImportPath: "cordon/lab", Imports: []string{"cordon/agent", "cordon/core/store", "cordon/lab/synth", "github.com/nats-io/nats.go"}}, ""},
		{"program", listed{ImportPath: "cordon/cmd/cordon-lab", Imports: []string{"cordon/lab/eval", "cordon/agent"}}, ""},
		{"alike, but not ours", listed{ImportPath: "cordon/wire", Imports: []string{"cordonnier.example/wire"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := offences(c.listed)
			switch {
			case c.offence == "" && len(found) > 0:
				t.Errorf("refused: %q", found)
			case c.offence != "" && (len(found) != 1 || !strings.Contains(found[0], c.offence)):
				t.Errorf("found %q, want one offence with %q", found, c.offence)
			}
		})
	}
}
