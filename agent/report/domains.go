package report

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"cordon"
)

// Bounds of the summaries.
const (
	maxDomains   = 64  // of one device and day, the first that it asks for
	maxCounted   = 128 // devices
	summaryDelay = time.Hour
)

// Domains counts for which registered domains devices of the class IoT ask in a day.
// Of phones, computers and devices that nobody knows it keeps nothing at all. Names
// below a domain that private persons register (dynamic DNS) would name a home, so of
// those only the provider of the names is counted.
type Domains struct {
	send  func(cordon.Report, bool)
	day   cordon.Time // midnight UTC of what is counted
	due   cordon.Time // when what was counted yesterday is told
	delay time.Duration
	today map[string]*counted
	ready []*cordon.Summary // of yesterday
}

type counted struct {
	summary cordon.Summary
	domains map[string]uint32
}

func newDomains(send func(cordon.Report, bool)) *Domains {
	// Not every router at midnight.
	return &Domains{send: send, delay: rand.N(summaryDelay), today: make(map[string]*counted)}
}

// Observe counts a question for a name.
func (s *Domains) Observe(o *cordon.Observation, _ cordon.Time) {
	if o.Fact != cordon.FactDNSQuery || o.Device == nil || o.Device.Class != cordon.IoT || o.Device.Gateway {
		return
	}
	c := s.today[o.Device.ID]
	if c == nil {
		if len(s.today) >= maxCounted {
			return
		}
		c = &counted{domains: make(map[string]uint32)}
		s.today[o.Device.ID] = c
	}
	c.summary.Device, c.summary.Class = o.Device.ID, o.Device.Class
	c.summary.Maker, c.summary.Model = o.Device.Maker, o.Device.Model
	domain := Registered(string(o.Name))
	if domain == "" {
		return
	}
	if _, known := c.domains[domain]; !known && len(c.domains) >= maxDomains {
		c.summary.Other++
		return
	}
	c.domains[domain]++
}

// Registered returns the registered domain of a name, empty if it is a name of the
// home or of no use. Below a suffix that is not a registry's it returns that of the
// suffix: "cam.smith.duckdns.org" is "duckdns.org".
func Registered(name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if len(name) > 253 || !strings.Contains(name, ".") || strings.HasSuffix(name, ".arpa") {
		return ""
	}
	suffix, icann := publicsuffix.PublicSuffix(name)
	for !icann && strings.Contains(suffix, ".") {
		name = suffix
		_, parent, _ := strings.Cut(suffix, ".")
		suffix, icann = publicsuffix.PublicSuffix(parent)
	}
	if !icann || len(name) <= len(suffix) {
		return "" // .local, .lan, a made-up one, or a suffix itself
	}
	label := name[:len(name)-len(suffix)-1]
	return label[strings.LastIndexByte(label, '.')+1:] + "." + suffix
}

// roll ends a day when it is over, and tells what was counted when it is time.
func (s *Domains) roll(wall cordon.Time) {
	const day = cordon.Time(24 * time.Hour)
	today := wall - wall%day
	if s.day == 0 || today < s.day { // the clock was set back: it is still that day
		s.day = today
	}
	if today > s.day {
		for _, c := range s.today {
			s.ready = append(s.ready, c.finish(s.day))
		}
		slices.SortFunc(s.ready, func(a, b *cordon.Summary) int { return strings.Compare(a.Device, b.Device) })
		clear(s.today)
		s.day, s.due = today, wall.Add(s.delay)
	}
	if len(s.ready) > 0 && wall >= s.due {
		for _, r := range s.ready {
			s.send(cordon.Report{Summary: r}, false)
		}
		s.ready = nil
	}
}

func (c *counted) finish(day cordon.Time) *cordon.Summary {
	r := c.summary
	r.Day = day
	for d, n := range c.domains {
		r.Domains = append(r.Domains, cordon.DomainCount{Domain: d, Count: n})
	}
	slices.SortFunc(r.Domains, func(a, b cordon.DomainCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Domain, b.Domain))
	})
	return &r
}
