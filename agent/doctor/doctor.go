// Package doctor looks at everything that the agent needs on its router, and says
// what to change before anybody relies on it.
//
// It changes nothing and prints nothing. What it cannot look at by itself, without
// eBPF and netlink, is handed in by whoever can.
package doctor

import (
	"context"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"cordon"
)

// Finding is one thing that was looked at. It has the fields of control.Finding.
type Finding struct {
	Name  string `json:"name"`  // stable: "bpf-jit"
	State string `json:"state"` // OK, Warn, Fail or Skip
	Text  string `json:"text"`  // what was found, one sentence
	Mend  string `json:"mend,omitempty"`
}

// The states of a Finding.
const (
	OK   = "ok"
	Warn = "warn" // works, but not as well as it could
	Fail = "fail" // does not work
	Skip = "skip" // could not be looked at
)

// Config configures Run. A function that is nil leaves its finding at Skip, unless
// its comment says otherwise.
type Config struct {
	Network    cordon.Network // as agent/network read it
	NetworkErr error          // why it could not be read
	// Notes are facts about the network that take nothing away, see network.Notes.
	Notes []cordon.Shortcoming

	EBPF     func(context.Context) error // loads and attaches the eyes for a try
	NFTables func(context.Context) error // makes a netdev chain for a try
	// DNSRules returns other programs' firewall rules that redirect DNS, each as a
	// person may look it up.
	DNSRules func(context.Context) ([]string, error)
	// Resolve asks the router's resolver for something; nil: for the root's name
	// servers.
	Resolve func(context.Context) error

	StateDir string    // where the agent keeps its state; empty: not looked at
	Guard    bool      // the DNS guard is switched on
	Built    time.Time // of the program: no time before it is right; zero: unknown

	Root   fs.FS                      // the file system; nil: the machine's
	Now    func() time.Time           // nil: time.Now
	Synced func() (bool, error)       // whether something keeps the clock right; nil: the kernel is asked
	Disk   func(string) (Disk, error) // nil: the kernel is asked
	Try    func(dir string) error     // writes a file in dir and removes it; nil: does so
}

// patience is how long one look may take.
const patience = 5 * time.Second

// Run looks at everything, in the order in which it should be mended.
func Run(ctx context.Context, cfg Config) []Finding {
	cfg = cfg.withDefaults()
	var list []Finding
	for _, look := range []func(context.Context, *Config) []Finding{
		kernel, capabilities, eyes, jit, hands, tproxy, conntrack, // what the kernel can
		sides, forwarding, ports, // what it is connected to
		resolver, listener, dnsRules, // names
		wallClock, synced, memory, state, // the machine
	} {
		limited, cancel := context.WithTimeout(ctx, patience)
		list = append(list, look(limited, &cfg)...)
		cancel()
	}
	return list
}

func (cfg Config) withDefaults() Config {
	if cfg.Root == nil {
		cfg.Root = os.DirFS("/")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Synced == nil {
		cfg.Synced = kernelSynced
	}
	if cfg.Disk == nil {
		cfg.Disk = kernelDisk
	}
	if cfg.Try == nil {
		cfg.Try = tryFile
	}
	if cfg.Resolve == nil {
		cfg.Resolve = resolveRoot
	}
	return cfg
}

// one makes a list of one finding.
func one(name, state, text string, mend ...string) []Finding {
	return []Finding{{Name: name, State: state, Text: text, Mend: strings.Join(mend, " ")}}
}

// read returns a small file's contents without the last line's end, and whether it
// is there.
func (cfg *Config) read(name string) (string, bool) {
	f, err := cfg.Root.Open(name)
	if err != nil {
		return "", false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	return strings.TrimSpace(string(b)), err == nil
}

// maxFile is how much of a file is read: /proc/modules and kernel configurations
// have up to 300 KB.
const maxFile = 512 << 10
