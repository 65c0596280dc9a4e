package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cordon"
)

// disk is the directory as the Store uses it. Tests break it.
type disk interface {
	read(name string) ([]byte, error)
	// write makes a file and puts it on the medium.
	write(name string, b []byte) error
	// rename replaces a file. An error leaves open whether it did.
	rename(from, to string) error
	// sync puts the directory on the medium.
	sync() error
	remove(name string)
}

// directory is a real one.
type directory struct{ path string }

func (d directory) read(name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(d.path, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

func (d directory) write(name string, b []byte) error {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (d directory) rename(from, to string) error {
	return os.Rename(filepath.Join(d.path, from), filepath.Join(d.path, to))
}

func (d directory) sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d directory) remove(name string) { os.Remove(filepath.Join(d.path, name)) }

// ErrInUse says that another agent has the directory: stop it first.
var ErrInUse = errors.New("another agent uses it")

// lock keeps other agents out of the directory until the file is closed. A
// directory that cannot be locked, because there is none or the file system knows
// no locks, is used without.
func lock(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		f.Close()
		return nil, fmt.Errorf("state in %s: %w", path, ErrInUse)
	}
	return f, nil
}

// names of the files: two generations and the one that is being written.
var (
	slots = [2]string{"state.a", "state.b"}
	temp  = "state.new"
)

// replace writes b as one of the two files. The other is not touched, so whatever
// happens there is one that is whole. An error that wraps cordon.ErrUnknown means
// that b may have become the file all the same.
func replace(d disk, slot int, b []byte) error {
	if err := d.write(temp, b); err != nil {
		d.remove(temp) // a full disk needs the room
		return fmt.Errorf("write state: %w", err)
	}
	if err := d.rename(temp, slots[slot]); err != nil {
		return fmt.Errorf("write state: %w (%w)", err, cordon.ErrUnknown)
	}
	if err := d.sync(); err != nil {
		return fmt.Errorf("write state: %w (%w)", err, cordon.ErrUnknown)
	}
	return nil
}

// bootID returns the kernel's id of this boot, empty if it tells none.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// uptime returns the time since the kernel booted, sleep included.
func uptime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
