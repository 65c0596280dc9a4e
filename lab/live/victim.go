package live

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"cordon/lab/netns"
	"cordon/lab/synth/message"
)

// lineTimeout is how long the two sides of a telnet dialogue wait for each other.
const lineTimeout = 10 * time.Second

// Login is a name and a password.
type Login struct{ User, Password string }

// Logins are a few of those that Mirai tries (its published source).
var Logins = []Login{{"root", "xc3511"}, {"root", "vizxv"}, {"root", "admin"}, {"admin", "admin"}, {"root", "888888"},
	{"root", "xmhdipc"}, {"root", "default"}, {"root", "juantech"}, {"root", "123456"}, {"root", "54321"}}

// Telnet is a device that can be logged in to. It has a shell that does nothing.
type Telnet struct {
	listener net.Listener
	accepts  Login
	wait     sync.WaitGroup

	mu      sync.Mutex
	tried   int
	entered int
	lines   []string
}

// StartTelnet starts a telnet server on h that accepts one login. The caller
// calls Close.
func StartTelnet(h *netns.Host, at netip.AddrPort, accepts Login) (*Telnet, error) {
	l, err := h.Listen("tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("start telnet: %w", err)
	}
	t := &Telnet{listener: l, accepts: accepts}
	serve(l, &t.wait, t.session)
	return t, nil
}

// Tried returns how many logins were tried and how many were right.
func (t *Telnet) Tried() (tried, entered int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tried, t.entered
}

// Lines returns the commands that were typed into the shell, at most a hundred.
func (t *Telnet) Lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lines...)
}

// Close ends the server and its connections.
func (t *Telnet) Close() error {
	err := t.listener.Close()
	t.wait.Wait()
	return err
}

func (t *Telnet) session(c net.Conn) {
	r := bufio.NewReader(c)
	say := func(s string) (string, bool) {
		_ = c.SetDeadline(time.Now().Add(lineTimeout))
		if _, err := io.WriteString(c, s); err != nil {
			return "", false
		}
		line, err := readLine(r)
		return line, err == nil
	}
	prompt := string(message.TelnetOffer()) + "login: "
	for range 3 {
		user, ok := say(prompt)
		if !ok {
			return
		}
		password, ok := say("Password: ")
		if !ok {
			return
		}
		right := Login{user, password} == t.accepts
		t.mu.Lock()
		t.tried++
		if right {
			t.entered++
		}
		t.mu.Unlock()
		if right {
			t.shell(say)
			return
		}
		prompt = "\r\nLogin incorrect\r\nlogin: "
	}
	_, _ = io.WriteString(c, "\r\nLogin incorrect\r\n")
}

// shell prompts until the other side leaves.
func (t *Telnet) shell(say func(string) (string, bool)) {
	answer := "\r\n"
	for {
		line, ok := say(answer + "# ")
		if !ok {
			return
		}
		t.mu.Lock()
		if len(t.lines) < 100 {
			t.lines = append(t.lines, line)
		}
		t.mu.Unlock()
		answer = "sh: not found\r\n"
		if name, found := strings.CutPrefix(line, "/bin/busybox "); found {
			answer = name + ": applet not found\r\n"
		}
	}
}

// readLine reads a line of at most 4,096 bytes and leaves out telnet's options.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		b, err := r.ReadByte()
		switch {
		case err != nil:
			return "", err
		case b == 255: // IAC, an option and its value
			if _, err := r.Discard(2); err != nil {
				return "", err
			}
		case b == '\n':
			return strings.TrimRight(string(line), "\r"), nil
		case len(line) < 4096:
			line = append(line, b)
		}
	}
}

// Loader is a web server that gives what a bot fetches: a small file that begins
// as a program and is none.
type Loader struct {
	listener net.Listener
	wait     sync.WaitGroup

	mu    sync.Mutex
	paths []string
}

// loaderSize is the size of what a loader gives, bytes.
const loaderSize = 64 << 10

// StartLoader starts a loader on h. The caller calls Close.
func StartLoader(h *netns.Host, at netip.AddrPort) (*Loader, error) {
	l, err := h.Listen("tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("start loader: %w", err)
	}
	s := &Loader{listener: l}
	serve(l, &s.wait, s.give)
	return s, nil
}

func (s *Loader) give(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(lineTimeout))
	r := bufio.NewReader(c)
	first, err := readLine(r)
	for line := first; err == nil && line != ""; {
		line, err = readLine(r)
	}
	if err != nil {
		return
	}
	_, path, _ := strings.Cut(first, " ")
	path, _, _ = strings.Cut(path, " ")
	s.mu.Lock()
	if len(s.paths) < 1000 {
		s.paths = append(s.paths, path)
	}
	s.mu.Unlock()
	_, _ = c.Write(message.HTTPFile("application/octet-stream", message.ELF(loaderSize)))
}

// Paths returns what was asked for, at most a thousand.
func (s *Loader) Paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.paths...)
}

// Close ends the server and its connections.
func (s *Loader) Close() error {
	err := s.listener.Close()
	s.wait.Wait()
	return err
}
