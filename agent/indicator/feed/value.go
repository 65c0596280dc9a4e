package feed

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"cordon"
)

// What a value may be. The longest name is that of RFC 1035 §2.3.4 as text. A
// suffix of more labels than a look-up tries would never match. A prefix wider
// than the smallest that networks announce to each other hits neighbours who
// did nothing.
const (
	MaxName   = 253  // bytes
	MaxLabels = 8    // of a suffix, and of the parents that a look-up tries
	MaxURL    = 2048 // bytes of host and path: the feeds we know have none longer
	Widest4   = 24   // bits of an IPv4 prefix
	Widest6   = 48   // bits of an IPv6 prefix

	maxLabel = 63 // RFC 1035 §2.3.4
)

// types is what feeds call the types.
var types = map[string]cordon.IndicatorType{
	"name": cordon.IndicatorName, "domain": cordon.IndicatorName, "hostname": cordon.IndicatorName,
	"fqdn": cordon.IndicatorName, "domain-name": cordon.IndicatorName,
	"suffix":  cordon.IndicatorSuffix,
	"address": cordon.IndicatorAddress, "ip": cordon.IndicatorAddress, "ipv4": cordon.IndicatorAddress,
	"ipv6": cordon.IndicatorAddress, "ipv4-addr": cordon.IndicatorAddress, "ipv6-addr": cordon.IndicatorAddress,
	"address-port": cordon.IndicatorAddressPort, "ip:port": cordon.IndicatorAddressPort, "ip-port": cordon.IndicatorAddressPort,
	"prefix": cordon.IndicatorPrefix, "cidr": cordon.IndicatorPrefix, "net": cordon.IndicatorPrefix,
	"url": cordon.IndicatorURL, "uri": cordon.IndicatorURL,
}

// normalise returns the one way in which a value is written, and its type, or
// why it is refused. Without a type it is inferred.
func normalise(t cordon.IndicatorType, v string) (cordon.IndicatorType, string, Reason) {
	v = strings.TrimSpace(v)
	if v == "" {
		return t, "", Empty
	}
	if t == "" {
		t = infer(v)
	}
	var why Reason
	switch t {
	case cordon.IndicatorName, cordon.IndicatorSuffix:
		return normaliseName(t, v)
	case cordon.IndicatorAddress:
		v, why = normaliseAddress(v)
	case cordon.IndicatorAddressPort:
		v, why = normaliseAddressPort(v)
	case cordon.IndicatorPrefix:
		return normalisePrefix(v)
	case cordon.IndicatorURL:
		v, why = normaliseURL(v)
	default:
		why = BadType
	}
	return t, v, why
}

// infer guesses the type of a value from its form.
func infer(v string) cordon.IndicatorType {
	if strings.Contains(v, "://") {
		return cordon.IndicatorURL
	}
	if _, err := netip.ParseAddr(strings.Trim(v, "[]")); err == nil {
		return cordon.IndicatorAddress
	}
	if _, err := netip.ParseAddrPort(v); err == nil {
		return cordon.IndicatorAddressPort
	}
	if _, err := netip.ParsePrefix(v); err == nil {
		return cordon.IndicatorPrefix
	}
	switch {
	case strings.Contains(v, "/"):
		return cordon.IndicatorURL
	case strings.HasPrefix(v, "*.") || strings.HasPrefix(v, "."):
		return cordon.IndicatorSuffix
	}
	return cordon.IndicatorName
}

func normaliseName(t cordon.IndicatorType, v string) (cordon.IndicatorType, string, Reason) {
	name := strings.TrimPrefix(strings.TrimPrefix(v, "*"), ".")
	if len(name) < len(v) {
		t = cordon.IndicatorSuffix
	}
	name, labels, ok := hostName(name)
	switch {
	case !ok:
		return t, "", BadValue
	case isPublic(name):
		return t, "", PublicSuffix
	case t == cordon.IndicatorSuffix && labels > MaxLabels:
		return t, "", TooLong
	}
	return t, name, ""
}

// hostName returns a name in lower case and ASCII without its trailing dot, and
// counts its labels. Letters, digits, hyphens and (as malware does not keep to
// RFC 1123 §2.1) underscores may stand in it.
func hostName(v string) (name string, labels int, ok bool) {
	name = strings.ToLower(strings.TrimSuffix(v, "."))
	if strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) && len(name) <= MaxName {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return "", 0, false
		}
		name = ascii
	}
	if name == "" || len(name) > MaxName {
		return "", 0, false
	}
	digits := false
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel {
			return "", 0, false
		}
		digits = true
		for _, c := range []byte(label) {
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return "", 0, false
			}
			digits = digits && '0' <= c && c <= '9'
		}
		labels++
	}
	return name, labels, !digits // no top-level name is a number: that is a broken address
}

// isPublic reports whether anybody can register below name, so that it is
// nobody's: com, co.uk, but also a dynamic DNS provider's own name.
func isPublic(name string) bool {
	suffix, _ := publicsuffix.PublicSuffix(name)
	return suffix == name
}

func normaliseAddress(v string) (string, Reason) {
	a, err := netip.ParseAddr(strings.Trim(v, "[]"))
	if err != nil || a.Zone() != "" {
		return "", BadValue
	}
	return a.Unmap().String(), onInternet(a.Unmap())
}

func normaliseAddressPort(v string) (string, Reason) {
	ap, err := netip.ParseAddrPort(v)
	if err != nil || ap.Port() == 0 || ap.Addr().Zone() != "" {
		return "", BadValue
	}
	ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	return ap.String(), onInternet(ap.Addr())
}

// normalisePrefix also makes an address of a prefix that has but one.
func normalisePrefix(v string) (cordon.IndicatorType, string, Reason) {
	p, err := netip.ParsePrefix(v)
	if err != nil {
		return cordon.IndicatorPrefix, "", BadValue
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return cordon.IndicatorPrefix, "", TooWide
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	p = p.Masked()
	switch {
	case p.Bits() < Widest4, p.Addr().Is6() && p.Bits() < Widest6:
		return cordon.IndicatorPrefix, "", TooWide
	case p.IsSingleIP():
		return cordon.IndicatorAddress, p.Addr().String(), onInternet(p.Addr())
	}
	return cordon.IndicatorPrefix, p.String(), onInternet(p.Addr())
}

// inside is what is never a place on the internet beyond what netip knows: RFC
// 1122 §3.2.1.3 (this network), RFC 6598 (behind a provider's NAT), RFC 1112 §4
// (reserved, and with it the broadcast address).
var inside = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("240.0.0.0/4"),
}

func onInternet(a netip.Addr) Reason {
	if a.IsPrivate() || a.IsUnspecified() || !a.IsGlobalUnicast() {
		return NotPublic
	}
	for _, p := range inside {
		if p.Contains(a) {
			return NotPublic
		}
	}
	return ""
}

// normaliseURL returns host, port unless it is 80 or 443, path and query. The
// scheme does not count: who looks up has seen a host and a path.
func normaliseURL(v string) (string, Reason) {
	// A "://" further on belongs to the path: that URL has no scheme.
	if scheme, rest, ok := strings.Cut(v, "://"); ok && !strings.ContainsAny(scheme, "/?#@") {
		if scheme == "" || strings.Contains(scheme, ":") {
			return "", BadValue
		}
		v = rest
	}
	v, _, _ = strings.Cut(v, "#")
	authority, tail := v, "/"
	if i := strings.IndexAny(v, "/?"); i >= 0 {
		authority, tail = v[:i], v[i:]
	}
	if tail[0] == '?' {
		tail = "/" + tail
	}
	host, why := normaliseHost(authority[strings.LastIndexByte(authority, '@')+1:])
	if why != "" {
		return "", why
	}
	tail, ok := escapePath(tail)
	if !ok {
		return "", BadValue
	}
	if len(host)+len(tail) > MaxURL {
		return "", TooLong
	}
	return host + tail, ""
}

// normaliseHost reads a URL's host with or without port.
func normaliseHost(v string) (string, Reason) {
	host, port := v, ""
	if i := strings.LastIndexByte(v, ':'); i > strings.LastIndexByte(v, ']') {
		host, port = v[:i], v[i:]
		if n, err := strconv.ParseUint(port[1:], 10, 16); port != ":" && (err != nil || n == 0) {
			return "", BadValue
		}
		if port == ":" || port == ":80" || port == ":443" {
			port = ""
		}
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && a.Zone() == "" {
		host = a.Unmap().String()
		if a.Unmap().Is6() {
			host = "[" + host + "]"
		}
		return host + port, onInternet(a.Unmap())
	}
	name, _, ok := hostName(host)
	switch {
	case !ok:
		return "", BadValue
	case isPublic(name):
		return "", PublicSuffix
	}
	return name + port, ""
}

// escapePath writes bytes beyond ASCII as a client does (RFC 3986 §2.1), and
// refuses spaces and control characters, which cannot stand in a request.
func escapePath(v string) (string, bool) {
	var b strings.Builder
	for i := range len(v) {
		switch c := v[i]; {
		case c <= ' ' || c == 0x7f:
			return "", false
		case c > 0x7f:
			b.WriteByte('%')
			b.WriteString(strings.ToUpper(strconv.FormatUint(uint64(c), 16)))
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}
