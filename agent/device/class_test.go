package device

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"cordon"
)

func TestClass(t *testing.T) {
	dhcp := func(name, vendor string, params ...byte) cordon.Observation {
		return cordon.Observation{Fact: cordon.FactDHCP, Name: []byte(name), Vendor: []byte(vendor), Params: params}
	}
	mdns := func(name, service, model string) cordon.Observation {
		return cordon.Observation{Fact: cordon.FactMDNS, Name: []byte(name), Service: []byte(service), Model: []byte(model)}
	}
	ssdp := func(service, model string) cordon.Observation {
		return cordon.Observation{Fact: cordon.FactSSDP, Service: []byte(service), Model: []byte(model)}
	}
	windows := []byte{1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 119, 121, 249, 252}
	for _, c := range []struct {
		name  string
		mac   string
		maker string
		facts []cordon.Observation
		class cordon.Class
	}{
		{"nothing known", "", "", nil, cordon.Unknown},
		{"a made-up MAC alone", "02:00:00:00:00:01", "", nil, cordon.Unknown},
		{"a Windows lease", "", "", []cordon.Observation{dhcp("", "MSFT 5.0")}, cordon.Personal},
		{"a Windows lease by its options", "", "", []cordon.Observation{dhcp("", "", windows...)}, cordon.Personal},
		{"an Android phone", "02:00:00:00:00:01", "", []cordon.Observation{dhcp("", "android-dhcp-14")}, cordon.Personal},
		{"embedded Linux", "", "", []cordon.Observation{dhcp("", "udhcp 1.33.2")}, cordon.IoT},
		{"a client that many systems use", "", "", []cordon.Observation{dhcp("", "dhcpcd-9.4.1:Linux")}, cordon.Unknown},
		{"an iPhone by name", "", "", []cordon.Observation{dhcp("Anna-s-iPhone", "")}, cordon.Personal},
		{"a camera by name", "", "", []cordon.Observation{dhcp("cam-2", "")}, cordon.IoT},
		{"a name that only contains a hint", "", "", []cordon.Observation{dhcp("scampi", "")}, cordon.Unknown},
		{"a short hint that goes on", "", "", []cordon.Observation{dhcp("tvestlandet", "")}, cordon.Unknown},
		{"a camera by maker", "", "Hikvision Digital Technology", nil, cordon.IoT},
		{"a maker of all sorts", "", "Samsung Electronics", nil, cordon.Unknown},
		{"a maker whose name only begins alike", "", "Ringier", nil, cordon.Unknown},
		{"a chip maker's module", "", "Espressif", nil, cordon.IoT},
		{"HomeKit", "", "", []cordon.Observation{mdns("", "_hap._tcp", "")}, cordon.IoT},
		{"a television", "", "", []cordon.Observation{ssdp("urn:schemas-upnp-org:device:MediaRenderer:1", "")}, cordon.IoT},
		{"an access point", "", "", []cordon.Observation{ssdp("urn:schemas-upnp-org:device:WLANAccessPointDevice:1", "")}, cordon.Infrastructure},
		{"a repeater by model", "", "", []cordon.Observation{mdns("", "", "Repeater 1200")}, cordon.Infrastructure},
		{"a telephone", "", "Yealink", nil, cordon.LifeLine},
		{"a life-line that looks like a thing", "", "Espressif", []cordon.Observation{
			dhcp("telecare-hub", "udhcp"), mdns("", "_hap._tcp", "camera")}, cordon.LifeLine},
		{"a thing and a person's at once", "", "Hikvision", []cordon.Observation{dhcp("laptop", "")}, cordon.Unknown},
		{"a little more a thing than a person's", "", "Espressif", []cordon.Observation{
			dhcp("", "udhcp"), mdns("", "_companion-link._tcp", "iPad")}, cordon.Unknown},
		{"a thing, and a hint of a person's", "02:00:00:00:00:01", "", []cordon.Observation{mdns("", "_hap._tcp", "")}, cordon.IoT},
		{"three sorts at once", "", "Hikvision", []cordon.Observation{dhcp("laptop", ""), mdns("", "", "router")}, cordon.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			mac := cameraMAC
			if c.mac != "" {
				mac = c.mac
			}
			r := newRig(t, func(cfg *Config) {
				cfg.Maker = func([6]byte) (string, bool) { return c.maker, c.maker != "" }
			})
			d := r.fact(mac, "", cordon.Observation{Fact: cordon.FactDHCP})
			for _, o := range c.facts {
				r.fact(mac, camera, o)
			}
			if d.Class != c.class {
				t.Errorf("class %v for %q, want %v", d.Class, d.Reasons, c.class)
			}
			if d.Class != cordon.Unknown && len(d.Reasons) == 0 {
				t.Error("a class without a reason")
			}
			class, reasons := d.Class, fmt.Sprint(d.Reasons)
			if d.Class != class || fmt.Sprint(d.Reasons) != reasons {
				t.Errorf("judged again: %v for %q", d.Class, d.Reasons)
			}
			r.check()
		})
	}
}

func TestReasons(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Maker = func([6]byte) (string, bool) { return "Hikvision", true } })
	d := r.fact(cameraMAC, "", cordon.Observation{Fact: cordon.FactDHCP, Name: []byte("ipcam"), Vendor: []byte("udhcp 1.3")})
	r.fact(cameraMAC, camera, cordon.Observation{Fact: cordon.FactMDNS, Service: []byte("_rtsp._tcp")})
	for _, want := range []string{`calls itself "ipcam"`, "DHCP client of udhcp", "announces rtsp", "made by hikvision"} {
		if !strings.Contains(strings.Join(d.Reasons, "; "), want) {
			t.Errorf("reasons %q lack %q", d.Reasons, want)
		}
	}
}

func TestNamesAndModels(t *testing.T) {
	r := newRig(t)
	d := r.fact(cameraMAC, "", cordon.Observation{Fact: cordon.FactDHCP, Name: []byte("one")})
	r.fact(cameraMAC, camera, cordon.Observation{Fact: cordon.FactMDNS, Name: []byte("two"), Model: []byte("first")})
	r.fact(cameraMAC, camera, cordon.Observation{Fact: cordon.FactSSDP, Model: []byte("second")})
	r.fact(cameraMAC, camera, cordon.Observation{Fact: cordon.FactMDNS})
	if d.Name != "two" || d.Model != "first" {
		t.Errorf("name %q, model %q; want the latest name and the first model", d.Name, d.Model)
	}
}

// TestHostileText: whatever a device says of itself is kept short, and its own
// words are never a reason.
func TestHostileText(t *testing.T) {
	r := newRig(t)
	d := r.fact(cameraMAC, "", cordon.Observation{Fact: cordon.FactDHCP})
	words := []string{"camera", "laptop", "router", "tv", "hub", "plug", "printer", "echo", "nas", "lamp", "light",
		"roku", "sonos", "hue", "dvr", "nvr", "fridge", "vacuum", "wled", "shelly", "tuya", "esp"}
	for i := range 2000 {
		evil := fmt.Sprintf("\x1b[31m%s-%d%s", words[i%len(words)], i, bytes.Repeat([]byte{0xff}, 200))
		r.fact(cameraMAC, camera, cordon.Observation{Fact: cordon.FactDHCP, Name: []byte(evil), Vendor: []byte(evil),
			Client: []byte(evil), Params: []byte(evil)})
		r.fact(cameraMAC, camera, cordon.Observation{Fact: cordon.FactMDNS, Name: []byte(evil), Service: []byte(evil), Model: []byte(evil)})
		r.fact(cameraMAC, camera, cordon.Observation{Fact: cordon.FactSSDP, Service: []byte(evil), Model: []byte(evil)})
		r.check()
	}
	if len(d.Name) > maxText || len(d.Model) > maxText || len(d.Reasons) > maxReason {
		t.Errorf("a name of %d bytes, a model of %d, %d reasons", len(d.Name), len(d.Model), len(d.Reasons))
	}
	for _, reason := range d.Reasons {
		if strings.Contains(reason, "\x1b") {
			t.Errorf("reason %q holds the device's own words", reason)
		}
	}
}
