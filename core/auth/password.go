package auth

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

// Argon says how much work a guess of a password is.
type Argon struct {
	Memory uint32 // KiB
	Passes uint32
	Lanes  uint8
}

// DefaultArgon is the second recommended option of RFC 9106 §4: 64 MiB, 3 passes,
// 4 lanes. A hash with other parameters is made anew at the next log-in.
var DefaultArgon = Argon{Memory: 64 << 10, Passes: 3, Lanes: 4}

// Sizes of hashes, in bytes (RFC 9106 §4).
const (
	saltSize = 16
	tagSize  = 32
)

// Bounds of passwords. NIST SP 800-63B-4 §3.1.1.2: length is what counts, no rules of
// composition, at least 64 characters permitted, common ones refused.
const (
	minPassword = 12  // characters
	maxPassword = 256 // bytes
)

// Bounds of hashing. Each takes Argon.Memory, so only some run at once, and only so
// many wait.
const (
	maxHashing = 4
	maxWaiting = 64
	maxWait    = 10 * time.Second
)

// hasher hashes passwords. It is safe for concurrent use.
type hasher struct {
	argon   Argon
	slots   chan struct{}
	waiting atomic.Int32
	dummy   string // a hash of nothing that anybody knows
}

// newHasher returns a hasher.
func newHasher(p Argon) (*hasher, error) {
	if p.Memory < 8*uint32(p.Lanes) || p.Memory > 1<<20 || p.Passes == 0 || p.Passes > 100 || p.Lanes == 0 {
		return nil, fmt.Errorf("auth: argon2id with %d KiB, %d passes and %d lanes", p.Memory, p.Passes, p.Lanes)
	}
	h := &hasher{argon: p, slots: make(chan struct{}, min(maxHashing, max(1, runtime.GOMAXPROCS(0))))}
	salt, tag := make([]byte, saltSize), make([]byte, tagSize)
	rand.Read(salt)
	rand.Read(tag)
	h.dummy = phc(p, salt, tag)
	return h, nil
}

// hash returns the hash of a password in PHC form.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	tag, err := h.derive(ctx, password, h.argon, salt, tagSize)
	if err != nil {
		return "", err
	}
	return phc(h.argon, salt, tag), nil
}

// verify reports whether password is the one that was hashed, and whether the hash
// should be made anew. An empty hash costs as much as any other and never fits.
func (h *hasher) verify(ctx context.Context, hashed, password string) (ok, old bool, err error) {
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
	return subtle.ConstantTimeCompare(got, want) == 1 && real, p != h.argon, nil
}

// derive runs Argon2id when there is room, or returns ErrBusy.
func (h *hasher) derive(ctx context.Context, password string, p Argon, salt []byte, size int) ([]byte, error) {
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
func phc(p Argon, salt, tag []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Passes, p.Lanes, b64.EncodeToString(salt), b64.EncodeToString(tag))
}

// errHash means that what is stored is no hash of ours.
var errHash = errors.New("stored password is not an argon2id hash")

// parsePHC reads what phc writes, within bounds.
func parsePHC(s string) (p Argon, salt, tag []byte, err error) {
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

// CheckPassword refuses a password that is too short, too long, well known, or made
// of what everybody knows of u. Its error wraps cordon.ErrInvalid and can be shown.
func CheckPassword(password string, u *cordon.User) error {
	text := norm.NFC.String(password)
	bare := letters(text)
	switch {
	case !utf8.ValidString(password) || len(password) > maxPassword:
		return fmt.Errorf("password: more than %d bytes: %w", maxPassword, cordon.ErrInvalid)
	case utf8.RuneCountInString(text) < minPassword:
		return fmt.Errorf("password: want at least %d characters, any you like: %w", minPassword, cordon.ErrInvalid)
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
