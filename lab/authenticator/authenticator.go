// Package authenticator is a passkey in software, with the browser around it: it answers
// the options of WebAuthn's two ceremonies as a person's key would, so that tests log in
// as people do. ES256, no attestation, discoverable.
package authenticator

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// Key is a passkey. Its fields may be changed between ceremonies, to be one that lies.
type Key struct {
	Origin   string // of the page that the browser shows
	Host     string // to whose pages the key belongs
	ID       []byte // names the credential
	User     []byte // user handle; set by Create
	Counter  uint32 // grows with each signature; 0: the key does not count
	Verified bool   // the person gave PIN or finger
	key      *ecdsa.PrivateKey
}

// New returns a key for the pages of a host.
func New(origin, host string) (*Key, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	id := make([]byte, 16)
	rand.Read(id)
	return &Key{Origin: origin, Host: host, ID: id, Verified: true, key: key}, nil
}

// options is what of both ceremonies' options a key looks at.
type options struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		User      struct {
			ID string `json:"id"`
		} `json:"user"`
	} `json:"publicKey"`
}

var b64 = base64.RawURLEncoding

// Create is navigator.credentials.create: it answers the options of a registration.
func (k *Key) Create(text []byte) ([]byte, error) {
	o, err := parse(text)
	if err != nil {
		return nil, err
	}
	if k.User, err = b64.DecodeString(o.PublicKey.User.ID); err != nil || len(k.User) == 0 {
		return nil, errors.Join(errors.New("options without a user"), err)
	}
	public, err := k.cose()
	if err != nil {
		return nil, err
	}
	data := k.data(0x40) // attested credential data follow
	data = append(data, make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(k.ID)))
	data = append(append(data, k.ID...), public...)

	var object bytes.Buffer // {"fmt": "none", "attStmt": {}, "authData": data}
	object.WriteByte(0xa3)
	object.Write(cborText("fmt"))
	object.Write(cborText("none"))
	object.Write(cborText("attStmt"))
	object.WriteByte(0xa0)
	object.Write(cborText("authData"))
	object.Write(cborBytes(data))
	return k.answer(map[string]any{
		"clientDataJSON":    b64.EncodeToString(k.client("webauthn.create", o.PublicKey.Challenge)),
		"attestationObject": b64.EncodeToString(object.Bytes()),
		"transports":        []string{"internal"},
	})
}

// Get is navigator.credentials.get: it answers the options of a log-in.
func (k *Key) Get(text []byte) ([]byte, error) {
	o, err := parse(text)
	if err != nil {
		return nil, err
	}
	if k.Counter > 0 {
		k.Counter++
	}
	data, client := k.data(0), k.client("webauthn.get", o.PublicKey.Challenge)
	hash := sha256.Sum256(client)
	sum := sha256.Sum256(append(bytes.Clone(data), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, k.key, sum[:])
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return k.answer(map[string]any{
		"clientDataJSON":    b64.EncodeToString(client),
		"authenticatorData": b64.EncodeToString(data),
		"signature":         b64.EncodeToString(signature),
		"userHandle":        b64.EncodeToString(k.User),
	})
}

// parse reads options.
func parse(text []byte) (o options, err error) {
	if err := json.Unmarshal(text, &o); err != nil {
		return o, fmt.Errorf("options: %w", err)
	}
	if o.PublicKey.Challenge == "" {
		return o, errors.New("options without a challenge")
	}
	return o, nil
}

// data is the authenticator data (WebAuthn §6.1) with user present and more flags.
func (k *Key) data(flags byte) []byte {
	flags |= 1
	if k.Verified {
		flags |= 4
	}
	host := sha256.Sum256([]byte(k.Host))
	return binary.BigEndian.AppendUint32(append(host[:], flags), k.Counter)
}

// client is the client data (WebAuthn §5.8.1).
func (k *Key) client(what, challenge string) []byte {
	b, _ := json.Marshal(map[string]any{"type": what, "challenge": challenge, "origin": k.Origin, "crossOrigin": false}) // of strings
	return b
}

// answer is what the browser sends.
func (k *Key) answer(response map[string]any) ([]byte, error) {
	id := b64.EncodeToString(k.ID)
	return json.Marshal(map[string]any{"id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "platform",
		"clientExtensionResults": map[string]any{}, "response": response})
}

// cose writes the public key: {1: 2, 3: -7, -1: 1, -2: x, -3: y} (RFC 9053 §7.1).
func (k *Key) cose() ([]byte, error) {
	point, err := k.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	b := []byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21}
	b = append(b, cborBytes(point[1:33])...)
	b = append(b, 0x22)
	return append(b, cborBytes(point[33:])...), nil
}

// cborBytes writes a byte string of less than 64 KiB.
func cborBytes(b []byte) []byte { return append(cborHead(2, len(b)), b...) }

// cborText writes a text of less than 64 KiB.
func cborText(s string) []byte { return append(cborHead(3, len(s)), s...) }

// cborHead writes the head of an item (RFC 8949 §3).
func cborHead(major byte, n int) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 256:
		return []byte{major<<5 | 24, byte(n)}
	default:
		return []byte{major<<5 | 25, byte(n >> 8), byte(n)}
	}
}
