package desk

import (
	"regexp"
	"strings"
	"unicode"
)

// The bounds of what people write stand in the inputs' tags. Names are held to what
// prints on top of that.

// Printable refuses a text that does not print.
func Printable(location string, s *string) error {
	if s == nil {
		return nil
	}
	*s = strings.TrimSpace(*s)
	if strings.ContainsFunc(*s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return Invalid(location, "want printable characters")
	}
	return nil
}

var localeForm = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)

// Locale refuses what is no language tag.
func Locale(s *string) error {
	if s != nil && *s != "" && !localeForm.MatchString(*s) {
		return Invalid("body.locale", `want a language tag, such as "de-AT"`)
	}
	return nil
}
