package notify

import (
	"fmt"
	"net/netip"
	"slices"

	"cordon/internal/webhook"
)

// check refuses an address that no webhook may reach: what is not the public internet,
// and what the provider said. Allow is for laboratories.
func (n *Notifier) check(a netip.Addr) error {
	in := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
	}
	switch {
	case in(n.refuse):
		return fmt.Errorf("address %s is the provider's own: %w", a, webhook.ErrForbidden)
	case in(n.cfg.Allow):
		return nil
	}
	return webhook.Public(a)
}
