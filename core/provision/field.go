package provision

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cordon"
)

// column is a field of a router in a list.
type column int

// The columns.
const (
	serial column = iota
	claimSecret
	claimHash
	claimKey
	claimExpires
	account
	accountName
	site
	siteName
	area
	group
	model
	columns = iota
)

// names is what the columns are called, in CSV and JSON.
var names = [columns]string{"serial", "claim_secret", "claim_sha256", "claim_key", "claim_expires", "account", "account_name",
	"site", "site_name", "area", "group", "model"}

// Columns returns the names of a list's columns.
func Columns() []string { return slices.Clone(names[:]) }

// columnOf returns the column of that name, -1 if there is none.
func columnOf(name string) column {
	return column(slices.Index(names[:], strings.ToLower(strings.TrimSpace(name))))
}

// minSecret is the shortest claim secret, in bytes: 8 characters of a label's 32 are
// 40 bits, which the gateway's limit of attempts for each serial makes enough.
const minSecret = 8

// The longest texts, in characters.
const (
	maxReference = 64
	maxName      = 200
)

var (
	serialForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$`)
	referenceForm = regexp.MustCompile(`^[\pL\pN][\pL\pN ._:/#+@-]*$`)
)

// check returns why the text cannot stand in the column, empty if it can. It never
// quotes a claim.
func check(c column, s string) string {
	if s == "" {
		if c == serial || c == account {
			return "is empty"
		}
		return ""
	}
	if !utf8.ValidString(s) {
		return "is not UTF-8: save the list as UTF-8"
	}
	switch c {
	case serial:
		if !serialForm.MatchString(s) {
			return fmt.Sprintf("%s: want up to 64 letters, digits and ._:/-", short(s))
		}
	case account, site, area, group:
		if utf8.RuneCountInString(s) > maxReference || !referenceForm.MatchString(s) {
			return fmt.Sprintf("%s: want up to %d letters, digits, blanks and ._:/#+@-, a letter or digit first", short(s), maxReference)
		}
	case accountName, siteName, model:
		if utf8.RuneCountInString(s) > maxName || strings.ContainsFunc(s, unprintable) {
			return fmt.Sprintf("%s: want up to %d printable characters", short(s), maxName)
		}
	case claimExpires:
		if t, err := time.Parse(time.RFC3339, s); err != nil || t.Year() < 2020 || t.Year() > 2200 {
			return fmt.Sprintf("%s: want a time such as 2027-01-31T00:00:00Z", short(s))
		}
	case claimSecret:
		if len(s) < minSecret || len(s) > maxName {
			return fmt.Sprintf("want %d to %d characters", minSecret, maxName)
		}
	}
	return ""
}

// unprintable reports whether r must not stand in a name. Other blanks than the
// ordinary one are printable in no font that tells them apart.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// claim makes the claim of a row. It returns the column and why if it cannot.
func claim(row *[columns]string, to *cordon.Claim) (column, string) {
	given := 0
	for _, c := range []column{claimSecret, claimHash, claimKey} {
		if row[c] != "" {
			given++
		}
	}
	if given != 1 {
		return claimSecret, fmt.Sprintf("want exactly one of claim_secret, claim_sha256 and claim_key, found %d", given)
	}
	if t, err := time.Parse(time.RFC3339, row[claimExpires]); err == nil {
		to.Expires = cordon.TimeOf(t)
	}
	if s := row[claimSecret]; s != "" {
		to.SecretHash = sha256.Sum256([]byte(s))
		return 0, ""
	}
	c, what, into := claimHash, "the SHA-256 of the secret", &to.SecretHash
	if row[claimKey] != "" {
		c, what, into = claimKey, "an Ed25519 public key", &to.Key
	}
	b, ok := bytes32(row[c])
	if !ok {
		return c, "want " + what + ": 32 bytes as 64 hexadecimal digits or in base64"
	}
	if *into = b; to.Zero() {
		return c, "is zero"
	}
	return 0, ""
}

// bytes32 reads 32 bytes, written in hexadecimal or base64.
func bytes32(s string) (b [32]byte, ok bool) {
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString,
		base64.RawURLEncoding.DecodeString} {
		if raw, err := decode(s); err == nil && len(raw) == len(b) {
			return [32]byte(raw), true
		}
	}
	return b, false
}
