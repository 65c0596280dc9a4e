package keys

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, dir string, now func() time.Time) *Keys {
	t.Helper()
	k, err := Open(dir, []string{"gateway.provider.example", "192.0.2.7"}, now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestSameAgain finds what it made, and lets nobody else read it.
func TestSameAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	first, second := open(t, dir, nil), open(t, dir, nil)
	if !bytes.Equal(first.CA, second.CA) || !first.Directive.Equal(second.Directive) {
		t.Error("the second start has another identity")
	}
	for _, name := range []string{caKey, directiveKey} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestCertificate holds for the hosts, by the CA, and is renewed before it ends.
func TestCertificate(t *testing.T) {
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	k := open(t, t.TempDir(), func() time.Time { return at })
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(k.CA) {
		t.Fatal("the CA is no certificate")
	}
	get := func() *tls.Certificate {
		t.Helper()
		c, err := k.TLS().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"localhost", "127.0.0.1", "gateway.provider.example", "192.0.2.7"} {
			if _, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: at}); err != nil {
				t.Errorf("%s at %s: %v", host, at, err)
			}
		}
		return c
	}
	first := get()
	at = at.Add(serverLife / 2)
	if get() != first {
		t.Error("a young certificate was replaced")
	}
	at = at.Add(serverLife / 4)
	if get() == first {
		t.Error("an old certificate was not replaced")
	}
	if _, err := first.Leaf.Verify(x509.VerifyOptions{DNSName: "other.example", Roots: roots, CurrentTime: at}); err == nil {
		t.Error("holds for a host that nobody named")
	}
}

// TestDamaged says what to do when a file is not what it was.
func TestDamaged(t *testing.T) {
	for _, name := range []string{caCert, caKey, directiveKey} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir, nil)
			if err := os.WriteFile(filepath.Join(dir, name), []byte("garbage"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, nil, nil); err == nil || !strings.Contains(err.Error(), "backup") {
				t.Errorf("error %v", err)
			}
		})
	}
	dir, other := t.TempDir(), t.TempDir()
	open(t, dir, nil)
	open(t, other, nil)
	ca, err := os.ReadFile(filepath.Join(other, caCert))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, caCert), ca, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, nil, nil); err == nil || !strings.Contains(err.Error(), "belong together") {
		t.Errorf("error %v", err)
	}
}

// TestOldClock holds for a router that believes to be in 1970, or in the year in which its
// agent was built, and for one that is a year ahead it does not.
func TestOldClock(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	k := open(t, t.TempDir(), func() time.Time { return now })
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(k.CA)
	c, err := k.TLS().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]bool{time.Unix(30, 0): true, now.AddDate(-2, 0, 0): true, now: true, now.AddDate(1, 0, 0): false} {
		if _, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: roots, CurrentTime: at}); (err == nil) != want {
			t.Errorf("at %s: %v", at, err)
		}
	}
}

// TestIssue makes what a server needs that core does not run.
func TestIssue(t *testing.T) {
	k := open(t, t.TempDir(), nil)
	cert, key, err := k.Issue([]string{"bus.provider.example"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(k.CA)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: "bus.provider.example", Roots: roots}); err != nil {
		t.Error(err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: roots}); err == nil {
		t.Error("holds for a host that nobody named")
	}
	if _, _, err := k.Issue(nil, time.Hour); err == nil {
		t.Error("a certificate for nobody was made")
	}
}

// TestSecret is the same for all instances, and another for each purpose and identity.
func TestSecret(t *testing.T) {
	dir := t.TempDir()
	of := func(k *Keys, purpose string) [32]byte {
		s, err := k.Secret(purpose)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, same, other := open(t, dir, nil), open(t, dir, nil), open(t, t.TempDir(), nil)
	if of(a, "door") != of(same, "door") || of(a, "door") == of(a, "windows") || of(a, "door") == of(other, "door") {
		t.Error("secrets are alike that should not be, or are not")
	}
}
