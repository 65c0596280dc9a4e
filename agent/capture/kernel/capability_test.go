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
			fmt.Printf("%v\n%s\n", err, verdict(err))
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestCapabilities: the program loads and can be put at a port with CAP_BPF,
// CAP_NET_ADMIN and CAP_PERFMON, of which newer kernels do not ask for the last.
// Without one that is needed, Probe says which.
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
		says string // empty: nothing, it works
		may  bool   // it may work
	}{
		{"+bpf,+net_admin", "CAP_PERFMON", true},
		{"+bpf,+net_admin,+perfmon", "", true},
		{"+net_admin", "CAP_BPF", false},
		{"+bpf", "CAP_NET_ADMIN", false},
		{"+net_raw", "CAP_BPF", false},
	} {
		t.Run(c.caps, func(t *testing.T) {
			cmd := exec.Command("unshare", "--net", "setpriv", "--bounding-set=-all,"+c.caps, "--inh-caps=-all,"+c.caps, os.Args[0])
			cmd.Env = append(os.Environ(), asked+"=1")
			out, err := cmd.CombinedOutput()
			switch {
			case err == nil && !c.may:
				t.Errorf("works with %s", c.caps)
			case err != nil && (c.says == "" || !strings.Contains(string(out), c.says)):
				t.Errorf("%v: %s; want %q", err, out, c.says)
			}
		})
	}
}
