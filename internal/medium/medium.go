// Package medium puts files where a power cut does not take them. It is used wherever a
// file is written once and must be there whole: keys, identities, the names of segments.
package medium

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace writes a file so that whoever reads it, also after a power cut, finds the old
// one or the new one, whole. It returns nil when the new one is on the medium; after an
// error it may be either. One call at a time for a path; path.new is its own.
func Replace(path string, data []byte, mode fs.FileMode) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp) // a full disk needs the room
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := Sync(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Sync puts a file that others wrote, or the names in a directory, on the medium.
func Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
