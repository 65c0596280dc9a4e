// Package provider is a provider for tests: the program cordon-core itself, which can be
// killed and started again, and real agents in homes that are made up.
package provider

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cordon"
	"cordon/agent/uplink"
	"cordon/core"
	"cordon/core/config"
	"cordon/lab/door"
	"cordon/lab/netns"
)

// Provider is one core. Start it; it ends with the test.
type Provider struct {
	T   testing.TB
	Dir string // of the core

	config  string            // file
	listens map[string]string // door → address, the same in every life
	socket  *http.Client
	run     func(name string, args ...string) *exec.Cmd
	cmd     *exec.Cmd
	ended   chan error
}

// doors are the sections of the configuration with an address.
var doors = []string{"api", "gateway", "bus", "operation"}

// New makes the configuration of a core in dir, or in a directory of its own if that is
// empty. extra are keys of a section, "database": `url = "…"`; "" are those of none.
func New(t testing.TB, dir string, extra map[string]string) *Provider {
	t.Helper()
	return (&Provider{T: t, Dir: dir, run: exec.Command}).configure(netip.MustParseAddr("127.0.0.1"), extra)
}

// NewIn is New in the network of a host, at whose address routers reach the core.
func NewIn(t testing.TB, host *netns.Host, at netip.Addr, extra map[string]string) *Provider {
	t.Helper()
	extra = maps.Clone(extra)
	extra["gateway"] += fmt.Sprintf("hosts = [%q]\n", at)
	return (&Provider{T: t, run: host.Command}).configure(at, extra)
}

// configure writes the configuration of a core whose routers come to an address.
func (p *Provider) configure(at netip.Addr, extra map[string]string) *Provider {
	t := p.T
	t.Helper()
	p.listens = make(map[string]string)
	if p.Dir == "" {
		p.Dir = filepath.Join(t.TempDir(), "data")
	}
	sections := maps.Clone(extra)
	if sections == nil {
		sections = make(map[string]string)
	}
	for _, d := range doors {
		_, port, _ := net.SplitHostPort(free(t))
		p.listens[d] = net.JoinHostPort("127.0.0.1", port)
		if d == "gateway" || d == "bus" {
			p.listens[d] = net.JoinHostPort(at.String(), port)
		}
		sections[d] += fmt.Sprintf("\nlisten = %q\n", p.listens[d])
	}
	sections["gateway"] += "requests_per_address = 10000\n" // all homes are at one
	sections["log"] += "level = \"warn\"\n"
	var b strings.Builder
	fmt.Fprintf(&b, "dir = %q\n%s\n", p.Dir, sections[""])
	delete(sections, "")
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		fmt.Fprintf(&b, "[%s]\n%s\n", name, sections[name])
	}
	p.config = filepath.Join(t.TempDir(), "core.toml")
	p.must(os.WriteFile(p.config, []byte(b.String()), 0o600))
	p.begin()
	return p
}

// begin makes what reaches the core, and ends it with the test.
func (p *Provider) begin() {
	p.socket = core.Dial(config.Config{Dir: p.Dir})
	p.T.Cleanup(func() {
		p.socket.CloseIdleConnections()
		if p.cmd != nil {
			p.Stop()
		}
	})
}

func (p *Provider) must(err error) {
	p.T.Helper()
	if err != nil {
		p.T.Fatal(err)
	}
}

// free returns a loopback address that nobody listens at.
func free(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// program builds cordon-core, once for all tests of a process.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "cordon-core")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "cordon-core")
	if out, err := exec.Command("go", "build", "-o", path, "cordon/cmd/cordon-core").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// Command returns a command of the program with this core's configuration.
func (p *Provider) Command(args ...string) *exec.Cmd {
	p.T.Helper()
	path, err := program()
	p.must(err)
	return p.run(path, append(args, "--config", p.config)...)
}

// patience is how long a core may take to be ready on a machine that does much else.
const patience = time.Minute

// Start starts core and waits until it is ready.
func (p *Provider) Start() {
	p.T.Helper()
	p.Launch()
	door.WaitFor(p.T, patience, "core is ready", func() bool {
		resp, err := p.socket.Get("http://localhost/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// Launch starts core and does not wait.
func (p *Provider) Launch() {
	p.T.Helper()
	p.cmd = p.Command("serve")
	p.cmd.Stderr = p.T.Output()
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	p.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	p.must(p.cmd.Start())
	p.ended = make(chan error, 1)
	go func(cmd *exec.Cmd) { p.ended <- cmd.Wait() }(p.cmd)
}

// Stop ends core as an operator does, and fails the test if it does not end well.
func (p *Provider) Stop() {
	p.T.Helper()
	p.must(p.cmd.Process.Signal(syscall.SIGTERM))
	if err := <-p.ended; err != nil {
		p.T.Errorf("core: %v", err)
	}
	p.cmd = nil
}

// Kill ends core as a crash does.
func (p *Provider) Kill() {
	p.T.Helper()
	p.must(p.cmd.Process.Kill())
	<-p.ended
	p.cmd = nil
}

// Import loads a list of n routers, Serial(0) and on.
func (p *Provider) Import(n int) {
	p.T.Helper()
	var b strings.Builder
	b.WriteString("serial,claim_secret,account,account_name,site,site_name,area,group,model\n")
	for i := range n {
		fmt.Fprintf(&b, "%s,%s,K-%05d,Family %05d,L-%05d,Home,area-%d,all,Lab\n", Serial(i), secret(i), i, i, i, i%10)
	}
	cmd := p.Command("routers", "import", "-")
	cmd.Stderr = p.T.Output()
	cmd.Stdin = strings.NewReader(b.String())
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("%d created", n)) {
		p.T.Fatalf("import: %v\n%s", err, out)
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
	return fmt.Sprintf("[core]\nurl = %q\nca_file = %q\nserial = %q\nsecret_file = %q\n", "https://"+p.listens["gateway"],
		filepath.Join(p.Dir, "keys", "ca.pem"), Serial(i), claim)
}

// Line is how a router reaches core. Its Dir is empty, and it comes back within a
// second.
func (p *Provider) Line(i int) uplink.Config {
	p.T.Helper()
	pem, err := os.ReadFile(filepath.Join(p.Dir, "keys", "ca.pem"))
	p.must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return uplink.Config{URL: "https://" + p.listens["gateway"], Roots: roots, Serial: Serial(i), Secret: secret(i), Start: 1, Spread: time.Second}
}

// Ask asks the API as who runs core, and reads the answer into out, unless that is nil.
func (p *Provider) Ask(method, path string, in, out any) error {
	_, err := ask(p.socket, "http://localhost", nil, method, path, in, out)
	return err
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
	resp, err := ask(http.DefaultClient, "http://"+p.listens["api"], nil, http.MethodPost, "/v1/session/invitation", accept, nil)
	p.must(err)
	w.cookies = resp.Cookies()
	return w
}

// Ask asks the API as this person.
func (w *Person) Ask(method, path string, in, out any) error {
	_, err := ask(http.DefaultClient, "http://"+w.p.listens["api"], w.cookies, method, path, in, out)
	return err
}

// ask sends a request and reads the answer into out, unless that is nil.
func ask(c *http.Client, base string, cookies []*http.Cookie, method, path string, in, out any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Cordon-Reason", "a test of the laboratory")
	for _, k := range cookies {
		req.AddCookie(k)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		return nil, errors.Join(err, fmt.Errorf("%s %s: %s %s", method, path, resp.Status, text))
	}
	if out == nil {
		return resp, nil
	}
	return resp, json.Unmarshal(text, out)
}

// List reads all pages of a list.
func List[T any](p *Provider, path string, query url.Values) ([]T, error) {
	var all []T
	q := url.Values{"limit": {"500"}}
	maps.Copy(q, query)
	for {
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next"`
		}
		if err := p.Ask(http.MethodGet, path+"?"+q.Encode(), nil, &page); err != nil {
			return all, err
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		q.Set("cursor", page.Next)
	}
}

// Metric returns a counter or gauge without labels of core's.
func (p *Provider) Metric(name string) (float64, error) {
	resp, err := p.socket.Get("http://localhost/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var v float64
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			_, err := fmt.Sscan(rest, &v)
			return v, err
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}
