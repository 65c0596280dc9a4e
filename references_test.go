package cordon_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rfc is how Go files write the number of an RFC, so that it can be searched.
var rfc = regexp.MustCompile(`RFC [0-9]+`)

// TestReferences checks both ends of docs/references.txt: every RFC that a Go
// file mentions is listed, and every listed place is there and, for an RFC,
// mentions it.
func TestReferences(t *testing.T) {
	list, err := os.ReadFile("docs/references.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults(string(list), os.DirFS(".")) {
		t.Error(fault)
	}
}

// faults compares a list with a tree and returns a sentence for every
// difference.
func faults(list string, tree fs.FS) (found []string) {
	mentions := make(map[string][]string) // RFC → Go files
	walk := func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "bin" || name == "tools" || d.Name() == "testdata" || d.Name() == "node_modules"):
			return fs.SkipDir
		case path.Ext(name) != ".go" || name == "references_test.go":
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		for _, id := range rfc.FindAllString(string(text), -1) {
			mentions[id] = append(mentions[id], name)
		}
		return err
	}
	if err := fs.WalkDir(tree, ".", walk); err != nil {
		return []string{err.Error()}
	}
	listed := make(map[string]bool)
	for number, line := range strings.Split(list, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		field := strings.Split(line, " | ")
		if len(field) != 4 || !slices.Contains([]string{"yes", "partial", "no"}, field[1]) ||
			(field[1] == "no") != (field[2] == "-") || field[3] == "" || listed[field[0]] {
			found = append(found, fmt.Sprintf("line %d, %q: want NAME | yes, partial or no | PLACES, - for no | TITLE, each name once", number+1, line))
			continue
		}
		listed[field[0]] = true
		if field[2] != "-" {
			found = append(found, absent(field[0], strings.Fields(field[2]), mentions[field[0]], tree)...)
		}
	}
	for id, files := range mentions {
		if !listed[id] {
			found = append(found, fmt.Sprintf("%s is mentioned in %s but not listed", id, files[0]))
		}
	}
	slices.Sort(found)
	return found
}

// absent returns a sentence for every place that is not there or, for an RFC,
// holds none of the files that mention it.
func absent(name string, places, files []string, tree fs.FS) (found []string) {
	for _, place := range places {
		inside := func(file string) bool { return file == place || strings.HasPrefix(file, place+"/") }
		if _, err := fs.Stat(tree, place); err != nil {
			found = append(found, fmt.Sprintf("%s: %s is not there", name, place))
		} else if rfc.MatchString(name) && !slices.ContainsFunc(files, inside) {
			found = append(found, fmt.Sprintf("%s: nothing in %s mentions it", name, place))
		}
	}
	return found
}

// TestFaults shows that the comparison finds what it is for.
func TestFaults(t *testing.T) {
	tree := os.DirFS(t.TempDir())
	root := fmt.Sprint(tree)
	for name, text := range map[string]string{
		"a/dns/dns.go":     "package dns // RFC 1035 §4.1",
		"a/dns/testdata/x": "RFC 1",
		"a/arp/arp.go":     "package arp",
	} {
		if err := os.MkdirAll(path.Join(root, path.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, list, fault string }{
		{"true", "# list\n\nRFC 1035 | partial | a/dns | Names\nJung 2004 | yes | a/arp | Scans\n", ""},
		{"not taken", "RFC 1035 | partial | a | Names\nRFC 1036 | no | - | News\n", ""},
		{"not listed", "", "RFC 1035 is mentioned in a/dns/dns.go but not listed"},
		{"gone", "RFC 1035 | yes | a/dns a/gone | Names\n", "RFC 1035: a/gone is not there"},
		{"elsewhere", "RFC 1035 | yes | a/dns a/arp | Names\n", "RFC 1035: nothing in a/arp mentions it"},
		{"paper gone", "RFC 1035 | yes | a/dns | Names\nJung 2004 | yes | b | Scans\n", "Jung 2004: b is not there"},
		{"twice", "RFC 1035 | yes | a/dns | Names\nRFC 1035 | no | - | Names\n", "line 2"},
		{"word", "RFC 1035 | yes | a/dns | Names\nRFC 1 | maybe | a | Hosts\n", "line 2"},
		{"no, but where", "RFC 1035 | yes | a/dns | Names\nRFC 1 | no | a | Hosts\n", "line 2"},
	} {
		found := faults(c.list, tree)
		if c.fault == "" && len(found) > 0 || c.fault != "" && (len(found) != 1 || !strings.Contains(found[0], c.fault)) {
			t.Errorf("%s: found %q, want %q", c.name, found, c.fault)
		}
	}
}
