package page

import (
	"crypto/sha256"
	_ "embed" // the style sheet
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"
)

// style is the page's only style sheet.
//
//go:embed page.css
var style string

// styleHash is what the browser lets in (CSP Level 3 §2.3.1).
var styleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}()

// content is what the page shows, not yet escaped.
type content struct {
	Language string
	Texts    *texts
	Brand    string
	Cut      bool

	Title, Heading, Since, Until, Because, Reason string
	Works, Steps                                  []string
	Portal, How, Support                          string
	Others                                        []choice
}

// choice is another language of the page.
type choice struct{ Language, Name string }

// Bounds of texts that others chose, in characters.
const (
	maxDevice = 64
	maxReason = 400
)

// content fills the page in.
func (p *Page) content(language string, n *Notice) content {
	t := catalogues[language]
	brand := p.cfg.Brand
	if brand == "" {
		brand = t.Provider
	}
	fill := strings.NewReplacer("{brand}", brand)
	c := content{Language: language, Texts: t, Brand: p.cfg.Brand, Portal: p.cfg.PortalURL,
		Support: p.cfg.Support, Title: t.NotCut, Heading: t.NotCut}
	for _, l := range p.languages {
		if l != language {
			c.Others = append(c.Others, choice{l, catalogues[l].Name})
		}
	}
	if n == nil {
		return c
	}
	c.Cut, c.Title, c.Heading, c.How = true, t.Title, t.Title, fill.Replace(t.How)
	if device := shorten(n.Device, maxDevice); device != "" {
		c.Heading = strings.ReplaceAll(t.Heading, "{device}", device)
	}
	if at := t.when(n.Since, p.cfg.Location); at != "" {
		c.Since = strings.ReplaceAll(t.Since, "{when}", at)
	}
	if at := t.when(n.Until, p.cfg.Location); at != "" {
		c.Until = strings.ReplaceAll(t.Until, "{when}", at)
	}
	c.Because, c.Reason = because(t, n), shorten(n.Reason, maxReason)
	c.Because = fill.Replace(c.Because)
	for _, w := range t.working {
		c.Works = append(c.Works, fill.Replace(w))
	}
	if n.Updates {
		c.Works = append(c.Works, t.updates)
	}
	c.Steps = t.steps
	return c
}

// because says why, by the first kind that the page has words for.
func because(t *texts, n *Notice) string {
	if n.ByHand {
		return t.ByHand
	}
	for _, k := range n.Kinds {
		if text, ok := t.because[k.Family()]; ok {
			return text
		}
	}
	return t.other
}

// shorten makes one line of a text that others chose, without what cannot be seen
// (a name that reverses the text around it, for one), and cuts it.
func shorten(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		switch {
		case r == utf8.RuneError, !unicode.IsPrint(r) && !unicode.IsSpace(r):
			continue
		case unicode.IsSpace(r):
			r = ' '
		}
		if n == most {
			return strings.TrimSpace(b.String()) + "…"
		}
		b.WriteRune(r)
		n++
	}
	return strings.TrimSpace(b.String())
}
