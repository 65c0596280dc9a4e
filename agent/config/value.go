package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"cordon"
	"cordon/internal/document"
	"cordon/internal/endpoint"
)

// The rules.
type (
	anInterface  struct{}
	aPrefix      struct{}
	anAddress    struct{}
	aPolicy      struct{}
	aMAC         struct{}
	aClass       struct{}
	aDestination struct{}
	aPortal      struct{}
	aLanguage    struct{}
	aCore        struct{}
	aSerial      struct{}
	aPath        struct{}
	aPathOrNone  struct{}
	aSocket      struct{}
	aPort        struct{}
	frames       struct{}
	quarantines  struct{}
	megabytes    struct{}
	queue        struct{}
	someEyes     struct{}
	anAnswer     struct{}
)

// maxInterface is the longest name of an interface (IFNAMSIZ in linux/if.h, less
// the closing zero).
const maxInterface = 15

func (anInterface) Read(s string) (string, error) {
	if s == "" || len(s) > maxInterface || s == "." || s == ".." || strings.ContainsFunc(s, func(r rune) bool {
		return r == '/' || r == ':' || r <= ' ' || r >= utf8.RuneSelf
	}) {
		return "", fmt.Errorf("no interface can be called %q: want a name such as br-lan; 'ip link' lists them", s)
	}
	return s, nil
}

func (aPrefix) Read(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("no prefix %q: want one such as 192.168.1.0/24", s)
	}
	if p.Bits() == 0 {
		return p, fmt.Errorf("prefix %q is the whole internet: want the home's, such as 192.168.1.0/24", s)
	}
	return p.Masked(), nil
}

func (anAddress) Read(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		return a, fmt.Errorf("no address of a host %q: want one such as 192.0.2.7 or 2001:db8::7", s)
	}
	return a.Unmap(), nil
}

func (aPolicy) Read(s string) (cordon.Policy, error) { return cordon.ParsePolicy(s) }

func (aMAC) Read(s string) (m cordon.MAC, err error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != len(m) || cordon.MAC(hw).Group() || cordon.MAC(hw) == m {
		return m, fmt.Errorf("no MAC address of a device %q: want one such as 02:00:00:00:00:01", s)
	}
	return cordon.MAC(hw), nil
}

func (aClass) Read(s string) (cordon.Class, error) {
	for _, c := range []cordon.Class{cordon.IoT, cordon.Personal, cordon.Infrastructure, cordon.LifeLine} {
		if c.String() == s {
			return c, nil
		}
	}
	return cordon.Unknown, fmt.Errorf("class %q: want iot, personal, infrastructure or life-line", s)
}

func (aDestination) Read(s string) (cordon.Target, error) {
	e, err := endpoint.Parse(s)
	t := cordon.Target{Name: e.Name, Peer: e.Addr}
	if e.Port != 0 {
		t.Ports = []uint16{e.Port}
	}
	return t, err
}

func (aPortal) Read(s string) (string, error) {
	u, err := url.Parse(s)
	if s != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || len(s) > 512) {
		return "", fmt.Errorf("portal %q: want a URL such as https://home.provider.example/", s)
	}
	return s, nil
}

func (aCore) Read(s string) (string, error) {
	u, err := url.Parse(s)
	if s != "" && (err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" ||
		u.RawQuery != "" || u.Fragment != "" || len(s) > 512) {
		return "", fmt.Errorf("core %q: want a URL such as https://core.provider.example:8443", s)
	}
	return strings.TrimRight(s, "/"), nil
}

// maxSerial bounds a serial number, in bytes.
const maxSerial = 64

func (aSerial) Read(s string) (string, error) {
	if len(s) > maxSerial || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fmt.Errorf("no serial number %q: want at most %d visible ASCII characters, as printed on the router", s, maxSerial)
	}
	return s, nil
}

func (aLanguage) Read(s string) (string, error) {
	odd := func(r rune) bool {
		return r != '-' && (r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}
	if len(s) < 2 || len(s) > 35 || strings.ContainsFunc(s, odd) { // RFC 5646 §4.4.1
		return "", fmt.Errorf("no language %q: want a tag such as en or de-CH (RFC 5646)", s)
	}
	return s, nil
}

func (aPathOrNone) Read(s string) (string, error) {
	if s != "" && !filepath.IsAbs(s) {
		return "", fmt.Errorf("%q depends on where the agent is started: want a path that begins with /", s)
	}
	return s, nil
}

func (aPath) Read(s string) (string, error) {
	if s == "" {
		return "", fmt.Errorf("empty: want a path, or leave the key out")
	}
	return aPathOrNone{}.Read(s)
}

// maxSocket is the longest path of a Unix socket (sun_path in linux/un.h, less the
// closing zero), less the ending under which it is made.
const maxSocket = 107 - len(".new")

func (aSocket) Read(s string) (string, error) {
	if len(s) > maxSocket {
		return "", fmt.Errorf("%q has %d bytes: a socket's path has at most %d", s, len(s), maxSocket)
	}
	return aPath{}.Read(s)
}

func (someEyes) Read(s string) (Eyes, error) {
	return document.OneOf(s, EyesAuto, EyesEBPF, EyesAFPacket)
}

func (anAnswer) Read(s string) (Answer, error) { return document.OneOf(s, AnswerNXDomain, AnswerPage) }

func (aPort) Read(s string) (uint16, error) {
	n, err := document.Number(s, "page.port", 1, 65535, "a port")
	return uint16(n), err
}

func (frames) Read(s string) (int, error) {
	return document.Number(s, "capture.device_frames", 50, 100_000, "frames a second")
}

func (quarantines) Read(s string) (int, error) {
	return document.Number(s, "limits.quarantines_per_hour", 0, 1000, "a number of devices")
}

func (megabytes) Read(s string) (int64, error) {
	n, err := document.Number(s, "limits.memory_mb", 20, 1000, "megabytes")
	return int64(n) * 1e6, err
}

func (queue) Read(s string) (int64, error) {
	n, err := document.Number(s, "core.queue_mb", 1, 64, "megabytes")
	return int64(n) * 1e6, err
}
