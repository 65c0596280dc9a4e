package core

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"cordon/core/bus"
	"cordon/core/config"
	"cordon/core/keys"
	"cordon/internal/medium"
)

// serverLife is how long the certificate of a server holds that core does not run, and
// so cannot renew.
const serverLife = 2 * 365 * 24 * time.Hour

// PrepareCluster writes into dir what an external NATS cluster and core need of each
// other: credentials/ for core, nats-server.conf for every server, and HOST.pem, a
// certificate of core's CA with its key, for each host. Keys and certificates that are
// there are kept. It returns the files that it wrote.
func PrepareCluster(cfg config.Config, dir string, hosts []string) (written []string, err error) {
	id, err := keys.Open(cfg.KeysDir(), nil, nil)
	if err != nil {
		return nil, err
	}
	credentials := filepath.Join(dir, "credentials")
	if err := errors.Join(os.MkdirAll(dir, 0o700), bus.MakeKeys(credentials)); err != nil {
		return nil, err
	}
	text, err := bus.ServerConfig(credentials)
	if err != nil {
		return nil, err
	}
	write := func(name string, data []byte) error {
		path := filepath.Join(dir, name)
		written = append(written, path)
		return medium.Replace(path, data, 0o600)
	}
	if err := write("nats-server.conf", []byte(text)); err != nil {
		return nil, err
	}
	for _, h := range hosts {
		if _, err := os.Stat(filepath.Join(dir, h+".pem")); err == nil {
			continue
		}
		cert, key, err := id.Issue([]string{h}, serverLife)
		if err != nil {
			return nil, err
		}
		if err := write(h+".pem", append(cert, key...)); err != nil {
			return nil, err
		}
	}
	return written, nil
}
