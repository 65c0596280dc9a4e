package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tooLate is how long after its build no program runs any more: a clock beyond is
// wrong.
const tooLate = 20 * 365 * 24 * time.Hour

// wallClock looks whether the time can be right.
func wallClock(_ context.Context, cfg *Config) []Finding {
	now := cfg.Now().UTC()
	built := cfg.Built
	if built.IsZero() {
		built = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC) // before there was any program
	}
	if now.Before(built.Add(-24*time.Hour)) || now.After(built.Add(tooLate)) {
		return one("clock", Warn, fmt.Sprintf("The clock says %s, which cannot be right: reports will be corrected later.", now.Format("2006-01-02 15:04")),
			"Let NTP set the clock; a router without a battery boots in the past.")
	}
	return one("clock", OK, fmt.Sprintf("The clock says %s UTC, which can be right.", now.Format("2006-01-02 15:04")))
}

// synced looks whether something keeps the clock right.
func synced(_ context.Context, cfg *Config) []Finding {
	ok, err := cfg.Synced()
	switch {
	case err != nil:
		return one("ntp", Skip, fmt.Sprintf("Whether NTP keeps the clock right cannot be seen: %v.", err))
	case !ok:
		return one("ntp", Warn, "Nothing keeps the clock right.", "Start an NTP client: sysntpd on OpenWrt, chrony or systemd-timesyncd elsewhere.")
	}
	return one("ntp", OK, "NTP keeps the clock right.")
}

// kernelSynced asks the kernel, whose clock NTP programs steer (adjtimex(2)).
// BusyBox's ntpd does so too.
func kernelSynced() (bool, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, err
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, nil
}

// Memory that the agent needs, in KiB: its budget at rest and under attack
// (docs/performance.md).
const (
	leastMemory  = 25 << 10
	attackMemory = 40 << 10
)

// memory looks at what is free.
func memory(_ context.Context, cfg *Config) []Finding {
	text, _ := cfg.read("proc/meminfo")
	_, after, found := strings.Cut(text, "MemAvailable:")
	field := strings.Fields(after)
	if !found || len(field) == 0 {
		return one("memory", Skip, "The kernel does not tell how much memory is free.")
	}
	kib, err := strconv.ParseUint(field[0], 10, 64)
	switch {
	case err != nil:
		return one("memory", Skip, "The kernel does not tell how much memory is free.")
	case kib < leastMemory:
		return one("memory", Fail, fmt.Sprintf("%d MB of memory are free, the agent needs %d.", kib>>10, leastMemory>>10), "Stop programs that are not needed, or use a router with more memory.")
	case kib < attackMemory:
		return one("memory", Warn, fmt.Sprintf("%d MB of memory are free; under attack the agent needs %d.", kib>>10, attackMemory>>10), "Stop programs that are not needed.")
	}
	return one("memory", OK, fmt.Sprintf("%d MB of memory are free.", kib>>10))
}

// Disk is a file system.
type Disk struct {
	Free     uint64 // bytes, for this process
	InMemory bool   // lost when the router restarts
	ReadOnly bool
	Missing  bool // the directory does not exist; the rest is about the nearest one above
}

// leastFree is how much room the state may come to need: a day's writing at most.
const leastFree = 5 << 20

// state looks at the directory where the agent keeps what survives a restart.
func state(_ context.Context, cfg *Config) []Finding {
	if cfg.StateDir == "" {
		return nil
	}
	d, err := cfg.Disk(cfg.StateDir)
	switch {
	case err != nil:
		return one("state", Fail, fmt.Sprintf("The state directory %s cannot be used: %v.", cfg.StateDir, err), "Make it, and let the agent's user write to it.")
	case d.ReadOnly:
		return one("state", Fail, fmt.Sprintf("The state directory %s is on a file system that cannot be written to.", cfg.StateDir), "Choose another with state.dir in the configuration.")
	case d.Missing:
		return one("state", Warn, fmt.Sprintf("The state directory %s does not exist yet.", cfg.StateDir), "Make it, and let the agent's user write to it.")
	}
	if err := cfg.Try(cfg.StateDir); err != nil {
		return one("state", Fail, fmt.Sprintf("The state directory %s cannot be written to: %v.", cfg.StateDir, err), "Let the agent's user write to it, or make room.")
	}
	switch {
	case d.Free < leastFree:
		return one("state", Warn, fmt.Sprintf("%s has %d KB of room; %d MB may be needed.", cfg.StateDir, d.Free>>10, leastFree>>20), "Remove packages that are not needed, or choose another place with state.dir.")
	case d.InMemory:
		return one("state", Warn, fmt.Sprintf("%s is in memory: after a restart of the router quarantined devices are free again.", cfg.StateDir), "Choose a place on the flash with state.dir in the configuration.")
	}
	return one("state", OK, fmt.Sprintf("%s can be written to and has %d MB of room.", cfg.StateDir, d.Free>>20))
}

// Of linux/magic.h.
const (
	magicTmpfs = 0x01021994
	magicRamfs = 0x858458f6
)

// kernelDisk asks the kernel about the file system of dir, or of the nearest
// directory above it that exists.
func kernelDisk(dir string) (d Disk, err error) {
	var s unix.Statfs_t
	for {
		if err = unix.Statfs(dir, &s); err == nil {
			break
		}
		above := filepath.Dir(dir)
		if !errors.Is(err, os.ErrNotExist) || above == dir {
			return Disk{}, err
		}
		dir, d.Missing = above, true
	}
	d.Free = s.Bavail * uint64(s.Bsize)
	d.ReadOnly = s.Flags&unix.ST_RDONLY != 0
	d.InMemory = uint32(s.Type) == magicTmpfs || uint32(s.Type) == magicRamfs
	return d, nil
}

// tryFile writes a file in dir and removes it.
func tryFile(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString("cordon")
	return errors.Join(err, f.Sync(), f.Close())
}
