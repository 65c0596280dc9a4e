package eval

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// subject is one capture to judge, and what is true of it. err says why there is
// none.
type subject struct {
	entry *Entry
	name  string // relative to the truth file, slashes
	path  string
	err   error
}

// captureName fits what a glob takes for a capture: text files and keys lie
// beside them.
var captureName = regexp.MustCompile(`\.(pcap|pcapng|cap)(\.gz)?$`)

// find returns the captures that the entries name, in their order; only, if not
// empty, is a glob that a capture's name must match. An entry that names nothing
// is a subject with an error; a truth that names no capture at all is an error.
func (t *Truth) find(only string) ([]subject, error) {
	names, err := t.names()
	if err != nil {
		return nil, err
	}
	var all []subject
	found := false
	for i := range t.Entries {
		for _, s := range t.subjects(&t.Entries[i], names) {
			if only == "" || s.name == only || match(only, s.name) {
				all = append(all, s)
				found = found || s.err == nil
			}
		}
	}
	switch {
	case len(all) == 0:
		return nil, fmt.Errorf("no capture of the truth is named %q", only)
	case !found:
		return nil, fmt.Errorf("truth in %s: none of its captures is there", t.Dir)
	}
	return all, nil
}

// names returns every file below the truth file's folder.
func (t *Truth) names() (names []string, err error) {
	err = filepath.WalkDir(t.Dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(t.Dir, p)
		names = append(names, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list captures: %w", err)
	}
	return names, nil
}

func (t *Truth) subjects(e *Entry, names []string) (all []subject) {
	if !strings.ContainsAny(e.File, "*?[") { // also outside the folder; opening it tells whether it is there
		p := filepath.FromSlash(e.File)
		if !filepath.IsAbs(p) {
			p = filepath.Join(t.Dir, p)
		}
		s := subject{entry: e, name: e.File, path: p}
		if _, err := os.Stat(p); err != nil {
			if cause := (*fs.PathError)(nil); errors.As(err, &cause) {
				err = cause.Err
			}
			s.err = fmt.Errorf("open %s: %w", p, err)
		}
		return []subject{s}
	}
	for _, name := range names {
		if captureName.MatchString(name) && match(e.File, name) {
			all = append(all, subject{entry: e, name: name, path: filepath.Join(t.Dir, filepath.FromSlash(name))})
		}
	}
	if len(all) == 0 {
		all = []subject{{entry: e, name: e.File, err: errors.New("no capture matches")}}
	}
	return all
}

// match reports whether a slashed name fits a glob: path.Match for each folder,
// and "**" for any number of them.
func match(glob, name string) bool {
	return matchParts(strings.Split(glob, "/"), strings.Split(name, "/"))
}

func matchParts(glob, name []string) bool {
	switch {
	case len(glob) == 0:
		return len(name) == 0
	case glob[0] == "**":
		return matchParts(glob[1:], name) || len(name) > 0 && matchParts(glob, name[1:])
	case len(name) == 0:
		return false
	}
	ok, err := path.Match(glob[0], name[0])
	return ok && err == nil && matchParts(glob[1:], name[1:])
}
