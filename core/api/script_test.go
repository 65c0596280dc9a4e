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
	"cordon/lab/office"

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
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			o := office.New(env.T().(testing.TB))
			env.Values["visit"] = &visit{Office: o}
			for name, value := range map[string]string{"ACCOUNT": o.Own.Account, "SITE": o.Own.Site, "ROUTER": o.Own.Router, "DEVICE": o.Own.Device,
				"WEBHOOK": o.Own.Webhook, "KEY": o.Own.Key, "PASSWORD": office.Password, "OTHER_ACCOUNT": o.Other.Account, "OTHER_SITE": o.Other.Site,
				"OTHER_ROUTER": o.Other.Router, "OTHER_WEBHOOK": o.Other.Webhook, "MEMBER": o.People[cordon.RoleMember].ID, "INSTALLER": o.People[cordon.RoleInstaller].ID} {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"http": func(ts *testscript.TestScript, _ bool, args []string) {
				v := ts.Value("visit").(*visit)
				v.last = v.http(ts, args)
				fmt.Fprint(ts.Stdout(), shown(&v.last))
			},
			"let": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) < 2 {
					ts.Fatalf("let NAME FIELD")
				}
				ts.Setenv(args[0], field(ts, &ts.Value("visit").(*visit).last, args[1:]))
			},
			"line": func(ts *testscript.TestScript, _ bool, args []string) {
				l := ts.Value("visit").(*visit).Line
				switch args[0] {
				case "away", "back":
					l.Away(args[0] == "away")
				case "answer":
					l.Answer(args[1], args[2])
				case "told":
					desired, cut, shadows := l.Told()
					fmt.Fprintf(ts.Stdout(), "desired %d cut %q shadows %v\n", len(desired), cut, shadows)
				}
			},
		},
	})
}

// visit is an office in which a script is.
type visit struct {
	*office.Office
	last office.Answer
}

// http sends what a script says.
func (v *visit) http(ts *testscript.TestScript, args []string) office.Answer {
	var headers []string
	var body string
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-as":
			u := v.People[cordon.Role(args[1])]
			if u == nil {
				ts.Fatalf("nobody is %s", args[1])
			}
			headers = append(headers, "Cookie: "+v.As(u))
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
	return v.Send(args[0], args[1], body, headers...)
}

// shown is an answer as scripts read it.
func shown(a *office.Answer) string {
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
func field(ts *testscript.TestScript, a *office.Answer, path []string) string {
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
