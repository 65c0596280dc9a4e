package postgres

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"strings"
)

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

// Named returns the address of the database of that name, and makes it if there is none.
func (s *Server) Named(name string) string {
	s.t.Helper()
	out, err := s.command("createdb", "-h", s.dir, "-U", "cordon", name).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "already exists") {
		s.t.Fatalf("createdb: %v\n%s", err, out)
	}
	return (&url.URL{Scheme: "postgres", User: url.User("cordon"), Path: "/" + name, RawQuery: url.Values{"host": {s.dir}}.Encode()}).String()
}
