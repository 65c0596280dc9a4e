// Package ident makes the names of core's records: 26 characters that sort by the
// time at which they were made.
package ident

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// alphabet is Crockford's, in lower case: no i, l, o, u.
var alphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// New returns a name made at now: 48 bits of milliseconds, 80 bits of chance.
func New(now time.Time) string {
	var b [18]byte // 2 zero bytes in front: the encoding takes 5 bits at a time from the left
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli()))
	rand.Read(b[8:])
	return Text(b[2:])
}

// Text writes bytes in the alphabet of names: five bits a character. Of 16 bytes it makes
// a name of New's form.
func Text(b []byte) string { return alphabet.EncodeToString(b) }

// Valid reports whether s could have been made by New.
func Valid(s string) bool {
	if len(s) != 26 {
		return false
	}
	_, err := alphabet.DecodeString(s)
	return err == nil
}
