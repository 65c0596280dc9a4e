package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cordon-core": main})
}

// TestScripts runs the program as an operator does.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"configure": configure,
			"await":     await,
		},
	})
}

// configure writes a configuration with free ports: configure FILE.
func configure(ts *testscript.TestScript, _ bool, args []string) {
	var b strings.Builder
	b.WriteString("dir = \"data\"\n")
	for _, door := range []string{"api", "gateway", "bus", "operation"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		fmt.Fprintf(&b, "[%s]\nlisten = \"%s\"\n", door, l.Addr())
		ts.Check(l.Close())
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// await waits until a background core answers: await DIR.
func await(ts *testscript.TestScript, _ bool, args []string) {
	path := filepath.Join(ts.MkAbs(args[0]), "core.sock")
	for range 2000 {
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return
		}
		ts.Check(ts.Exec("sleep", "0.01"))
	}
	ts.Fatalf("no core answers at %s", path)
}
