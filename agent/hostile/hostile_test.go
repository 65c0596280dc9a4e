package hostile

import (
	"net/netip"
	"testing"
	"time"

	"cordon"
)

// TestPlaceOf: only what is sure, and hostile to every device, is closed to all of them.
func TestPlaceOf(t *testing.T) {
	const now = cordon.Time(1_800_000_000_000_000_000)
	const address, addressPort = cordon.IndicatorAddress, cordon.IndicatorAddressPort
	for _, c := range []struct {
		name       string
		typ        cordon.IndicatorType
		value      string
		role       cordon.IndicatorRole
		confidence uint8
		scope      string
		life       time.Duration
		want       string // address and port, "in" if only inbound, how long; empty: none
	}{
		{"a sure server", addressPort, "203.0.113.9:6667", cordon.RoleC2, 75, "", time.Hour, "203.0.113.9:6667 1h0m0s"},
		{"a server, not sure", addressPort, "203.0.113.9:6667", cordon.RoleC2, 74, "", time.Hour, ""},
		{"an address that many may share", address, "203.0.113.9", cordon.RoleLoader, 89, "", time.Hour, ""},
		{"a sure address", address, "203.0.113.9", cordon.RoleLoader, 90, "all", time.Hour, "203.0.113.9:0 1h0m0s"},
		{"a scanner", address, "2001:db8::9", cordon.RoleScanner, 90, "", time.Hour, "[2001:db8::9]:0 in 1h0m0s"},
		{"for a year", addressPort, "203.0.113.9:23", cordon.RoleC2, 100, "", 365 * 24 * time.Hour, "203.0.113.9:23 72h0m0s"},
		{"for some devices", addressPort, "203.0.113.9:23", cordon.RoleC2, 100, "iot", time.Hour, ""},
		{"another role", addressPort, "203.0.113.9:23", cordon.RoleOther, 100, "", time.Hour, ""},
		{"a made-up name's address", addressPort, "203.0.113.9:23", cordon.RoleDGA, 100, "", time.Hour, ""},
		{"a name", cordon.IndicatorName, "evil.example.com", cordon.RoleC2, 100, "", time.Hour, ""},
		{"a prefix", cordon.IndicatorPrefix, "203.0.113.0/24", cordon.RoleC2, 100, "", time.Hour, ""},
	} {
		p, ok := PlaceOf(&cordon.Indicator{Type: c.typ, Value: c.value, Role: c.role, Confidence: c.confidence, Scope: c.scope,
			Expires: now.Add(c.life)}, now)
		got := ""
		if ok {
			got = netip.AddrPortFrom(p.Addr, p.Port).String() + " "
			if p.Inbound {
				got += "in "
			}
			got += p.For.String()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestDue: the kernel is told of hostile places when that changes something, and
// renews them; what cut the home off is not tried again.
func TestDue(t *testing.T) {
	for _, c := range []struct {
		name          string
		before        State
		wanted, again bool
		want          bool
	}{
		{"at the start", Unknown, true, false, true},
		{"at the start, not wanted", Unknown, false, false, false},
		{"what an earlier agent left", Unknown, false, true, true},
		{"wanted as before", In, true, false, false},
		{"before the kernel forgets", In, true, true, true},
		{"wanted no more", In, false, false, true},
		{"wanted again", Out, true, false, true},
		{"not wanted as before", Out, false, true, false},
		{"cut the home off", Harm, true, true, false},
		{"cut the home off, and wanted no more", Harm, false, false, true},
	} {
		if got := c.before.Due(c.wanted, c.again); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
