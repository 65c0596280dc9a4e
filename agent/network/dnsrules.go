package network

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// ownTables begins the names of Cordon's own nftables tables.
const ownTables = "cordon"

// maxDNSRules is how many rules DNSRules names; one would do.
const maxDNSRules = 8

// DNSRules returns the chains of other programs with a rule that redirects DNS, as
// `nft list chain` takes them: "inet fw4 dstnat_lan". Rules that iptables made
// through nftables are among them, those of the old iptables are not.
func DNSRules() (list []string, err error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	chains, err := c.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list chains: %w", err)
	}
	for _, chain := range chains {
		if strings.HasPrefix(chain.Table.Name, ownTables) || len(list) == maxDNSRules {
			continue
		}
		rules, err := c.GetRules(chain.Table, chain)
		if err != nil {
			if absent(err) == nil {
				continue // gone meanwhile
			}
			return nil, fmt.Errorf("list rules of chain %s: %w", chain.Name, err)
		}
		dns := func(set string) bool { return hasDNS(c, chain.Table, set) }
		if slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return redirectsDNS(r.Exprs, dns) }) {
			list = append(list, fmt.Sprintf("%s %s %s", familyName(chain.Table.Family), chain.Table.Name, chain.Name))
		}
	}
	return list, nil
}

// redirectsDNS reports whether a rule sends what goes to port 53 elsewhere. inSet
// tells whether a set has the port.
func redirectsDNS(exprs []expr.Any, inSet func(string) bool) bool {
	dns, port := false, uint32(0) // port: the register that holds the destination port
	for _, e := range exprs {
		switch e := e.(type) {
		case *expr.Payload:
			if e.OperationType == expr.PayloadLoad && e.Base == expr.PayloadBaseTransportHeader && e.Offset == 2 && e.Len == 2 {
				port = e.DestRegister
			} else if e.DestRegister == port {
				port = 0
			}
		case *expr.Cmp:
			dns = dns || port != 0 && e.Register == port && e.Op == expr.CmpOpEq && isDNS(e.Data)
		case *expr.Lookup:
			dns = dns || port != 0 && e.SourceRegister == port && !e.Invert && inSet(e.SetName)
		case *expr.Match:
			dns = dns || matchesDNS(e)
		case *expr.Redir, *expr.TProxy:
			return dns
		case *expr.NAT:
			return dns && e.Type == expr.NATTypeDestNAT
		case *expr.Target:
			return dns && (e.Name == "REDIRECT" || e.Name == "DNAT" || e.Name == "TPROXY")
		}
	}
	return false
}

// isDNS reports whether b is the port 53 as packets carry it.
func isDNS(b []byte) bool { return len(b) >= 2 && binary.BigEndian.Uint16(b) == 53 }

// matchesDNS reports whether an iptables match is for destination port 53 alone:
// struct xt_udp and xt_tcp begin with the ranges of source and destination ports.
func matchesDNS(m *expr.Match) bool {
	info, ok := m.Info.(*xt.Unknown)
	if !ok || m.Name != "udp" && m.Name != "tcp" || len(*info) < 8 {
		return false
	}
	return binary.NativeEndian.Uint16((*info)[4:]) == 53 && binary.NativeEndian.Uint16((*info)[6:]) == 53
}

// hasDNS reports whether a set of ports has 53.
func hasDNS(c *nftables.Conn, t *nftables.Table, name string) bool {
	set, err := c.GetSetByName(t, name)
	if err != nil {
		return false
	}
	elements, err := c.GetSetElements(set)
	return err == nil && slices.ContainsFunc(elements, func(e nftables.SetElement) bool {
		return !e.IntervalEnd && isDNS(e.Key)
	})
}

// familyName is what nft(8) calls a family.
func familyName(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyINet:
		return "inet"
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	case nftables.TableFamilyNetdev:
		return "netdev"
	case nftables.TableFamilyBridge:
		return "bridge"
	}
	return fmt.Sprint(byte(f))
}
