package layout

import (
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"cordon"
)

// Shape is what the chains are made for.
type Shape struct {
	Network cordon.Network
	Home    []netip.Prefix // of the home, of lately too
	// PagePort is the router's TCP port to which the HTTP requests of quarantined
	// devices are led; 0: they are refused.
	PagePort uint16
	// Armed means that something is in force for a device, or is about to be.
	Armed bool
}

// Chains returns the chains of both tables. They are the same for the same Shape.
func (s *Shape) Chains() []Chain { return slices.Concat(s.ingressChains(), s.routedChains()) }

// globalHome reports whether a global IPv6 prefix of the home is known. Without
// one, nothing can be said about global sources.
func (s *Shape) globalHome() bool {
	return slices.ContainsFunc(s.Home, func(p netip.Prefix) bool {
		return p.Addr().Is6() && !p.Addr().IsPrivate() && !p.Addr().IsLinkLocalUnicast()
	})
}

// Chain is a chain with its rules; a base chain has a kind.
type Chain struct {
	Hook     Hook
	Name     string
	Device   string             // of the netdev table's base chains
	kind     nftables.ChainType // empty: not a base chain
	point    *nftables.ChainHook
	priority nftables.ChainPriority
	rules    []part
}

// Base reports whether packets enter the tables at the chain.
func (c *Chain) Base() bool { return c.kind != "" }

// Definition is the chain for the library.
func (c *Chain) Definition() *nftables.Chain {
	d := &nftables.Chain{Name: c.Name, Table: c.Hook.Table()}
	if c.Base() {
		policy := nftables.ChainPolicyAccept
		d.Type, d.Hooknum, d.Priority, d.Policy, d.Device = c.kind, c.point, &c.priority, &policy, c.Device
	}
	return d
}

// Rules returns the chain's rules, each with what its fields depend on.
func (c *Chain) Rules() [][]expr.Any {
	rules := make([][]expr.Any, len(c.rules))
	for i, r := range c.rules {
		rules[i] = complete(c.Hook, r)
	}
	return rules
}
