package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"cordon/internal/medium"
)

// MaxLife is the longest life of a credential. What was revoked longer ago has expired
// and is struck from the list.
const MaxLife = 24 * time.Hour

// Credential returns the JWT with which the holder of the private half of key ("U…") may
// connect as a router, for life from now, at most MaxLife.
func (b *Bus) Credential(router, key string, life time.Duration) (string, error) {
	if life <= 0 || life > MaxLife {
		return "", fmt.Errorf("credential for %s: want up to %s", life, MaxLife)
	}
	return b.keys.credential(router, key, b.cfg.Now(), life)
}

// revoking gathers revocations: the server looks at every connection for each change of
// the list, so those that come while one is made go together.
type revoking struct {
	mu      sync.Mutex
	waiting map[string]int64 // key → Unix second; guarded by mu
	push    sync.Mutex       // held by who changes the list
}

// Revoke makes every credential of a key void that was issued until now, and ends the
// connection that uses one. It returns nil when the server has done so; after an error
// it may have, or not: call it again.
func (b *Bus) Revoke(ctx context.Context, key string) error {
	if !nkeys.IsValidPublicUserKey(key) {
		return fmt.Errorf("revoke %q: not the public key of a user", key)
	}
	r := &b.revoking
	r.mu.Lock()
	if r.waiting == nil {
		r.waiting = make(map[string]int64)
	}
	r.waiting[key] = b.cfg.Now().Unix()
	r.mu.Unlock()

	r.push.Lock()
	defer r.push.Unlock()
	r.mu.Lock()
	_, mine := r.waiting[key]
	batch := r.waiting
	r.waiting = nil
	r.mu.Unlock()
	if !mine { // who held push before took it along
		return nil
	}
	err := b.revoke(ctx, batch)
	if err != nil { // for whoever comes next; those whose call took along nothing believe us
		r.mu.Lock()
		if r.waiting == nil {
			r.waiting = make(map[string]int64)
		}
		for k, at := range batch {
			r.waiting[k] = max(r.waiting[k], at)
		}
		r.mu.Unlock()
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// How the list is changed. Another instance may change it at the same time, so it is
// read again afterwards.
const (
	revokeTries  = 5
	revokeWithin = 5 * time.Second // for one question to the server
)

// revoke adds keys to the account of routers.
func (b *Bus) revoke(ctx context.Context, keys map[string]int64) error {
	var wrong error
	for range revokeTries {
		list, err := b.revoked(ctx)
		if err != nil {
			return err
		}
		missing := false
		for key, at := range keys {
			if list[key] < at {
				list[key], missing = at, true
			}
		}
		if !missing {
			return b.keepRevoked()
		}
		oldest := b.cfg.Now().Add(-MaxLife - time.Hour).Unix()
		for key, at := range list {
			if at < oldest && keys[key] == 0 {
				delete(list, key)
			}
		}
		if wrong = b.pushAccount(ctx, list); ctx.Err() != nil {
			return errors.Join(wrong, ctx.Err())
		}
	}
	return errors.Join(errors.New("the list did not keep the key"), wrong)
}

// revoked asks the server for the list in force.
func (b *Bus) revoked(ctx context.Context) (jwt.RevocationList, error) {
	answer, err := b.request(ctx, fmt.Sprintf("$SYS.REQ.ACCOUNT.%s.CLAIMS.LOOKUP", b.keys.accounts.Routers), nil)
	if err != nil {
		return nil, fmt.Errorf("look up the account: %w", err)
	}
	c, err := jwt.DecodeAccountClaims(string(answer))
	if err != nil {
		return nil, fmt.Errorf("look up the account: %w", err)
	}
	if c.Revocations == nil {
		c.Revocations = make(jwt.RevocationList)
	}
	return c.Revocations, nil
}

// pushAccount puts the account of routers in force on all servers.
func (b *Bus) pushAccount(ctx context.Context, revoked jwt.RevocationList) error {
	token, err := b.keys.account(b.keys.accounts.Routers, revoked)
	if err != nil {
		return err
	}
	answer, err := b.request(ctx, "$SYS.REQ.CLAIMS.UPDATE", []byte(token))
	if err != nil {
		return fmt.Errorf("update the account: %w", err)
	}
	var said struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return fmt.Errorf("update the account: %w", err)
	}
	if said.Error != nil {
		return fmt.Errorf("update the account: %s", said.Error.Description)
	}
	return nil
}

// keepRevoked makes the list of the embedded server survive a power cut; the servers of
// a cluster have it from each other.
func (b *Bus) keepRevoked() error {
	if b.server == nil {
		return nil
	}
	dir := filepath.Join(b.cfg.Dir, "accounts")
	return errors.Join(medium.Sync(filepath.Join(dir, b.keys.accounts.Routers+".jwt")), medium.Sync(dir))
}

// request asks the server something.
func (b *Bus) request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, revokeWithin)
	defer cancel()
	m, err := b.system.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: data})
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}
