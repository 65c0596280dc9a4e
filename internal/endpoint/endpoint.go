// Package endpoint reads a place on the network as a person writes it: a name, an
// address, or either with a port.
package endpoint

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Endpoint is one place. Either Name or Addr is set.
type Endpoint struct {
	Name string     // lower case, without trailing dot
	Addr netip.Addr // without zone
	Port uint16     // 0: any
}

// String is what Parse reads.
func (e Endpoint) String() string {
	host := e.Name
	if e.Addr.IsValid() {
		host = e.Addr.String()
	}
	switch {
	case e.Port == 0:
		return host
	case e.Addr.Is6():
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(int(e.Port))
}

// maxName is the longest name in text (RFC 1035 §2.3.4, without the root's dot).
const maxName = 253

// Parse reads "update.example", "update.example:443", "192.0.2.7",
// "192.0.2.7:443", "2001:db8::7" or "[2001:db8::7]:443".
func Parse(s string) (Endpoint, error) {
	refuse := func(why string) (Endpoint, error) {
		if len(s) > 64 {
			s = s[:64] + "…"
		}
		return Endpoint{}, fmt.Errorf("destination %q: %s; want a name, an address or either with a port, such as update.example, 192.0.2.7 or 192.0.2.7:443", s, why)
	}
	if len(s) > maxName+len(":65535")+len("[]") {
		return refuse("too long")
	}
	text := strings.TrimSpace(s)
	if a, err := netip.ParseAddr(text); err == nil {
		return address(a, 0, refuse)
	}
	host, port, found := text, "", false
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		host, port, found = text[:i], text[i+1:], true
	}
	var number uint64
	if found {
		var err error
		if number, err = strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return refuse("no port from 1 to 65535 behind the colon")
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !strings.HasSuffix(inner, "]") || !a.Is6() {
			return refuse("no IPv6 address in the brackets")
		}
		return address(a, uint16(number), refuse)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Is6() {
			return refuse("an IPv6 address with a port needs brackets")
		}
		return address(a, uint16(number), refuse)
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if why := badName(name); why != "" {
		return refuse(why)
	}
	return Endpoint{Name: name, Port: uint16(number)}, nil
}

func address(a netip.Addr, port uint16, refuse func(string) (Endpoint, error)) (Endpoint, error) {
	a = a.Unmap()
	switch {
	case a.Zone() != "":
		return refuse("an address with a zone means something on one machine only")
	case a.IsUnspecified(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return refuse("no address of one host")
	}
	return Endpoint{Addr: a, Port: port}, nil
}

// badName says what is wrong with a host name in lower case, empty if nothing.
// Underscores are in real names, so they may be here; the last label is not all
// digits (RFC 3696 §2), or it would be a mistyped address.
func badName(name string) string {
	if name == "" || len(name) > maxName {
		return "no name"
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "no name"
		}
		for i := range len(label) {
			switch c := label[i]; {
			case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
			case c >= 0x80:
				return "a name beyond ASCII is written in its xn-- form"
			default:
				return "no name"
			}
		}
	}
	switch last := labels[len(labels)-1]; {
	case len(labels) == 1:
		return "a name of one label means a whole top-level domain"
	case strings.Trim(last, "0123456789") == "":
		return "no address"
	}
	return ""
}
