package device

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"cordon"
)

// check fails the test unless the table's parts agree with each other.
func (r *rig) check() {
	r.t.Helper()
	if len(r.records) > r.cfg.Max || len(r.stations) > r.cfg.Max || len(r.learned) > maxLearned {
		r.t.Fatalf("%d records, %d stations, %d prefixes", len(r.records), len(r.stations), len(r.learned))
	}
	behind := make(map[*station]int)
	ids := make(map[string]bool)
	for slot, rec := range r.records {
		if rec == nil {
			continue
		}
		if rec.Slot != slot || rec.Generation == 0 || rec.LastSeen < rec.FirstSeen {
			r.t.Fatalf("%s in slot %d says slot %d, generation %d, seen from %v to %v",
				rec.ID, slot, rec.Slot, rec.Generation, rec.FirstSeen, rec.LastSeen)
		}
		if ids[rec.ID] {
			r.t.Fatalf("two devices are called %s", rec.ID)
		}
		ids[rec.ID] = true
		r.checkAddrs(rec)
		s := rec.behind
		switch {
		case s == nil && rec.HasMAC, s != nil && s.single != rec && rec.HasMAC:
			r.t.Fatalf("%s has a MAC and no station of its own", rec.ID)
		case s != nil && r.stations[s.mac] != s:
			r.t.Fatalf("%s is behind a station that is gone", rec.ID)
		case s != nil && s.single != rec:
			behind[s]++
		}
	}
	for mac, s := range r.stations {
		if s.mac != mac || s.single == nil || r.records[s.single.Slot] != s.single {
			r.t.Fatalf("station %x has no device", mac)
		}
		if s.behind != behind[s] || s.behind > maxRelayed || len(s.own) > maxAddrs {
			r.t.Fatalf("%s: %d behind it, says %d; %d addresses of its own", s.single.ID, behind[s], s.behind, len(s.own))
		}
		if s.gateway != s.single.Gateway || (s.relay != "") != s.single.Relay {
			r.t.Fatalf("%s and its record disagree on what it is", s.single.ID)
		}
	}
	for a, rec := range r.byAddr {
		if r.records[rec.Slot] != rec || !slices.Contains(rec.Addrs, a) {
			r.t.Fatalf("%v leads to %s, which does not have it or is gone", a, rec.ID)
		}
	}
}

func (r *rig) checkAddrs(rec *record) {
	r.t.Helper()
	if len(rec.Addrs) > maxAddrs || len(rec.signs) > maxSigns || len(rec.Name) > maxText || len(rec.Model) > maxText {
		r.t.Fatalf("%s: %d addresses, %d signs", rec.ID, len(rec.Addrs), len(rec.signs))
	}
	for _, a := range rec.Addrs {
		if r.byAddr[a] != rec {
			r.t.Fatalf("%s has %v, which leads elsewhere", rec.ID, a)
		}
	}
}

// steps makes calls of b to a small table and checks it after each.
func steps(t testing.TB, b []byte) *rig {
	r := newRig(t, func(c *Config) { c.Max = 2 + len(b)%7 })
	macs := []string{"", routerMAC, cameraMAC, laptopMAC, meshMAC, strangerMAC(1), strangerMAC(2), "02:00:00:00:00:01"}
	addrs := []string{"", router, camera, laptop, server, "192.168.1.12", "192.168.1.255", "169.254.7.7", "fe80::1",
		"fe80::10", "fd00::10", "2001:db8::10", "2001:db8:9::10", "224.0.0.1", "ff02::1", "8.8.8.8"}
	text := []string{"", "camera", "iphone", "tv-1", "_hap._tcp", "msft 5.0", "telecare", "\xff\xfe", string(make([]byte, 255))}
	for ; len(b) >= 6; b = b[6:] {
		mac, src, dst := macs[b[0]%8], addrs[b[1]%16], addrs[1+b[2]%15]
		if src != "" && addr(src).Is6() != addr(dst).Is6() {
			dst = src
		}
		switch b[3] % 8 {
		case 0, 1, 2, 3:
			r.from(mac, src, dst)
		case 4:
			r.pass(time.Duration(b[4]) * time.Second)
		default:
			o := cordon.Observation{Fact: cordon.Fact(1 + b[4]%12), Bits: b[5], Addrs: []netip.Addr{addr(dst), addr(addrs[1+b[5]%15])}}
			s := []byte(text[int(b[5])%len(text)])
			o.Name, o.Model, o.Service, o.Vendor, o.Params, o.Client = s, s, s, s, s, s
			o.Addrs = o.Addrs[:1+b[5]%2]
			r.fact(mac, src, o)
		}
		r.check()
	}
	r.All()
	return r
}

func FuzzTable(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 4 {
		b := make([]byte, 6*40+n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { steps(t, b[:min(len(b), 6*200)]) })
}

// TestManySteps is the fuzz target over enough calls that tables are full, and
// shows that the same calls give the same devices.
func TestManySteps(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	forgotten, gateways, relays := 0, 0, 0
	for n := range 30 {
		b := make([]byte, 6*1000+n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		r, again := steps(t, b), steps(t, b)
		if !slices.Equal(r.forgotten, again.forgotten) || fmt.Sprint(r.All()) != fmt.Sprint(again.All()) && !equal(r.All(), again.All()) {
			t.Fatal("the same calls give other devices")
		}
		forgotten += len(r.forgotten)
		for _, d := range r.All() {
			if d.Gateway {
				gateways++
			}
			if d.Relay {
				relays++
			}
		}
	}
	if forgotten == 0 || gateways == 0 || relays == 0 {
		t.Errorf("%d forgotten, %d routers, %d relays: something never happened", forgotten, gateways, relays)
	}
}

func equal(a, b []*cordon.Device) bool {
	return slices.EqualFunc(a, b, func(a, b *cordon.Device) bool { return fmt.Sprintf("%+v", *a) == fmt.Sprintf("%+v", *b) })
}
