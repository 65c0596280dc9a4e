// Command mkapk writes a package for apk, in version 2 of its format, which apk-tools
// of both versions read: two gzip streams, the description with the scripts and the
// files, that together are one tar archive (apk-tools, doc/apk-v2.5.scd). It has no
// signature; whoever installs it says --allow-untrusted.
//
// There are packagers that write it, too, with fifty modules below them.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	control := flag.String("control", "", "`directory` of .PKGINFO and the scripts: .post-install, .pre-deinstall, …")
	data := flag.String("data", "", "`directory` of what is installed")
	out := flag.String("o", "", "`file` to write")
	flag.Parse()
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil || *control == "" || *data == "" || *out == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: SOURCE_DATE_EPOCH=SECONDS mkapk -control DIRECTORY -data DIRECTORY -o FILE")
		os.Exit(2)
	}
	b, err := pack(*control, *data, time.Unix(epoch, 0))
	if err == nil {
		err = os.WriteFile(*out, b, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mkapk:", err)
		os.Exit(1)
	}
}

// info is the name of the description, which comes first.
const info = ".PKGINFO"

// pack returns the package. To the description it adds the hash of the stream of files.
func pack(control, data string, at time.Time) ([]byte, error) {
	files, err := stream(at, true, func(w *archive) error { return w.tree(data) })
	if err != nil {
		return nil, fmt.Errorf("files: %w", err)
	}
	description, err := stream(at, false, func(w *archive) error {
		text, err := os.ReadFile(filepath.Join(control, info))
		if err != nil {
			return err
		}
		text = fmt.Appendf(text, "datahash = %x\n", sha256.Sum256(files))
		if err := w.file(info, 0o644, text); err != nil {
			return err
		}
		return w.scripts(control)
	})
	if err != nil {
		return nil, fmt.Errorf("description: %w", err)
	}
	return append(description, files...), nil
}

// archive is a tar archive that is written.
type archive struct {
	*tar.Writer
	at time.Time
}

// stream returns a gzip stream of what fill writes. Only the last one of a package has
// the end of a tar archive.
func stream(at time.Time, last bool, fill func(*archive) error) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := &archive{tar.NewWriter(z), at}
	if err := fill(w); err != nil {
		return nil, err
	}
	end := w.Flush
	if last {
		end = w.Close
	}
	if err := errors.Join(end(), z.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// scripts adds the scripts of a directory, in the order of their names.
func (w *archive) scripts(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Name() == info {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		if err := w.file(e.Name(), 0o755, text); err != nil {
			return err
		}
	}
	return nil
}

// tree adds everything below a directory. The names begin with no dot: what does is
// taken for a part of the description.
func (w *archive) tree(root string) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, ".") {
			return fmt.Errorf("%s begins with a dot", name)
		}
		stat, err := e.Info()
		if err != nil {
			return err
		}
		switch stat.Mode().Type() {
		case fs.ModeDir:
			return w.head(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: int64(stat.Mode().Perm())})
		case fs.ModeSymlink:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return w.head(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777, PAXRecords: sum([]byte(to))})
		case 0:
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return w.file(name, stat.Mode().Perm(), text)
		}
		return fmt.Errorf("%s is neither a file nor a directory", name)
	})
}

// sum is the checksum of a file's content or a link's end, as apk keeps it.
func sum(content []byte) map[string]string {
	return map[string]string{"APK-TOOLS.checksum.SHA1": fmt.Sprintf("%x", sha1.Sum(content))}
}

func (w *archive) file(name string, mode fs.FileMode, content []byte) error {
	err := w.head(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(mode), Size: int64(len(content)), PAXRecords: sum(content)})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, bytes.NewReader(content))
	return err
}

// head adds a header; everything is root's.
func (w *archive) head(h *tar.Header) error {
	h.Uname, h.Gname, h.ModTime = "root", "root", w.at
	return w.WriteHeader(h)
}
