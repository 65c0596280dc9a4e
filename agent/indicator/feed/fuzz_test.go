package feed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"cordon"
)

func FuzzCSV(f *testing.F) {
	seed(f, "mixed.csv")
	f.Add("value\n\"a\"\"b\",\n")
	f.Add("a.example.com # x\n\xef\xbb\xbf1.2.3.4,80\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.HasPrefix(strings.TrimLeft(strings.TrimPrefix(text, "\xef\xbb\xbf"), " \t\r\n"), "{") {
			return
		}
		all, report := read(t, "fuzz", text)
		if lines := uint64(strings.Count(text, "\n") + 1); report.Taken+report.Expired+report.Refusals() > lines {
			t.Fatalf("%d lines: %s", lines, report.String())
		}
		sound(t, all, report)
	})
}

func FuzzSTIX(f *testing.F) {
	seed(f, "bundle.json")
	f.Add(`{"objects":[{"type":"indicator"}}]`)
	f.Fuzz(func(t *testing.T, text string) {
		var all []cordon.Indicator
		report, _ := Read(strings.NewReader("{"+text), "fuzz", now, func(i *cordon.Indicator) error {
			all = append(all, *i)
			return nil
		})
		sound(t, all, report)
	})
}

func FuzzPattern(f *testing.F) {
	f.Add("[network-traffic:protocols[*] = 'tcp' AND network-traffic:dst_ref.value = '2001:db8::1' AND network-traffic:dst_port = 23]")
	f.Add("([ipv4-addr:value IN ('1.2.3.4','1.2.3.5')] OR [url:value NOT LIKE 'a\\'b'])")
	f.Fuzz(func(t *testing.T, text string) {
		terms, why := parsePattern(text)
		if why == "" && len(terms) == 0 || len(terms) > maxTerms*maxTerms {
			t.Fatalf("%d terms, refused %q", len(terms), why)
		}
		for _, x := range terms {
			if x.why == "" && !strings.Contains(text, "value") {
				t.Fatalf("a place of nothing: %+v", x)
			}
		}
	})
}

func seed(f *testing.F, name string) {
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(b))
}

// sound holds what was yielded to what every indicator must be.
func sound(t *testing.T, all []cordon.Indicator, report Report) {
	if uint64(len(all)) != report.Taken {
		t.Fatalf("%d yielded, %d taken", len(all), report.Taken)
	}
	for _, i := range all {
		kind, value, why := normalise(i.Type, i.Value)
		if kind != i.Type || value != i.Value || why != "" {
			t.Fatalf("%s %q again: %s %q %q", i.Type, i.Value, kind, value, why)
		}
		if i.Expires <= now || i.Expires > now.Add(maxLife) || i.Confidence > 100 || i.Role == "" || i.Source == "" {
			t.Fatalf("%+v", i)
		}
		for _, s := range []string{i.Source, i.Scope, i.Note} {
			if len(s) > MaxNote || !utf8.ValidString(s) {
				t.Fatalf("text %q", s)
			}
		}
	}
}
