// Package netns makes networks of real kernels on one machine: hosts in network
// namespaces of their own, joined by veth pairs and bridges, reached by nobody
// else. Tests of what the agent does to real traffic run in it, and so do the
// attackers of lab/live, which refuse to run anywhere else.
//
//	home := netns.NewHome(t, netns.HomeConfig{Devices: 3})
//	out, err := home.Devices[0].Run("ping", "-c1", "203.0.113.1")
//
// A namespace is kept under its name in /run/netns, so that `ip netns exec`
// enters it while a test waits in a debugger. What a killed run left behind is
// removed by the next.
package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// directory is where iproute2 looks for named namespaces (ip-netns(8)).
	directory = "/run/netns"
	// prefix begins the name of every namespace of a bed; the owner's process
	// id and the bed's number in that process follow.
	prefix = "cordon-lab-"
)

// TB is what a bed needs of a test; a *testing.T has it, and so has what Run
// gives to a program.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
	Skip(args ...any)
}

// Bed is a set of hosts. Its methods may be called from several goroutines, but
// end the test when something fails, so only from that of the test.
type Bed struct {
	t      TB
	name   string
	closed bool

	mu        sync.Mutex
	hosts     []*Host
	processes []*Process
}

// beds counts the beds that this process made, for unique names.
var beds atomic.Uint32

// New returns an empty bed, removed when t ends. It skips the test if this
// process is not root or iproute2 or nftables are missing.
func New(t TB) *Bed {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for program, need := range map[string]string{"ip": "needs iproute2", "nft": "needs nftables"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(need)
		}
	}
	if err := makeDirectory(); err != nil {
		t.Fatalf("make %s: %v", directory, err)
	}
	removeLeftovers()
	b := &Bed{t: t, name: fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), beds.Add(1))}
	t.Cleanup(b.close)
	return b
}

// Host returns a new host of that name: a namespace with nothing but its
// loopback interface. Neighbour discovery on it does not wait for duplicate
// addresses, and bridges in it do not pass frames to the IP hooks.
func (b *Bed) Host(name string) *Host {
	b.t.Helper()
	h := &Host{Name: name, Namespace: b.name + "-" + name, bed: b}
	if err := h.create(); err != nil {
		b.t.Fatalf("make host %s: %v", name, err)
	}
	b.mu.Lock()
	b.hosts = append(b.hosts, h)
	b.mu.Unlock()
	for key, value := range map[string]string{
		"net/ipv6/conf/all/accept_dad":        "0",
		"net/ipv6/conf/default/accept_dad":    "0",
		"net/bridge/bridge-nf-call-iptables":  "0",
		"net/bridge/bridge-nf-call-ip6tables": "0",
		"net/bridge/bridge-nf-call-arptables": "0",
	} {
		if err := h.Sysctl(key, value); err != nil && !errors.Is(err, os.ErrNotExist) {
			b.t.Fatalf("make host %s: %v", name, err)
		}
	}
	h.IP("link set lo up")
	return h
}

// Link joins a and c by a veth pair whose ends are called ifA and ifC, both up.
func (b *Bed) Link(a *Host, ifA string, c *Host, ifC string) {
	b.t.Helper()
	b.batch("",
		fmt.Sprintf("link add name %s netns %s type veth peer name %s netns %s", ifA, a.Namespace, ifC, c.Namespace))
	a.IP("link set " + ifA + " up")
	c.IP("link set " + ifC + " up")
}

// batch gives lines to `ip -batch`, in the namespace if it is not empty.
func (b *Bed) batch(namespace string, lines ...string) {
	b.t.Helper()
	args := []string{"-batch", "-"}
	if namespace != "" {
		args = append([]string{"-n", namespace}, args...)
	}
	cmd := exec.Command("ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("ip in %q: %v\n%s\n%s", namespace, err, out, strings.Join(lines, "\n"))
	}
}

// close ends what was started in the bed and removes its namespaces.
func (b *Bed) close() {
	b.mu.Lock()
	processes, hosts := b.processes, b.hosts
	b.processes, b.hosts = nil, nil
	b.mu.Unlock()
	for _, p := range processes {
		p.Kill()
	}
	for _, h := range hosts {
		_ = h.ns.Close()
		remove(h.Namespace)
	}
}

// create makes the host's namespace on a thread of its own and binds it to its
// name. The thread comes back to where it was, or is never used again.
func (h *Host) create() error {
	done := make(chan error)
	go func() { done <- h.createHere() }()
	return <-done
}

func (h *Host) createHere() error {
	runtime.LockOSThread()
	home, err := os.Open(threadNamespace)
	if err != nil {
		return err
	}
	defer home.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if h.ns, err = os.Open(threadNamespace); err != nil {
		return err
	}
	path := filepath.Join(directory, h.Namespace)
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return err
	}
	if err := unix.Mount(threadNamespace, path, "none", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", path, err)
	}
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("return to the first namespace: %w", err)
	}
	runtime.UnlockOSThread()
	return nil
}

// makeDirectory makes the directory a shared mount, as `ip netns` does when it
// finds none. Made later, it would hide our mounts below it and keep their
// names from being removed. The lock is the one that iproute2 takes.
func makeDirectory() error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	d, err := os.Open(directory)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if unix.Mount("", directory, "none", unix.MS_SHARED|unix.MS_REC, "") == nil {
		return nil
	}
	if err := unix.Mount(directory, directory, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return unix.Mount("", directory, "none", unix.MS_SHARED|unix.MS_REC, "")
}

// remove takes a namespace's name away; the namespace ends with the last
// process and socket in it. It may be gone already.
func remove(namespace string) {
	path := filepath.Join(directory, namespace)
	_ = unix.Unmount(path, unix.MNT_DETACH)
	_ = os.Remove(path)
}

// removeLeftovers removes the namespaces of processes that are gone, and ends
// what still runs in them.
func removeLeftovers() {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return
	}
	for _, e := range entries {
		var pid, number int
		if n, _ := fmt.Sscanf(e.Name(), prefix+"%d-%d-", &pid, &number); n != 2 {
			continue
		}
		if unix.Kill(pid, 0) == unix.ESRCH {
			endProcesses(e.Name())
			remove(e.Name())
		}
	}
}

// endProcesses kills the processes in a namespace, which nobody but a bed made.
func endProcesses(namespace string) {
	var of, is unix.Stat_t
	if unix.Stat(filepath.Join(directory, namespace), &of) != nil {
		return
	}
	inside, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, path := range inside {
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err != nil || unix.Stat(path, &is) != nil {
			continue
		}
		if is.Ino == of.Ino && is.Dev == of.Dev {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}
