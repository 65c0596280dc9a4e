package network_test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"cordon/agent/network"
	"cordon/lab/netns"
)

// TestTryNFTables shows that trying leaves nothing, harms nothing, and notices a
// missing privilege.
func TestTryNFTables(t *testing.T) {
	host := netns.New(t).Host("router")
	host.NFT("table inet x {\n\tchain y {\n\t\ttype filter hook input priority 0\n\t}\n}\n")
	before, err := host.Run("nft", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := host.Do(network.TryNFTables); err != nil {
			t.Error(err)
		}
	}
	if after, err := host.Run("nft", "list", "ruleset"); err != nil || after != before {
		t.Errorf("rules afterwards, %v:\n%s", err, after)
	}
	err = host.Do(func() error { return without(t, unix.CAP_NET_ADMIN, network.TryNFTables) })
	if !errors.Is(err, os.ErrPermission) {
		t.Errorf("without CAP_NET_ADMIN: %v, want a missing permission", err)
	}
}

// without runs fn on this thread, which Do has locked, with a capability off.
func without(t *testing.T, capability uint, fn func() error) error {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var was, less [2]unix.CapUserData
	if err := unix.Capget(&header, &was[0]); err != nil {
		t.Fatal(err)
	}
	less = was
	less[capability/32].Effective &^= 1 << (capability % 32)
	if err := unix.Capset(&header, &less[0]); err != nil {
		t.Fatal(err)
	}
	defer unix.Capset(&header, &was[0])
	return fn()
}
