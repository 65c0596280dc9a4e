// Package veil takes out of records what tells whose home it is: names, numbers,
// addresses of devices, what people wrote. What is left is what an analyst needs to see
// what happens in the network: models, kinds, places on the internet, times.
//
// Names made by core stay: they are chance. Names of devices, which are their MACs, become
// pseudonyms that differ from site to site, so that a device that moves cannot be
// followed. The data are pseudonymous, not anonymous.
package veil

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cordon"
	"cordon/internal/ident"
)

// Veil makes pseudonyms with a keyed hash.
type Veil struct {
	Sum func(purpose string, parts ...string) []byte
}

// name returns the pseudonym of what, of that sort at that site.
func (v Veil) name(sort, site, what string) string {
	if what == "" {
		return ""
	}
	return sort + "-" + ident.Text(v.Sum("pseudonym", sort, site, what)[:10])
}

// Account veils an account.
func (v Veil) Account(a *cordon.Account) {
	a.Name, a.Reference = v.name("account", "", a.ID), ""
}

// Site veils a site.
func (v Veil) Site(s *cordon.Site) {
	s.Name, s.Reference, s.Installer = v.name("site", "", s.ID), "", ""
}

// Router veils a router.
func (v Veil) Router(r *cordon.Router) {
	r.Serial, r.Key, r.Claim = v.name("router", r.Site, r.Serial), "", cordon.Claim{}
}

// Device veils a device.
func (v Veil) Device(d *cordon.DeviceRecord) {
	v.device(d.Site, &d.Device)
	d.Said = cordon.DesiredDevice{Device: v.name("device", d.Site, d.Said.Device), Class: d.Said.Class, Policy: d.Said.Policy}
	d.Room = ""
}

// Incident veils an incident.
func (v Veil) Incident(i *cordon.IncidentRecord) {
	h := v.home(i.Site, i.Incident.Device)
	i.Incident.Device = h.device
	i.Incident.Story, i.Incident.Told = h.text(i.Incident.Story), h.text(i.Incident.Told)
	i.Incident.Timeline = slices.Clone(i.Incident.Timeline)
	for n := range i.Incident.Timeline {
		m := &i.Incident.Timeline[n]
		m.Text, m.Subject = h.text(m.Text), h.text(m.Subject)
	}
	i.By, i.Note = "", ""
}

// Detection veils a detection.
func (v Veil) Detection(r *cordon.DetectionRecord) {
	h, d := v.home(r.Site, r.Detection.Device), &r.Detection
	d.Device = h.device
	d.Sentence, d.Subject = h.text(d.Sentence), h.text(d.Subject)
	d.Target = h.target(d.Target)
	d.Samples = slices.DeleteFunc(slices.Clone(d.Samples), h.has)
	if h.has(d.PeerName) {
		d.PeerName = ""
	}
}

// Action veils an action. What a person gave as the reason of an order stays with him.
func (v Veil) Action(a *cordon.ActionRecord) {
	e := &a.Action.Entity
	h := v.home(a.Site, &cordon.Device{ID: e.Device})
	a.Action.Reason, a.Error = h.text(a.Action.Reason), h.text(a.Error)
	if a.By != "" {
		a.By, a.Action.Reason = "", ""
	}
	e.Device, e.Target = h.device.ID, h.target(e.Target)
}

// Event veils an event.
func (v Veil) Event(e *cordon.Event) {
	if e.Sort == cordon.EventDevice {
		e.ID = v.name("device", e.Site, e.ID)
	}
}

// device veils what core knows of a device: the maker's half of its MAC stays.
func (v Veil) device(site string, d *cordon.Device) {
	d.ID = v.name("device", site, d.ID)
	d.Name, d.Addrs, d.Reasons = "", nil, nil
	if d.Randomised {
		d.MAC = cordon.MAC{}
	}
	clear(d.MAC[3:])
}

// home is what is known of the home of a device, to find it in what is told.
type home struct {
	device *cordon.Device // veiled; nil: no device
	names  *strings.Replacer
	nets   []netip.Prefix // of IPv6, where its devices are
}

// home returns the home of d, which it does not change.
func (v Veil) home(site string, d *cordon.Device) home {
	h := home{names: strings.NewReplacer()}
	if d == nil {
		return h
	}
	veiled := *d
	v.device(site, &veiled)
	h.device = &veiled
	if d.ID == "" {
		return h
	}
	names := []string{d.Label(), d.Name, d.ID}
	if d.HasMAC {
		names = append(names, d.MAC.String())
	}
	for _, a := range d.Addrs {
		names = append(names, a.String())
		if p, err := a.Prefix(64); err == nil && a.Is6() {
			h.nets = append(h.nets, p)
		}
	}
	slices.SortFunc(names, func(x, y string) int { return len(y) - len(x) }) // the longest first
	var pairs []string
	for _, n := range names {
		if n == "" {
			continue
		}
		first, size := utf8.DecodeRuneInString(n) // at the beginning of a sentence
		pairs = append(pairs, n, veiled.ID, string(unicode.ToUpper(first))+n[size:], veiled.ID)
	}
	h.names = strings.NewReplacer(pairs...)
	return h
}

// address finds what may be an address in a text.
var address = regexp.MustCompile(`[0-9A-Fa-f:.]*[:.][0-9A-Fa-f:.]+`)

// text replaces in sentences what names the device, and addresses at home.
func (h home) text(s string) string {
	return address.ReplaceAllStringFunc(h.names.Replace(s), func(word string) string {
		bare := strings.TrimRight(word, ".:")
		for _, a := range []string{bare, beforePort(bare)} {
			if a, err := netip.ParseAddr(a); err == nil && h.local(a) {
				return "(at home)" + word[len(bare):]
			}
		}
		return word
	})
}

// beforePort returns an IPv4 address without the port behind it.
func beforePort(s string) string {
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		return s[:i]
	}
	return s
}

// target veils a place at home and leaves one on the internet.
func (h home) target(t cordon.Target) cordon.Target {
	if t.Peer.IsValid() && h.local(t.Peer) {
		t.Peer = netip.Addr{}
	}
	if t.Net.IsValid() && h.local(t.Net.Addr()) {
		t.Net = netip.Prefix{}
	}
	if h.has(t.Name) {
		t.Name = ""
	}
	return t
}

// has reports whether text names something at home: an address, with or without a
// port, or a name that only the home knows.
func (h home) has(text string) bool {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return h.local(ap.Addr())
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return h.local(a)
	}
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if name == "" {
		return false
	}
	for _, top := range []string{"local", "lan", "home", "internal", "home.arpa", "localdomain"} {
		if name == top || strings.HasSuffix(name, "."+top) {
			return true
		}
	}
	return !strings.Contains(name, ".")
}

// local reports whether a belongs to the home.
func (h home) local(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() ||
		slices.ContainsFunc(h.nets, func(p netip.Prefix) bool { return p.Contains(a) })
}
