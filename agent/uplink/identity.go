package uplink

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nkeys"

	"cordon"
	"cordon/internal/medium"
	"cordon/wire"
)

// identity is who this router is to core. It is kept in a file of mode 0600; the seed
// never leaves it.
type identity struct {
	Seed   string `json:"seed"` // of the router's own Ed25519 key, as NATS writes user seeds
	URL    string `json:"url"`  // of the core that knows the key, with Serial
	Serial string `json:"serial"`

	Router     string            `json:"router,omitempty"` // empty: not enrolled
	Credential string            `json:"credential,omitempty"`
	Servers    []string          `json:"servers,omitempty"`
	Keys       map[string][]byte `json:"directive_keys,omitempty"`
	Issued     cordon.Time       `json:"issued,omitempty"` // of the credential, by core's clock
	Renew      cordon.Time       `json:"renew,omitempty"`
	Expires    cordon.Time       `json:"expires,omitempty"`
	// Base is added to the agent's starts, so that no number of a boot comes again also
	// when the count of the starts was lost or the router was reset. It is the minute of
	// the enrolment: nobody starts more than once a minute for long.
	Base   uint32 `json:"base"`
	Starts uint32 `json:"starts"` // of the agent when this was written
}

const identityName = "identity.json"

// minutesOf is the moment in which boot numbers begin.
var minutesOf = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// baseAt returns a base for boot numbers that is greater than all that were given
// before at, so that start has the next.
func baseAt(at time.Time, start uint32) uint32 {
	minutes := uint32(max(at.Sub(minutesOf)/time.Minute, 1))
	if minutes <= start {
		return 1
	}
	return minutes - start
}

// openIdentity reads the identity, or makes one. An error says that it cannot be kept:
// the router would be another after the next start.
func openIdentity(dir, url, serial string) (*identity, error) {
	id := &identity{}
	b, err := os.ReadFile(filepath.Join(dir, identityName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("identity: %w", err)
	default:
		if err := json.Unmarshal(b, id); err != nil {
			id = &identity{} // damaged: core has to be asked to let a new one in
		}
	}
	if _, err := nkeys.FromSeed([]byte(id.Seed)); err != nil {
		pair, err := nkeys.CreateUser()
		if err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
		seed, err := pair.Seed()
		if err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
		id = &identity{Seed: string(seed)}
	}
	if id.URL != url || id.Serial != serial {
		*id = identity{Seed: id.Seed, URL: url, Serial: serial, Base: id.Base, Starts: id.Starts}
	}
	return id, nil
}

// save writes the identity.
func (id *identity) save(dir string) error {
	b, err := json.MarshalIndent(id, "", "\t")
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	if err := replace(dir, identityName, b); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	return nil
}

// directiveKeys are the keys by which core's directives are recognised.
func (id *identity) directiveKeys() wire.Keys {
	keys := make(wire.Keys)
	for name, key := range id.Keys {
		keys[name] = key
	}
	return keys
}

// pair returns the key.
func (id *identity) pair() (nkeys.KeyPair, error) { return nkeys.FromSeed([]byte(id.Seed)) }

// replace writes a file of mode 0600 so that it is there whole, the old or the new.
func replace(dir, name string, b []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return medium.Replace(filepath.Join(dir, name), b, 0o600)
}
