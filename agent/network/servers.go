package network

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// resolverFiles and timeFiles are where routers keep the addresses of their
// resolvers and the names of their time servers: OpenWrt's netifd and UCI, dnsmasq,
// systemd, chrony, ntpd. Patterns are those of path.Match.
var (
	resolverFiles = []string{"etc/resolv.conf", "tmp/resolv.conf.d/*", "tmp/resolv.conf.auto",
		"run/systemd/resolve/resolv.conf", "etc/dnsmasq.conf", "etc/dnsmasq.d/*", "var/etc/dnsmasq.conf*",
		"tmp/etc/dnsmasq.conf*", "etc/config/dhcp"}
	timeFiles = []string{"etc/config/system", "etc/chrony.conf", "etc/chrony/chrony.conf", "etc/chrony/sources.d/*.sources",
		"etc/ntp.conf", "etc/ntpsec/ntp.conf", "etc/systemd/timesyncd.conf", "etc/systemd/timesyncd.conf.d/*.conf"}
)

// Bounds of what is read from those files.
const (
	maxFile    = 256 << 10
	maxFiles   = 32 // per pattern
	maxServers = 32 // resolvers, and as many names of time servers
)

// configured returns the router's resolvers and its time servers, the latter as
// names or addresses.
func configured(root fs.FS) (resolvers []netip.Addr, times []string) {
	for _, pattern := range resolverFiles {
		for _, text := range files(root, pattern) {
			resolvers = append(resolvers, parseResolvers(text)...)
		}
	}
	for _, pattern := range timeFiles {
		for _, text := range files(root, pattern) {
			times = append(times, parseTimes(text)...)
		}
	}
	resolvers, times = sorted(resolvers, netip.Addr.Compare), sorted(times, strings.Compare)
	return resolvers[:min(len(resolvers), maxServers)], times[:min(len(times), maxServers)]
}

// files returns the contents of the files that fit pattern; what cannot be read is
// left out.
func files(root fs.FS, pattern string) (list [][]byte) {
	names, err := fs.Glob(root, pattern)
	if err != nil {
		return nil
	}
	for _, name := range names[:min(len(names), maxFiles)] {
		if text, err := readFile(root, name); err == nil {
			list = append(list, text)
		}
	}
	return list
}

// readFile returns the beginning of a file.
func readFile(root fs.FS, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// parseResolvers reads resolv.conf(5), dnsmasq(8) and UCI: "nameserver 192.0.2.1",
// "server=/example/192.0.2.1#5353", "list server '192.0.2.1'".
func parseResolvers(text []byte) (list []netip.Addr) {
	for line := range lines(text) {
		if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "server" {
			line = "nameserver " + value[strings.LastIndexByte(value, '/')+1:]
		}
		field := strings.Fields(line)
		switch {
		case len(field) >= 2 && field[0] == "nameserver":
			field = field[1:]
		case len(field) >= 3 && field[0] == "list" && field[1] == "server":
			field = field[2:]
		default:
			continue
		}
		text, _, _ := strings.Cut(unquote(field[0]), "#")
		text = text[strings.LastIndexByte(text, '/')+1:]
		text, _, _ = strings.Cut(text, "@")
		if a, err := netip.ParseAddr(text); err == nil && !a.IsLoopback() {
			list = append(list, a.Unmap().WithZone(""))
		}
	}
	return list
}

// parseTimes reads chrony.conf(5), ntp.conf(5), timesyncd.conf(5) and UCI:
// "pool pool.example iburst", "NTP=a.example b.example", "list server 'a.example'".
func parseTimes(text []byte) (list []string) {
	for line := range lines(text) {
		field := strings.Fields(line)
		key, value, assigned := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		switch {
		case assigned && (key == "NTP" || key == "FallbackNTP"):
			field = strings.Fields(value)
		case len(field) >= 2 && (field[0] == "server" || field[0] == "pool" || field[0] == "peer"):
			field = field[1:2]
		case len(field) >= 3 && field[0] == "list" && field[1] == "server":
			field = field[2:3]
		default:
			continue
		}
		for _, name := range field {
			if name = strings.TrimSuffix(unquote(name), "."); hostName(name) {
				list = append(list, name)
			}
		}
	}
	return list
}

// lines yields the lines of text without comments.
func lines(text []byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		s := bufio.NewScanner(bytes.NewReader(text))
		for s.Scan() {
			line := strings.TrimSpace(s.Text())
			if line != "" && line[0] != '#' && line[0] != ';' && line[0] != '!' && !yield(line) {
				return
			}
		}
	}
}

// unquote takes UCI's quotes off.
func unquote(s string) string { return strings.Trim(s, `'"`) }

// hostName reports whether s can be asked for: a name of DNS length made of
// letters, digits, dots, hyphens and colons (an IPv6 address).
func hostName(s string) bool {
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == ':')
	})
}

// servers resolves the names of time servers beside everything else.
type servers struct {
	mu     sync.Mutex
	wanted []string          // guarded by mu
	known  map[string]answer // guarded by mu; by name
}

// answer is what a name last stood for. The addresses of the answers before are
// kept as far as there is room: pools give others each time, and the router's NTP
// program still uses the old ones.
type answer struct {
	addrs []netip.Addr
}

// How often a name is asked for, and how much of the answers is kept.
const (
	resolveRetry = time.Minute // until the first answer: the line comes up after the agent
	resolveEvery = 60          // retries: known names are asked for each hour
	resolveWait  = 10 * time.Second
	maxAnswers   = 16 // addresses per name
)

// addrs returns the addresses of times as far as they are known, and asks for the
// others from now on.
func (s *servers) addrs(times []string) (list []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = s.wanted[:0]
	for _, name := range times {
		if a, err := netip.ParseAddr(name); err == nil {
			list = append(list, a)
			continue
		}
		s.wanted = append(s.wanted, name)
		list = append(list, s.known[name].addrs...)
	}
	return list
}

// run keeps the answers fresh until ctx is done, and says on changed when there
// are other addresses than before.
func (s *servers) run(ctx context.Context, lookup func(context.Context, string) ([]netip.Addr, error), changed chan<- struct{}) {
	timer := time.NewTimer(time.Second) // after the first reading
	defer timer.Stop()
	for round := 0; ; round++ {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if s.resolve(ctx, lookup, round%resolveEvery == 0) {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
		timer.Reset(resolveRetry)
	}
}

// resolve asks for the wanted names, all or only those that never had an answer,
// and reports whether there are addresses that were not known.
func (s *servers) resolve(ctx context.Context, lookup func(context.Context, string) ([]netip.Addr, error), all bool) (fresh bool) {
	s.mu.Lock()
	wanted := slices.DeleteFunc(slices.Clone(s.wanted), func(name string) bool {
		return !all && s.known[name].addrs != nil
	})
	s.mu.Unlock()
	for _, name := range wanted {
		limited, cancel := context.WithTimeout(ctx, resolveWait)
		addrs, err := lookup(limited, name)
		cancel()
		if err == nil {
			fresh = s.learn(name, addrs) || fresh
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.known {
		if !slices.Contains(s.wanted, name) {
			delete(s.known, name)
		}
	}
	return fresh
}

// learn keeps an answer, newest addresses first, and reports whether one is new.
func (s *servers) learn(name string, addrs []netip.Addr) (fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kept []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap().WithZone(""); !slices.Contains(kept, a) {
			kept = append(kept, a)
		}
	}
	for _, a := range s.known[name].addrs {
		if !slices.Contains(kept, a) {
			kept = append(kept, a)
		}
	}
	kept = kept[:min(len(kept), maxAnswers)]
	for _, a := range kept {
		fresh = fresh || !slices.Contains(s.known[name].addrs, a)
	}
	s.known[name] = answer{kept}
	return fresh
}
