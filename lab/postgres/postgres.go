// Package postgres runs a PostgreSQL server of its own for a test or a measurement: Debian's
// package, with fsync on, so that what is found out about commits holds.
package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// TB is the part of testing.TB that a server needs. Programs that are not tests have
// another (netns.Run).
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
	Skip(args ...any)
}

// Server is a running server. It listens on a socket in its directory only, under a port
// that names the socket.
type Server struct {
	t      TB
	bin    string
	dir    string
	as     *syscall.Credential // nil: this user
	cmd    *exec.Cmd
	exited chan error
	output *locked
	made   int
}

// ready is how long a server may take to answer: initdb takes 2 s on a quiet machine.
const ready = 60 * time.Second

// Start starts a server, which ends with the test. It skips the test where PostgreSQL is
// not installed. settings are more lines of postgresql.conf, "shared_buffers = 1GB".
func Start(t TB, settings ...string) *Server {
	t.Helper()
	// Not t.TempDir: another user must reach it, and a socket's path has 107 bytes.
	dir, err := os.MkdirTemp("/tmp", "cordon-pg-")
	if err != nil {
		t.Fatalf("postgres: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return Keep(t, dir, settings...)
}

// Keep starts a server in a directory that stays: what one left there is used again, with
// these settings. It ends with the test.
func Keep(t TB, dir string, settings ...string) *Server {
	t.Helper()
	s := &Server{t: t, bin: find(), dir: dir, output: &locked{}}
	if s.bin == "" {
		t.Skip("needs postgresql")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("postgres: %v", err)
	}
	if os.Geteuid() == 0 { // the server refuses to run as root
		s.lend()
	}
	if _, err := os.Stat(s.data()); errors.Is(err, fs.ErrNotExist) {
		s.initialize()
	}
	s.configure(settings)
	s.Up()
	t.Cleanup(s.Down)
	return s
}

// initialize makes an empty server's files.
func (s *Server) initialize() {
	s.t.Helper()
	s.run("initdb", "-D", s.data(), "-U", "cordon", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
}

// configure writes the settings, in place of those of before. This file counts after
// postgresql.conf, and the later of two lines.
func (s *Server) configure(settings []string) {
	s.t.Helper()
	conf := append([]string{"listen_addresses = ''", "unix_socket_directories = '" + s.dir + "'", "port = 5432", "fsync = on",
		"synchronous_commit = on", "full_page_writes = on", "log_min_messages = error", "timezone = 'UTC'"}, settings...)
	if err := os.WriteFile(filepath.Join(s.data(), "postgresql.auto.conf"), []byte(strings.Join(conf, "\n")+"\n"), 0o600); err != nil {
		s.t.Fatalf("postgres: %v", err)
	}
}

// find returns the directory of the newest server that is installed.
func find() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// lend gives the directory to a user who may run the server.
func (s *Server) lend() {
	s.t.Helper()
	var u *user.User
	for _, name := range []string{"postgres", "nobody"} {
		if found, err := user.Lookup(name); err == nil {
			u = found
			break
		}
	}
	if u == nil {
		s.t.Skip("needs a user postgres")
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(s.dir, uid, gid); err != nil {
		s.t.Fatalf("postgres: %v", err)
	}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + s.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

func (s *Server) run(name string, args ...string) {
	s.t.Helper()
	if out, err := s.command(name, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// Up starts the server again after Down or Kill, and waits until it answers.
func (s *Server) Up() {
	s.t.Helper()
	s.cmd = s.command("postgres", "-D", s.data())
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	// Pdeathsig is of the thread that starts the process: this one must not end before.
	started := make(chan error)
	s.exited = make(chan error, 1)
	cmd, exited := s.cmd, s.exited
	go func() {
		runtime.LockOSThread()
		started <- cmd.Start()
		exited <- cmd.Wait()
	}()
	if err := <-started; err != nil {
		s.t.Fatalf("postgres: %v", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(ready); ; <-tick.C {
		if s.command("pg_isready", "-q", "-h", s.dir, "-U", "cordon", "-d", "postgres").Run() == nil {
			return
		}
		select {
		case err := <-s.exited:
			s.t.Fatalf("postgres ended: %v\n%s", err, s.output)
		default:
		}
		if time.Now().After(end) {
			s.t.Fatalf("postgres does not answer\n%s", s.output)
		}
	}
}

// Down stops the server; connections are cut.
func (s *Server) Down() { s.end(syscall.SIGINT) }

// Kill ends the server without letting it write anything more.
func (s *Server) Kill() { s.end(syscall.SIGQUIT) }

func (s *Server) end(sig os.Signal) {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(sig)
	<-s.exited
	s.cmd = nil
}

// Database makes an empty database and returns its address.
func (s *Server) Database() string {
	s.t.Helper()
	s.made++
	name := fmt.Sprintf("test%d", s.made)
	s.run("createdb", "-h", s.dir, "-U", "cordon", name)
	return s.address(name)
}

// address is where a database of that name is.
func (s *Server) address(name string) string {
	return (&url.URL{Scheme: "postgres", User: url.User("cordon"), Path: "/" + name, RawQuery: url.Values{"host": {s.dir}}.Encode()}).String()
}

// Named returns the address of the database of that name, and makes it if there is none.
func (s *Server) Named(name string) string {
	s.t.Helper()
	out, err := s.command("createdb", "-h", s.dir, "-U", "cordon", name).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "already exists") {
		s.t.Fatalf("createdb: %v\n%s", err, out)
	}
	return s.address(name)
}

// Listens reports whether the server takes connections.
func (s *Server) Listens(ctx context.Context) bool {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.dir, ".s.PGSQL.5432"))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// locked is a buffer that the server writes to while the test reads it.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
