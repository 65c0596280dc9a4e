package kernel

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asked is set for a child of TestCapabilities: it says what Probe says.
const asked = "CORDON_TEST_PROBE"

func TestMain(m *testing.M) {
	if os.Getenv(asked) != "" {
		if err := Probe(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestCapabilities: the program loads and can be put at a port with CAP_BPF and
// CAP_NET_ADMIN. Without CAP_PERFMON the verifier looks at more ways through it,
// which must not be too many. Without one of the two, Probe says which are needed.
func TestCapabilities(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, program := range []string{"setpriv", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs " + program)
		}
	}
	for _, c := range []struct {
		caps string
		says string // empty: it works
	}{
		{"+bpf,+net_admin", ""},
		{"+bpf,+net_admin,+perfmon", ""},
		{"+net_admin", "CAP_BPF"},
		{"+bpf", "CAP_NET_ADMIN"},
		{"+net_raw", "CAP_BPF"},
	} {
		t.Run(c.caps, func(t *testing.T) {
			cmd := exec.Command("unshare", "--net", "setpriv", "--bounding-set=-all,"+c.caps, "--inh-caps=-all,"+c.caps, os.Args[0])
			cmd.Env = append(os.Environ(), asked+"=1")
			out, err := cmd.CombinedOutput()
			switch {
			case c.says == "" && err != nil:
				t.Errorf("%v: %s", err, out)
			case c.says != "" && (err == nil || !strings.Contains(string(out), c.says)):
				t.Errorf("says %q, want %q", out, c.says)
			}
		})
	}
}
