package nft

import (
	"net/netip"
	"slices"

	"cordon"
	"cordon/agent/enforce/nft/conntrack"
)

// cutsOf returns which connections an action ends. A limit ends none.
func cutsOf(d *cordon.Device, a *cordon.Action) []conntrack.Match {
	addrs := addrsOf(d)
	if len(addrs) == 0 || a.Verb != cordon.VerbBlock && a.Verb != cordon.VerbQuarantine || a.Entity.Target.Stray {
		return nil
	}
	t := &a.Entity.Target
	m := conntrack.Match{Devices: slices.Clone(addrs), Proto: t.Proto, Ports: slices.Clone(t.Ports), Local: t.LocalPort}
	switch peer := t.Peer.Unmap().WithZone(""); {
	case peer.IsValid():
		m.Peer = netip.PrefixFrom(peer, peer.BitLen())
	case t.Net.IsValid():
		m.Peer = t.Net.Masked()
	}
	return []conntrack.Match{m}
}
