// Package provider is a provider for tests: the program cordon-core itself, which can be
// killed and started again, and real agents in homes that are made up.
package provider

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/agent/uplink"
	"cordon/lab/netns"
	"cordon/lab/program"
)

// Provider is one core. Start it; it ends with the test.
type Provider struct {
	*program.Core
	T testing.TB
}

// New makes a core in dir, or in a directory of its own if that is empty. keys are lines
// of its configuration by section, "database": `url = "…"`.
func New(t testing.TB, dir string, keys map[string]string) *Provider {
	t.Helper()
	return newProvider(t, program.Config{Dir: dir, Keys: keys})
}

// NewIn is New in the network of a host, at whose address routers reach the core.
func NewIn(t testing.TB, host *netns.Host, at netip.Addr, keys map[string]string) *Provider {
	t.Helper()
	keys = maps.Clone(keys)
	keys["gateway"] += fmt.Sprintf("hosts = [%q]\n", at)
	return newProvider(t, program.Config{Routers: at, Keys: keys, Command: host.Command})
}

func newProvider(t testing.TB, cfg program.Config) *Provider {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	cfg.Log = t.Output()
	c, err := program.New(cfg)
	return own(t, c, err)
}

// own ends a core with the test.
func own(t testing.TB, c *program.Core, err error) *Provider {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{Core: c, T: t}
	t.Cleanup(func() {
		if p.Runs() {
			p.Stop()
		}
	})
	return p
}

func (p *Provider) must(err error) {
	p.T.Helper()
	if err != nil {
		p.T.Fatal(err)
	}
}

// Second returns another core of the same provider: the same database, cluster and
// identity, a directory and addresses of its own. The first must have been started once.
func (p *Provider) Second() *Provider {
	p.T.Helper()
	c, err := p.Core.Second(p.T.TempDir())
	return own(p.T, c, err)
}

// Start starts core and waits until it is ready.
func (p *Provider) Start() {
	p.T.Helper()
	p.must(p.Core.Start(context.Background()))
}

// Launch starts core and does not wait.
func (p *Provider) Launch() {
	p.T.Helper()
	p.must(p.Core.Launch())
}

// Stop ends core as an operator does, and fails the test if it does not end well.
func (p *Provider) Stop() {
	p.T.Helper()
	if err := p.Core.Stop(); err != nil {
		p.T.Error(err)
	}
}

// Command returns a command of the program with this core's configuration.
func (p *Provider) Command(args ...string) *exec.Cmd {
	p.T.Helper()
	cmd, err := p.Core.Command(args...)
	p.must(err)
	return cmd
}

// Import loads a list of n routers, Serial(0) and on.
func (p *Provider) Import(n int) {
	p.T.Helper()
	var b strings.Builder
	b.WriteString("serial,claim_secret,account,account_name,site,site_name,area,group,model\n")
	for i := range n {
		fmt.Fprintf(&b, "%s,%s,K-%05d,Family %05d,L-%05d,Home,area-%d,all,Lab\n", Serial(i), secret(i), i, i, i, i%10)
	}
	said, err := p.Core.Import(strings.NewReader(b.String()))
	if err != nil || !strings.Contains(said, fmt.Sprintf("%d created", n)) {
		p.T.Fatalf("import: %v\n%s", err, said)
	}
}

// Serial is the serial of a router by number, which is in the home of the same number.
func Serial(i int) string { return fmt.Sprintf("R-%05d", i) }

func secret(i int) string { return fmt.Sprintf("claim-of-%05d-2f9k4m", i) }

// Agent is the part of an agent's configuration with which router i reaches core.
func (p *Provider) Agent(i int) string {
	p.T.Helper()
	claim := filepath.Join(p.T.TempDir(), "claim")
	p.must(os.WriteFile(claim, []byte(secret(i)+"\n"), 0o600))
	return fmt.Sprintf("[core]\nurl = %q\nca_file = %q\nserial = %q\nsecret_file = %q\n", "https://"+p.Address("gateway"), p.CA(), Serial(i), claim)
}

// Line is how a router reaches core. Its Dir is empty, and it comes back within a
// second.
func (p *Provider) Line(i int) uplink.Config {
	p.T.Helper()
	roots, err := p.Roots()
	p.must(err)
	return uplink.Config{URL: "https://" + p.Address("gateway"), Roots: roots, Serial: Serial(i), Secret: secret(i), Start: 1, Spread: time.Second}
}

// Ask asks the API as who runs core, and reads the answer into out, unless that is nil.
func (p *Provider) Ask(method, path string, in, out any) error {
	return p.Core.Ask(context.Background(), method, path, in, out)
}

// Person is somebody who has logged in, over the network.
type Person struct {
	p       *Provider
	cookies []*http.Cookie
}

// Invite gives somebody a role and logs him in for the first time.
func (p *Provider) Invite(email string, g cordon.Grant) *Person {
	p.T.Helper()
	var invited struct{ Token string }
	grant := map[string]string{"role": string(g.Role)}
	if g.Account != "" {
		grant["account"] = g.Account
	}
	p.must(p.Ask(http.MethodPost, "/v1/invitations", map[string]any{"email": email, "grant": grant}, &invited))
	w := &Person{p: p}
	accept := map[string]string{"token": invited.Token, "password": "a pass phrase of the laboratory"}
	resp, err := w.ask(http.MethodPost, "/v1/session/invitation", accept, nil)
	p.must(err)
	w.cookies = resp.Cookies()
	return w
}

// Ask asks the API as this person.
func (w *Person) Ask(method, path string, in, out any) error {
	_, err := w.ask(method, path, in, out)
	return err
}

func (w *Person) ask(method, path string, in, out any) (*http.Response, error) {
	return program.Ask(context.Background(), http.DefaultClient, "http://"+w.p.Address("api"), w.cookies, method, path, in, out)
}

// List reads all pages of a list.
func List[T any](p *Provider, path string, query url.Values) (all []T, err error) {
	err = program.Each(context.Background(), p.Core, path, query, func(v *T) { all = append(all, *v) })
	return all, err
}

// Waiting returns how many messages with reports are not in the database yet.
func (p *Provider) Waiting() (float64, error) {
	m, err := p.Metrics(context.Background())
	return m["cordon_bus_waiting_messages"], err
}
