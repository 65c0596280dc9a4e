// Package mend knows what a quarantined device needs to be mended: the names under
// which its maker keeps firmware, and the time.
//
// The device's maker and a name that it asks for come in; the answer is whether it
// may have that name. The list is data, reviewed by people (hosts.txt); a maker
// that is not in it reaches nothing.
package mend

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed hosts.txt
var reviewed string

// clocks are time servers' names. A device whose clock is wrong cannot check the
// certificate of its update server.
var clocks = []string{"pool.ntp.org", "time.google.com", "time.apple.com", "time.windows.com", "time.cloudflare.com",
	"time.nist.gov", "ptbtime1.ptb.de", "ptbtime2.ptb.de"}

// Hosts is the list.
type Hosts struct {
	makers []entry
	always []string
}

type entry struct {
	prefix string
	names  []string
}

// New returns the reviewed list with names that every quarantined device may have
// besides the time: the provider's portal.
func New(always ...string) (*Hosts, error) {
	h := &Hosts{always: append(always[:len(always):len(always)], clocks...)}
	for n, line := range strings.Split(reviewed, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		prefix, names, ok := strings.Cut(line, "  ")
		fields := strings.Fields(names)
		if !ok || len(fields) == 0 || prefix != strings.ToLower(prefix) {
			return nil, fmt.Errorf("hosts.txt line %d: want a maker in lower case, two blanks and names", n+1)
		}
		h.makers = append(h.makers, entry{prefix, fields})
	}
	return h, nil
}

// Allows reports whether a quarantined device of a maker may ask for name (lower
// case, without trailing dot).
func (h *Hosts) Allows(of string, name []byte) bool {
	if below(h.always, name) {
		return true
	}
	of = strings.ToLower(of)
	for _, m := range h.makers {
		if strings.HasPrefix(of, m.prefix) && below(m.names, name) {
			return true
		}
	}
	return false
}

// Knows reports whether the list has anything for a maker.
func (h *Hosts) Knows(maker string) bool {
	maker = strings.ToLower(maker)
	return slices.ContainsFunc(h.makers, func(m entry) bool { return strings.HasPrefix(maker, m.prefix) })
}

// below reports whether name is one of the domains or below one.
func below(domains []string, name []byte) bool {
	for _, d := range domains {
		if n := len(name) - len(d); n >= 0 && string(name[n:]) == d && (n == 0 || name[n-1] == '.') {
			return true
		}
	}
	return false
}
