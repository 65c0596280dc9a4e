// Package disk is a disk whose power can be cut: a file system in a file. What a program
// wrote and did not sync is in the kernel only, so a copy of the file is what a machine
// finds after a power cut.
package disk

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Disk is mounted at Dir until the test ends.
type Disk struct {
	Dir string

	t     testing.TB
	image string
	cuts  int
}

// New makes a disk of some megabytes. It skips the test where none can be made.
func New(t testing.TB, megabytes int) *Disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("needs mkfs.ext4")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("needs loop devices")
	}
	dir := t.TempDir()
	d := &Disk{t: t, Dir: filepath.Join(dir, "at"), image: filepath.Join(dir, "image")}
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d.run("truncate", "-s", fmt.Sprintf("%dM", megabytes), d.image)
	d.run("mkfs.ext4", "-q", "-F", d.image)
	d.mount()
	t.Cleanup(func() { d.run("umount", "-l", d.Dir) })
	return d
}

// mount mounts the image. The kernel may keep what is not synced for five minutes, far
// longer than a test takes.
func (d *Disk) mount() {
	d.t.Helper()
	d.run("mount", "-o", "loop,commit=300", d.image, d.Dir)
}

// Sync puts everything on the disk that was written so far.
func (d *Disk) Sync() {
	d.t.Helper()
	d.run("sync", "-f", d.Dir)
}

// Cut cuts the power and brings it back: Dir holds what was on the disk. Nobody may have
// a file open there.
func (d *Disk) Cut() {
	d.t.Helper()
	d.cuts++
	after := fmt.Sprintf("%s.%d", d.image, d.cuts)
	d.run("cp", "--sparse=always", d.image, after) // without what only the kernel has
	d.run("umount", d.Dir)
	os.Remove(d.image)
	d.image = after
	d.mount()
}

func (d *Disk) run(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}
