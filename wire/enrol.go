package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"cordon"
)

// Paths of the routers' door, below its address. Bodies are JSON. RFC 3339 times.
const (
	PathTime      = "/v1/time"      // GET → Clock
	PathChallenge = "/v1/challenge" // POST Challenge → Nonce
	PathEnrol     = "/v1/enrol"     // POST Enrolment → Credential
	PathRenew     = "/v1/renew"     // POST Renewal → Credential
)

// MaxEnrol bounds each of the bodies, in bytes.
const MaxEnrol = 16 << 10

// Clock is what time it is at core.
type Clock struct {
	Now cordon.Time `json:"now"`
}

// Challenge asks for a nonce.
type Challenge struct {
	Serial string `json:"serial"`
}

// Nonce is what the next request has to be bound to.
type Nonce struct {
	Nonce string      `json:"nonce"`
	Now   cordon.Time `json:"now"`
}

// Enrolment is how a router introduces itself: with its claim, and with proof that it
// holds the key that it wants to be known by.
type Enrolment struct {
	Serial string `json:"serial"`
	Model  string `json:"model,omitempty"`
	Agent  string `json:"agent,omitempty"`
	Key    string `json:"key"` // nkey user public key
	Nonce  string `json:"nonce"`
	Secret string `json:"secret,omitempty"`    // the claim: its secret,
	Claim  []byte `json:"signature,omitempty"` // or EnrolmentText signed by the maker's key
	Proof  []byte `json:"proof"`               // EnrolmentText signed by Key
}

// Renewal asks for a new credential.
type Renewal struct {
	Router string `json:"router"`
	Key    string `json:"key"`
	Nonce  string `json:"nonce"`
	Proof  []byte `json:"proof"` // RenewalText signed by Key
}

// Credential is what a router logs in with.
type Credential struct {
	Router  string            `json:"router"`
	JWT     string            `json:"jwt"`
	Servers []string          `json:"servers"`        // "tls://host:port"
	Keys    map[string][]byte `json:"directive_keys"` // by KeyID
	Issued  cordon.Time       `json:"issued"`
	Renew   cordon.Time       `json:"renew"` // when to ask for the next
	Expires cordon.Time       `json:"expires"`
}

// Refusal is why a request at the routers' door was refused.
type Refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// The codes of a Refusal.
const (
	RefusedRequest = "request" // the request cannot be read
	RefusedClaim   = "claim"   // unknown serial, or wrong or used claim: which, only the operator is told
	RefusedRevoked = "revoked"
	RefusedNonce   = "nonce" // too old: ask for another
	RefusedBusy    = "busy"  // too many requests: wait
	RefusedFailed  = "failed"
)

// EnrolmentText is what a router signs to enrol.
func EnrolmentText(serial, key, nonce string) []byte {
	return fmt.Appendf(nil, "cordon enrolment 1\x00%s\x00%s\x00%s", serial, key, nonce)
}

// RenewalText is what a router signs to renew its credential.
func RenewalText(router, key, nonce string) []byte {
	return fmt.Appendf(nil, "cordon renewal 1\x00%s\x00%s\x00%s", router, key, nonce)
}

// Proves reports whether what a router showed is the claim under which it was
// imported. Hashes are compared, so how long it takes tells nothing about the secret.
func (e *Enrolment) Proves(c cordon.Claim) bool {
	if c.Key != [32]byte{} && len(e.Claim) == ed25519.SignatureSize {
		return ed25519.Verify(c.Key[:], EnrolmentText(e.Serial, e.Key, e.Nonce), e.Claim)
	}
	return c.SecretHash != [32]byte{} && e.Secret != "" && sha256.Sum256([]byte(e.Secret)) == c.SecretHash
}
