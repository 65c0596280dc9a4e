package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"cordon"
)

// sides looks whether the home and the internet were found.
func sides(_ context.Context, cfg *Config) (list []Finding) {
	n := &cfg.Network
	if cfg.NetworkErr != nil {
		return one("network", Fail, fmt.Sprintf("The router's network cannot be read: %v.", cfg.NetworkErr), "Look into the kernel's log; rtnetlink must be usable.")
	}
	switch {
	case len(n.LAN) == 0:
		list = one("lan", Fail, "No port was found that devices are behind.", "Name the home's interfaces in network.lan of the configuration.")
	case len(n.Home) == 0:
		list = one("lan", Warn, fmt.Sprintf("Devices are behind %s, but the router has no address there.", portNames(n.LAN)), "Give the LAN interface an address, or name another in network.lan.")
	default:
		list = one("lan", OK, fmt.Sprintf("Devices are behind %s, with addresses from %s.", portNames(n.LAN), join(n.Home)))
	}
	if len(n.WAN) == 0 {
		return append(list, one("wan", Warn, "No way to the internet was found: no default route.", "Connect the line, or name the interface in network.wan of the configuration.")...)
	}
	return append(list, one("wan", OK, fmt.Sprintf("The internet is behind %s.", portNames(n.WAN)))...)
}

// portNames lists ports by name.
func portNames(ports []cordon.Port) string {
	var names []string
	for _, p := range ports {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// join lists things.
func join[T fmt.Stringer](list []T) string {
	var words []string
	for _, x := range list {
		words = append(words, x.String())
	}
	return strings.Join(words, ", ")
}

// forwarding looks whether this machine is a router at all.
func forwarding(_ context.Context, cfg *Config) []Finding {
	v4, known := cfg.read("proc/sys/net/ipv4/ip_forward")
	switch {
	case !known:
		return one("forwarding", Skip, "Whether this machine forwards packets cannot be seen.")
	case v4 == "0":
		return one("forwarding", Warn, "This machine forwards no IPv4 packets: it is not the home's router.", "Install the agent on the router, or set net.ipv4.ip_forward to 1.")
	}
	return one("forwarding", OK, "This machine forwards packets.")
}

// ports looks at what cannot be seen and where devices cannot be kept apart, one
// finding for each shortcoming with all ports that have it.
func ports(_ context.Context, cfg *Config) (list []Finding) {
	n := &cfg.Network
	kinds := []struct {
		clean, what, fine string
		of                func(cordon.Port) []cordon.Shortcoming
	}{
		{"blind", "not everything is seen", "Nothing that passes the ports is known to be hidden.", func(p cordon.Port) []cordon.Shortcoming { return p.Blind }},
		{"isolate", "devices cannot be kept apart", "Devices can be kept apart on every port.", func(p cordon.Port) []cordon.Shortcoming { return p.CannotIsolate }},
	}
	all := slices.Concat(n.LAN, n.WAN)
	seen := make(map[string]bool)
	for _, k := range kinds {
		var names []string
		with := make(map[string][]string) // ports by shortcoming
		first := make(map[string]cordon.Shortcoming)
		for _, p := range all {
			for _, s := range k.of(p) {
				if _, known := first[s.Name]; !known {
					first[s.Name], names = s, append(names, s.Name)
				}
				with[s.Name] = append(with[s.Name], p.Name)
			}
		}
		if len(names) == 0 && len(all) > 0 {
			list = append(list, one(k.clean, OK, k.fine)...)
		}
		for _, name := range names {
			if seen[name] {
				continue // said already, with the same sentence
			}
			seen[name] = true
			list = append(list, one(name, Warn, fmt.Sprintf("%s: %s", strings.Join(slices.Compact(with[name]), ", "), first[name].Text), first[name].Mend)...)
		}
	}
	for _, s := range cfg.Notes {
		list = append(list, one(s.Name, OK, s.Text)...)
	}
	return list
}

// resolver asks for a name.
func resolver(ctx context.Context, cfg *Config) []Finding {
	if err := cfg.Resolve(ctx); err != nil {
		return one("resolver", Warn, fmt.Sprintf("The router's resolver does not answer: %v.", err), "Look at the line and at /etc/resolv.conf.")
	}
	return one("resolver", OK, "The router's resolver answers.")
}

// resolveRoot asks the system's resolver for the root's name servers. That there
// are none is an answer too.
func resolveRoot(ctx context.Context) error {
	_, err := net.DefaultResolver.LookupNS(ctx, ".")
	if e := (*net.DNSError)(nil); errors.As(err, &e) && e.IsNotFound {
		return nil
	}
	return err
}

// listener looks whether a DNS server runs on the router: quarantined devices may
// use only that.
func listener(_ context.Context, cfg *Config) []Finding {
	known := false
	for _, file := range []string{"proc/thread-self/net/udp", "proc/thread-self/net/udp6", "proc/net/udp", "proc/net/udp6"} {
		text, there := cfg.read(file)
		known = known || there
		if listens(text, 53) {
			return one("dns-server", OK, "A DNS server runs on this router.")
		}
	}
	if !known {
		return one("dns-server", Skip, "Whether a DNS server runs on this router cannot be seen.")
	}
	return one("dns-server", Warn, "No DNS server runs on this router, so a quarantined device cannot reach the portal or its maker's updates by name.",
		"Start dnsmasq, or another resolver, on port 53 of the router.")
}

// listens reports whether a table of proc_net_udp(5) has a socket on a local port:
// "sl: address:port …", in hexadecimal.
func listens(table string, port uint16) bool {
	for line := range strings.SplitSeq(table, "\n") {
		field := strings.Fields(line)
		if len(field) < 3 {
			continue
		}
		_, hex, _ := strings.Cut(field[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && uint16(n) == port {
			return true
		}
	}
	return false
}

// dnsRules looks for other programs that redirect DNS. The guard takes queries
// before them, so what it lets through goes to the server that the device asked.
func dnsRules(ctx context.Context, cfg *Config) []Finding {
	if cfg.DNSRules == nil {
		return one("dns-rules", Skip, "Other programs' rules for DNS were not looked at.")
	}
	rules, err := cfg.DNSRules(ctx)
	switch {
	case err != nil:
		return one("dns-rules", Skip, fmt.Sprintf("Other programs' rules for DNS cannot be read: %v.", err))
	case len(rules) > 0 && cfg.Guard:
		return one("dns-rules", Warn, fmt.Sprintf("Another program redirects DNS too (%s); the DNS guard takes queries before it, so it does not see them any more.", strings.Join(rules, "; ")),
			"Switch one of the two off: dns.guard = false in the configuration, or the other program's redirection.")
	}
	return one("dns-rules", OK, "No other program redirects DNS.")
}
