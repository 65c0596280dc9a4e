package main

import (
	"errors"
	"io/fs"
	"os"

	"cordon/internal/cli"
)

// outputs are files that are written together: all are kept, or none is.
type outputs []*output

// output is one of them. What is no regular file, as /dev/null, is written to and
// stays.
type output struct {
	*os.File
	regular bool
	ours    bool // it is new, or what it held is gone
}

// create opens files for writing, none of which may be there already unless force
// is set. Nothing is lost before empty is called.
func create(force bool, paths ...string) (outputs, error) {
	var all outputs
	for _, path := range paths {
		file, err := open(path, force)
		if err == nil {
			all = append(all, file)
			err = all.distinct()
		}
		if err != nil {
			return nil, all.end(err)
		}
	}
	return all, nil
}

func open(path string, force bool) (*output, error) {
	info, err := os.Stat(path)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err == nil && info.Mode().IsRegular() && !force {
		return nil, cli.Usage("%s: exists; --force overwrites it", path)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	if info, err = file.Stat(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &output{File: file, regular: info.Mode().IsRegular(), ours: fresh}, nil
}

// distinct reports the last file being one of the others under another name.
func (all outputs) distinct() error {
	last, err := all[len(all)-1].Stat()
	if err != nil {
		return err
	}
	for _, o := range all[:len(all)-1] {
		if info, err := o.Stat(); err == nil && o.regular && os.SameFile(info, last) {
			return cli.Usage("%s and %s are the same file", o.Name(), all[len(all)-1].Name())
		}
	}
	return nil
}

// empty drops what the files held.
func (all outputs) empty() error {
	for _, o := range all {
		if !o.regular {
			continue
		}
		if err := o.Truncate(0); err != nil {
			return err
		}
		o.ours = true
	}
	return nil
}

// end closes the files, and removes them if err or closing says that one is not
// whole.
func (all outputs) end(err error) error {
	for _, o := range all {
		if cerr := o.Close(); err == nil {
			err = cerr
		}
	}
	if err == nil {
		return nil
	}
	for _, o := range all {
		if o.regular && o.ours {
			os.Remove(o.Name()) // err is what matters
		}
	}
	return err
}

// isNull reports whether f is the device that swallows everything.
func isNull(f *os.File) bool {
	null, err := os.Stat(os.DevNull)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && os.SameFile(info, null)
}
