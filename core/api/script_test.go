package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cordon"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs the conversations in testdata/script against the real server.
//
//	http [-as WHO] [-H 'NAME: VALUE']… [-f FILE] METHOD PATH [BODY]
//	    sends a request; stdout is the status, the headers and the body, indented
//	let NAME FIELD.FIELD…
//	    sets NAME from the last answer's body, or from "header NAME"
//	line away|back | line answer WHAT JSON
//	    takes the router away, or lets it answer
func TestScript(t *testing.T) {
	offices := make(map[string]*office)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			o := newOffice(t)
			offices[env.WorkDir] = o
			for name, value := range map[string]string{"ACCOUNT": o.own.account, "SITE": o.own.site, "ROUTER": o.own.router, "DEVICE": o.own.device,
				"WEBHOOK": o.own.webhook, "PASSWORD": secretWord, "OTHER_ACCOUNT": o.other.account, "OTHER_SITE": o.other.site,
				"OTHER_ROUTER": o.other.router, "OTHER_WEBHOOK": o.other.webhook, "MEMBER": o.people[cordon.RoleMember].ID, "INSTALLER": o.people[cordon.RoleInstaller].ID} {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"http": func(ts *testscript.TestScript, _ bool, args []string) {
				o := offices[ts.Getenv("WORK")]
				o.last = o.http(ts, args)
				fmt.Fprint(ts.Stdout(), o.last.shown())
			},
			"let": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) < 2 {
					ts.Fatalf("let NAME FIELD")
				}
				ts.Setenv(args[0], offices[ts.Getenv("WORK")].last.field(ts, args[1:]))
			},
			"line": func(ts *testscript.TestScript, _ bool, args []string) {
				l := offices[ts.Getenv("WORK")].line
				l.mu.Lock()
				defer l.mu.Unlock()
				switch args[0] {
				case "away", "back":
					l.away = args[0] == "away"
				case "answer":
					l.answers[args[1]] = args[2]
				case "told":
					fmt.Fprintf(ts.Stdout(), "desired %d cut %q shadows %v\n", len(l.desired), l.cut, l.shadows)
				}
			},
		},
	})
}

// http sends what a script says.
func (o *office) http(ts *testscript.TestScript, args []string) answer {
	var headers []string
	var body string
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-as":
			headers = append(headers, "Cookie: "+o.as(o.who(ts, args[1])))
		case "-H":
			headers = append(headers, args[1])
		case "-f":
			body = ts.ReadFile(args[1])
		}
		args = args[2:]
	}
	if len(args) < 2 {
		ts.Fatalf("http [-as WHO] [-H HEADER] METHOD PATH [BODY]")
	}
	if len(args) > 2 {
		body = args[2]
	}
	return o.send(args[0], args[1], body, headers...)
}

// who is a user by role.
func (o *office) who(ts *testscript.TestScript, name string) *cordon.User {
	if u := o.people[cordon.Role(name)]; u != nil {
		return u
	}
	ts.Fatalf("nobody is %s", name)
	return nil
}

// shown is an answer as scripts read it.
func (a *answer) shown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", a.Status)
	var names []string
	for name := range a.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range a.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	b.WriteString("\n")
	var pretty bytes.Buffer
	if json.Indent(&pretty, []byte(a.Text), "", "  ") == nil {
		b.Write(pretty.Bytes())
	} else {
		b.WriteString(a.Text)
	}
	return b.String()
}

// field returns a part of an answer.
func (a *answer) field(ts *testscript.TestScript, path []string) string {
	if path[0] == "header" {
		return a.Header.Get(path[1])
	}
	var v any = a.JSON
	for part := range strings.SplitSeq(path[0], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(x) {
				ts.Fatalf("no %s in %s", path[0], a.Text)
			}
			v = x[i]
		}
	}
	if v == nil {
		ts.Fatalf("no %s in %s", path[0], a.Text)
	}
	return fmt.Sprint(v)
}
