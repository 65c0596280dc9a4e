package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// result is what a run of the test program did.
type result struct {
	Status         int
	Stdout, Stderr string
	Args           []string
	JSON           bool
	Home           string
}

// run runs a program with the commands "replay", which takes flags, and "fail",
// which returns err.
func run(err error, args ...string) result {
	var r result
	var stdout, stderr bytes.Buffer
	p := Program{Name: "prog", About: "does things", Stdout: &stdout, Stderr: &stderr, Commands: []Command{
		{Name: "replay", Args: "FILE…", Short: "read files", Long: "\nMore about it.\n",
			Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
				fs.BoolVar(&r.JSON, "json", false, "print JSON")
				fs.StringVar(&r.Home, "home", "", "the home's `PREFIX`")
				return func(_ context.Context, args []string) error {
					r.Args = args
					return nil
				}
			}},
		{Name: "fail", Short: "fail",
			Setup: func(*flag.FlagSet) func(context.Context, []string) error {
				return func(context.Context, []string) error { return err }
			}},
	}}
	r.Status = p.Run(context.Background(), args)
	r.Stdout, r.Stderr = stdout.String(), stderr.String()
	return r
}

func TestFlagsAndArguments(t *testing.T) {
	for _, c := range []struct {
		args string
		want result
	}{
		{"replay", result{}},
		{"replay a b", result{Args: []string{"a", "b"}}},
		{"replay --json --home 10.0.0.0/8 a b", result{JSON: true, Home: "10.0.0.0/8", Args: []string{"a", "b"}}},
		{"replay a b --json -home=10.0.0.0/8", result{JSON: true, Home: "10.0.0.0/8", Args: []string{"a", "b"}}},
		{"replay a --home 10.0.0.0/8 b --json", result{JSON: true, Home: "10.0.0.0/8", Args: []string{"a", "b"}}},
		{"replay --json=false a", result{Args: []string{"a"}}},
		{"replay -", result{Args: []string{"-"}}},
		{"replay - --json", result{JSON: true, Args: []string{"-"}}},
		{"replay --json -- --home a", result{JSON: true, Args: []string{"--home", "a"}}},
		{"replay a -- --json", result{Args: []string{"a", "--json"}}},
		{"replay -- --", result{Args: []string{"--"}}},
		{"replay --", result{}},
	} {
		got := run(nil, strings.Fields(c.args)...)
		if len(got.Args) == 0 {
			got.Args = nil
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.args, diff)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"help", "-h", "--help"} {
		r := run(nil, args)
		if r.Status != 0 || r.Stderr != "" {
			t.Errorf("%s: status %d, stderr %q", args, r.Status, r.Stderr)
		}
		for _, want := range []string{"prog: does things", "usage: prog COMMAND", "replay", "read files", "fail"} {
			if !strings.Contains(r.Stdout, want) {
				t.Errorf("%s: output lacks %q:\n%s", args, want, r.Stdout)
			}
		}
	}
	for _, args := range []string{"help replay", "replay -h", "replay --help", "replay a b --help", "-h replay"} {
		r := run(nil, strings.Fields(args)...)
		if r.Status != 0 || r.Stderr != "" || r.Args != nil {
			t.Errorf("%s: status %d, stderr %q, ran with %q", args, r.Status, r.Stderr, r.Args)
		}
		for _, want := range []string{"prog replay: read files", "usage: prog replay [flags] FILE…\n", "\nMore about it.\n",
			"flags:", "-json", "-home PREFIX", "the home's PREFIX"} {
			if !strings.Contains(r.Stdout, want) {
				t.Errorf("%s: output lacks %q:\n%s", args, want, r.Stdout)
			}
		}
	}
	if r := run(nil, "help", "fail"); strings.Contains(r.Stdout, "flags:") {
		t.Errorf("a command without flags lists them:\n%s", r.Stdout)
	}
}

func TestCalledWrongly(t *testing.T) {
	for _, c := range []struct {
		args, stderr string
	}{
		{"", "usage: prog COMMAND"},
		{"play", `prog: no command "play"; 'prog help' lists them`},
		{"help play", `prog: no command "play"`},
		{"--json replay", `prog: no command "--json"`},
		{"replay --jsn", "prog: replay: flag provided but not defined: -jsn; 'prog help replay' shows the flags"},
		{"replay a --home", "prog: replay: flag needs an argument: -home"},
		{"replay --json=perhaps", `invalid boolean value "perhaps"`},
	} {
		r := run(nil, strings.Fields(c.args)...)
		if r.Status != 2 || r.Stdout != "" || r.Args != nil {
			t.Errorf("%q: status %d, stdout %q, ran with %q; want status 2 and nothing", c.args, r.Status, r.Stdout, r.Args)
		}
		if !strings.Contains(r.Stderr, c.stderr) {
			t.Errorf("%q: stderr %q lacks %q", c.args, r.Stderr, c.stderr)
		}
		if c.args != "" && strings.Count(r.Stderr, "\n") != 1 {
			t.Errorf("%q: more than one line: %q", c.args, r.Stderr)
		}
	}
}

func TestExitStatus(t *testing.T) {
	cause := errors.New("disk full")
	for _, c := range []struct {
		name   string
		err    error
		status int
		stderr string
	}{
		{"done", nil, 0, ""},
		{"any error", cause, 1, "prog: disk full\n"},
		{"called wrongly", Usage("want a file, got %d", 0), 2, "prog: want a file, got 0\n"},
		{"a status", &Exit{Status: 3, Err: cause}, 3, "prog: disk full\n"},
		{"a status, all said", &Exit{Status: 4}, 4, ""},
		{"a status further down", fmt.Errorf("replay: %w", &Exit{Status: 3, Err: cause}), 3, "prog: replay: disk full\n"},
	} {
		r := run(c.err, "fail")
		if r.Status != c.status || r.Stderr != c.stderr || r.Stdout != "" {
			t.Errorf("%s: status %d, stderr %q, stdout %q; want %d, %q", c.name, r.Status, r.Stderr, r.Stdout, c.status, c.stderr)
		}
	}
	if err := Usage("read: %w", cause); !errors.Is(err, cause) {
		t.Error("Usage hides its cause")
	}
	if got := (&Exit{Status: 4}).Error(); got != "exit status 4" {
		t.Errorf("an Exit without a cause says %q", got)
	}
}

func TestVersion(t *testing.T) {
	for _, args := range []string{"version", "--version"} {
		if r := run(nil, args); r.Status != 0 || !strings.HasPrefix(r.Stdout, "prog ") || strings.Count(r.Stdout, "\n") != 1 {
			t.Errorf("%s: %+v", args, r)
		}
	}
	if r := run(nil, "version", "2"); r.Status != 2 {
		t.Errorf("version 2: status %d", r.Status)
	}
	if r := run(nil, "help"); !strings.Contains(r.Stdout, "version ") {
		t.Errorf("help does not list it:\n%s", r.Stdout)
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123abcd"}
	modified := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for _, c := range []struct {
		info *debug.BuildInfo
		want string
	}{
		{nil, "devel"},
		{&debug.BuildInfo{}, "devel"},
		{&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{revision}}, "devel, revision 0123abcd"},
		{&debug.BuildInfo{Main: debug.Module{Version: "v0.1.0"}, Settings: []debug.BuildSetting{revision, modified}},
			"v0.1.0, revision 0123abcd, modified"},
	} {
		if got := version(c.info); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// full is a writer with no space left.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestStandardOutputFull(t *testing.T) {
	for _, args := range []string{"help", "help version", "version"} {
		var stderr bytes.Buffer
		p := Program{Name: "prog", Stdout: full{}, Stderr: &stderr}
		if status := p.Run(context.Background(), strings.Fields(args)); status != 1 || stderr.String() != "prog: no space left\n" {
			t.Errorf("%s: status %d, stderr %q; want 1 and the reason", args, status, stderr.String())
		}
	}
}
