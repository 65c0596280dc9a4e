// Package keys keeps the provider's identity to its routers: the CA that they pin, the
// certificate of the servers that they connect to, and the key that signs directives.
// All of it lives in files of one directory that nobody else may read.
package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"cordon/internal/medium"
)

// The files.
const (
	caCert       = "ca.pem"
	caKey        = "ca-key.pem"
	directiveKey = "directive-key.pem"
)

// How long certificates hold. Routers pin the CA and live ten years or more; a
// server's certificate costs nothing to renew.
const (
	caLife     = 30 * 365 * 24 * time.Hour
	serverLife = 90 * 24 * time.Hour
	renewAt    = serverLife / 3 // of what is left
)

// begin is when every certificate begins to hold. A router that boots in 1970 compares
// it with the latest moment that it knows to be over, such as when its agent was built
// (agent/uplink); a certificate may well have been made after that.
var begin = time.Unix(0, 0)

// Keys is the identity. Its methods are safe for concurrent use.
type Keys struct {
	// CA is the certificate that routers pin, as PEM.
	CA []byte
	// Directive signs what routers are told.
	Directive ed25519.PrivateKey

	now    func() time.Time
	hosts  []string
	parent *x509.Certificate
	signer crypto.Signer

	mu     sync.Mutex
	server *tls.Certificate // guarded by mu
}

// Open reads the identity from dir, or makes it there. hosts are the names and
// addresses under which routers reach the servers, besides localhost. now may be nil:
// time.Now.
func Open(dir string, hosts []string, now func() time.Time) (*Keys, error) {
	if now == nil {
		now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	k := &Keys{now: now, hosts: slices.Compact(append([]string{"localhost", "127.0.0.1", "::1"}, hosts...))}
	var err error
	if k.signer, err = private(filepath.Join(dir, caKey), func() (crypto.Signer, error) {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}); err != nil {
		return nil, err
	}
	if err := k.openCA(filepath.Join(dir, caCert)); err != nil {
		return nil, err
	}
	signer, err := private(filepath.Join(dir, directiveKey), func() (crypto.Signer, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	})
	if err != nil {
		return nil, err
	}
	var ok bool
	if k.Directive, ok = signer.(ed25519.PrivateKey); !ok {
		return nil, fmt.Errorf("keys: %s holds a %T, want an Ed25519 key", directiveKey, signer)
	}
	return k, nil
}

// openCA reads the CA's certificate, or makes it.
func (k *Keys) openCA(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		now := k.now()
		der, err := k.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "Cordon routers"}, NotBefore: begin,
			NotAfter: now.Add(caLife), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
			KeyUsage: x509.KeyUsageCertSign}, nil, k.signer.Public())
		if err != nil {
			return err
		}
		text = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		if err := medium.Replace(path, text, 0o644); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("keys: %s holds no certificate: restore it from the backup", path)
	}
	if k.parent, err = x509.ParseCertificate(block.Bytes); err != nil {
		return fmt.Errorf("keys: %s: %w", path, err)
	}
	if public, ok := k.signer.Public().(*ecdsa.PublicKey); !ok || !public.Equal(k.parent.PublicKey) {
		return fmt.Errorf("keys: %s and %s do not belong together: restore both from one backup", caCert, caKey)
	}
	k.CA = text
	return nil
}

// sign makes a certificate, of the CA itself if parent is nil.
func (k *Keys) sign(c, parent *x509.Certificate, public crypto.PublicKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	c.SerialNumber = serial
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, k.signer)
	if err != nil {
		return nil, fmt.Errorf("keys: certificate: %w", err)
	}
	return der, nil
}

// TLS is how the servers that routers connect to are recognised. The certificate is
// made anew in time.
func (k *Keys) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.certificate() }}
}

// certificate returns the servers' certificate, a new one if the last is old.
func (k *Keys) certificate() (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.server != nil && k.server.Leaf.NotAfter.Sub(now) > renewAt {
		return k.server, nil
	}
	c, err := k.issue(k.hosts, now.Add(serverLife))
	if err != nil {
		return nil, err
	}
	k.server = c
	return c, nil
}

// issue makes a certificate of a server that is reached under hosts.
func (k *Keys) issue(hosts []string, until time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	c := &x509.Certificate{Subject: pkix.Name{CommonName: "Cordon core"}, NotBefore: begin, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	der, err := k.sign(c, k.parent, key.Public())
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// Issue makes the certificate of a server that core does not run itself, such as one of
// an external bus, and its private key, both as PEM. Nobody keeps either, and nobody
// renews them.
func (k *Keys) Issue(hosts []string, life time.Duration) (certificate, key []byte, err error) {
	if len(hosts) == 0 || life <= 0 {
		return nil, nil, errors.New("keys: a certificate needs hosts and a life")
	}
	c, err := k.issue(hosts, k.now().Add(life))
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("keys: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Secret returns a secret that all instances of core with this identity have, another
// for each purpose.
func (k *Keys) Secret(purpose string) (secret [32]byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.signer)
	if err != nil {
		return secret, fmt.Errorf("keys: %w", err)
	}
	b, err := hkdf.Key(sha256.New, der, nil, "cordon "+purpose, len(secret))
	if err != nil {
		return secret, fmt.Errorf("keys: %w", err)
	}
	return [32]byte(b), nil
}

// private reads a private key from a file, or makes it there.
func private(path string, create func() (crypto.Signer, error)) (crypto.Signer, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := create()
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		if err := medium.Replace(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		return key, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("keys: %s holds no key: restore it from the backup", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("keys: %s: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("keys: %s holds a %T, which cannot sign", path, key)
	}
	return signer, nil
}
