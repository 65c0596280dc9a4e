// Package veil takes out of records what tells whose home it is: names, numbers,
// addresses of devices, what people wrote. What is left is what an analyst needs to see
// what happens in the network: models, kinds, places on the internet, times.
//
// Names made by core stay: they are chance. Names of devices, which are their MACs, become
// pseudonyms that differ from site to site, so that a device that moves cannot be
// followed. The data are pseudonymous, not anonymous.
package veil

import (
	"encoding/base32"
	"net/netip"
	"slices"
	"strings"

	"cordon"
)

// Veil makes pseudonyms with a keyed hash.
type Veil struct {
	Sum func(purpose string, parts ...string) []byte
}

// alphabet is Crockford's, in lower case, as core's names have it.
var alphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// name returns the pseudonym of what, of that sort at that site.
func (v Veil) name(sort, site, what string) string {
	if what == "" {
		return ""
	}
	return sort + "-" + alphabet.EncodeToString(v.Sum("pseudonym", sort, site, what)[:10])
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
	said := v.words(i.Site, i.Incident.Device)
	if i.Incident.Device != nil {
		device := *i.Incident.Device
		v.device(i.Site, &device)
		i.Incident.Device = &device
	}
	i.Incident.Story, i.Incident.Told = said.Replace(i.Incident.Story), said.Replace(i.Incident.Told)
	i.Incident.Timeline = slices.Clone(i.Incident.Timeline)
	for n := range i.Incident.Timeline {
		m := &i.Incident.Timeline[n]
		m.Text, m.Subject = said.Replace(m.Text), said.Replace(m.Subject)
	}
	i.By, i.Note = "", ""
}

// Detection veils a detection.
func (v Veil) Detection(d *cordon.DetectionRecord) {
	said := v.words(d.Site, d.Detection.Device)
	if d.Detection.Device != nil {
		device := *d.Detection.Device
		v.device(d.Site, &device)
		d.Detection.Device = &device
	}
	d.Detection.Sentence, d.Detection.Subject = said.Replace(d.Detection.Sentence), said.Replace(d.Detection.Subject)
	d.Detection.Target = target(d.Detection.Target)
	d.Detection.Samples = slices.DeleteFunc(slices.Clone(d.Detection.Samples), athome)
	if athome(d.Detection.PeerName) {
		d.Detection.PeerName = ""
	}
}

// Action veils an action.
func (v Veil) Action(a *cordon.ActionRecord) {
	device := a.Action.Entity.Device
	pseudonym := v.name("device", a.Site, device)
	said := strings.NewReplacer()
	if device != "" {
		said = strings.NewReplacer(device, pseudonym)
	}
	a.Action.Entity.Device = pseudonym
	a.Action.Entity.Target = target(a.Action.Entity.Target)
	a.Action.Reason, a.Error = said.Replace(a.Action.Reason), said.Replace(a.Error)
	a.By = ""
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

// words replaces in sentences what names d.
func (v Veil) words(site string, d *cordon.Device) *strings.Replacer {
	if d == nil {
		return strings.NewReplacer()
	}
	names := []string{d.Label(), d.Name, d.ID}
	if d.HasMAC {
		names = append(names, d.MAC.String())
	}
	for _, a := range d.Addrs {
		names = append(names, a.String())
	}
	slices.SortFunc(names, func(x, y string) int { return len(y) - len(x) }) // the longest first
	var pairs []string
	for _, n := range names {
		if n != "" {
			pairs = append(pairs, n, v.name("device", site, d.ID))
		}
	}
	return strings.NewReplacer(pairs...)
}

// target veils a place at home and leaves one on the internet.
func target(t cordon.Target) cordon.Target {
	if t.Peer.IsValid() && local(t.Peer) {
		t.Peer = netip.Addr{}
	}
	if t.Net.IsValid() && local(t.Net.Addr()) {
		t.Net = netip.Prefix{}
	}
	if athome(t.Name) {
		t.Name = ""
	}
	return t
}

// athome reports whether text names something at home: an address, with or without a
// port, or a name that only the home knows.
func athome(text string) bool {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return local(ap.Addr())
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return local(a)
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

// local reports whether a belongs to homes.
func local(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast()
}
