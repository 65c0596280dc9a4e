package cordon

import "net/netip"

// Network is the router's own view of what it connects: which ports devices are
// behind, where the internet is, and which addresses belong to whom. It changes
// while the router runs: a LAN is renumbered, a delegated prefix is replaced, an
// interface goes and comes back.
type Network struct {
	LAN []Port // what devices are plugged into: a bridge's ports, not the bridge
	WAN []Port // towards the internet

	Home  []netip.Prefix // on-link and delegated prefixes of the home's side
	MACs  []MAC          // of the router's own interfaces on the home's side
	Addrs []netip.Addr   // the router's own, on the home's side

	// Spared is what no block may ever name: the router's own addresses, its
	// gateways, resolvers and time servers, and the provider's core.
	Spared []netip.Addr
}

// Port is one network interface.
type Port struct {
	Name   string
	Index  int    // changes when the interface goes and comes back
	Bridge string // the bridge that it is a port of, empty if none
	MAC    MAC

	// Blind says why not everything that passes the port is seen, CannotIsolate why
	// a device on it cannot be kept from its neighbours. Empty: neither is known.
	Blind, CannotIsolate []Shortcoming
}

// Shortcoming is something about the router that keeps Cordon from doing its work.
type Shortcoming struct {
	Name string // stable: "hardware-offload"
	Text string // one sentence
	Mend string // what to change, one sentence
}
