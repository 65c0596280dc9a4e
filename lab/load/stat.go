package load

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a process has used.
type Usage struct {
	At       time.Time
	Resident int64         // bytes
	CPU      time.Duration // of user and system
}

// ticks is how many of them /proc counts in a second (USER_HZ, the same on every
// architecture that Linux runs Go on).
const ticks = 100

// UsageOf reads what a process has used; 0: this one.
func UsageOf(pid int) (Usage, error) {
	dir := "/proc/self/"
	if pid != 0 {
		dir = fmt.Sprintf("/proc/%d/", pid)
	}
	u := Usage{At: time.Now()}
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return u, fmt.Errorf("what a process uses: %w", err)
	}
	// proc_pid_stat(5): the name in brackets may hold anything; utime and stime are the
	// 12th and 13th behind it, rss, in pages, the 22nd.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var n [3]int64
	for i, field := range []int{11, 12, 21} {
		if field >= len(fields) {
			return u, fmt.Errorf("what a process uses: %d fields in %sstat", len(fields), dir)
		}
		if n[i], err = strconv.ParseInt(fields[field], 10, 64); err != nil {
			return u, fmt.Errorf("what a process uses: %w", err)
		}
	}
	u.CPU = time.Duration(n[0]+n[1]) * time.Second / ticks
	u.Resident = n[2] * int64(os.Getpagesize())
	return u, nil
}

// spareFiles is how many files a process has open besides its connections of routers:
// those of enrolments, the database, the stream.
const spareFiles = 1000

// raiseFiles lets this process, and what it starts, open n files, and returns how many
// they may.
func raiseFiles(n uint64) (uint64, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	for _, most := range []uint64{max(n, l.Max), l.Max} { // root may go beyond the hard limit
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: most}); err == nil {
			return most, nil
		}
	}
	return l.Cur, nil
}

// times gathers how long things took.
type times struct {
	mu   sync.Mutex
	list []time.Duration // guarded by mu
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, d)
}

// take returns what was gathered, shortest first, and begins anew.
func (t *times) take() []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.list
	t.list = nil
	slices.Sort(list)
	return list
}

// quantile returns the time that a share of a sorted list stays within.
func quantile(list []time.Duration, share float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	return list[min(int(float64(len(list))*share), len(list)-1)]
}

// spread writes the median and the 99th of a hundred.
func spread(list []time.Duration) string {
	if len(list) == 0 {
		return "nothing came"
	}
	return fmt.Sprintf("p50 %.0f ms, p99 %.0f ms of %d", milliseconds(quantile(list, 0.5)), milliseconds(quantile(list, 0.99)), len(list))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }

// share writes CPU time as a share of the cores' time.
func share(cpu, of time.Duration) string {
	if of <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f cores", cpu.Seconds()/of.Seconds())
}
