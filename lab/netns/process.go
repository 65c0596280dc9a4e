package netns

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// maxOutput bounds what is kept of a process's output, in bytes.
	maxOutput = 1 << 20
	// stopAfter is how long a process may take to end when asked.
	stopAfter = 5 * time.Second
)

// Process is a program that runs on a host.
type Process struct {
	cmd    *exec.Cmd
	done   chan struct{}
	err    error // valid when done is closed
	output output
}

// Go starts a program on the host and lets it run until it ends, is stopped, or
// the bed ends.
func (h *Host) Go(name string, args ...string) *Process {
	h.bed.t.Helper()
	p, err := h.Start(h.Command(name, args...))
	if err != nil {
		h.bed.t.Fatalf("%v", err)
	}
	return p
}

// Start starts a command that Command made and owns it from now on: it is
// killed when the bed ends. Output that the command does not send elsewhere is
// kept.
func (h *Host) Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.output
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.output
	}
	// Wait does not wait for the output of grandchildren.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %q on %s: %w", cmd.Args, h.Name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	h.bed.mu.Lock()
	h.bed.processes = append(h.bed.processes, p)
	h.bed.mu.Unlock()
	return p, nil
}

// PID returns the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns how the program ended; only after Done.
func (p *Process) Err() error { return p.err }

// Output returns what the program wrote so far, at most a megabyte.
func (p *Process) Output() string { return p.output.String() }

// Signal sends s to the program.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Stop asks the program to end, kills it if it has not after five seconds, and
// returns how it ended.
func (p *Process) Stop() error {
	_ = p.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopAfter)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Kill()
	}
	return p.err
}

// Kill kills the program, also if it is stopped or gone, and waits for its end.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// output keeps the first megabyte that is written to it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b.Write(b[:min(len(b), maxOutput-o.b.Len())])
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
