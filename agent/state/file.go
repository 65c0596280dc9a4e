package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"cordon"
)

// A file is one line of header and one of JSON:
//
//	cordon-state VERSION SHA-256-OF-THE-JSON
//	{…}
const (
	magic = "cordon-state"
	// version is of the format: 1 since November 2026. It grows when an agent that
	// does not know the new one must not use the file; fields may be added without.
	version = 1
	// maxFile bounds a file, in bytes; 128 actions of 500 bytes, 128 permissions of 300
	// and 128 devices of 120 fill 118 kB.
	maxFile = 128 << 10
)

// file is the JSON of a file.
type file struct {
	Sequence uint64          `json:"sequence"` // of two files the one with the greater is newer
	Run      run             `json:"run"`
	Budget   int64           `json:"budget"` // bytes that might still be written when this was
	Boot     string          `json:"boot"`   // the kernel's boot id
	Uptime   time.Duration   `json:"uptime_ns"`
	Wall     cordon.Time     `json:"wall,omitempty"`
	Trusted  bool            `json:"trusted,omitempty"`
	Actions  []fileAction    `json:"actions,omitempty"`
	Allowed  []filePermitted `json:"allowed,omitempty"`
	Devices  []fileDevice    `json:"devices,omitempty"`
	Held     []fileHeld      `json:"held,omitempty"`
}

// run is what is known of the run of the agent that wrote the file.
type run struct {
	Starts  uint64 `json:"starts"`          // this one included
	Crashes int    `json:"crashes"`         // in a row before it, see Run.Crashes
	Clean   bool   `json:"clean,omitempty"` // it ended as it should
	Lived   bool   `json:"lived,omitempty"` // it has lasted for crashSpan
}

type fileAction struct {
	ID       string        `json:"id"`
	Verb     cordon.Verb   `json:"verb"`
	Mode     cordon.Mode   `json:"mode"`
	Device   string        `json:"device"`
	Target   fileTarget    `json:"target,omitzero"`
	Incident string        `json:"incident,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Purpose  string        `json:"purpose,omitempty"`
	By       string        `json:"by,omitempty"`
	Order    bool          `json:"order,omitempty"`
	At       cordon.Time   `json:"at"`
	Expires  cordon.Time   `json:"expires"`
	Left     time.Duration `json:"left_ns"`
	Rate     cordon.Rate   `json:"rate,omitzero"`
	Addrs    []netip.Addr  `json:"addresses,omitempty"`
}

type fileTarget struct {
	Proto     uint8        `json:"protocol,omitempty"`
	Ports     []uint16     `json:"ports,omitempty"`
	LocalPort uint16       `json:"local_port,omitempty"`
	Peer      netip.Addr   `json:"peer,omitzero"`
	Net       netip.Prefix `json:"net,omitzero"`
	Name      string       `json:"name,omitempty"`
	Stray     bool         `json:"stray,omitempty"`
}

// IsZero lets JSON leave a target out that is all of a device's traffic.
func (t fileTarget) IsZero() bool { return t.target().Zero() }

func (t fileTarget) target() cordon.Target {
	return cordon.Target{Proto: t.Proto, Ports: t.Ports, LocalPort: t.LocalPort, Peer: t.Peer, Net: t.Net, Name: t.Name, Stray: t.Stray}
}

func targetOf(t cordon.Target) fileTarget {
	return fileTarget{Proto: t.Proto, Ports: t.Ports, LocalPort: t.LocalPort, Peer: t.Peer, Net: t.Net, Name: cut(t.Name), Stray: t.Stray}
}

type filePermitted struct {
	ID      string        `json:"id"`
	Device  string        `json:"device,omitempty"`
	Target  fileTarget    `json:"target"`
	Reason  string        `json:"reason,omitempty"`
	By      string        `json:"by,omitempty"`
	At      cordon.Time   `json:"at"`
	Expires cordon.Time   `json:"expires"`
	Left    time.Duration `json:"left_ns"`
}

type fileHeld struct {
	ID      string        `json:"id,omitempty"`
	Verb    cordon.Verb   `json:"verb,omitempty"`
	Device  string        `json:"device,omitempty"`
	Target  fileTarget    `json:"target,omitzero"`
	Release string        `json:"release,omitempty"`
	By      string        `json:"by,omitempty"`
	Expires cordon.Time   `json:"expires"`
	Left    time.Duration `json:"left_ns"`
}

type fileDevice struct {
	ID     string        `json:"device"`
	Name   string        `json:"name,omitempty"`
	Class  string        `json:"class,omitempty"`
	Policy cordon.Policy `json:"policy,omitempty"`
}

// put copies s into f.
func (f *file) put(s State) {
	f.Wall, f.Trusted = s.Wall, s.Trusted
	f.Actions, f.Allowed, f.Devices, f.Held = nil, nil, nil, nil
	for _, a := range s.Actions {
		f.Actions = append(f.Actions, fileAction{ID: cut(a.ID), Verb: a.Verb, Mode: a.Mode, Device: cut(a.Entity.Device),
			Target: targetOf(a.Entity.Target), Incident: cut(a.Incident), Reason: cut(a.Reason), Purpose: cut(a.Purpose), By: cut(a.By), Order: a.Order,
			At: a.At, Expires: a.Expires, Left: a.Left, Rate: a.Rate, Addrs: a.Addrs[:min(len(a.Addrs), MaxAddrs)]})
	}
	for _, a := range s.Allowed {
		f.Allowed = append(f.Allowed, filePermitted{ID: cut(a.ID), Device: cut(a.Device), Target: targetOf(a.Target),
			Reason: cut(a.Reason), By: cut(a.By), At: a.At, Expires: a.Expires, Left: a.Left})
	}
	for _, h := range s.Held {
		f.Held = append(f.Held, fileHeld{ID: cut(h.ID), Verb: h.Verb, Device: cut(h.Entity.Device), Target: targetOf(h.Entity.Target),
			Release: cut(h.Release), By: cut(h.By), Expires: h.Expires, Left: h.Left})
	}
	for _, d := range s.Devices {
		one := fileDevice{ID: cut(d.ID), Name: cut(d.Name), Policy: d.Policy}
		if d.Class != nil {
			one.Class = d.Class.String()
		}
		f.Devices = append(f.Devices, one)
	}
}

// get returns what f holds, and how many entries make no sense to this agent: it
// refuses them and does not guess.
func (f *file) get() (s State, refused int) {
	s = State{Wall: f.Wall, Trusted: f.Trusted}
	for _, a := range f.Actions {
		if !verbs[a.Verb] || !modes[a.Mode] || a.ID == "" || a.Device == "" || a.Left > cordon.MaxLife {
			refused++
			continue
		}
		s.Actions = append(s.Actions, Action{By: a.By, Order: a.Order, Left: a.Left, Addrs: a.Addrs[:min(len(a.Addrs), MaxAddrs)], Action: cordon.Action{ID: a.ID, Verb: a.Verb, Mode: a.Mode,
			Entity: cordon.Entity{Device: a.Device, Target: a.Target.target()}, Incident: a.Incident, Reason: a.Reason,
			Purpose: a.Purpose, At: a.At, Expires: a.Expires, Rate: a.Rate}})
	}
	for _, a := range f.Allowed {
		if a.ID == "" || a.Target.IsZero() || a.Left > cordon.MaxLife {
			refused++
			continue
		}
		s.Allowed = append(s.Allowed, Allowed{ID: a.ID, Device: a.Device, Target: a.Target.target(), Reason: a.Reason, By: a.By,
			At: a.At, Expires: a.Expires, Left: a.Left})
	}
	for _, h := range f.Held {
		if h.ID == "" && h.Device == "" || h.Verb != "" && !verbs[h.Verb] || h.Left > cordon.MaxLife {
			refused++
			continue
		}
		s.Held = append(s.Held, Held{ID: h.ID, Verb: h.Verb, Entity: cordon.Entity{Device: h.Device, Target: h.Target.target()},
			Release: h.Release, By: h.By, Expires: h.Expires, Left: h.Left})
	}
	for _, d := range f.Devices {
		one, ok := d.device()
		if !ok {
			refused++
			continue
		}
		s.Devices = append(s.Devices, one)
	}
	s, over := s.bounded()
	return s, refused + over
}

var (
	verbs = map[cordon.Verb]bool{cordon.VerbNotify: true, cordon.VerbLimit: true, cordon.VerbBlock: true, cordon.VerbQuarantine: true}
	modes = map[cordon.Mode]bool{cordon.ModeDo: true, cordon.ModeAsk: true, cordon.ModeWould: true}
)

func (d *fileDevice) device() (Device, bool) {
	one := Device{ID: d.ID, Name: d.Name, Policy: d.Policy}
	if d.Policy != "" {
		if _, err := cordon.ParsePolicy(string(d.Policy)); err != nil {
			return one, false
		}
	}
	if d.Class != "" {
		for c := cordon.Unknown; c <= cordon.LifeLine; c++ {
			if c.String() == d.Class {
				one.Class = &c
			}
		}
		if one.Class == nil {
			return one, false
		}
	}
	return one, d.ID != ""
}

// encode returns the bytes of a file, and how many entries had to go to keep them
// within maxFile.
func (f *file) encode() (b []byte, dropped int, err error) {
	for try := 0; ; try++ {
		body, err := json.Marshal(f)
		if err != nil {
			return nil, dropped, fmt.Errorf("encode state: %w", err)
		}
		sum := sha256.Sum256(body)
		b = fmt.Appendf(nil, "%s %d %s\n%s\n", magic, version, hex.EncodeToString(sum[:]), body)
		if len(b) <= maxFile {
			return b, dropped, nil
		}
		if try == 0 {
			f.hush()
		} else {
			dropped += f.halve()
		}
	}
}

// hush takes out the texts that only people need.
func (f *file) hush() {
	for i := range f.Actions {
		f.Actions[i].Reason, f.Actions[i].Purpose = "", ""
	}
	for i := range f.Allowed {
		f.Allowed[i].Reason = ""
	}
}

// halve drops the less important half of what there is most of, and returns how many
// entries those are.
func (f *file) halve() int {
	a, p, d, h := len(f.Actions), len(f.Allowed), len(f.Devices), len(f.Held)
	switch {
	case a > 8 || p+d+h == 0:
		f.Actions = f.Actions[:a/2]
	default:
		f.Allowed, f.Devices, f.Held = f.Allowed[:p/2], f.Devices[:d/2], f.Held[:h/2]
	}
	return a + p + d + h - len(f.Actions) - len(f.Allowed) - len(f.Devices) - len(f.Held)
}

// errVersion means that a newer agent wrote the file.
var errVersion = errors.New("written by a newer agent")

// decode reads the bytes of a file.
func decode(b []byte) (*file, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("longer than %d bytes", maxFile)
	}
	header, body, _ := bytes.Cut(b, []byte("\n"))
	fields := bytes.Fields(header)
	if len(fields) != 3 || string(fields[0]) != magic {
		return nil, errors.New("no state file")
	}
	if v := string(fields[1]); v != fmt.Sprint(version) {
		return nil, fmt.Errorf("version %.8q: %w", v, errVersion)
	}
	body = bytes.TrimSuffix(body, []byte("\n"))
	if sum := sha256.Sum256(body); string(fields[2]) != hex.EncodeToString(sum[:]) {
		return nil, errors.New("checksum does not fit: damaged")
	}
	return decodeBody(body)
}

func decodeBody(body []byte) (*file, error) {
	var f file
	if err := json.Unmarshal(body, &f); err != nil {
		return nil, fmt.Errorf("decode state: %w", err)
	}
	return &f, nil
}
