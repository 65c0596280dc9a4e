package veil

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"cordon"
)

// mark is in everything that tells whose home it is.
const mark = "Meier"

var v = Veil{Sum: func(purpose string, parts ...string) []byte {
	h := hmac.New(sha256.New, []byte("key"))
	h.Write([]byte(purpose + "\x00" + strings.Join(parts, "\x00")))
	return h.Sum(nil)
}}

func device() *cordon.Device {
	mac := cordon.MAC{0x02, 0x11, 0x22, 0xaa, 0xbb, 0xcc}
	return &cordon.Device{ID: mac.String(), MAC: mac, HasMAC: true, Name: mark + "s Kamera", Maker: "Maker", Model: "Cam 1", Class: cordon.IoT,
		Addrs: []netip.Addr{netip.MustParseAddr("192.168.1.77"), netip.MustParseAddr("2001:db8::77")}, Reasons: []string{"called " + mark}}
}

// TestVeil leaves nothing that names a home or a device of it, and everything that an
// analyst compares.
func TestVeil(t *testing.T) {
	d := device()
	d.Name = "kamera von " + mark
	text := "Kamera von " + mark + ", that is your kamera von " + mark + " (02:11:22:aa:bb:cc, 192.168.1.77, 2001:db8::77) asks 192.168.1.9:23 and 2001:db8::99. It also asks 8.8.8.8:53 at 12:30 and scans"
	account := cordon.Account{ID: "a", Name: mark, Reference: "Kunde " + mark}
	site := cordon.Site{ID: "s", Name: "Haus " + mark, Reference: mark, Installer: mark, Area: "north"}
	router := cordon.Router{ID: "r", Site: "s", Serial: "SN-" + mark, Key: mark, Model: "HG-2"}
	record := cordon.DeviceRecord{Site: "s", Device: *d, Said: cordon.DesiredDevice{Device: d.ID, Name: mark}, Room: "Zimmer " + mark}
	incident := cordon.IncidentRecord{Site: "s", By: mark, Note: mark, Incident: cordon.Incident{ID: "i", Device: d, Story: text, Told: text,
		Timeline: []cordon.Moment{{Text: text, Subject: "192.168.1.77"}}}}
	detection := cordon.DetectionRecord{Site: "s", Detection: cordon.Detection{Device: d, Sentence: text, Subject: text, PeerName: "nas." + mark + ".lan",
		Target: cordon.Target{Peer: netip.MustParseAddr("192.168.1.5"), Name: mark}, Samples: []string{"192.168.1.9:23", "8.8.8.8:53", "[fe80::1]:80", "[2001:db8::88]:80"}}}
	outside := cordon.DetectionRecord{Site: "s", Detection: cordon.Detection{Device: d, PeerName: "evil.example", Target: cordon.Target{Peer: netip.MustParseAddr("8.8.8.8"), Name: "evil.example"}}}
	action := cordon.ActionRecord{Site: "s", ActionReport: cordon.ActionReport{By: mark, Error: d.ID + " is away", Action: cordon.Action{
		Entity: cordon.Entity{Device: d.ID, Target: cordon.Target{Peer: netip.MustParseAddr("10.0.0.1")}}, Reason: mark + " says so"}}}
	own := cordon.ActionRecord{Site: "s", ActionReport: cordon.ActionReport{Action: cordon.Action{Entity: cordon.Entity{Device: d.ID}, Reason: "because " + d.ID}}}
	event := cordon.Event{Sort: cordon.EventDevice, Site: "s", ID: d.ID}

	v.Account(&account)
	v.Site(&site)
	v.Router(&router)
	v.Device(&record)
	v.Incident(&incident)
	v.Detection(&detection)
	v.Detection(&outside)
	v.Action(&action)
	v.Action(&own)
	v.Event(&event)
	for _, r := range []any{account, site, router, record, incident, detection, outside, action, own, event} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{mark, "aa:bb:cc", "192.168.1.", "2001:db8::", "fe80", "10.0.0.1", "170,187,204"} {
			if strings.Contains(string(b), secret) {
				t.Errorf("%T tells %q: %s", r, secret, b)
			}
		}
	}
	id := record.Device.ID
	if id == "" || record.Said.Device != id || incident.Incident.Device.ID != id || detection.Detection.Device.ID != id || action.Action.Entity.Device != id || event.ID != id {
		t.Errorf("one device has several pseudonyms: %q, %q, %q", id, incident.Incident.Device.ID, event.ID)
	}
	if !strings.Contains(incident.Incident.Story, id) || !strings.HasSuffix(incident.Incident.Story, "asks (at home) and (at home). It also asks 8.8.8.8:53 at 12:30 and scans") {
		t.Errorf("story %q", incident.Incident.Story)
	}
	if record.Device.Model != "Cam 1" || record.Device.MAC != (cordon.MAC{0x02, 0x11, 0x22}) || router.Model != "HG-2" || site.Area != "north" {
		t.Error("what is compared is gone")
	}
	if own.Action.Reason != "because "+id {
		t.Errorf("reason %q", own.Action.Reason)
	}
	if got := detection.Detection.Samples; len(got) != 1 || got[0] != "8.8.8.8:53" {
		t.Errorf("samples %q", got)
	}
	if got := outside.Detection; got.PeerName != "evil.example" || !got.Target.Peer.IsValid() || got.Target.Name != "evil.example" {
		t.Errorf("places on the internet are gone: %+v", got)
	}
	if d.Name != "kamera von "+mark || len(d.Addrs) != 2 {
		t.Errorf("the device that others see has changed: %+v", d)
	}
	again := cordon.DeviceRecord{Site: "other", Device: *device()}
	v.Device(&again)
	if again.Device.ID == id {
		t.Error("a device can be followed from home to home")
	}
}

// TestEmpty takes records without a device.
func TestEmpty(t *testing.T) {
	v.Incident(new(cordon.IncidentRecord))
	v.Detection(new(cordon.DetectionRecord))
	v.Action(new(cordon.ActionRecord))
	v.Device(new(cordon.DeviceRecord))
}

func FuzzText(f *testing.F) {
	f.Add("Kamera von Meier asks 192.168.1.9:23, 2001:db8::1.", "kamera von Meier")
	f.Fuzz(func(t *testing.T, text, name string) {
		d := device()
		d.Name = name
		v.home("s", d).text(text)
	})
}
