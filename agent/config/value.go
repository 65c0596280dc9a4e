package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"cordon"
	"cordon/internal/endpoint"
)

// value is a value of the file that a rule makes of its text. It is a struct
// because go-toml asks only those to read their text themselves, and reading it
// there is what gives an error its line.
type value[T any, R rule[T]] struct {
	v *T // nil: left out
}

// rule reads a text. Its error says what it wants instead.
type rule[T any] interface{ read(s string) (T, error) }

// UnmarshalText reads the value.
func (x *value[T, R]) UnmarshalText(b []byte) error {
	var r R
	v, err := r.read(string(b))
	x.v = &v
	return err
}

// set sets *to to the value, if it was not left out.
func (x value[T, R]) set(to *T) {
	if x.v != nil {
		*to = *x.v
	}
}

// list returns the values.
func list[T any, R rule[T]](values []value[T, R]) (all []T) {
	for _, x := range values {
		all = append(all, *x.v)
	}
	return all
}

// The rules.
type (
	anInterface  struct{}
	aPrefix      struct{}
	anAddress    struct{}
	aPolicy      struct{}
	aMAC         struct{}
	aLabel       struct{}
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
	aLevel       struct{}
	aFormat      struct{}
)

// maxInterface is the longest name of an interface (IFNAMSIZ in linux/if.h, less
// the closing zero).
const maxInterface = 15

func (anInterface) read(s string) (string, error) {
	if s == "" || len(s) > maxInterface || s == "." || s == ".." || strings.ContainsFunc(s, func(r rune) bool {
		return r == '/' || r == ':' || r <= ' ' || r >= utf8.RuneSelf
	}) {
		return "", fmt.Errorf("no interface can be called %q: want a name such as br-lan; 'ip link' lists them", s)
	}
	return s, nil
}

func (aPrefix) read(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("no prefix %q: want one such as 192.168.1.0/24", s)
	}
	if p.Bits() == 0 {
		return p, fmt.Errorf("prefix %q is the whole internet: want the home's, such as 192.168.1.0/24", s)
	}
	return p.Masked(), nil
}

func (anAddress) read(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		return a, fmt.Errorf("no address of a host %q: want one such as 192.0.2.7 or 2001:db8::7", s)
	}
	return a.Unmap(), nil
}

func (aPolicy) read(s string) (cordon.Policy, error) { return cordon.ParsePolicy(s) }

func (aMAC) read(s string) (m cordon.MAC, err error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != len(m) || cordon.MAC(hw).Group() || cordon.MAC(hw) == m {
		return m, fmt.Errorf("no MAC address of a device %q: want one such as 02:00:00:00:00:01", s)
	}
	return cordon.MAC(hw), nil
}

// maxLabel bounds names for people, in bytes.
const maxLabel = 64

func (aLabel) read(s string) (string, error) {
	if len(s) > maxLabel || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "", fmt.Errorf("no name %q: want at most %d bytes without control characters", s, maxLabel)
	}
	return strings.TrimSpace(s), nil
}

func (aClass) read(s string) (cordon.Class, error) {
	for _, c := range []cordon.Class{cordon.IoT, cordon.Personal, cordon.Infrastructure, cordon.LifeLine} {
		if c.String() == s {
			return c, nil
		}
	}
	return cordon.Unknown, fmt.Errorf("class %q: want iot, personal, infrastructure or life-line", s)
}

func (aDestination) read(s string) (cordon.Target, error) {
	e, err := endpoint.Parse(s)
	t := cordon.Target{Name: e.Name, Peer: e.Addr}
	if e.Port != 0 {
		t.Ports = []uint16{e.Port}
	}
	return t, err
}

func (aPortal) read(s string) (string, error) {
	u, err := url.Parse(s)
	if s != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || len(s) > 512) {
		return "", fmt.Errorf("portal %q: want a URL such as https://home.provider.example/", s)
	}
	return s, nil
}

func (aCore) read(s string) (string, error) {
	u, err := url.Parse(s)
	if s != "" && (err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" ||
		u.RawQuery != "" || u.Fragment != "" || len(s) > 512) {
		return "", fmt.Errorf("core %q: want a URL such as https://core.provider.example:8443", s)
	}
	return strings.TrimRight(s, "/"), nil
}

// maxSerial bounds a serial number, in bytes.
const maxSerial = 64

func (aSerial) read(s string) (string, error) {
	if len(s) > maxSerial || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fmt.Errorf("no serial number %q: want at most %d visible ASCII characters, as printed on the router", s, maxSerial)
	}
	return s, nil
}

func (aLanguage) read(s string) (string, error) {
	odd := func(r rune) bool {
		return r != '-' && (r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}
	if len(s) < 2 || len(s) > 35 || strings.ContainsFunc(s, odd) { // RFC 5646 §4.4.1
		return "", fmt.Errorf("no language %q: want a tag such as en or de-CH (RFC 5646)", s)
	}
	return s, nil
}

func (aPathOrNone) read(s string) (string, error) {
	if s != "" && !filepath.IsAbs(s) {
		return "", fmt.Errorf("%q depends on where the agent is started: want a path that begins with /", s)
	}
	return s, nil
}

func (aPath) read(s string) (string, error) {
	if s == "" {
		return "", fmt.Errorf("empty: want a path, or leave the key out")
	}
	return aPathOrNone{}.read(s)
}

// maxSocket is the longest path of a Unix socket (sun_path in linux/un.h, less the
// closing zero), less the ending under which it is made.
const maxSocket = 107 - len(".new")

func (aSocket) read(s string) (string, error) {
	if len(s) > maxSocket {
		return "", fmt.Errorf("%q has %d bytes: a socket's path has at most %d", s, len(s), maxSocket)
	}
	return aPath{}.read(s)
}

func (someEyes) read(s string) (Eyes, error) { return oneOf(s, EyesAuto, EyesEBPF, EyesAFPacket) }

func (anAnswer) read(s string) (Answer, error) { return oneOf(s, AnswerNXDomain, AnswerPage) }

func (aLevel) read(s string) (Level, error) {
	return oneOf(s, LevelDebug, LevelInfo, LevelWarn, LevelError)
}

func (aFormat) read(s string) (Format, error) { return oneOf(s, FormatText, FormatJSON) }

// oneOf returns s if it is one of the values.
func oneOf[T ~string](s string, values ...T) (T, error) {
	if !slices.Contains(values, T(s)) {
		return "", fmt.Errorf("%q: want one of %q", s, values)
	}
	return T(s), nil
}

func (aPort) read(s string) (uint16, error) {
	n, err := number(s, "page.port", 1, 65535, "a port")
	return uint16(n), err
}

func (frames) read(s string) (int, error) {
	return number(s, "capture.device_frames", 50, 100_000, "frames a second")
}

func (quarantines) read(s string) (int, error) {
	return number(s, "limits.quarantines_per_hour", 0, 1000, "a number of devices")
}

func (megabytes) read(s string) (int64, error) {
	n, err := number(s, "limits.memory_mb", 20, 1000, "megabytes")
	return int64(n) * 1e6, err
}

func (queue) read(s string) (int64, error) {
	n, err := number(s, "core.queue_mb", 1, 64, "megabytes")
	return int64(n) * 1e6, err
}

func number(s, key string, least, most int, what string) (int, error) {
	n, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
	if err != nil || n < least || n > most {
		return 0, &numberError{key: key, why: fmt.Sprintf("%s: want %s from %d to %d", s, what, least, most)}
	}
	return n, nil
}

// numberError is about a number. The decoder tells the line of texts only, so it
// carries its key, by which the line can be found.
type numberError struct{ key, why string }

func (e *numberError) Error() string { return e.key + ": " + e.why }

// line returns the line of the error's key in a file, 0 if it is not found.
func (e *numberError) line(file []byte) int {
	_, name, _ := strings.Cut(e.key, ".")
	for i, line := range strings.Split(string(file), "\n") {
		before, _, found := strings.Cut(line, "=")
		if before = strings.TrimSpace(before); found && (before == name || before == e.key) {
			return i + 1
		}
	}
	return 0
}
