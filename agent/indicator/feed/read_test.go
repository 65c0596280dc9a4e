package feed

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = cordon.TimeOf(time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC))

// read returns what Read yields of a text.
func read(t testing.TB, name, text string) ([]cordon.Indicator, Report) {
	t.Helper()
	var all []cordon.Indicator
	report, err := Read(strings.NewReader(text), name, now, func(i *cordon.Indicator) error {
		all = append(all, *i)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, report
}

// TestReport compares what becomes of whole files with what was looked at when
// the golden files were written.
func TestReport(t *testing.T) {
	for _, name := range []string{"mixed.csv", "bundle.json"} {
		t.Run(name, func(t *testing.T) {
			in, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			all, report := read(t, name, string(in))
			var b strings.Builder
			for _, i := range all {
				line, _ := json.Marshal(i)
				fmt.Fprintf(&b, "%s\n", line)
			}
			b.WriteString(report.String())
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestForms reads the same two names in every form that a list may have.
func TestForms(t *testing.T) {
	want := []string{"a.example.com", "b.example.com"}
	for name, text := range map[string]string{
		"values":      "a.example.com\nb.example.com\n",
		"no end":      "a.example.com\nb.example.com",
		"CRLF":        "# x\r\n\r\na.example.com\r\nb.example.com\r\n",
		"BOM":         "\xef\xbb\xbfa.example.com\nb.example.com\n",
		"comments":    "a.example.com # the first\n  # x\n\tb.example.com\t#\n",
		"quoted":      "\"a.example.com\"\n \"b.example.com\" \n",
		"one column":  "value\na.example.com\nb.example.com\n",
		"BOM, header": "\xef\xbb\xbf\"Value\" , NOTE\r\na.example.com,\r\n\"b.example.com\" , \"x\"\r\n",
		"short lines": "note,value,source\nx,a.example.com\nx,b.example.com,y,z,z\n",
		"twice":       "value,value\na.example.com,x\nb.example.com,x\n",
		"long line":   "a.example.com\n" + strings.Repeat("x", 3*maxLine) + "\nb.example.com",
		"long last":   "a.example.com\nb.example.com\n" + strings.Repeat("x", maxLine+1),
		"bundle": "\xef\xbb\xbf \r\n" + `{"objects":[{"type":"indicator","pattern_type":"stix","pattern":"[domain-name:value='a.example.com']"},` +
			`{"type":"artifact","payload_bin":"` + strings.Repeat("x", 2*maxObject) + `"},` +
			`{"type":"indicator","pattern_type":"stix","pattern":"[domain-name:value='b.example.com']"}]}`,
		"envelope": `{"more":false,"objects":[{"type":"indicator","pattern_type":"stix","pattern":"[domain-name:value IN ('a.example.com','b.example.com')]"}],"next":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			all, report := read(t, "x", text)
			var got []string
			for _, i := range all {
				got = append(got, i.Value)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s\n%s", diff, report.String())
			}
			if long := strings.HasPrefix(name, "long") || name == "bundle"; (report.Refusals() == 1) != long {
				t.Errorf("refused:\n%s", report.String())
			}
		})
	}
}

func TestNormalise(t *testing.T) {
	for _, c := range []struct {
		in    string
		kind  cordon.IndicatorType
		value string
		why   Reason
	}{
		{in: "A.B.Example.", kind: cordon.IndicatorName, value: "a.b.example"},
		{in: "_x-1.example.com", kind: cordon.IndicatorName, value: "_x-1.example.com"},
		{in: ".example.net", kind: cordon.IndicatorSuffix, value: "example.net"},
		{in: "*.a.b.c.d.e.f.example.com", kind: cordon.IndicatorSuffix, value: "a.b.c.d.e.f.example.com"},
		{in: "*.x.a.b.c.d.e.f.example.com", kind: cordon.IndicatorSuffix, why: TooLong},
		{in: "a..example", kind: cordon.IndicatorName, why: BadValue},
		{in: "*.*.example.com", kind: cordon.IndicatorSuffix, why: BadValue},
		{in: strings.Repeat("a", 64) + ".example", kind: cordon.IndicatorName, why: BadValue},
		{in: strings.Repeat("a.", 126) + "bc", kind: cordon.IndicatorName, why: BadValue},
		{in: "localhost.", kind: cordon.IndicatorName, why: PublicSuffix},
		{in: "github.io", kind: cordon.IndicatorName, why: PublicSuffix},
		{in: "someone.github.io", kind: cordon.IndicatorName, value: "someone.github.io"},
		{in: "1.2.3.4.5", kind: cordon.IndicatorName, why: BadValue},
		{in: "2001:DB8::A", kind: cordon.IndicatorAddress, value: "2001:db8::a"},
		{in: "[2001:db8::a]", kind: cordon.IndicatorAddress, value: "2001:db8::a"},
		{in: "fe80::1%eth0", kind: cordon.IndicatorAddress, why: BadValue},
		{in: "255.255.255.255", kind: cordon.IndicatorAddress, value: "255.255.255.255", why: NotPublic},
		{in: "169.254.1.1", kind: cordon.IndicatorAddress, value: "169.254.1.1", why: NotPublic},
		{in: "ff02::1", kind: cordon.IndicatorAddress, value: "ff02::1", why: NotPublic},
		{in: "198.51.100.1:0", kind: cordon.IndicatorAddressPort, why: BadValue},
		{in: "[::ffff:198.51.100.1]:80", kind: cordon.IndicatorAddressPort, value: "198.51.100.1:80"},
		{in: "198.51.100.9/24", kind: cordon.IndicatorPrefix, value: "198.51.100.0/24"},
		{in: "198.51.100.0/23", kind: cordon.IndicatorPrefix, why: TooWide},
		{in: "::ffff:198.51.100.0/120", kind: cordon.IndicatorPrefix, value: "198.51.100.0/24"},
		{in: "::ffff:0:0/95", kind: cordon.IndicatorPrefix, why: TooWide},
		{in: "::ffff:198.51.0.0/112", kind: cordon.IndicatorPrefix, why: TooWide},
		{in: "2001:db8::/47", kind: cordon.IndicatorPrefix, why: TooWide},
		{in: "0.0.0.0/0", kind: cordon.IndicatorPrefix, why: TooWide},
		{in: "10.1.1.0/24", kind: cordon.IndicatorPrefix, value: "10.1.1.0/24", why: NotPublic},
		{in: "https://A.example.com:443", kind: cordon.IndicatorURL, value: "a.example.com/"},
		{in: "https://a.example.com?q", kind: cordon.IndicatorURL, value: "a.example.com/?q"},
		{in: "a.example.com/B", kind: cordon.IndicatorURL, value: "a.example.com/B"},
		{in: "tftp://[2001:db8::1]:69/x", kind: cordon.IndicatorURL, value: "[2001:db8::1]:69/x"},
		{in: "http://a.example.com/\xc3\xa9", kind: cordon.IndicatorURL, value: "a.example.com/%C3%A9"},
		{in: "http://a.example.com/a b", kind: cordon.IndicatorURL, why: BadValue},
		{in: "http://a.example.com:99999/", kind: cordon.IndicatorURL, why: BadValue},
		{in: "http://com/x", kind: cordon.IndicatorURL, why: PublicSuffix},
		{in: "http://[::1]/x", kind: cordon.IndicatorURL, why: NotPublic},
		{in: "http:///x", kind: cordon.IndicatorURL, why: BadValue},
		{in: "://x", kind: cordon.IndicatorURL, why: BadValue},
		{in: "http://a.example.com/" + strings.Repeat("x", MaxURL), kind: cordon.IndicatorURL, why: TooLong},
	} {
		kind, value, why := normalise("", c.in)
		if why == NotPublic {
			value = c.value // whatever it is
		}
		if kind != c.kind || value != c.value || why != c.why {
			t.Errorf("%.80q: %s %q, refused %q; want %s %q, %q", c.in, kind, value, why, c.kind, c.value, c.why)
		}
		if why == "" {
			if k, again, why := normalise(kind, value); k != kind || again != value || why != "" {
				t.Errorf("%q again: %s %q %q", value, k, again, why)
			}
		}
	}
}

// TestExpiry says how long each type lives when its feed does not say.
func TestExpiry(t *testing.T) {
	const hour = 60 * 60
	for _, c := range []struct {
		line  string
		lives int64 // seconds from now; 0: expired already
	}{
		{"a.example.com,,,", 30 * 24 * hour},
		{"*.example.com,,,", 30 * 24 * hour},
		{"198.51.100.1,,,", 24 * hour},
		{"198.51.100.0/25,,,", 24 * hour},
		{"198.51.100.1:23,,,", 72 * hour},
		{"http://a.example.com/x,,,", 30 * 24 * hour},
		{"http://198.51.100.1/x,,,", 72 * hour},
		{"198.51.100.1,,2026-01-10T06:00:00Z,", 18 * hour},
		{"198.51.100.1,,2026-01-09,", 0},
		{"198.51.100.1,,1768024800,", 18 * hour},
		{"198.51.100.1,,2026-01-09,2026-01-10 13:00:00", hour},
		{"a.example.com,,2030-01-01,", 30 * 24 * hour}, // nothing was seen in the future
		{"a.example.com,,,2099-01-01", 365 * 24 * hour},
		{"a.example.com,dga,,", 60 * hour}, // to the end of the second day after
		{"a.example.com,dga,2026-01-12,", 108 * hour},
		{"a.example.com,dga,2026-01-07,", 0},
		{"a.example.com,,,2026-01-10T12:00:00Z", 0},
		{"a.example.com,,,2026-01-10T12:00:01Z", 1},
	} {
		all, report := read(t, "x", "value,role,last_seen,expires\n"+c.line)
		switch {
		case c.lives == 0:
			if len(all) != 0 || report.Expired != 1 {
				t.Errorf("%s: %v, %s", c.line, all, report.String())
			}
		case len(all) != 1:
			t.Errorf("%s: %s", c.line, report.String())
		case all[0].Expires.Sub(now) != time.Duration(c.lives)*time.Second:
			t.Errorf("%s: lives %v", c.line, all[0].Expires.Sub(now))
		}
	}
}

func TestPattern(t *testing.T) {
	bad := []string{"!pattern not understood"}
	for in, want := range map[string][]string{
		"[domain-name:value = 'a.b']":                                                     {"name a.b"},
		"[ domain-name:value='a.b' OR url:value == 'http://a.b/\\'\\\\' ]":                {"name a.b", "url http://a.b/'\\"},
		"([ipv4-addr:value = '1.2.3.4'] OR ([ipv6-addr:value ISSUBSET '2001:db8::/64']))": {" 1.2.3.4", " 2001:db8::/64"},
		"[(ipv4-addr:value = '1.2.3.4' or (domain-name:value = 'a.b'))]":                  {" 1.2.3.4", "name a.b"},
		"[ipv4-addr:value IN ('1.2.3.4','1.2.3.5')]":                                      {" 1.2.3.4", " 1.2.3.5"},
		"[network-traffic:dst_ref.value = '1.2.3.4']":                                     {" 1.2.3.4"},
		"[(network-traffic:dst_ref.type = 'ipv6-addr' AND network-traffic:dst_ref.value = '2001:db8::1' AND network-traffic:dst_port = 23) " +
			"OR (network-traffic:protocols[*] = 'tcp' AND network-traffic:dst_port = 80 AND network-traffic:dst_ref.value = '1.2.3.4')]": {
			"address-port [2001:db8::1]:23", "address-port 1.2.3.4:80"},
		"[domain-name:value = 'a.b' OR file:name = 'x']":                                {"name a.b", bad[0]},
		"[domain-name:value = 'a.b' AND file:name = 'x']":                               bad,
		"[domain-name:value NOT = 'a.b']":                                               bad,
		"[domain-name:value != 'a.b']":                                                  bad,
		"[domain-name:value LIKE '%.b']":                                                bad,
		"[network-traffic:dst_port = 23]":                                               bad,
		"[network-traffic:dst_port = 23 AND network-traffic:dst_port = 24]":             bad,
		"[network-traffic:dst_ref.value = '1.2.3.4' AND network-traffic:dst_port > 23]": bad,
		"[network-traffic:src_ref.value = '1.2.3.4']":                                   bad,
		"[a:b = '1'] AND [domain-name:value = 'a.b']":                                   nil,
		"[a:b = '1'] FOLLOWEDBY [domain-name:value = 'a.b']":                            nil,
		"[domain-name:value = 'a.b'] WITHIN 5 SECONDS":                                  nil,
		"[(domain-name:value = 'a.b') AND a:b = 'c']":                                   nil,
		"[domain-name:value = 'a.b'":                                                    nil,
		"[domain-name:value = 'a.b]":                                                    nil,
		"domain-name:value = 'a.b'":                                                     nil,
		"[domain-name:value]":                                                           nil,
		"['a' = 'b']":                                                                   nil,
		"[domain-name:value IN ()]":                                                     nil,
		"":                                                                              nil,
		strings.Repeat("(", 100) + "[domain-name:value = 'a.b']" + strings.Repeat(")", 100): nil,
		"[" + strings.Repeat("domain-name:value = 'a.b' OR ", maxTerms+1) + "a:b = 'c']":    nil,
	} {
		terms, why := parsePattern(in)
		var got []string
		for _, x := range terms {
			if x.why != "" {
				got = append(got, "!"+string(x.why))
			} else {
				got = append(got, fmt.Sprintf("%s %s", x.kind, x.value))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || (why != "") != (want == nil) {
			t.Errorf("%.100s: %s%s", in, why, diff)
		}
	}
}

// TestErrors says what ends the reading, and that what came before stands.
func TestErrors(t *testing.T) {
	one := `{"type":"indicator","pattern_type":"stix","pattern":"[domain-name:value='a.example.com']"}`
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		in   io.Reader
		err  error
	}{
		{"bundle ends", strings.NewReader(`{"objects":[` + one + `,{"type"`), io.ErrUnexpectedEOF},
		{"list breaks", io.MultiReader(strings.NewReader("a.example.com\nb.ex"), iotest.ErrReader(broken)), broken},
		{"bundle breaks", io.MultiReader(strings.NewReader(`{"objects":[`+one), iotest.ErrReader(broken)), broken},
	} {
		report, err := Read(c.in, c.name, now, func(*cordon.Indicator) error { return nil })
		if !errors.Is(err, c.err) || report.Taken != 1 {
			t.Errorf("%s: %v, %d taken", c.name, err, report.Taken)
		}
	}
	_, err := Read(strings.NewReader("a.example.com"), "x", now, func(*cordon.Indicator) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("yield: %v", err)
	}
}

func TestReportAdd(t *testing.T) {
	var all Report
	for n, text := range []string{"com\nnet\na.example.com", "co.uk\norg\n10.0.0.1"} {
		_, one := read(t, fmt.Sprintf("file %d", n), text)
		all.Add(one)
	}
	want := Report{Taken: 1, Refused: []Refusal{
		{PublicSuffix, 4, []Example{{"file 0", 1, "com"}, {"file 0", 2, "net"}, {"file 1", 1, "co.uk"}}},
		{NotPublic, 1, []Example{{"file 1", 3, "10.0.0.1"}}},
	}}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
}
