package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"cordon/internal/medium"
)

// The files of the bus's keys, mode 0600. operator.nk signs only operator.jwt: when
// that exists, take it away and keep it in a safe. What a thief could do with each of
// the others is in docs/reference/bus.md.
const (
	operatorSeed  = "operator.nk"  // the root; names signer
	operatorJWT   = "operator.jwt" // written last: without it the keys are not complete
	signerSeed    = "signer.nk"    // signs accounts, so also what is revoked
	coreSeed      = "core.nk"      // signs core's own users, in all accounts
	routersSeed   = "routers.nk"   // signs routers' credentials, which its scope confines
	accountsNamed = "accounts.json"
)

// accounts is the public names of the accounts. Nobody keeps their own seeds.
type accounts struct {
	System, Core, Routers string
}

// keys is what core holds to run the bus.
type keys struct {
	operator string // JWT
	accounts accounts
	signer   nkeys.KeyPair
	core     nkeys.KeyPair
	routers  nkeys.KeyPair
}

// MakeKeys makes the keys of a bus in dir, unless they are there.
func MakeKeys(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, operatorJWT)); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keys of the bus: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keys of the bus: %w", err)
	}
	operator, err := newSeed(dir, operatorSeed, nkeys.CreateOperator)
	if err != nil {
		return err
	}
	signer, err := newSeed(dir, signerSeed, nkeys.CreateOperator)
	if err != nil {
		return err
	}
	for _, name := range []string{coreSeed, routersSeed} {
		if _, err := newSeed(dir, name, nkeys.CreateAccount); err != nil {
			return err
		}
	}
	var named accounts
	for _, to := range []*string{&named.System, &named.Core, &named.Routers} {
		pair, err := nkeys.CreateAccount()
		if err != nil {
			return fmt.Errorf("make an account: %w", err)
		}
		if *to, err = pair.PublicKey(); err != nil {
			return fmt.Errorf("make an account: %w", err)
		}
		pair.Wipe()
	}
	list, err := json.MarshalIndent(named, "", "  ")
	if err != nil {
		return fmt.Errorf("write the accounts: %w", err)
	}
	if err := medium.Replace(filepath.Join(dir, accountsNamed), append(list, '\n'), 0o600); err != nil {
		return err
	}
	token, err := operatorClaims(operator, signer, named)
	if err != nil {
		return err
	}
	return medium.Replace(filepath.Join(dir, operatorJWT), []byte(token+"\n"), 0o600)
}

// operatorClaims writes the operator's JWT: accounts are signed by signer only.
func operatorClaims(operator, signer nkeys.KeyPair, named accounts) (string, error) {
	public, err := operator.PublicKey()
	if err != nil {
		return "", fmt.Errorf("operator: %w", err)
	}
	signs, err := signer.PublicKey()
	if err != nil {
		return "", fmt.Errorf("operator: %w", err)
	}
	c := jwt.NewOperatorClaims(public)
	c.Name = "cordon"
	c.SigningKeys.Add(signs)
	c.StrictSigningKeyUsage = true
	c.SystemAccount = named.System
	token, err := c.Encode(operator)
	if err != nil {
		return "", fmt.Errorf("sign the operator: %w", err)
	}
	return token, nil
}

// newSeed makes a key and keeps its seed in a file.
func newSeed(dir, name string, create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, error) {
	pair, err := create()
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	seed, err := pair.Seed()
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	return pair, medium.Replace(filepath.Join(dir, name), append(seed, '\n'), 0o600)
}

// loadKeys reads what MakeKeys made. The operator's seed is not needed.
func loadKeys(dir string) (*keys, error) {
	k := new(keys)
	token, err := os.ReadFile(filepath.Join(dir, operatorJWT))
	if err != nil {
		return nil, fmt.Errorf("keys of the bus: %w", err)
	}
	k.operator = string(trimmed(token))
	list, err := os.ReadFile(filepath.Join(dir, accountsNamed))
	if err != nil {
		return nil, fmt.Errorf("keys of the bus: %w", err)
	}
	if err := json.Unmarshal(list, &k.accounts); err != nil {
		return nil, fmt.Errorf("keys of the bus: %s: %w", accountsNamed, err)
	}
	for name, to := range map[string]*nkeys.KeyPair{signerSeed: &k.signer, coreSeed: &k.core, routersSeed: &k.routers} {
		seed, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("keys of the bus: %w", err)
		}
		if *to, err = nkeys.FromSeed(trimmed(seed)); err != nil {
			return nil, fmt.Errorf("keys of the bus: %s: %w", name, err)
		}
	}
	return k, nil
}

// trimmed cuts line ends and spaces off b.
func trimmed(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r' || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	return b
}

// Limits of a router's connection.
const (
	maxMessage = 1 << 20 // bytes; a batch of reports or an answer
	maxSubs    = 8       // a router needs five
)

// account writes the JWT of an account. Those of revoked users that are still of use
// are kept.
func (k *keys) account(public string, revoked jwt.RevocationList) (string, error) {
	core, err := k.core.PublicKey()
	if err != nil {
		return "", fmt.Errorf("account: %w", err)
	}
	c := jwt.NewAccountClaims(public)
	c.Limits.Imports, c.Limits.Exports, c.Limits.LeafNodeConn = 0, 0, 0
	c.Limits.DisallowBearer = true
	switch public {
	case k.accounts.System:
		c.Name = "SYS"
		c.Limits.Exports, c.Limits.Imports = jwt.NoLimit, jwt.NoLimit // the server's own
		c.SigningKeys.Add(core)
	case k.accounts.Core:
		c.Name = "CORE"
		c.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit,
			Streams: jwt.NoLimit, Consumer: jwt.NoLimit}
		c.SigningKeys.Add(core)
	case k.accounts.Routers:
		c.Name = "ROUTERS"
		routers, err := k.routers.PublicKey()
		if err != nil {
			return "", fmt.Errorf("account: %w", err)
		}
		c.SigningKeys.AddScopedSigner(scope(routers, "router", jwt.ConnectionTypeStandard,
			jwt.StringList{fromRouter + "{{name()}}.>"}, jwt.StringList{toRouter + "{{name()}}.>", toRouter + all + ".>"}, maxSubs))
		c.SigningKeys.AddScopedSigner(scope(core, "core", "", jwt.StringList{toRouter + ">"}, jwt.StringList{fromRouter + ">"}, jwt.NoLimit))
		c.Revocations = revoked
	default:
		return "", fmt.Errorf("account %q is not one of ours", public)
	}
	token, err := c.Encode(k.signer)
	if err != nil {
		return "", fmt.Errorf("sign account %s: %w", c.Name, err)
	}
	return token, nil
}

// scope confines the users that a key signs.
func scope(key, role, connection string, publish, subscribe jwt.StringList, subs int64) *jwt.UserScope {
	s := jwt.NewUserScope()
	s.Key, s.Role = key, role
	s.Template.Pub.Allow, s.Template.Sub.Allow = publish, subscribe
	s.Template.NatsLimits = jwt.NatsLimits{Subs: subs, Data: jwt.NoLimit, Payload: maxMessage}
	if connection != "" {
		s.Template.AllowedConnectionTypes = jwt.StringList{connection}
	}
	return s
}

// own makes a user of core's in an account: a key that lives in this process only.
func (k *keys) own(account string) (token string, sign func([]byte) ([]byte, error), err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", nil, fmt.Errorf("make a user: %w", err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		return "", nil, fmt.Errorf("make a user: %w", err)
	}
	c := jwt.NewUserClaims(public)
	c.Name, c.IssuerAccount = "core", account
	if account == k.accounts.Routers {
		c.SetScoped(true)
	}
	if token, err = c.Encode(k.core); err != nil {
		return "", nil, fmt.Errorf("sign a user: %w", err)
	}
	return token, pair.Sign, nil
}

// credential makes the JWT with which the holder of a key may connect as a router.
func (k *keys) credential(router, key string, now time.Time, life time.Duration) (string, error) {
	if !isRouter(router) {
		return "", fmt.Errorf("credential for router %q: not an id", router)
	}
	if !nkeys.IsValidPublicUserKey(key) {
		return "", fmt.Errorf("credential for router %s: not the public key of a user", router)
	}
	c := jwt.NewUserClaims(key)
	c.Name, c.IssuerAccount = router, k.accounts.Routers
	c.SetScoped(true)
	c.Expires = now.Add(life).Unix()
	token, err := c.Encode(k.routers)
	if err != nil {
		return "", fmt.Errorf("sign the credential of router %s: %w", router, err)
	}
	return token, nil
}
