package reader

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"cordon/lab/postgres"
)

// program is a cordon-core that runs.
type program struct {
	dir    string
	doors  map[string]string // section of the configuration → address
	log    string            // file
	cmd    *exec.Cmd
	exited chan error
}

// readyWithin is how long core may take to start: a large SQLite database is checked.
const readyWithin = time.Minute

// start starts core, which ends with the TB, and waits until it is ready.
func start(ctx context.Context, t postgres.TB, command []string, dir, database string) (*program, error) {
	p := &program{dir: dir, doors: make(map[string]string), log: dir + ".log", exited: make(chan error, 1)}
	file := dir + ".toml"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	text, err := p.configuration(database)
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o600)
	}
	if err != nil {
		return nil, err
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(command[0], append(command[1:], "serve", "--config", file)...)
	p.cmd.Stderr = log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // of which the death is core's
		started <- p.cmd.Start()
		p.exited <- p.cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("core: %w", err)
	}
	t.Cleanup(p.stop)
	return p, p.ready(ctx)
}

// configuration makes core's configuration. Everybody's requests come through this
// machine as through a proxy, and are of different addresses.
func (p *program) configuration(database string) (string, error) {
	for _, door := range []string{"api", "gateway", "bus", "operation"} {
		l, err := net.Listen("tcp", "127.0.0.1:0") // what nobody else listens at now
		if err != nil {
			return "", err
		}
		p.doors[door] = l.Addr().String()
		l.Close()
	}
	return fmt.Sprintf(`dir = %q
[api]
listen = %q
proxies = ["127.0.0.0/8"]
[gateway]
listen = %q
requests_per_address = 1000
[bus]
listen = %q
[operation]
listen = %q
profile = true
[database]
url = %q
`, p.dir, p.doors["api"], p.doors["gateway"], p.doors["bus"], p.doors["operation"], database), nil
}

// ready waits until core says that it is ready.
func (p *program) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.doors["operation"]+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-p.exited:
			p.exited <- err
			return fmt.Errorf("core ended (%w):\n%s", errors.Join(err, io.ErrUnexpectedEOF), p.tail())
		case <-ctx.Done():
			return fmt.Errorf("core is not ready (%w):\n%s", ctx.Err(), p.tail())
		case <-tick.C:
		}
	}
}

// tail is the end of core's log.
func (p *program) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// endWithin is how long core may take to end.
const endWithin = 30 * time.Second

// stop ends core as an operator does.
func (p *program) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(endWithin, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	p.exited <- <-p.exited
}

// administrator makes an administrator, as who runs core does, and returns his password.
func (p *program) administrator(ctx context.Context, email string) (password string, err error) {
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(p.dir, "core.sock"))
	}, DisableKeepAlives: true}}
	body, _ := json.Marshal(map[string]string{"email": email}) // a text
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://core/operator/administrators", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var a struct{ Password string }
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("administrator: %s %w", resp.Status, errors.Join(err))
	}
	return a.Password, nil
}
