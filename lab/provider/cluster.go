package provider

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Cluster is a NATS server of its own, as 'cordon-core bus' prepares one.
type Cluster struct {
	p    *Provider
	conf string
	*server.Server
}

// Cluster prepares and starts an external server at the address of the bus, and has core
// use it. It is called before Start.
func (p *Provider) Cluster() *Cluster {
	p.T.Helper()
	dir := filepath.Join(p.T.TempDir(), "cluster")
	if out, err := p.Command("bus", "--out", dir, "--host", "localhost").CombinedOutput(); err != nil {
		p.T.Fatalf("bus: %v\n%s", err, out)
	}
	at := p.Address("bus")
	_, port, _ := net.SplitHostPort(at)
	text, err := os.ReadFile(p.File)
	p.must(err)
	p.must(os.WriteFile(p.File, []byte(strings.Replace(string(text), "[bus]\n", fmt.Sprintf("[bus]\nurl = \"tls://localhost:%s\"\nservers = [\"localhost:%s\"]\ncredentials = %q\n",
		port, port, filepath.Join(dir, "credentials")), 1)), 0o600))
	c := &Cluster{p: p, conf: filepath.Join(dir, "server.conf")}
	// Paths of the server's configuration count from its working directory.
	p.must(os.WriteFile(c.conf, fmt.Appendf(nil, `include "nats-server.conf"
listen: %q
tls { cert_file: %q, key_file: %q, timeout: 30 }
jetstream { store_dir: %q, sync_interval: always }
resolver { type: full, dir: %q, interval: "2m" }
`, at, filepath.Join(dir, "localhost.pem"), filepath.Join(dir, "localhost.pem"), filepath.Join(dir, "jetstream"), filepath.Join(dir, "accounts")), 0o600))
	c.Start()
	p.T.Cleanup(c.Stop)
	return c
}

// startWithin is how long a server may take.
const startWithin = 20 * time.Second

// Start starts the server.
func (c *Cluster) Start() {
	c.p.T.Helper()
	o, err := server.ProcessConfigFile(c.conf)
	c.p.must(err)
	o.NoSigs, o.NoLog = true, true
	c.Server, err = server.NewServer(o)
	c.p.must(err)
	go c.Server.Start()
	if !c.ReadyForConnections(startWithin) {
		c.p.T.Fatal("the server does not start")
	}
}

// Stop stops the server.
func (c *Cluster) Stop() {
	c.Shutdown()
	c.WaitForShutdown()
}
