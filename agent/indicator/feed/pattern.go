package feed

import (
	"strconv"
	"strings"

	"cordon"
)

// The patterns that are understood (STIX 2.1 §9): comparisons of one place,
// alternatives of them, in any nesting of OR and parentheses.
//
//	pattern     = observation *("OR" observation)
//	observation = "[" either "]" / "(" pattern ")"
//	either      = all *("OR" all)
//	all         = one *("AND" one) / "(" either ")"
//	one         = path ("=" / "ISSUBSET") value / path "IN" "(" value *("," value) ")"
//
// A term that says more than "this place" (NOT, a file's hash as well, a time
// window) is not taken for less than it says: it is refused, and its
// alternatives, each of which suffices, are taken.

// maxTerms bounds the alternatives of one pattern, maxNesting its parentheses.
const (
	maxTerms   = 1024
	maxNesting = 16
)

// term is one alternative of a pattern: a place, or why it is refused.
type term struct {
	kind  cordon.IndicatorType // "" to infer
	value string
	why   Reason
}

// parsePattern returns the alternatives of a pattern.
func parsePattern(s string) ([]term, Reason) {
	p := pattern{rest: s}
	p.advance()
	if !p.alternatives(p.observation) || p.token != "" {
		return nil, BadPattern
	}
	return p.terms, ""
}

// pattern is a pattern being read.
type pattern struct {
	rest    string
	token   string // the next one; "" at the end
	quoted  bool   // token is the text of a quoted value
	bad     bool   // what follows cannot be read
	nesting int
	terms   []term
}

// alternatives reads one or more of what one reads, joined by OR.
func (p *pattern) alternatives(one func() bool) bool {
	for {
		if !one() || p.bad || len(p.terms) > maxTerms {
			return false
		}
		if !p.word("OR") {
			return true
		}
	}
}

func (p *pattern) observation() bool {
	if p.word("(") {
		return p.nested(p.observation)
	}
	return p.word("[") && p.alternatives(p.all) && p.word("]")
}

// nested reads alternatives up to the closing parenthesis.
func (p *pattern) nested(one func() bool) bool {
	if p.nesting++; p.nesting > maxNesting {
		return false
	}
	ok := p.alternatives(one) && p.word(")")
	p.nesting--
	return ok
}

// all reads comparisons that must hold together and adds the terms they make.
func (p *pattern) all() bool {
	if p.word("(") {
		return p.nested(p.all)
	}
	var places []place
	for {
		one, ok := p.comparison()
		if !ok {
			return false
		}
		places = append(places, one)
		if len(places) > maxNesting {
			return false
		}
		if !p.word("AND") {
			p.terms = append(p.terms, combine(places)...)
			return true
		}
	}
}

// place is one comparison: a path and what it may equal.
type place struct {
	path   string
	values []string
	not    bool // NOT, or an operator that we do not know
}

func (p *pattern) comparison() (c place, ok bool) {
	if p.quoted || p.token == "" || strings.IndexByte("[](),=!<>", p.token[0]) >= 0 {
		return c, false
	}
	c.path = p.token
	p.advance()
	c.not = p.word("NOT")
	operator := strings.ToUpper(p.token)
	if p.quoted || operator == "" {
		return c, false
	}
	p.advance()
	switch operator {
	case "IN":
		c.values, ok = p.set()
		return c, ok
	case "=", "==", "ISSUBSET":
	default:
		c.not = true
	}
	v, ok := p.value()
	c.values = []string{v}
	return c, ok
}

func (p *pattern) value() (string, bool) {
	v := p.token
	if !p.quoted && (v == "" || strings.IndexByte("[](),=!<>", v[0]) >= 0) {
		return "", false
	}
	p.advance()
	return v, true
}

func (p *pattern) set() (values []string, ok bool) {
	for open := "("; p.word(open); open = "," {
		v, ok := p.value()
		if !ok || len(values) >= maxTerms {
			return nil, false
		}
		values = append(values, v)
	}
	return values, len(values) > 0 && p.word(")")
}

// word reads one word or sign that is not quoted.
func (p *pattern) word(w string) bool {
	if p.quoted || !strings.EqualFold(p.token, w) {
		return false
	}
	p.advance()
	return true
}

// advance reads the next token: a sign, a quoted text or a word.
func (p *pattern) advance() {
	s := strings.TrimLeft(p.rest, " \t\r\n")
	p.token, p.quoted, p.rest = "", false, ""
	switch {
	case s == "":
	case strings.HasPrefix(s, "'"):
		p.token, p.rest, p.quoted = textOf(s[1:])
		p.bad = p.bad || !p.quoted
	case strings.IndexByte("[](),", s[0]) >= 0:
		p.token, p.rest = s[:1], s[1:]
	case strings.IndexByte("=!<>", s[0]) >= 0:
		n := len(s) - len(strings.TrimLeft(s, "=!<>"))
		p.token, p.rest = s[:n], s[n:]
	default:
		n := wordLen(s)
		p.token, p.rest, p.bad = s[:n], s[n:], p.bad || n == 0
	}
}

// wordLen returns the length of the word at the start of s. A path may have
// "[*]" in it.
func wordLen(s string) (n int) {
	for n < len(s) && strings.IndexByte(" \t\r\n[](),=!<>'", s[n]) < 0 {
		if n++; strings.HasPrefix(s[n:], "[*]") {
			n += len("[*]")
		}
	}
	return n
}

// textOf returns the text up to the closing quote; a backslash takes the next
// character as it is (STIX 2.1 §9.1).
func textOf(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\'':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// combine makes the terms of comparisons that must hold together.
func combine(places []place) []term {
	if len(places) == 1 {
		return single(places[0])
	}
	return traffic(places)
}

// single makes a term of each value of one comparison.
func single(c place) (terms []term) {
	var kind cordon.IndicatorType
	why := BadPattern
	switch c.path {
	case "domain-name:value":
		kind, why = cordon.IndicatorName, ""
	case "url:value":
		kind, why = cordon.IndicatorURL, ""
	case "ipv4-addr:value", "ipv6-addr:value":
		why = "" // an address or a prefix (STIX 2.1 §6.7, §6.8)
	case "network-traffic:dst_ref.value":
		why = ""
	}
	if c.not {
		why = BadPattern
	}
	for _, v := range c.values {
		terms = append(terms, term{kind, v, why})
	}
	return terms
}

// traffic makes the one term of a network-traffic pattern: where to, maybe with
// a port. What the place is and which protocols speak is implied or unused.
func traffic(places []place) []term {
	bad := []term{{why: BadPattern}}
	var value, port string
	for _, c := range places {
		if c.not || len(c.values) != 1 {
			return bad
		}
		into := &value
		switch c.path {
		case "network-traffic:dst_ref.type", "network-traffic:protocols[*]":
			continue
		case "network-traffic:dst_ref.value":
		case "network-traffic:dst_port":
			into = &port
		default:
			return bad
		}
		if *into != "" {
			return bad
		}
		*into = c.values[0]
	}
	if value == "" || port == "" {
		return []term{{value: value}}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return bad
	}
	if strings.Contains(value, ":") {
		value = "[" + value + "]"
	}
	return []term{{cordon.IndicatorAddressPort, value + ":" + port, ""}}
}
