package detour

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// routes is the policy routing that brings intercepted packets to the guard's
// sockets although they are for somebody else, of IPv6, and of IPv4 where the kernel
// cannot duplicate packets: a rule for each LAN interface leads what is marked to a table in which
// every address is the router's own. It is owned by its Way.
//
// A rule without an interface would also be asked for the way back of a packet
// where src_valid_mark is set, as wg-quick does, and the packet be taken for a
// forgery.
type routes struct {
	marks           Marks
	table, priority int
	families        []int
}

// ensure makes what is missing for the interfaces in a family, and removes the
// rules for others.
func (r *routes) ensure(family int, lan []string) error {
	if err := r.ensureRoute(family); err != nil {
		return err
	}
	return r.ensureRules(family, lan)
}

// ensureRoute makes every address the router's own, in the table.
func (r *routes) ensureRoute(family int) error {
	there, err := netlink.RouteListFiltered(family, &netlink.Route{Table: r.table, Type: unix.RTN_LOCAL},
		netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
	if err != nil {
		return fmt.Errorf("list routes of table %d: %w", r.table, err)
	}
	if len(there) > 0 {
		return nil
	}
	everything := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
	if family == unix.AF_INET6 {
		everything = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	err = netlink.RouteReplace(&netlink.Route{Family: family, Dst: everything, LinkIndex: lo.Attrs().Index,
		Table: r.table, Type: unix.RTN_LOCAL, Scope: unix.RT_SCOPE_HOST})
	if err != nil {
		return fmt.Errorf("add local route to table %d: %w", r.table, err)
	}
	return nil
}

// ensureRules makes the rules of one family fit the interfaces.
func (r *routes) ensureRules(family int, lan []string) error {
	there, err := r.rules(family)
	if err != nil {
		return err
	}
	missing := slices.Clone(lan)
	for _, rule := range there {
		if i := slices.Index(missing, rule.IifName); i >= 0 && r.same(&rule) {
			missing = slices.Delete(missing, i, i+1)
			continue
		}
		if err := netlink.RuleDel(&rule); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove rule for %s: %w", rule.IifName, err)
		}
	}
	for _, name := range missing {
		rule := netlink.NewRule()
		rule.Family, rule.IifName = family, name
		rule.Priority, rule.Table = r.priority, r.table
		rule.Mark, rule.Mask = r.marks.Intercepted, &r.marks.Mask
		if err := netlink.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add rule for %s: %w", name, err)
		}
	}
	return nil
}

// same reports whether a rule is as ensureRules makes it.
func (r *routes) same(rule *netlink.Rule) bool {
	return rule.Mark == r.marks.Intercepted && rule.Mask != nil && *rule.Mask == r.marks.Mask
}

// rules returns the rules that lead to the guard's table at the guard's place.
func (r *routes) rules(family int) ([]netlink.Rule, error) {
	filter := netlink.NewRule()
	filter.Table, filter.Priority = r.table, r.priority
	there, err := netlink.RuleListFiltered(family, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PRIORITY)
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	for i := range there {
		there[i].Family = family // the list does not say
	}
	return there, nil
}

// remove removes rules and routes.
func (r *routes) remove() error {
	var failed []error
	for _, family := range r.families {
		if err := r.ensureRules(family, nil); err != nil {
			failed = append(failed, err)
		}
		there, err := netlink.RouteListFiltered(family, &netlink.Route{Table: r.table, Type: unix.RTN_LOCAL},
			netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
		if err != nil {
			failed = append(failed, fmt.Errorf("list routes of table %d: %w", r.table, err))
		}
		for i := range there {
			if err := netlink.RouteDel(&there[i]); err != nil && !errors.Is(err, unix.ESRCH) {
				failed = append(failed, fmt.Errorf("remove route of table %d: %w", r.table, err))
			}
		}
	}
	return errors.Join(failed...)
}

// Watch returns a channel that says when somebody has changed the policy rules:
// without the guard's own, intercepted packets find no way. If the kernel does not
// tell, the next Renew looks anyway. It may be called by any goroutine.
func (w *Way) Watch(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		w.log.Warn("policy rules are not watched", "err", err)
		return changed
	}
	context.AfterFunc(ctx, s.Close)
	go func() { // ends when ctx is done and the socket is closed
		for ctx.Err() == nil {
			if _, _, err := s.Receive(); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return
			}
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}()
	return changed
}

// Bridged returns the setting by which one of the interfaces, a bridge, hands
// frames to the IP hooks before it knows where they go; they forget the socket
// that tproxy has found for them. Empty: none does.
func Bridged(lan []string) string {
	for _, name := range lan {
		bridge := "/sys/class/net/" + name + "/bridge"
		if _, err := os.Stat(bridge); err != nil {
			continue
		}
		for _, path := range []string{"/proc/sys/net/bridge/bridge-nf-call-iptables",
			"/proc/sys/net/bridge/bridge-nf-call-ip6tables", bridge + "/nf_call_iptables", bridge + "/nf_call_ip6tables"} {
			if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) != "0" {
				return path
			}
		}
	}
	return ""
}
