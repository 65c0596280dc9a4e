package peers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is what one run of a program took.
type Usage struct {
	CPU time.Duration // user and system
	RSS int64         // peak of resident memory, bytes
}

// lookEvery is how often a running program's memory is looked at.
const lookEvery = 10 * time.Millisecond

// measure runs a program on one core, its output thrown away, and returns what it
// took. A program that fails is an error with the end of what it said.
func measure(ctx context.Context, core int, path string, args []string) (Usage, error) {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return Usage{}, err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(core), path}, args...)...)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return Usage{}, err
	}
	done := make(chan int64)
	stop := make(chan struct{})
	go func() { done <- peak(cmd.Process.Pid, stop) }()
	err := cmd.Wait()
	close(stop)
	seen := <-done
	if err != nil {
		return Usage{}, errors.Join(ctx.Err(), fmt.Errorf("%w: %s", err, lastLine(said.String())))
	}
	used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return Usage{}, errors.New("the system does not tell what it used")
	}
	u := Usage{CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), RSS: int64(used.Maxrss) << 10}
	if used.Maxrss <= own.Maxrss && seen > 0 {
		// Linux hands the peak down from the process that started this one
		// (setmax_mm_hiwater_rss in execve), so here it is ours.
		u.RSS = seen
	}
	return u, nil
}

// peak looks at the peak memory of a process until stop, bytes.
func peak(pid int, stop <-chan struct{}) (most int64) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		most = max(most, highWater(pid))
		select {
		case <-stop:
			return most
		case <-tick.C:
		}
	}
}

// highWater returns VmHWM of a process (proc(5)), 0 when it is gone.
func highWater(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	kib, _ := strconv.ParseInt(strings.TrimSuffix(field(status, "VmHWM:"), " kB"), 10, 64)
	return kib << 10
}

// lastCore returns the last core that this process may use: the first ones serve
// most interrupts.
func lastCore() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("find a core: %w", err)
	}
	list := field(status, "Cpus_allowed_list:") // "0-3,8"
	core, err := strconv.Atoi(list[strings.LastIndexAny(list, "-,")+1:])
	if err != nil {
		return 0, fmt.Errorf("find a core in %q: %w", list, err)
	}
	return core, nil
}

// field returns the value behind a key at the start of a line.
func field(status []byte, key string) string {
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), key); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// openSink opens a socket on loopback for what a program exports. Nobody reads
// it; what does not fit is dropped.
func openSink() (net.PacketConn, error) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open sink: %w", err)
	}
	return c, nil
}
