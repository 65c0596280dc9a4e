package device

import (
	"net/netip"
	"testing"
	"time"

	"cordon"
	"cordon/agent/packet"
)

// start is when the tests' packets begin.
const start = cordon.Time(1_700_000_000 * time.Second)

// The cast: MACs and addresses.
const (
	routerMAC = "00:00:5e:00:53:01"
	cameraMAC = "00:00:5e:00:53:10"
	laptopMAC = "00:00:5e:00:53:11"
	meshMAC   = "00:00:5e:00:53:20"

	router  = "192.168.1.1"
	camera  = "192.168.1.10"
	laptop  = "192.168.1.11"
	server  = "198.51.100.7"
	server6 = "2001:db8:ffff::7"
)

// rig is a table, its clock, and whom it forgot.
type rig struct {
	*Table
	t         testing.TB
	now       cordon.Time
	forgotten []string
}

func newRig(t testing.TB, edit ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, now: start}
	cfg := Config{Forget: func(d *cordon.Device) { r.forgotten = append(r.forgotten, d.ID) }}
	for _, e := range edit {
		e(&cfg)
	}
	table, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Table = table
	return r
}

func (r *rig) pass(d time.Duration) { r.now = r.now.Add(d) }

// from takes the first packet of a flow.
func (r *rig) from(mac, src, dst string) cordon.Ends {
	p := frame(mac, src, dst)
	return r.Ends(&p, r.now)
}

// fact takes an observation as agent.Run does, and returns whose it is. The TTL of
// a prefix is its router's lifetime.
func (r *rig) fact(mac, src string, o cordon.Observation) *cordon.Device {
	p := frame(mac, src, "255.255.255.255")
	if o.Fact == cordon.FactNeighbour || o.Fact == cordon.FactAddress && len(o.Addrs) > 0 && o.Addrs[0].Is6() {
		p.Layers, p.TTL, p.ICMPType = p.Layers|packet.HasICMPv6, 255, 135
	}
	if o.Fact == cordon.FactPrefix {
		p.Layers, p.TTL, p.ICMPType, p.ICMPRest = p.Layers|packet.HasICMPv6, 255, 134, uint32(o.TTL)
	}
	o.Device = r.Sender(&p, r.now)
	if o.Device != nil {
		r.Learn(&o, &p, r.now)
	}
	return o.Device
}

// find returns the device of an ID, nil if there is none.
func (r *rig) find(id string) *cordon.Device {
	for _, d := range r.All() {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// ids returns the devices in order.
func (r *rig) ids() []string {
	var ids []string
	for _, d := range r.All() {
		ids = append(ids, d.ID)
	}
	return ids
}

func macOf(s string) (m packet.MAC) {
	for i := range m {
		m[i] = unhex(s[3*i])<<4 | unhex(s[3*i+1])
	}
	return m
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// frame makes a packet; without a MAC one of a link that has none, and without a
// source one from the unspecified address, as a DHCP client sends it.
func frame(mac, src, dst string) packet.Packet {
	p := packet.Packet{Layers: packet.HasIPv4, TTL: 64, Src: netip.IPv4Unspecified(), Dst: addr(dst)}
	if src != "" {
		p.Src = addr(src)
	}
	if p.Src.Is6() {
		p.Layers = packet.HasIPv6
	}
	if mac != "" {
		p.Layers |= packet.HasMAC
		p.SrcMAC = macOf(mac)
	}
	return p
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
