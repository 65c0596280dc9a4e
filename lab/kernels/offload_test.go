package kernels_test

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"cordon"
	"cordon/lab/netns"
)

// loopless is a source that nobody has: asking for it reads what the eyes saw.
var loopless netip.AddrPort

// needFlowtable skips the test where the kernel has no flowtable. scripts/kernels
// takes the skip for a failure.
func needFlowtable(t *testing.T) {
	t.Helper()
	h := netns.New(t).Host("probe")
	h.IP("link add port type veth")
	out, err := h.Run("nft", "table inet probe { flowtable f { hook ingress priority 0; devices = { port }; }; }")
	if err != nil {
		t.Skipf("this kernel has no nf_flow_table, make test-kernels runs one that has: %s", strings.SplitN(out, "\n", 2)[0])
	}
}

// offload gives the router the flowtable that OpenWrt's firewall has with software
// offload, and a counter of what is forwarded past it.
func (h *home) offload() {
	h.t.Helper()
	var ports []string
	for _, p := range append(append([]cordon.Port(nil), h.net.LAN...), h.net.WAN...) {
		ports = append(ports, p.Name)
	}
	h.Router.NFT(fmt.Sprintf(`
table inet fw4 {
	flowtable ft {
		hook ingress priority filter
		devices = { %s }
	}
	counter forwarded { }
	chain forward {
		type filter hook forward priority filter
		counter name forwarded
		meta l4proto { tcp, udp } flow add @ft
	}
}
`, strings.Join(ports, ", ")))
}

// forwarded returns how many packets the firewall saw.
func (h *home) forwarded() int {
	h.t.Helper()
	out, err := h.Router.Run("nft", "list", "counter", "inet", "fw4", "forwarded")
	if err != nil {
		h.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(out, "packets ")
	word, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(word)
	if err != nil {
		h.t.Fatalf("%v in %s", err, out)
	}
	return n
}

// offloaded waits until a stream is taken past the firewall.
func (h *home) offloaded(s *stream) {
	h.t.Helper()
	netns.Wait(h.t, soon, "the stream to be offloaded", func() bool { return h.tracked(s, "OFFLOAD") })
}

// tracked reports whether the entry of a stream has one of these states.
func (h *home) tracked(s *stream, states ...string) bool {
	h.t.Helper()
	out, err := h.Router.Run("conntrack", "-L", "-p", "tcp", "-s", s.from.Addr().String(), "--sport", strconv.Itoa(int(s.from.Port())))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, state := range states {
		if strings.Contains(out, state) {
			return true
		}
	}
	return false
}

// port returns a port of the LAN by name.
func (h *home) port(name string) cordon.Port {
	for _, p := range h.net.LAN {
		if p.Name == name {
			return p
		}
	}
	h.t.Fatalf("there is no port %s", name)
	return cordon.Port{}
}

// sent returns how many packets device i sent, as its kernel counts them.
func (h *home) sent(i int) (n uint64) {
	h.t.Helper()
	err := h.Devices[i].Do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			if name, rest, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && name == "eth0" {
				n, err = strconv.ParseUint(strings.Fields(rest)[9], 10, 64)
			}
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}
