package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cordon/lab/netns"
)

// group is a memory control group, which counts what the kernel holds for a
// process as well: eBPF maps, sets of nftables, sockets.
type group struct {
	dir, peak string
}

// groups are where control groups are and how they tell the most memory that they
// held: version 1, then version 2, which knows it since Linux 5.19.
var groups = []group{
	{"/sys/fs/cgroup/memory", "memory.max_usage_in_bytes"},
	{"/sys/fs/cgroup", "memory.peak"},
}

// newGroup makes a group and moves a process into it; nil where there are none.
func newGroup(p *netns.Process) *group {
	for _, g := range groups {
		g.dir = filepath.Join(g.dir, fmt.Sprintf("cordon-bench-%d", p.PID()))
		if os.Mkdir(g.dir, 0o755) != nil {
			continue
		}
		_, err := os.Stat(filepath.Join(g.dir, g.peak))
		if err == nil {
			err = os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), []byte(strconv.Itoa(p.PID())), 0o644)
		}
		if err == nil {
			return &g
		}
		_ = os.Remove(g.dir)
	}
	return nil
}

// most returns the most memory that the group held, bytes; 0 if nobody knows.
func (g *group) most() int64 {
	if g == nil {
		return 0
	}
	b, err := os.ReadFile(filepath.Join(g.dir, g.peak))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n
}

// remove removes the group and ends what is left in it: children of the program,
// which has ended.
func (g *group) remove() {
	if g == nil {
		return
	}
	netns.Holds(time.Second, func() bool {
		left, _ := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
		for _, pid := range strings.Fields(string(left)) {
			if n, err := strconv.Atoi(pid); err == nil {
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		}
		return os.Remove(g.dir) == nil
	})
}
