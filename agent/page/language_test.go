package page

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cordon"
)

// TestAccepted reads what browsers send.
func TestAccepted(t *testing.T) {
	offered := []string{"en", "de", "es"}
	for header, want := range map[string]string{
		"":                                   "en",
		"de":                                 "de",
		"DE-at":                              "de",
		"fr-CH, fr;q=0.9, es;q=0.7, *;q=0.5": "es",
		"en;q=0.4, de;q=0.8":                 "de",
		"de;q=0, en;q=0.1":                   "en",
		"de;q=2, es":                         "es",
		"de;q=x, de;q=NaN":                   "en",
		"es;q=0.5,de;q=0.5":                  "es",
		strings.Repeat("fr,", 40) + "de":     "en",
	} {
		if got := accepted(header, offered); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

// FuzzAccepted holds the choice to what is offered.
func FuzzAccepted(f *testing.F) {
	f.Add("fr-CH, fr;q=0.9, es;q=0.7, *;q=0.5")
	f.Fuzz(func(t *testing.T, header string) {
		if offered := []string{"de", "es"}; !slices.Contains(offered, accepted(header, offered)) {
			t.Errorf("%q: something else", header)
		}
	})
}

// FuzzShorten holds texts of others to their bounds.
func FuzzShorten(f *testing.F) {
	f.Add("Garden\u202e camera\n\x00")
	f.Fuzz(func(t *testing.T, s string) {
		got := []rune(shorten(s, 10))
		if len(got) > 11 || slices.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == '\u202e' || r == 0x7f }) {
			t.Errorf("%q: %q", s, string(got))
		}
	})
}

// TestCatalogues shows that every language says everything.
func TestCatalogues(t *testing.T) {
	en := catalogues["en"]
	for language, c := range catalogues {
		v := reflect.ValueOf(*c)
		for k := range v.NumField() {
			field := v.Type().Field(k).Name
			if v.Field(k).Kind() == reflect.String && v.Field(k).String() == "" {
				t.Errorf("%s: no %s", language, field)
			}
			if v.Field(k).Kind() == reflect.String {
				for _, place := range []string{"{device}", "{when}", "{brand}"} {
					if was := reflect.ValueOf(*en).Field(k).String(); strings.Contains(was, place) != strings.Contains(v.Field(k).String(), place) {
						t.Errorf("%s: %s differs from English in %s", language, field, place)
					}
				}
			}
		}
		if len(c.months) != 12 || len(c.steps) != len(en.steps) || len(c.working) != len(en.working) {
			t.Errorf("%s: %d months, %d steps, %d that work", language, len(c.months), len(c.steps), len(c.working))
		}
		for _, f := range []cordon.Family{cordon.FamilyScan, cordon.FamilyAccess, cordon.FamilyC2, cordon.FamilyDoS, cordon.FamilyAbuse} {
			if c.because[f] == "" {
				t.Errorf("%s: no reason for %s", language, f)
			}
		}
	}
}

// FuzzDocument holds the page to its own tags whatever others call things.
func FuzzDocument(f *testing.F) {
	f.Add(`"><script>alert(1)</script>`, "a'b&c%s")
	f.Fuzz(func(t *testing.T, device, reason string) {
		p := &Page{languages: []string{"en"}, cfg: Config{Location: time.UTC}}
		tags := func(device, reason, brand string) int {
			p.cfg.Brand, p.cfg.Support = brand, brand
			c := p.content("en", &Notice{Device: device, Reason: reason})
			page := c.html()
			if !utf8.ValidString(page) && utf8.ValidString(brand) || strings.Contains(page, "%!") && !strings.Contains(device+reason+brand, "%!") {
				t.Errorf("%q, %q: %q", device, reason, page)
			}
			return strings.Count(page, "<") + strings.Count(page, `"`)<<16
		}
		want := tags("x", "x", "x")
		if shorten(device, maxDevice) == "" || shorten(reason, maxReason) == "" {
			return
		}
		if got := tags(device, reason, "x"+reason); got != want {
			t.Errorf("device %q, reason %q: other tags than those of the page", device, reason)
		}
	})
}
