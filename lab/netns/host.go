package netns

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// threadNamespace is the network namespace of the thread that opens it.
const threadNamespace = "/proc/thread-self/ns/net"

// Marker is the variable by which a process that Command starts knows in which
// namespace of a bed it is.
const Marker = "CORDON_LAB_NAMESPACE"

// Host is a machine of a bed.
type Host struct {
	Name      string // as given to Bed.Host
	Namespace string // for `ip netns exec`

	bed *Bed
	ns  *os.File
}

// FD returns the descriptor of the host's namespace, which stays open until the
// bed ends; for libraries that take one, such as google/nftables.
func (h *Host) FD() int { return int(h.ns.Fd()) }

// Do runs fn on the calling goroutine, whose thread is in the host's namespace
// meanwhile. Sockets that fn opens stay in it. Goroutines that fn starts are
// outside, so fn dials addresses, not names. /proc/sys/net and
// /proc/thread-self/net are the host's; /proc/net and /sys are not.
func (h *Host) Do(fn func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(threadNamespace)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter %s: %w", h.Namespace, err)
	}
	defer home.Close()
	if err := unix.Setns(h.FD(), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter %s: %w", h.Namespace, err)
	}
	defer func() {
		// A thread that cannot go home is left locked, and so never used by
		// another goroutine.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return fn()
}

// Command returns a command that will run in the host's namespace, with a /sys
// of that namespace. Its process id is that of the program itself.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	return h.CommandContext(context.Background(), name, args...)
}

// CommandContext is Command with a context that ends the process.
func (h *Host) CommandContext(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.Namespace, name}, args...)...)
	cmd.Env = append(os.Environ(), Marker+"="+h.Namespace)
	return cmd
}

// Run runs a command in the host's namespace to its end and returns what it
// wrote, standard error included.
func (h *Host) Run(name string, args ...string) (string, error) {
	out, err := h.Command(name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s on %s: %w: %s", name, strings.Join(args, " "), h.Name, err,
			strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// IP runs lines of `ip -batch` in the host's namespace, such as
// "link set eth0 down", and ends the test if one fails.
func (h *Host) IP(lines ...string) {
	h.bed.t.Helper()
	h.bed.batch(h.Namespace, lines...)
}

// NFT loads a ruleset in the syntax of `nft -f` and ends the test if that fails.
func (h *Host) NFT(ruleset string) {
	h.bed.t.Helper()
	cmd := h.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(ruleset)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.bed.t.Fatalf("nft on %s: %v\n%s", h.Name, err, out)
	}
}

// Sysctl sets a kernel parameter, "net/ipv4/ip_forward" for example.
func (h *Host) Sysctl(key, value string) error {
	return h.Do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0o644)
	})
}

// Listen listens on a TCP address of the host. Accepting may be done anywhere.
func (h *Host) Listen(network, address string) (l net.Listener, err error) {
	err = h.Do(func() (err error) {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// ListenPacket listens on a UDP address of the host.
func (h *Host) ListenPacket(network, address string) (c net.PacketConn, err error) {
	err = h.Do(func() (err error) {
		c, err = net.ListenPacket(network, address)
		return err
	})
	return c, err
}

// Dial connects from the host to an address, not a name.
func (h *Host) Dial(network, address string) (net.Conn, error) {
	return h.DialContext(context.Background(), network, address)
}

// DialContext is Dial with a context.
func (h *Host) DialContext(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = h.Do(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// HTTPClient returns a client whose requests leave from the host. It must be
// given addresses, not names, and keeps no connections.
func (h *Host) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: h.DialContext, DisableKeepAlives: true}}
}
