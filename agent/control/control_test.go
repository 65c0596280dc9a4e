package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/control"
)

// serve answers for an agent on a socket of its own until the test ends.
func serve(t *testing.T, cfg control.Config) *control.Client {
	t.Helper()
	cfg.Path = filepath.Join(t.TempDir(), "agent.sock")
	return control.NewClient(listenOn(t, cfg))
}

func listenOn(t *testing.T, cfg control.Config) (path string) {
	t.Helper()
	s, err := control.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := control.Listen(cfg.Path, cfg.Group)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if _, err := os.Lstat(cfg.Path); err == nil {
			t.Errorf("the socket was left behind")
		}
	})
	return cfg.Path
}

func code(err error) control.Code {
	if e := (*control.Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	return control.Code(fmt.Sprintf("no code: %v", err))
}

// TestAsk takes every question from the client to the agent and back.
func TestAsk(t *testing.T) {
	ctx, f := context.Background(), &fake{devices: home}
	c := serve(t, control.Config{Agent: f})

	status, err := c.Status(ctx)
	if err != nil || status.Version != "test" || status.Started != 5e9 || status.InForce[cordon.VerbBlock] != 2 {
		t.Errorf("status %+v, %v", status, err)
	}
	devices, err := c.Devices(ctx)
	if diff := cmp.Diff(home, devices, cmp.Comparer(func(a, b control.Device) bool { return a.ID == b.ID && a.Name == b.Name })); err != nil || diff != "" {
		t.Errorf("devices: %v\n%s", err, diff)
	}
	for _, all := range []bool{true, false} {
		if list, err := c.Incidents(ctx, all); err != nil || list == nil {
			t.Errorf("incidents: %v, %v; want none, and no null", list, err)
		}
	}
	why, err := c.Why(ctx, "Kitchen ca")
	if err != nil || why.Device.ID != home[0].ID {
		t.Errorf("why: %+v, %v", why, err)
	}
	outcome, err := c.Allow(ctx, control.AllowRequest{Device: "kitchen", To: "update.example:443", Reason: "firmware", By: "somebody else"})
	if err != nil || len(outcome.Notes) != 1 {
		t.Errorf("allow: %+v, %v", outcome, err)
	}
	if _, err := c.Quarantine(ctx, control.QuarantineRequest{Device: "kitchen", For: time.Hour}); err != nil {
		t.Error(err)
	}
	if _, err := c.Release(ctx, control.ReleaseRequest{What: "kitchen"}); err != nil {
		t.Error(err)
	}
	if list, err := c.Doctor(ctx); err != nil || len(list) != 1 {
		t.Errorf("doctor: %v, %v", list, err)
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	me := u.Username
	want := []any{"status", "devices", "incidents true", "incidents false", "why Kitchen ca",
		control.AllowRequest{Device: "kitchen", To: "update.example:443", For: control.DefaultLife, Reason: "firmware", By: me},
		control.QuarantineRequest{Device: "kitchen", For: time.Hour, By: me},
		control.ReleaseRequest{What: "kitchen", By: me}, "doctor"}
	if diff := cmp.Diff(want, f.asked); diff != "" {
		t.Errorf("the agent was asked (-want +got):\n%s", diff)
	}
}

// TestRefused shows that what cannot be meant does not reach the agent.
func TestRefused(t *testing.T) {
	ctx, f := context.Background(), &fake{}
	c := serve(t, control.Config{Agent: f})
	for name, ask := range map[string]func() error{
		"no place": func() error { _, err := c.Allow(ctx, control.AllowRequest{To: "com"}); return err },
		"for ever": func() error {
			_, err := c.Allow(ctx, control.AllowRequest{To: "a.example", For: 91 * 24 * time.Hour})
			return err
		},
		"a moment": func() error { _, err := c.Quarantine(ctx, control.QuarantineRequest{Device: "x", For: 1}); return err },
		"backwards": func() error {
			_, err := c.Quarantine(ctx, control.QuarantineRequest{Device: "x", For: -time.Hour})
			return err
		},
		"nobody":   func() error { _, err := c.Quarantine(ctx, control.QuarantineRequest{Device: " "}); return err },
		"nothing":  func() error { _, err := c.Release(ctx, control.ReleaseRequest{}); return err },
		"controls": func() error { _, err := c.Release(ctx, control.ReleaseRequest{What: "a\x1b[31m"}); return err },
		"long story": func() error {
			_, err := c.Release(ctx, control.ReleaseRequest{What: "x", Reason: strings.Repeat("x", 201)})
			return err
		},
		"long name": func() error { _, err := c.Why(ctx, strings.Repeat("x", 129)); return err },
		"long body": func() error {
			_, err := c.Release(ctx, control.ReleaseRequest{What: strings.Repeat("x", 9000)})
			return err
		},
	} {
		if err := ask(); code(err) != control.CodeRequest {
			t.Errorf("%s: %v, want a refused request", name, err)
		}
	}
	if len(f.asked) > 0 {
		t.Errorf("the agent was asked %v", f.asked)
	}
}

// TestErrors shows what becomes of the agent's errors.
func TestErrors(t *testing.T) {
	own := &control.Error{Code: control.CodeRefused, Message: "it is the router", Hint: "leave it"}
	for _, c := range []struct {
		err  error
		want control.Code
	}{
		{own, control.CodeRefused},
		{fmt.Errorf("apply: %w", own), control.CodeRefused},
		{fmt.Errorf("apply: %w", cordon.ErrUnknown), control.CodeUnknown},
		{errors.New("netlink: no buffer space"), control.CodeFailed},
	} {
		client := serve(t, control.Config{Agent: &fake{err: c.err}})
		_, err := client.Release(context.Background(), control.ReleaseRequest{What: "x"})
		if code(err) != c.want {
			t.Errorf("%v becomes %v, want code %s", c.err, err, c.want)
		}
	}
	client := serve(t, control.Config{Agent: &fake{devices: home}})
	_, err := client.Why(context.Background(), "doorbell")
	if e := (*control.Error)(nil); !errors.As(err, &e) || e.Code != control.CodeAmbiguous || len(e.Candidates) != 2 {
		t.Errorf("two devices of one name: %#v", err)
	}
}

// TestHang shows that an agent that does not answer is told about.
func TestHang(t *testing.T) {
	c := serve(t, control.Config{Agent: &fake{hang: true}, Within: 20 * time.Millisecond})
	if _, err := c.Status(context.Background()); code(err) != control.CodeBusy {
		t.Errorf("%v, want busy", err)
	}
}

func TestNotRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	c := control.NewClient(path)
	if _, err := c.Status(context.Background()); code(err) != control.CodeNotRunning {
		t.Errorf("no socket: %v", err)
	}
	stale(t, path)
	if _, err := c.Status(context.Background()); code(err) != control.CodeNotRunning {
		t.Errorf("stale socket: %v", err)
	}
}

// stale leaves a socket on which nobody listens.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "agent.sock")
	stale(t, path)
	stale(t, path+".new") // of an agent that died while it listened
	listenOn(t, control.Config{Agent: &fake{}, Path: path})
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket %v, %v; want mode 0660", info.Mode(), err)
	}
	if _, err := control.Listen(path, ""); !errors.Is(err, control.ErrInUse) {
		t.Errorf("a second agent: %v", err)
	}
	if _, err := control.NewClient(path).Status(context.Background()); err != nil {
		t.Errorf("the first agent is gone: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, group, want string }{
		{file, "", "no socket"},
		{filepath.Join(dir, "none", "agent.sock"), "", "make it"},
		{filepath.Join(dir, "other.sock"), "nobody-has-this-group", "there is none"},
		{filepath.Join(dir, strings.Repeat("x", 120)), "", "control socket"},
	} {
		if l, err := control.Listen(c.path, c.group); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Listen(%s, %q) = %v, %v, want an error with %q", filepath.Base(c.path), c.group, l, err, c.want)
		}
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Errorf("a file was replaced")
	}
}

// TestGroup gives the socket to a group.
func TestGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path := listenOn(t, control.Config{Agent: &fake{}, Path: filepath.Join(t.TempDir(), "agent.sock"), Group: "4711"})
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if gid := info.Sys().(*syscall.Stat_t).Gid; gid != 4711 {
		t.Errorf("group %d", gid)
	}
}

// TestAdmitted lets users of several kinds knock: this test again, as another user.
func TestAdmitted(t *testing.T) {
	if path := os.Getenv("CORDON_TEST_SOCKET"); path != "" {
		_, err := control.NewClient(path).Status(context.Background())
		fmt.Println("status:", err == nil, code(err))
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := os.MkdirTemp("", "cordon-control-") // t.TempDir is for its owner only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "test")
	binary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := listenOn(t, control.Config{Agent: &fake{}, Path: filepath.Join(dir, "agent.sock"), Group: "4711"})
	for _, c := range []struct {
		gid  uint32
		want string
	}{{65534, "status: false forbidden"}, {4711, "status: true"}} {
		cmd := exec.Command(program, "-test.run=^TestAdmitted$", "-test.v")
		cmd.Dir, cmd.Env = "/", append(os.Environ(), "CORDON_TEST_SOCKET="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: c.gid}}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("group %d: %v, %s; want %q", c.gid, err, out, c.want)
		}
	}
}

// TestReplaced shows that an agent that goes does not take its successor's socket
// away.
func TestReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	old, err := control.Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(path)
	listenOn(t, control.Config{Agent: &fake{}, Path: path})
	old.Close()
	if _, err := control.NewClient(path).Status(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestRaw sends what the client never would.
func TestRaw(t *testing.T) {
	f := &fake{}
	path := listenOn(t, control.Config{Agent: f, Path: filepath.Join(t.TempDir(), "agent.sock")})
	client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", path)
	}}}
	defer client.CloseIdleConnections()
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/v1/release", `{"what":"x","force":true}`, 400}, // a field that it does not know is no field to ignore
		{"POST", "/v1/release", `{"what":"x"}{}`, 400},
		{"POST", "/v1/release", `nonsense`, 400},
		{"POST", "/v1/release", ``, 400},
		{"GET", "/v1/release", ``, 400},
		{"GET", "/v2/status", ``, 400},
		{"GET", "/", ``, 400},
	} {
		r, err := http.NewRequest(c.method, "http://agent"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		var e control.Error
		if answer.StatusCode != c.status || json.Unmarshal(text, &e) != nil || e.Code == "" {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, answer.StatusCode, text)
		}
	}
	if len(f.asked) > 0 {
		t.Errorf("the agent was asked %v", f.asked)
	}
}

// TestCrowd shows that clients who say nothing do not shut out one who does for
// longer than they may keep silent: the seats are bounded, and come free.
func TestCrowd(t *testing.T) {
	path := listenOn(t, control.Config{Agent: &fake{}, Path: filepath.Join(t.TempDir(), "agent.sock")})
	var silent []net.Conn
	for range 40 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	for _, c := range silent {
		c.Close()
	}
	if _, err := control.NewClient(path).Status(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestLog shows who asked, and which device only for debugging.
func TestLog(t *testing.T) {
	for level, wants := range map[slog.Level]bool{slog.LevelInfo: false, slog.LevelDebug: true} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))
		c := serve(t, control.Config{Agent: &fake{}, Log: log})
		if _, err := c.Release(context.Background(), control.ReleaseRequest{What: "02:00:00:00:00:01"}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), fmt.Sprintf("do=release uid=%d pid=%d done=true", os.Geteuid(), os.Getpid())) {
			t.Errorf("not logged: %s", &out)
		}
		if strings.Contains(out.String(), "02:00") != wants {
			t.Errorf("at level %s: %s", level, &out)
		}
	}
}

func TestFind(t *testing.T) {
	for selector, want := range map[string]string{
		"02:00:00:00:00:01": home[0].ID, "02-00-00-00-00-01": home[0].ID, "0200.0000.0001": home[0].ID,
		"192.168.1.10": home[0].ID, "fd00::10": home[0].ID, "::ffff:192.168.1.10": home[0].ID, "FD00::10": home[0].ID,
		"Kitchen Camera": home[0].ID, "kitchen l": home[1].ID, " KITCHEN ": home[2].ID, "192.168.1.13": home[3].ID,
	} {
		if d, err := control.Find(home, selector); err != nil || d.ID != want {
			t.Errorf("Find(%q) = %s, %v, want %s", selector, d.ID, err, want)
		}
	}
	for selector, want := range map[string]control.Code{
		"": control.CodeRequest, "kitchen ": "", "kitc": control.CodeAmbiguous, "doorbell": control.CodeAmbiguous,
		"camera": control.CodeNotFound, "192.168.1.99": control.CodeNotFound, "02:00:00:00:00:99": control.CodeNotFound,
	} {
		if _, err := control.Find(home, selector); want != "" && code(err) != want {
			t.Errorf("Find(%q): %v, want %s", selector, err, want)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	f.Add("update.example:443")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := control.ParseTarget(s); err == nil && got.Zero() {
			t.Errorf("ParseTarget(%q) is everything", s)
		}
	})
}
