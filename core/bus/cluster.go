package bus

import (
	"fmt"
	"strings"
)

// ServerConfig writes the part of a nats-server.conf that makes a server, or each server
// of a cluster, serve the bus whose keys are in dir, besides listeners, certificates and
// routes, which are the operator's own. Seeds are not in it: the servers only need to
// know what was signed.
func ServerConfig(dir string) (string, error) {
	k, err := loadKeys(dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Who may connect: signed by Cordon's keys. What is revoked later the servers keep in
# resolver.dir and tell each other; what is preloaded here never replaces it.
operator: %s
system_account: %s
resolver {
  type: full
  dir: "./accounts"
  allow_delete: false
  interval: "2m"
}
resolver_preload {
`, k.operator, k.accounts.System)
	for _, public := range []string{k.accounts.System, k.accounts.Core, k.accounts.Routers} {
		token, err := k.account(public, nil)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "  %s: %s\n", public, token)
	}
	fmt.Fprintf(&b, `}

# What was acknowledged to a router survives a power cut.
jetstream {
  store_dir: "./jetstream"
  sync_interval: always
}

# A router that is silent is gone within 90 s; thousands may return at once.
ping_interval: "%s"
ping_max: %d
max_payload: %d
max_pending: %d
write_deadline: "%s"
authorization { timeout: %.0f }

# Add here: listen, tls { cert_file, key_file, timeout: %.0f } with a certificate of
# Cordon's CA, server_name, cluster { … }.
`, pingEvery, pingsLost, maxMessage, maxPending, writeWithin, (2 * handshake).Seconds(), handshake.Seconds())
	return b.String(), nil
}
