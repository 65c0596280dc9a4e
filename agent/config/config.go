// Package config reads the agent's configuration file.
//
// TOML comes in, a Config of valid values goes out. A key that is not known is an
// error that names the line, and so is a value that cannot be: the agent starts
// with what the operator meant, or says what to change. What the file leaves out
// has its default, so an empty file is a whole configuration and a new agent runs
// on an old file. reference.toml lists every key.
package config

import (
	_ "embed"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"cordon"
	"cordon/internal/document"
)

// Path is where the configuration is looked for when nobody says where.
const Path = "/etc/cordon/agent.toml"

// Config is the agent's configuration. Default has every default.
type Config struct {
	Network    Network
	Capture    Capture
	Policy     cordon.Policy // of devices without one of their own
	Devices    []Device      // told by hand; no MAC twice
	DNS        DNS
	Page       Page
	Indicators Indicators
	Limits     Limits
	State      State
	Control    Control
	Core       Core
	Log        Log
}

// Network says what the router connects, where the agent should not find out by
// itself.
type Network struct {
	LAN    []string       // interfaces of the home's side, a bridge stands for its ports; none: found
	WAN    []string       // interfaces towards the internet; none: those of the default routes
	Home   []netip.Prefix // of the home's side, besides those on the LAN interfaces; masked
	Spared []netip.Addr   // never blocked, besides the router, its gateways, resolvers and time servers
}

// Eyes is how packets are seen.
type Eyes string

// The eyes.
const (
	EyesAuto     Eyes = "auto"     // eBPF where the kernel can, else AF_PACKET
	EyesEBPF     Eyes = "ebpf"     // eBPF or nothing
	EyesAFPacket Eyes = "afpacket" // AF_PACKET
)

// Capture says how packets are seen.
type Capture struct {
	Mode Eyes
	// DeviceFrames is how many frames a second of one device are looked into at
	// most; more are counted only. So one device blinds the agent for no other.
	DeviceFrames int
}

// Device is what somebody told about one device. Empty fields say nothing.
type Device struct {
	MAC    cordon.MAC
	Name   string          // for people
	Class  *cordon.Class   // nil: judged
	Policy cordon.Policy   // empty: Config.Policy
	Allow  []cordon.Target // places that are never blocked for it: Name or Peer, and at most one of Ports
}

// Answer is what a device is told about a blocked name.
type Answer string

// The answers.
const (
	AnswerNXDomain Answer = "nxdomain" // there is no such name
	AnswerPage     Answer = "page"     // the address of the page that explains
)

// DNS configures the DNS guard.
type DNS struct {
	Guard     bool
	Blocked   Answer
	Addresses []netip.Addr // of the page; none: the router's own on the device's side
}

// Page configures the page that a quarantined device's owner sees.
type Page struct {
	Port      uint16   // TCP, on the router
	Brand     string   // the provider's name
	Portal    string   // URL of the customer's portal, empty: none
	Languages []string // BCP 47, the first is the fall-back
}

// Indicators says what is known to be hostile.
type Indicators struct {
	File string // CSV or STIX 2.1; empty: none
}

// Limits bounds what the agent takes and does.
type Limits struct {
	Memory      int64 // bytes of resident memory that the process should keep below
	Quarantines int   // that the agent begins by itself in an hour, at most
}

// codeMemory is by how much the limit of the Go runtime lies below Limits.Memory. The
// runtime counts what it has mapped, of which much is never resident, and below 18 MB
// it collects without end: with 30 devices and 20,000 indicators a limit of 12 to 16 MB
// took 4 to 5 % of a core in an idle agent, 20 MB took 1.6 %, and 1 to 2 MB more were
// resident (docs/performance.md).
const codeMemory = 5e6

// Heap returns the limit to give the Go runtime (debug.SetMemoryLimit), in bytes,
// so that the process stays within Memory.
func (l Limits) Heap() int64 { return l.Memory - codeMemory }

// State says where the little lives that survives.
type State struct {
	Dir string
}

// Control configures the local socket.
type Control struct {
	Socket string // path of the Unix socket
	Group  string // whose members may use it besides root and the agent's own user; empty: the agent's group
}

// Core says where the provider's core is, and how the router proves there at its first
// start that it is the one that was ordered.
type Core struct {
	URL    string // https://host[:port]; empty: the agent works alone
	CA     string // file of the certificates (PEM) that core's may be signed by, no others
	Serial string // of the router, as the provider's list has it
	Secret string // file of the claim's secret; empty: none
	Key    string // file of the maker's Ed25519 key (PEM, PKCS #8) that proves the claim; empty: none
	Queue  int64  // bytes on flash of what waits while core is away
}

// Log configures what is logged, to standard error.
type Log = document.Log

// QuarantinesEvery is the time in which Limits.Quarantines counts.
const QuarantinesEvery = time.Hour

// Default returns the configuration of an empty file.
func Default() Config {
	return Config{
		Capture: Capture{Mode: EyesAuto, DeviceFrames: 500},
		Policy:  cordon.PolicyObserve,
		DNS:     DNS{Guard: true, Blocked: AnswerNXDomain},
		Page:    Page{Port: 8053, Languages: []string{"en", "de", "es"}},
		Limits:  Limits{Memory: 25e6, Quarantines: 3},
		State:   State{Dir: "/var/lib/cordon"},
		Control: Control{Socket: "/run/cordon/agent.sock"},
		Core:    Core{Queue: 4e6},
		Log:     Log{Level: document.LevelInfo, Format: document.FormatText},
	}
}

// Reference is a configuration file with every key, its meaning and its default.
//
//go:embed reference.toml
var Reference string

// Load reads the configuration from a file.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	cfg, err := Parse(f)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return cfg, nil
}

// Parse reads a configuration. Its error names the line and the key, and what to
// do.
func Parse(r io.Reader) (Config, error) {
	var d file
	if err := document.Decode(r, &d, "cordon-agent config"); err != nil {
		return Config{}, err
	}
	return d.config()
}
