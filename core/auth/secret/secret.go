// Package secret makes tokens that a person carries from one place to another, and
// signs what core gives out and gets back. Only core/auth calls it.
package secret

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// The prefixes of tokens, so that a person and a scanner for leaked secrets know them.
const (
	API        = "cordon_"
	Invitation = "cordon-invite_"
	Session    = "cordon-session_"
)

// size is how many random bytes a token has.
const size = 32

// New makes a token: random bytes with a check sum, so that a mistyped one costs no
// look into the store.
func New(prefix string) (token string, hash [32]byte) {
	b := make([]byte, size, size+4)
	rand.Read(b)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	token = prefix + base64.RawURLEncoding.EncodeToString(b)
	return token, sha256.Sum256([]byte(token))
}

// Hash returns the hash of a token that New could have made with that prefix.
func Hash(token, prefix string) (hash [32]byte, ok bool) {
	text, ok := strings.CutPrefix(token, prefix)
	if !ok || len(text) != base64.RawURLEncoding.EncodedLen(size+4) {
		return hash, false
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || crc32.ChecksumIEEE(b[:size]) != binary.BigEndian.Uint32(b[size:]) {
		return hash, false
	}
	return sha256.Sum256([]byte(token)), true
}

// Key signs for one purpose after the other.
type Key []byte

// Sum signs parts for a purpose: HMAC-SHA256, each part with its length.
func (k Key) Sum(purpose string, parts ...string) []byte {
	h := hmac.New(sha256.New, k)
	for _, p := range append([]string{purpose}, parts...) {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return h.Sum(nil)
}

// nonceSize is how many random bytes a signed cookie begins with.
const nonceSize = 12

// Sign returns a text that says that core once signed for holder; nonce keeps the one
// of an earlier text, "" makes a new one.
func (k Key) Sign(purpose, holder, nonce string) string {
	b := []byte(nonce)
	if len(b) != nonceSize {
		b = make([]byte, nonceSize)
		rand.Read(b)
	}
	return base64.RawURLEncoding.EncodeToString(append(b, k.Sum(purpose, holder, string(b))...))
}

// Open returns the nonce of a text that Sign made for that purpose and holder.
func (k Key) Open(purpose, holder, text string) (nonce string, ok bool) {
	if holder == "" || len(text) != base64.RawURLEncoding.EncodedLen(nonceSize+sha256.Size) {
		return "", false
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || !hmac.Equal(b[nonceSize:], k.Sum(purpose, holder, string(b[:nonceSize]))) {
		return "", false
	}
	return string(b[:nonceSize]), true
}
