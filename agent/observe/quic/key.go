package quic

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

const (
	keyLen    = 16 // AES-128-GCM, RFC 9001 §5.2
	ivLen     = 12
	secretLen = sha256.Size
	sampleLen = aes.BlockSize // RFC 9001 §5.4.3
	maxNumber = 4             // bytes of a packet number, RFC 9000 §17.1
)

// clientIn is the label "client in" of HKDF-Expand-Label, encoded (RFC 9001
// §5.2, RFC 8446 §7.1).
const clientIn = "\x00\x20\x0ftls13 client in\x00"

// keys remove the protection of a client's Initial packets.
type keys struct {
	aead cipher.AEAD
	hp   cipher.Block // header protection
	iv   [ivLen]byte
}

// initialKeys derives the client's keys from id, RFC 9001 §5.2.
func initialKeys(id connectionID) (k keys, err error) {
	v := &versions[id.version]
	secret, err := hkdf.Extract(sha256.New, id.bytes(), []byte(v.salt))
	var out [4][]byte
	for i, label := range [...]struct {
		info string
		n    int
	}{{clientIn, secretLen}, {v.key, keyLen}, {v.iv, ivLen}, {v.hp, keyLen}} {
		if err != nil {
			break
		}
		if out[i], err = hkdf.Expand(sha256.New, secret, label.info, label.n); i == 0 {
			secret = out[0]
		}
	}
	if err != nil {
		return k, fmt.Errorf("derive initial keys: %w", err)
	}
	copy(k.iv[:], out[2])
	if k.hp, err = aes.NewCipher(out[3]); err != nil {
		return k, fmt.Errorf("derive initial keys: %w", err)
	}
	block, err := aes.NewCipher(out[1])
	if err != nil {
		return k, fmt.Errorf("derive initial keys: %w", err)
	}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		return k, fmt.Errorf("derive initial keys: %w", err)
	}
	return k, nil
}

// unprotect returns the frames of p, which is in b, in r.plain. It follows RFC
// 9001 §5.4.1 for the header and §5.3 for the rest.
//
// The packet number is taken as it is, not widened (RFC 9000 §A.3): a client's
// first are small.
func (r *Reader) unprotect(b []byte, p packet) ([]byte, Error) {
	if p.end-p.number < maxNumber+sampleLen {
		return nil, ErrLength
	}
	if p.number+maxNumber > len(r.head) || p.end-p.number > len(r.plain) {
		return nil, ErrLong
	}
	mask := r.plain[:aes.BlockSize]
	r.keys.hp.Encrypt(mask, b[p.number+maxNumber:][:sampleLen])
	first := b[0] ^ mask[0]&0x0f
	begin := p.number + int(first&0x03) + 1
	head := r.head[:begin]
	copy(head, b)
	head[0] = first
	for i := range head[p.number:] {
		head[p.number+i] ^= mask[1+i]
	}
	r.nonce = r.keys.iv
	nonce := r.nonce[:]
	for i, c := range head[p.number:] {
		nonce[ivLen-(begin-p.number)+i] ^= c
	}
	plain, err := r.keys.aead.Open(r.plain[:0], nonce, b[begin:p.end], head)
	if err != nil {
		return nil, ErrKey
	}
	return plain, 0
}
