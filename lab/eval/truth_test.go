package eval

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/lab/synth"
)

func addrs(all ...string) (list []netip.Addr) {
	for _, s := range all {
		list = append(list, netip.MustParseAddr(s))
	}
	return list
}

func TestParse(t *testing.T) {
	const head, tail = `{"note":"n","captures":[{"file":"a.pcap","outcome":"act"`, `}]}`
	for _, c := range []struct{ name, in, wrong string }{
		{"all keys", head + `,"home":["192.168.1.7/24","2001:db8::/32"],"device":"192.168.1.2","device_mac":"02:00:00:00:00:01","family":"f",
			"device_type":"t","must":[{"any":["scan.mirai"],"at":1.5,"within":2,"subject":"s"}],"must_not":["dns.*"],"except":["posture.*"],
			"clean_until":0.5,"act_at":1,"act_within":2` + tail, ""},
		{"auto", head + `,"home":["auto"]` + tail, ""},
		{"unknown kind", head + `,"must":[{"any":["scan.mirrai"]}]` + tail, `kind "scan.mirrai": unknown`},
		{"no kind", head + `,"must":[{"any":[]}]` + tail, "any: missing"},
		{"pattern of nothing", head + `,"must_not":["scann.*"]` + tail, "matches no kind"},
		{"at without within", head + `,"must":[{"any":["scan.mirai"],"at":1}]` + tail, ""},
		{"act without act_within", head + `,"act_at":1` + tail, ""},
		{"negative time", head + `,"clean_until":-1` + tail, "out of range"},
		{"auto and more", head + `,"home":["auto","10.0.0.0/8"]` + tail, `home "auto"`},
		{"home is no prefix", head + `,"home":["10.0.0.1"]` + tail, `home "10.0.0.1"`},
		{"device", head + `,"device":"cam"` + tail, "device: "},
		{"MAC", head + `,"device_mac":"02:00"` + tail, `device_mac "02:00"`},
		{"outcome", `{"captures":[{"file":"a","outcome":"panic"}]}`, `outcome "panic"`},
		{"no outcome", `{"captures":[{"file":"a"}]}`, ""},
		{"act_at without act", `{"captures":[{"file":"a","outcome":"watch","act_at":1,"act_within":1}]}`, "act_at: the outcome is watch"},
		{"no file", `{"captures":[{"outcome":"none"}]}`, "file: missing"},
		{"no captures", `{"captures":[]}`, "no captures"},
		{"wrong type", head + `,"home":"auto"` + tail, `capture 1 ("a.pcap"): field "home": is string, want an array`},
		{"wrong type in must", head + `,"must":[{"any":["scan.mirai"],"at":"soon","within":1}]` + tail, `field "must.at": is string, want a number`},
		{"an array", `[]`, "is array, want an object"},
		{"no JSON", "{\n\"captures\": nix}", "line 2: invalid character"},
		{"empty", "", "is empty"},
		{"cut off", head, "ends in the middle"},
		{"more behind", head + tail + `{}`, "more follows"},
	} {
		_, err := parse(strings.NewReader(c.in))
		switch {
		case c.wrong == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: error %v, want %q", c.name, err, c.wrong)
		}
	}
}

// TestUnknownFields: a newer file's fields are ignored, and that is said.
func TestUnknownFields(t *testing.T) {
	truth, err := parse(strings.NewReader(`{"note":"n","licence":"x","captures":[
		{"file":"a.pcap","outcome":"act","devise":"x","must":[{"any":["scan.mirai"]},{"any":["scan.slow"],"with":1}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`the file: field "licence" is not known and is ignored`,
		`capture 1 ("a.pcap"): field "devise" is not known and is ignored`,
		`capture 1 ("a.pcap"), must: field "with" is not known and is ignored`,
	}
	if diff := cmp.Diff(want, truth.Ignored); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		glob, name string
		want       bool
	}{
		{"a.pcap", "a.pcap", true},
		{"a.pcap", "b/a.pcap", false},
		{"benign/**", "benign/a.pcap", true},
		{"benign/**", "benign/x/y/a.pcap", true},
		{"benign/**", "benignly/a.pcap", false},
		{"**/a.*", "a.pcap", true},
		{"**/a.*", "x/y/a.pcap", true},
		{"x/**/z/*", "x/z/a", true},
		{"x/**/z/*", "x/y/z/w/a", false},
		{"x/*", "x/y/a", false},
		{"[", "[", false},
	} {
		if got := match(c.glob, c.name); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.glob, c.name, got, c.want)
		}
	}
}

// write writes files into a new folder and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFind(t *testing.T) {
	dir := write(t, map[string]string{"a.pcap": "", "b/c.pcapng.gz": "", "b/mac.txt": "", "b/d/e.cap": ""})
	entries := func(files ...string) *Truth {
		tr := &Truth{Dir: dir}
		for _, f := range files {
			tr.Entries = append(tr.Entries, Entry{File: f})
		}
		return tr
	}
	for _, c := range []struct {
		truth *Truth
		only  string
		want  []string // "!" in front of one with an error
	}{
		{entries("b/**", "a.pcap"), "", []string{"b/c.pcapng.gz", "b/d/e.cap", "a.pcap"}},
		{entries("a.pcap", "gone.pcap", "gone/**"), "", []string{"a.pcap", "!gone.pcap", "!gone/**"}},
		{entries("b/**", "a.pcap"), "b/*", []string{"b/c.pcapng.gz"}},
		{entries("gone.pcap"), "", nil},
		{entries("a.pcap"), "b/*", nil},
	} {
		found, err := c.truth.find(c.only)
		var got []string
		for _, s := range found {
			if s.err != nil {
				s.name = "!" + s.name
			}
			got = append(got, s.name)
		}
		if !slices.Equal(got, c.want) || (err != nil) != (c.want == nil) {
			t.Errorf("%v only %q: %q, %v; want %q", c.truth.Entries, c.only, got, err, c.want)
		}
	}
}

func TestNotBuilt(t *testing.T) {
	kinds, err := NotBuilt()
	if err != nil {
		t.Fatal(err)
	}
	for _, built := range []cordon.Kind{cordon.ScanMirai, cordon.ScanHorizontal, cordon.ScanVertical, cordon.ScanLateral, cordon.ScanSlow} {
		if slices.Contains(kinds, built) {
			t.Errorf("%s is built", built)
		}
	}
}

// made writes a synthetic capture with its truth and returns the truth file.
func made(t *testing.T, scenario string, change func(string) string) string {
	t.Helper()
	var capture, truth bytes.Buffer
	report, err := synth.Write(&capture, scenario, synth.Options{Seed: 3, Duration: 45 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := report.WriteTruth(&truth, "home.pcap"); err != nil {
		t.Fatal(err)
	}
	dir := write(t, map[string]string{"home.pcap": capture.String(), "truth.json": change(truth.String())})
	return filepath.Join(dir, "truth.json")
}

func same(s string) string { return s }

// run judges what a truth file names, plain and with two seeds.
func runAll(t *testing.T, path string) *Report {
	t.Helper()
	truth, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	notBuilt, err := NotBuilt()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(context.Background(), truth, Config{Seeds: []uint64{1, 2}, NotBuilt: notBuilt})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, scenario string
		change         func(string) string
		want           State // of some check, in every run; "": nothing fails
	}{
		{"infected", "mirai", same, ""},
		{"calm", "calm", same, ""},
		{"alarm", "mirai", func(s string) string { return strings.Replace(s, `"outcome"`, `"must_not": ["scan.*"], "outcome"`, 1) }, FalseAlarm},
		{"too strong", "mirai", func(s string) string {
			return `{"captures":[{"file":"home.pcap","home":["auto"],"outcome":"watch"}]}`
		}, TooStrong},
		{"missed", "calm", func(s string) string {
			return `{"captures":[{"file":"home.pcap","home":["auto"],"outcome":"act","must":[{"any":["scan.mirai"]}]}]}`
		}, Missed},
		{"another device", "mirai", func(s string) string {
			return `{"captures":[{"file":"home.pcap","device":"192.168.1.99","outcome":"act","must":[{"any":["scan.mirai"]}]}]}`
		}, Missed},
		{"a file that is no capture", "mirai", func(s string) string {
			return `{"captures":[{"file":"truth.json","outcome":"none"}]}`
		}, Unreadable},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runAll(t, made(t, c.scenario, c.change))
			if len(r.Verdicts) != 3 {
				t.Fatalf("%d verdicts, want one for plain and one for each seed", len(r.Verdicts))
			}
			for _, v := range r.Verdicts {
				has := func(s State) bool {
					return slices.ContainsFunc(v.Checks, func(c Check) bool { return c.State == s })
				}
				if failed := (&Report{[]Verdict{v}}).Failed(false); failed != (c.want != "") || failed && !has(c.want) {
					t.Fatalf("%s: failed %v, want %q\n%s", v.Run, failed, c.want, text(t, r))
				}
			}
		})
	}
}

// TestMissingCapture: one that cannot be read is an error, not a benign one kept.
func TestMissingCapture(t *testing.T) {
	r := runAll(t, made(t, "calm", func(string) string {
		return `{"captures":[{"file":"home.pcap","outcome":"none"},{"file":"gone.pcap","outcome":"none"},
			{"file":"truth.json","outcome":"none"}]}`
	}))
	for _, v := range r.Verdicts {
		read := v.File == "home.pcap"
		if unreadable := len(v.Checks) == 1 && v.Checks[0].State == Unreadable; unreadable == read || v.Benign != read {
			t.Errorf("%s: benign %v, %+v", v.File, v.Benign, v.Checks)
		}
	}
	if total := r.Totals()[0]; total.Captures != 3 || total.Benign.Captures != 1 || total.Errors != 2 || !r.Failed(false) {
		t.Errorf("%+v", total)
	}
	if out := text(t, r); strings.Contains(out, "stat ") || !strings.Contains(out, "gone.pcap: no such file or directory") {
		t.Error(out)
	}
}

// TestReference checks docs/reference/truth.md: it names every field, and its
// example is true of the capture that it says.
func TestReference(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "truth.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []any{truthFile{}, truthItem{}, truthMust{}} {
		for i := range reflect.TypeOf(of).NumField() {
			if name := reflect.TypeOf(of).Field(i).Tag.Get("json"); !strings.Contains(string(doc), "| `"+name+"` |") {
				t.Errorf("field %s is not described", name)
			}
		}
	}
	_, example, _ := strings.Cut(string(doc), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	dir := write(t, map[string]string{"truth.json": example})
	for _, name := range []string{"mirai", "calm"} {
		f, err := os.Create(filepath.Join(dir, name+".pcap"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = synth.Write(f, name, synth.Options{Seed: 1, Duration: 4 * time.Minute})
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
	}
	if r := runAll(t, filepath.Join(dir, "truth.json")); len(r.Verdicts) != 6 || r.Failed(true) {
		t.Error(text(t, r))
	}
}

func TestRunOnDamagedCapture(t *testing.T) {
	path := made(t, "mirai", same)
	capture := filepath.Join(filepath.Dir(path), "home.pcap")
	info, err := os.Stat(capture)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(capture, info.Size()-7); err != nil {
		t.Fatal(err)
	}
	r := runAll(t, path)
	if last := r.Verdicts[0].Checks; last[0].State != Found || last[len(last)-1].State != Unreadable {
		t.Errorf("want what was readable judged, and an error:\n%s", text(t, r))
	}
}

func TestRunStops(t *testing.T) {
	truth, err := Load(made(t, "mirai", same))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, truth, Config{}); err == nil {
		t.Error("no error though the context is done")
	}
}

// TestTruth judges the real captures, which are not part of the project.
func TestTruth(t *testing.T) {
	path := filepath.Join("..", "..", "..", "shared", "data", "truth.json")
	if _, err := os.Stat(path); err != nil {
		t.Skip("needs ../shared/data")
	}
	if r := runAll(t, path); r.Failed(false) {
		t.Error(text(t, r))
	}
}
