package page

import (
	"fmt"
	"html"
	"strings"
)

// document writes HTML. It stands in for html/template, which would make the
// router's program 2.6 MB larger: it looks methods up by name, so that the linker
// must keep them all. The page needs escaping in one context only: text, and
// attributes in double quotes.
type document struct{ strings.Builder }

// line writes a line of HTML, in which %s stands for texts, escaped. The format is
// the source's own; nothing else writes to a document.
func (d *document) line(format string, texts ...string) {
	escaped := make([]any, len(texts))
	for k, t := range texts {
		escaped[k] = html.EscapeString(t)
	}
	fmt.Fprintf(d, format+"\n", escaped...)
}

// list writes items.
func (d *document) list(tag string, items []string) {
	d.line("<%s>", tag)
	for _, i := range items {
		d.line("<li>%s</li>", i)
	}
	d.line("</%s>", tag)
}

// html returns the page.
func (c *content) html() string {
	d := new(document)
	d.line("<!DOCTYPE html>")
	d.line(`<html lang="%s">`, c.Language)
	d.line("<head>")
	d.line(`<meta charset="utf-8">`)
	d.line(`<meta name="viewport" content="width=device-width, initial-scale=1">`)
	d.line(`<meta name="robots" content="noindex">`)
	d.line("<title>%s</title>", c.Title)
	d.line(`<link rel="icon" href="data:,">`)
	d.WriteString("<style>" + style + "</style>\n") // ours, as its hash says
	d.line("</head>")
	d.line("<body>")
	if c.Brand != "" {
		d.line("<header>%s</header>", c.Brand)
	}
	d.line("<main>")
	d.line("<h1>%s</h1>", c.Heading)
	if c.Cut {
		c.story(d)
		c.wayOut(d)
	} else {
		d.line("<p>%s</p>", c.Texts.NotCutIs)
	}
	d.line("</main>")
	if len(c.Others) > 0 {
		d.line("<footer>")
		for _, o := range c.Others {
			d.line(`<a href="/?lang=%s" hreflang="%s" lang="%s">%s</a>`, o.Language, o.Language, o.Language, o.Name)
		}
		d.line("</footer>")
	}
	d.line("</body>")
	d.line("</html>")
	return d.String()
}

// story writes what happened, what still works and what to do.
func (c *content) story(d *document) {
	if c.Since != "" {
		d.line("<p>%s</p>", c.Since)
	}
	d.line("<h2>%s</h2>", c.Texts.Why)
	d.line("<p>%s</p>", c.Because)
	if c.Reason != "" {
		d.line(`<details><summary>%s</summary><p lang="en" dir="auto">%s</p></details>`, c.Texts.Details, c.Reason)
	}
	d.line("<h2>%s</h2>", c.Texts.Works)
	d.list("ul", c.Works)
	d.line("<h2>%s</h2>", c.Texts.Do)
	d.list("ol", c.Steps)
}

// wayOut writes how the device is let out, which is somewhere else.
func (c *content) wayOut(d *document) {
	d.line(`<section class="out">`)
	d.line("<h2>%s</h2>", c.Texts.Out)
	if c.Portal != "" {
		d.line(`<p>%s <a href="%s" rel="noreferrer">%s</a></p>`, c.Texts.Portal, c.Portal, c.Portal)
	} else {
		d.line("<p>%s</p>", c.How)
	}
	d.line("<p><strong>%s</strong></p>", c.Texts.Press)
	if c.Until != "" {
		d.line("<p>%s</p>", c.Until)
	}
	if c.Support != "" {
		d.line("<p>%s %s</p>", c.Texts.Help, c.Support)
	}
	d.line("</section>")
}
