package load

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Core is the program cordon-core as a child of this process, with a directory of its
// own. It can be ended, killed and started again; its addresses stay.
type Core struct {
	program string
	dir     string
	config  string            // file
	at      map[string]string // door → address
	socket  http.Client       // of who runs core
	profile string            // directory; empty: no profiles

	cmd   *exec.Cmd // nil: it does not run
	ended chan error
}

// doors are the sections of the configuration with an address.
var doors = []string{"api", "gateway", "bus", "operation"}

// NewCore writes the configuration of a core in dir. database empty: SQLite.
func NewCore(program, dir, database string) (*Core, error) {
	c := &Core{program: program, dir: filepath.Join(dir, "data"), config: filepath.Join(dir, "core.toml"), at: make(map[string]string)}
	c.socket.Transport = &http.Transport{MaxIdleConnsPerHost: 4, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(c.dir, "core.sock"))
	}}
	// All routers of the crowd come from few addresses.
	text := fmt.Sprintf("dir = %q\n[log]\nlevel = \"warn\"\n[database]\nurl = %q\n", c.dir, database)
	// People come through this machine as through a proxy.
	more := map[string]string{"gateway": "requests_per_address = 1_000_000\n", "operation": "profile = true\n", "api": "proxies = [\"127.0.0.0/8\"]\n"}
	for _, d := range doors {
		at, err := free()
		if err != nil {
			return nil, err
		}
		c.at[d] = at
		text += fmt.Sprintf("[%s]\nlisten = %q\n%s", d, at, more[d])
	}
	return c, os.WriteFile(c.config, []byte(text), 0o600)
}

// free returns a loopback address that nobody listens at.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// command returns a command of the program with this core's configuration.
func (c *Core) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, c.program, append(args, "--config", c.config)...)
}

// readyWithin is how long core may take to start.
const readyWithin = 2 * time.Minute

// Start starts core and waits until it is ready.
func (c *Core) Start(ctx context.Context) error {
	if err := c.launch(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		resp, err := http.Get("http://" + c.at["operation"] + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-c.ended:
			c.cmd = nil
			return fmt.Errorf("core ended at once (%w): %s", err, c.said())
		case <-ctx.Done():
			return fmt.Errorf("core is not ready: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// launch starts core and does not wait.
func (c *Core) launch() error {
	log, err := os.OpenFile(c.config+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start core: %w", err)
	}
	defer log.Close()
	cmd := c.command(context.Background(), "serve") // ended by Stop or Kill
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started, ended := make(chan error), make(chan error, 1)
	go func() { // Pdeathsig is of the thread that starts the process: it must live as long
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start core: %w", err)
	}
	c.cmd, c.ended = cmd, ended
	return nil
}

// said returns the last lines of core's log.
func (c *Core) said() string {
	b, err := os.ReadFile(c.config + ".log")
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b[max(0, len(b)-2000):]))
}

// Stop ends core as an operator does, and waits until it is gone.
func (c *Core) Stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end core: %w", err)
	}
	err := <-c.ended
	c.cmd = nil
	c.socket.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("core ended with %w: %s", err, c.said())
	}
	return nil
}

// Kill ends core as a crash does, if it runs.
func (c *Core) Kill() {
	if c.cmd == nil {
		return
	}
	c.cmd.Process.Kill() // it may have ended just now
	<-c.ended
	c.cmd = nil
	c.socket.CloseIdleConnections()
}

// Import loads a list of routers, CSV.
func (c *Core) Import(ctx context.Context, list io.Reader) error {
	cmd := c.command(ctx, "routers", "import", "-")
	cmd.Stdin = list
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("import routers: %w: %s", err, out)
	}
	return nil
}

// Usage is what core has used since its start.
func (c *Core) Usage() (Usage, error) { return UsageOf(c.cmd.Process.Pid) }

// Get asks the API, as who runs core, and reads the answer into out.
func (c *Core) Get(ctx context.Context, path string, query url.Values, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Cordon-Reason", "measurement") // who looks into homes says why
	resp, err := c.socket.Do(req)
	if err != nil {
		return fmt.Errorf("ask core: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
		return &refused{path, resp.StatusCode}
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("core's answer about %s: %w", path, err)
	}
	return nil
}

// Administrator makes an administrator, as who runs core, and returns his password.
func (c *Core) Administrator(ctx context.Context, email string) (password string, err error) {
	out, err := c.command(ctx, "admin", "create", email).Output()
	if err != nil {
		return "", fmt.Errorf("make an administrator: %w", err)
	}
	_, after, _ := strings.Cut(string(out), "password: ")
	password, _, ok := strings.Cut(after, "\n")
	if !ok {
		return "", fmt.Errorf("make an administrator: no password in %d bytes", len(out))
	}
	return strings.TrimSpace(password), nil
}

// refused is an answer that is none.
type refused struct {
	path   string
	status int
}

func (r *refused) Error() string { return fmt.Sprintf("core answers %d about %s", r.status, r.path) }

// Each calls f with every record of a list of the API.
func Each[T any](ctx context.Context, c *Core, path string, f func(*T)) error {
	query := url.Values{"limit": {"500"}}
	for {
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next"`
		}
		if err := c.Get(ctx, path, query, &page); err != nil {
			return err
		}
		for i := range page.Items {
			f(&page.Items[i])
		}
		if page.Next == "" {
			return nil
		}
		query.Set("cursor", page.Next)
	}
}

// Metrics reads what core counts, those without labels.
func (c *Core) Metrics(ctx context.Context) (map[string]float64, error) {
	resp, err := c.operation(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	all := make(map[string]float64)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			all[name] = v
		}
	}
	return all, nil
}

// operation asks the listener of health and metrics.
func (c *Core) operation(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.at["operation"]+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask core: %w", err)
	}
	return resp, nil
}

// heap keeps a profile of core's memory, if profiles are wanted.
func (c *Core) heap(ctx context.Context, name string) error {
	return c.keep(ctx, name+".heap", "/debug/pprof/heap")
}

// cpu keeps a profile of what core does from now on, likewise.
func (c *Core) cpu(ctx context.Context, name string, length time.Duration) error {
	return c.keep(ctx, name+".cpu", fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(length.Seconds())))
}

func (c *Core) keep(ctx context.Context, name, path string) (err error) {
	if c.profile == "" {
		return nil
	}
	resp, err := c.operation(ctx, path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.Create(filepath.Join(c.profile, name))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}

// Address is where one of core's doors is: "api", "gateway", "bus" or "operation".
func (c *Core) Address(door string) string { return c.at[door] }

// Roots is who signs core's certificates, as a router is given it.
func (c *Core) Roots() (*x509.CertPool, error) {
	pem, err := os.ReadFile(filepath.Join(c.dir, "keys", "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("core's CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("core's CA is no certificate")
	}
	return pool, nil
}
