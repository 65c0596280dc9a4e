package core

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"cordon"
	"cordon/core/config"
)

// Finding is something that core needs, and whether it is there.
type Finding struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	Text  string `json:"text"`
	Mend  string `json:"mend,omitempty"` // what to do
}

// State is how a finding is.
type State string

// The states.
const (
	OK   State = "ok"
	Warn State = "warn" // works, but not for long or not for many
	Fail State = "fail"
)

// Doctor looks at everything that core needs on this machine. It opens the database,
// which brings its schema up to date, and changes nothing else.
func Doctor(ctx context.Context, cfg config.Config) []Finding {
	var list []Finding
	for _, look := range []func(context.Context, *config.Config) Finding{
		lookDir, lookDisk, lookFiles, lookWork, lookHosts, lookCertificate, lookPolicy,
	} {
		list = append(list, look(ctx, &cfg))
	}
	return list
}

// lookDir looks who may read the identity.
func lookDir(_ context.Context, cfg *config.Config) Finding {
	f := Finding{Name: "identity", State: OK, Text: "The keys in " + cfg.KeysDir() + " are read by nobody else."}
	info, err := os.Stat(cfg.KeysDir())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.State, f.Text = Warn, "There is no identity in "+cfg.KeysDir()+" yet."
		f.Mend = "'cordon-core serve' makes one; for a core that was there before, restore its backup first"
	case err != nil:
		f.State, f.Text, f.Mend = Fail, err.Error(), "run this as the user that core runs as"
	case info.Mode().Perm()&0o077 != 0:
		f.State, f.Text = Fail, fmt.Sprintf("Others may read %s (%s): they could be the provider to every router.", cfg.KeysDir(), info.Mode().Perm())
		f.Mend = "chmod 700 " + cfg.KeysDir()
	}
	return f
}

// leastDisk is what must be free besides what reports may take, in bytes.
const leastDisk = 1 << 30

// lookDisk looks whether what reports may take has room.
func lookDisk(_ context.Context, cfg *config.Config) Finding {
	dir := cfg.Dir
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		dir = filepath.Dir(dir)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return Finding{Name: "disk", State: Fail, Text: fmt.Sprintf("%s: %v", dir, err), Mend: "name a directory that is there with --dir or dir"}
	}
	free := int64(st.Bavail) * st.Bsize
	f := Finding{Name: "disk", State: OK, Text: fmt.Sprintf("%.1f GB are free in %s.", float64(free)/1e9, dir)}
	if want := cfg.Bus.Store + leastDisk; free < want {
		f.State, f.Text = Warn, fmt.Sprintf("%.1f GB are free in %s; reports may take %.1f GB while the database is away.", float64(free)/1e9, dir, float64(cfg.Bus.Store)/1e9)
		f.Mend = "make room, or lower bus.store_mb"
	}
	return f
}

// fewFiles is how many open files are too few for a provider: each router is one.
const fewFiles = 65_536

func lookFiles(context.Context, *config.Config) Finding {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return Finding{Name: "open-files", State: Warn, Text: err.Error()}
	}
	f := Finding{Name: "open-files", State: OK, Text: fmt.Sprintf("%d files may be open at once: so many routers may be connected.", l.Max)}
	if l.Max < fewFiles {
		f.State, f.Mend = Warn, "raise the limit of open files (LimitNOFILE= in the systemd unit, or ulimit -n)"
	}
	return f
}

// lookWork asks the core that runs whether it can work; without one, it looks at the
// database itself.
func lookWork(ctx context.Context, cfg *config.Config) Finding {
	if release, err := Claim(cfg.Dir); err == nil {
		release()
		return lookDatabase(ctx, cfg)
	}
	f := Finding{Name: "running", State: OK, Text: "Core runs and is ready: database and bus answer."}
	ctx, cancel := context.WithTimeout(ctx, checkWithin+time.Second)
	defer cancel()
	client := Dial(*cfg)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/readyz", nil)
	if err == nil {
		var resp *http.Response
		if resp, err = client.Do(req); err == nil {
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				why, _ := io.ReadAll(io.LimitReader(resp.Body, maxOrder))
				err = errors.New(strings.TrimSpace(string(why)))
			}
		}
	}
	if err != nil {
		f.State, f.Text, f.Mend = Fail, "Core runs and is not ready: "+err.Error(), "look into its log"
	}
	return f
}

// lookDatabase looks whether the database answers.
func lookDatabase(ctx context.Context, cfg *config.Config) Finding {
	f := Finding{Name: "database", State: Warn, Text: "The database answers. No core runs in " + cfg.Dir + ".", Mend: "'cordon-core serve' starts one"}
	if path := cfg.DatabaseURL(); !cfg.Postgres() {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			f.Text, f.Mend = "There is no database "+path+" yet.", "'cordon-core serve' makes it"
			return f
		}
	}
	s, err := OpenStore(ctx, *cfg, nil)
	if err == nil {
		defer s.Close()
		err = s.Check(ctx)
	}
	if err != nil {
		f.State, f.Text, f.Mend = Fail, err.Error(), "start the database, or mend database.url"
	}
	return f
}

// lookHosts looks whether routers can find core under a name of its certificate.
func lookHosts(_ context.Context, cfg *config.Config) Finding {
	f := Finding{Name: "routers", State: OK, Text: "Routers reach core as " + strings.Join(cfg.Gateway.Hosts, ", ") + "."}
	switch {
	case cfg.Gateway.Listen.Addr().IsLoopback() && len(cfg.Gateway.Hosts) == 0:
		f.State, f.Text = Warn, "Only this machine's routers reach core."
		f.Mend = "set gateway.listen, gateway.hosts and bus.listen"
	case len(cfg.Gateway.Hosts) == 0:
		f.State, f.Text = Fail, "Core's certificate has no name under which routers reach it: they will refuse it."
		f.Mend = "set gateway.hosts"
	case cfg.Bus.URL == "" && cfg.Bus.Listen.Addr().IsLoopback():
		f.State, f.Text, f.Mend = Fail, "Routers can enrol, but the bus listens on this machine only.", "set bus.listen"
	}
	return f
}

// soon is how long before its end a certificate is worth a warning.
const soon = 14 * 24 * time.Hour

func lookCertificate(_ context.Context, cfg *config.Config) Finding {
	f := Finding{Name: "certificate", State: OK, Text: "The API is behind a proxy, or for this machine only."}
	if cfg.API.TLSCert == "" {
		return f
	}
	if _, err := certificate(cfg.API.TLSCert, cfg.API.TLSKey); err != nil {
		f.State, f.Text, f.Mend = Fail, err.Error(), "name the files of a certificate and its key"
		return f
	}
	text, err := os.ReadFile(cfg.API.TLSCert)
	if err == nil {
		if block, _ := pem.Decode(text); block != nil {
			var c *x509.Certificate
			if c, err = x509.ParseCertificate(block.Bytes); err == nil {
				f.Text = fmt.Sprintf("The API's certificate holds until %s.", c.NotAfter.Format(time.DateOnly))
				switch left := time.Until(c.NotAfter); {
				case left <= 0:
					f.State, f.Mend = Fail, "renew it; core reads the files again within a minute"
				case left < soon:
					f.State, f.Mend = Warn, "renew it; core reads the files again within a minute"
				}
			}
		}
	}
	if err != nil {
		f.State, f.Text = Fail, err.Error()
	}
	return f
}

func lookPolicy(_ context.Context, cfg *config.Config) Finding {
	f := Finding{Name: "policy", State: OK, Text: fmt.Sprintf("Homes of which nothing else is said are at %q.", cfg.Policy)}
	if cfg.Policy == cordon.PolicyObserve || cfg.Policy == cordon.PolicyOff {
		f.State, f.Text = Warn, fmt.Sprintf("Homes of which nothing else is said are at %q: attacks are not stopped.", cfg.Policy)
		f.Mend = "when you trust what core reports, set policy.default to \"protect\", or the policy of an account or site"
	}
	return f
}
