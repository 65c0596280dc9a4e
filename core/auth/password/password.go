// Package password hashes passwords with Argon2id and refuses those that everybody
// tries first.
//
// Each hash takes much memory on purpose, so only a few are made at once: whoever logs
// in waits for a short while, or is told to come again. Only core/auth calls it.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"cordon"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Work says how much work a guess of a password is.
type Work struct {
	Memory uint32 // KiB
	Passes uint32
	Lanes  uint8
}

// Default is the second recommended option of RFC 9106 §4: 64 MiB, 3 passes,
// 4 lanes. A hash with other parameters is made anew at the next log-in.
var Default = Work{Memory: 64 << 10, Passes: 3, Lanes: 4}

// Sizes of hashes, in bytes (RFC 9106 §4).
const (
	saltSize = 16
	tagSize  = 32
)

// Bounds of passwords. NIST SP 800-63B-4 §3.1.1.2: length is what counts, no rules of
// composition, at least 64 characters permitted, common ones refused.
const (
	Least = 12  // characters
	Most  = 256 // bytes
)

// Bounds of hashing. Each takes Work.Memory, so only some run at once, and only so
// many wait.
const (
	maxHashing = 4
	maxWaiting = 64
	maxWait    = 10 * time.Second
)

// ErrBusy means that too many passwords are being hashed: try again in some seconds.
var ErrBusy = errors.New("too many log-ins at once")

// Hasher hashes passwords. It is safe for concurrent use.
type Hasher struct {
	work    Work
	slots   chan struct{}
	waiting atomic.Int32
	dummy   string // a hash of nothing that anybody knows
}

// New returns a Hasher; the zero Work means Default.
func New(p Work) (*Hasher, error) {
	if p == (Work{}) {
		p = Default
	}
	if p.Memory < 8*uint32(p.Lanes) || p.Memory > 1<<20 || p.Passes == 0 || p.Passes > 100 || p.Lanes == 0 {
		return nil, fmt.Errorf("argon2id with %d KiB, %d passes and %d lanes", p.Memory, p.Passes, p.Lanes)
	}
	h := &Hasher{work: p, slots: make(chan struct{}, min(maxHashing, max(1, runtime.GOMAXPROCS(0))))}
	salt, tag := make([]byte, saltSize), make([]byte, tagSize)
	rand.Read(salt)
	rand.Read(tag)
	h.dummy = phc(p, salt, tag)
	return h, nil
}

// Hash returns the hash of a password in PHC form.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	tag, err := h.derive(ctx, password, h.work, salt, tagSize)
	if err != nil {
		return "", err
	}
	return phc(h.work, salt, tag), nil
}

// Verify reports whether password is the one that was hashed, and whether the hash
// should be made anew. An empty hash costs as much as any other and never fits.
func (h *Hasher) Verify(ctx context.Context, hashed, password string) (ok, old bool, err error) {
	real := hashed != ""
	if !real {
		hashed = h.dummy
	}
	p, salt, want, err := parsePHC(hashed)
	if err != nil {
		return false, false, err
	}
	got, err := h.derive(ctx, password, p, salt, len(want))
	if err != nil {
		return false, false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1 && real, p != h.work, nil
}

// derive runs Argon2id when there is room, or returns ErrBusy.
func (h *Hasher) derive(ctx context.Context, password string, p Work, salt []byte, size int) ([]byte, error) {
	if h.waiting.Add(1) > maxWaiting {
		h.waiting.Add(-1)
		return nil, ErrBusy
	}
	defer h.waiting.Add(-1)
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-timer.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	// One person may type é in two ways (NIST SP 800-63B-4 §3.1.1.2, RFC 8265 §4.2).
	text := norm.NFC.String(password)
	return argon2.IDKey([]byte(text), salt, p.Passes, p.Memory, p.Lanes, uint32(size)), nil
}

// phc writes a hash as the PHC string format has it.
func phc(p Work, salt, tag []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Passes, p.Lanes, b64.EncodeToString(salt), b64.EncodeToString(tag))
}

// errHash means that what is stored is no hash of ours.
var errHash = errors.New("stored password is not an argon2id hash")

// parsePHC reads what phc writes, within bounds.
func parsePHC(s string) (p Work, salt, tag []byte, err error) {
	part := strings.Split(s, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, errHash
	}
	if n, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &p.Memory, &p.Passes, &p.Lanes); err != nil || n != 3 {
		return p, nil, nil, errHash
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(part[4])
	tag, err2 := base64.RawStdEncoding.DecodeString(part[5])
	switch {
	case err1 != nil, err2 != nil, len(salt) < 8, len(salt) > 64, len(tag) < 16, len(tag) > 64,
		p.Memory > 1<<20, p.Passes == 0, p.Passes > 100, p.Lanes == 0, p.Memory < 8*uint32(p.Lanes),
		phc(p, salt, tag) != s:
		return p, nil, nil, errHash
	}
	return p, salt, tag, nil
}

// Check refuses a password that is too short, too long, well known, or made
// of what everybody knows of u. Its error wraps cordon.ErrInvalid and can be shown.
func Check(password string, u *cordon.User) error {
	text := norm.NFC.String(password)
	bare := letters(text)
	switch {
	case !utf8.ValidString(password) || len(password) > Most:
		return fmt.Errorf("password: more than %d bytes: %w", Most, cordon.ErrInvalid)
	case utf8.RuneCountInString(text) < Least:
		return fmt.Errorf("password: want at least %d characters, any you like: %w", Least, cordon.ErrInvalid)
	case common[bare] || monotone(text):
		return fmt.Errorf("password: everybody tries this one first: %w", cordon.ErrInvalid)
	}
	local, _, _ := strings.Cut(u.Email, "@")
	for _, known := range []string{u.Email, local, u.Name} {
		if k := letters(known); len(k) >= 4 && strings.Contains(bare, k) && len(bare)-len(k) < 6 {
			return fmt.Errorf("password: it is your name: %w", cordon.ErrInvalid)
		}
	}
	return nil
}
