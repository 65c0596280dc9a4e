package known_test

import (
	"net/netip"
	"testing"
	"time"

	"cordon"
	"cordon/agent/detect/known"
)

// list is a handful of indicators, by value. The real set is tested in
// agent/indicator, and with this detector in cmd/cordon-agent.
type list map[string]cordon.Indicator

func (l list) Name(name []byte, _ cordon.Time) (cordon.Indicator, bool) {
	i, ok := l[string(name)]
	return i, ok
}

func (l list) Endpoint(a netip.Addr, port uint16, _ cordon.Time) (cordon.Indicator, bool) {
	i, ok := l[netip.AddrPortFrom(a, port).String()]
	return i, ok
}

func (l list) URL(host, path []byte, _ cordon.Time) (cordon.Indicator, bool) {
	i, ok := l[string(host)+string(path)]
	return i, ok
}

func hostile(value string, role cordon.IndicatorRole, confidence uint8, scope string) cordon.Indicator {
	return cordon.Indicator{Value: value, Role: role, Confidence: confidence, Scope: scope, Source: "test"}
}

var all = list{
	"c2.example":           hostile("c2.example", cordon.RoleC2, 90, ""),
	"doubtful.example":     hostile("doubtful.example", cordon.RoleC2, 40, ""),
	"things.example":       hostile("things.example", cordon.RoleC2, 90, "iot"),
	"192.0.2.7:23":         hostile("192.0.2.7:23", cordon.RoleC2, 90, ""),
	"192.0.2.8:23":         hostile("192.0.2.8:23", cordon.RoleScanner, 90, ""),
	"web.example/bins/mal": hostile("http://web.example/bins/mal", cordon.RoleLoader, 90, ""),
}

func TestKnown(t *testing.T) {
	camera := &cordon.Device{ID: "camera", Generation: 1, Class: cordon.IoT}
	phone := &cordon.Device{ID: "phone", Slot: 1, Generation: 1, Class: cordon.Personal}
	flow := func(d *cordon.Device, peer string, dir cordon.Direction) *cordon.Flow {
		return &cordon.Flow{Device: d, Proto: 6, Peer: netip.MustParseAddr(peer), PeerPort: 23, LocalPort: 23, Direction: dir}
	}
	asked := func(d *cordon.Device, name string) func(*known.Detector, cordon.Time) {
		return func(k *known.Detector, now cordon.Time) {
			k.Observe(&cordon.Observation{Fact: cordon.FactDNSQuery, Device: d, Name: []byte(name)}, now)
		}
	}
	opened := func(f *cordon.Flow) func(*known.Detector, cordon.Time) {
		return func(k *known.Detector, now cordon.Time) { k.Flow(cordon.FlowOpened, f, now) }
	}
	said := func(fact cordon.Fact, f *cordon.Flow, name, path string) func(*known.Detector, cordon.Time) {
		return func(k *known.Detector, now cordon.Time) {
			k.Observe(&cordon.Observation{Fact: fact, Device: f.Device, Flow: f, Opener: true, Name: []byte(name), Path: []byte(path)}, now)
		}
	}
	out := flow(camera, "192.0.2.1", cordon.Outbound)
	for _, c := range []struct {
		name string
		do   func(*known.Detector, cordon.Time)
		want string // subject; empty: nothing
		sure bool
	}{
		{"a name asked for", asked(camera, "c2.example"), "c2.example", true},
		{"a harmless name", asked(camera, "harmless.example"), "", false},
		{"a doubtful name", asked(camera, "doubtful.example"), "doubtful.example", false},
		{"a name that counts for things, asked by one", asked(camera, "things.example"), "things.example", true},
		{"and by a phone", asked(phone, "things.example"), "", false},
		{"a server contacted", opened(flow(camera, "192.0.2.7", cordon.Outbound)), "192.0.2.7:23", true},
		{"a command server that contacts the home", opened(flow(camera, "192.0.2.7", cordon.Inbound)), "", false},
		{"a scanner that does is a sign", opened(flow(camera, "192.0.2.8", cordon.Inbound)), "192.0.2.8:23", false},
		{"a name in a TLS greeting", said(cordon.FactTLS, out, "c2.example", ""), "c2.example", true},
		{"a page", said(cordon.FactHTTPRequest, out, "web.example", "/bins/mal"), "http://web.example/bins/mal", true},
		{"another page of that host", said(cordon.FactHTTPRequest, out, "web.example", "/"), "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []cordon.Detection
			k := known.New(known.Config{Indicators: all, Report: func(d cordon.Detection) { got = append(got, d) }})
			now := cordon.Time(1e18)
			c.do(k, now)
			c.do(k, now.Add(time.Minute)) // the same again is not told again
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("reported %q", got[0].Subject)
			case c.want != "" && (len(got) != 1 || got[0].Subject != c.want || got[0].Confirmed != c.sure):
				t.Errorf("reported %+v, want %q, confirmed %v", got, c.want, c.sure)
			case c.want != "" && got[0].Target.Zero():
				t.Error("nothing to block")
			}
			c.do(k, now.Add(2*time.Hour))
			if c.want != "" && len(got) != 2 {
				t.Error("not told again after hours")
			}
		})
	}
}
