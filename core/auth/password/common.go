package password

import (
	_ "embed"
	"strings"
	"unicode"
)

// commonText is passwords that everybody tries first, one a line: words of which
// twelve characters and more are usually made.
//
//go:embed common.txt
var commonText string

// common is commonText as letters returns it.
var common = func() map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(commonText) {
		m[letters(w)] = true
	}
	return m
}()

// leet is what people write instead of letters.
var leet = strings.NewReplacer("@", "a", "4", "a", "0", "o", "$", "s", "5", "s", "1", "i", "!", "i", "3", "e", "7", "t")

// letters returns s in lower case with the usual disguises undone and without
// what people put at the end.
func letters(s string) string {
	s = strings.TrimRightFunc(strings.ToLower(s), func(r rune) bool { return unicode.IsDigit(r) || unicode.IsPunct(r) || unicode.IsSymbol(r) })
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, leet.Replace(s))
}

// monotone reports whether s is one short pattern again and again, or counts up or
// down all along: "aaaaaaaaaaaa", "abcabcabcabc", "123456789012".
func monotone(s string) bool {
	r := []rune(strings.ToLower(s))
	for period := 1; period <= 4; period++ {
		same := true
		for i := period; i < len(r) && same; i++ {
			same = r[i] == r[i-period]
		}
		if same {
			return true
		}
	}
	up, down := true, true
	for i := 1; i < len(r); i++ {
		step := r[i] - r[i-1]
		up = up && (step == 1 || step == -9)
		down = down && (step == -1 || step == 9)
	}
	return up || down
}
