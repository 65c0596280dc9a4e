package device

import (
	"bytes"
	"fmt"
	"strings"

	"cordon"
)

// sign is one thing that speaks for a class.
type sign struct {
	class  cordon.Class
	weight int
	why    string
}

// Weights of signs and what a class needs. The scale is coarse on purpose: 1 a
// hint, 2 typical, 4 said by the device about itself. Identification by
// likelihoods replaces it with measured weights.
const (
	enough    = 2 // weight a class needs at least
	maxSigns  = 16
	maxReason = 6
)

func (r *record) sign(c cordon.Class, weight int, format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	for _, s := range r.signs {
		if s.why == why {
			return
		}
	}
	if len(r.signs) < maxSigns {
		r.signs = append(r.signs, sign{c, weight, why})
		r.unsure = true
	}
}

// hint is text by which a device gives away what it is. A hint is found at the
// beginning of a word, so that "cam" finds "cam-2" and not "scam".
type hint struct {
	text   string
	class  cordon.Class
	weight int
}

// nameHints are for host names and models, lower case.
var nameHints = []hint{
	{"iphone", cordon.Personal, 4}, {"ipad", cordon.Personal, 4}, {"macbook", cordon.Personal, 4},
	{"imac", cordon.Personal, 4}, {"galaxy", cordon.Personal, 2}, {"pixel", cordon.Personal, 2},
	{"android", cordon.Personal, 1}, {"desktop", cordon.Personal, 2}, {"laptop", cordon.Personal, 4},
	{"notebook", cordon.Personal, 2}, {"thinkpad", cordon.Personal, 4}, {"phone", cordon.Personal, 2},
	{"pc", cordon.Personal, 1}, {"windows", cordon.Personal, 2},

	{"camera", cordon.IoT, 4}, {"cam", cordon.IoT, 2}, {"ipcam", cordon.IoT, 4}, {"dvr", cordon.IoT, 4},
	{"nvr", cordon.IoT, 4}, {"plug", cordon.IoT, 4}, {"bulb", cordon.IoT, 4}, {"lamp", cordon.IoT, 2},
	{"light", cordon.IoT, 2}, {"tv", cordon.IoT, 2}, {"bravia", cordon.IoT, 4}, {"chromecast", cordon.IoT, 4},
	{"roku", cordon.IoT, 4}, {"firetv", cordon.IoT, 4}, {"echo", cordon.IoT, 2}, {"speaker", cordon.IoT, 4},
	{"sonos", cordon.IoT, 4}, {"printer", cordon.IoT, 4}, {"thermostat", cordon.IoT, 4}, {"hub", cordon.IoT, 2},
	{"hue", cordon.IoT, 4}, {"doorbell", cordon.IoT, 4}, {"vacuum", cordon.IoT, 4}, {"fridge", cordon.IoT, 4},
	{"esp32", cordon.IoT, 4}, {"esp", cordon.IoT, 2}, {"esp8266", cordon.IoT, 4}, {"tasmota", cordon.IoT, 4},
	{"shelly", cordon.IoT, 4}, {"tuya", cordon.IoT, 4}, {"wled", cordon.IoT, 4}, {"nas", cordon.IoT, 2},
	{"diskstation", cordon.IoT, 4}, {"settop", cordon.IoT, 4}, {"tvbox", cordon.IoT, 4},

	{"router", cordon.Infrastructure, 4}, {"openwrt", cordon.Infrastructure, 2}, {"repeater", cordon.Infrastructure, 4},
	{"extender", cordon.Infrastructure, 4}, {"accesspoint", cordon.Infrastructure, 4}, {"switch-", cordon.Infrastructure, 1},

	{"alarm", cordon.LifeLine, 4}, {"medical", cordon.LifeLine, 4}, {"cpap", cordon.LifeLine, 4},
	{"dialysis", cordon.LifeLine, 4}, {"careline", cordon.LifeLine, 4}, {"telecare", cordon.LifeLine, 4},
	{"voip", cordon.LifeLine, 4}, {"sip", cordon.LifeLine, 2}, {"smoke", cordon.LifeLine, 4},
	{"siren", cordon.LifeLine, 4},
}

// makerHints are for makers of one sort of thing, lower case. Makers of all
// sorts (TP-Link, Samsung, Xiaomi) say nothing.
var makerHints = []hint{
	{"hikvision", cordon.IoT, 4}, {"dahua", cordon.IoT, 4}, {"axis communications", cordon.IoT, 4},
	{"reolink", cordon.IoT, 4}, {"amcrest", cordon.IoT, 4}, {"foscam", cordon.IoT, 4}, {"wyze", cordon.IoT, 4},
	{"ring ", cordon.IoT, 4}, {"blink", cordon.IoT, 4}, {"espressif", cordon.IoT, 2}, {"tuya", cordon.IoT, 4},
	{"shelly", cordon.IoT, 4}, {"allterco", cordon.IoT, 4}, {"sonos", cordon.IoT, 4}, {"signify", cordon.IoT, 4},
	{"philips lighting", cordon.IoT, 4}, {"nest labs", cordon.IoT, 4}, {"roku", cordon.IoT, 4},
	{"ecobee", cordon.IoT, 4}, {"lifx", cordon.IoT, 4}, {"irobot", cordon.IoT, 4}, {"roborock", cordon.IoT, 4},
	{"amazon technologies", cordon.IoT, 2}, {"raspberry pi", cordon.IoT, 1}, {"synology", cordon.IoT, 2},
	{"qnap", cordon.IoT, 2}, {"belkin", cordon.IoT, 2}, {"edimax", cordon.IoT, 1},
	{"yealink", cordon.LifeLine, 4}, {"grandstream", cordon.LifeLine, 4}, {"snom", cordon.LifeLine, 4},
	{"gigaset", cordon.LifeLine, 4}, {"verisure", cordon.LifeLine, 4}, {"resmed", cordon.LifeLine, 4},
	{"intel ", cordon.Personal, 1},
}

// serviceHints are for announced services, lower case.
var serviceHints = []hint{
	{"_hap.", cordon.IoT, 4}, {"_googlecast.", cordon.IoT, 4}, {"_amzn-wplay.", cordon.IoT, 4},
	{"_hue.", cordon.IoT, 4}, {"_sonos.", cordon.IoT, 4}, {"_ipp.", cordon.IoT, 4}, {"_ipps.", cordon.IoT, 4},
	{"_printer.", cordon.IoT, 4}, {"_pdl-datastream.", cordon.IoT, 4}, {"_rtsp.", cordon.IoT, 4},
	{"_axis-video.", cordon.IoT, 4}, {"_androidtvremote", cordon.IoT, 4}, {"_matter.", cordon.IoT, 4},
	{"_matterc.", cordon.IoT, 4}, {"_spotify-connect.", cordon.IoT, 2}, {"_esphomelib.", cordon.IoT, 4},
	{"_companion-link.", cordon.Personal, 1}, {"_apple-mobdev2.", cordon.Personal, 4},
	{"_remotepairing.", cordon.Personal, 2},
	{"mediarenderer", cordon.IoT, 2}, {"dial-multiscreen", cordon.IoT, 2}, {"digitalsecuritycamera", cordon.IoT, 4},
	{"internetgatewaydevice", cordon.Infrastructure, 4}, {"wlanaccesspointdevice", cordon.Infrastructure, 4},
}

// vendorHints are for DHCP option 60 (RFC 2132 §9.13), lower case.
var vendorHints = []hint{
	{"msft", cordon.Personal, 4}, {"android-dhcp", cordon.Personal, 2}, {"udhcp", cordon.IoT, 2},
	{"dhcpcd", cordon.Unknown, 0}, {"ubnt", cordon.Infrastructure, 2},
}

// paramHints are DHCP option 55 lists (RFC 2132 §9.8) of systems that people use,
// in the order in which the systems send them.
var paramHints = []struct {
	params []byte
	system string
	class  cordon.Class
}{
	{[]byte{1, 121, 3, 6, 15, 108, 114, 119, 252}, "iOS", cordon.Personal},
	{[]byte{1, 121, 3, 6, 15, 114, 119, 252}, "iOS", cordon.Personal},
	{[]byte{1, 121, 3, 6, 15, 119, 252}, "iOS", cordon.Personal},
	{[]byte{1, 121, 3, 6, 15, 108, 114, 119, 252, 95, 44, 46}, "macOS", cordon.Personal},
	{[]byte{1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 119, 121, 249, 252}, "Windows", cordon.Personal},
	{[]byte{1, 3, 6, 15, 26, 28, 51, 58, 59, 43}, "Android", cordon.Personal},
	{[]byte{1, 3, 6, 15, 26, 28, 51, 58, 59, 43, 114, 108}, "Android", cordon.Personal},
}

// macSigns is what the MAC address gives away.
func (r *record) macSigns() {
	maker := strings.ToLower(r.Maker) + " "
	for _, h := range makerHints {
		if strings.HasPrefix(maker, h.text) {
			r.sign(h.class, h.weight, "made by %s", strings.TrimSpace(h.text))
		}
	}
	if r.Randomised {
		r.sign(cordon.Personal, 1, "its MAC address is made up (as phones do)")
	}
}

func (r *record) nameSigns(name string) {
	for _, h := range nameHints {
		if atWord(name, h.text) {
			r.sign(h.class, h.weight, "calls itself %q", h.text)
		}
	}
}

func (r *record) service(b []byte) {
	service := strings.ToLower(text(b))
	if strings.HasPrefix(service, cordon.SearchPrefix) {
		return // what it looks for is not what it is
	}
	for _, h := range serviceHints {
		if strings.Contains(service+".", h.text) {
			r.sign(h.class, h.weight, "announces %s", strings.Trim(h.text, "._"))
		}
	}
}

func (r *record) vendor(b []byte) {
	vendor := strings.ToLower(text(b))
	for _, h := range vendorHints {
		if strings.HasPrefix(vendor, h.text) && h.weight > 0 {
			r.sign(h.class, h.weight, "DHCP client of %s", h.text)
		}
	}
}

func (r *record) params(params []byte) {
	for _, h := range paramHints {
		if bytes.Equal(params, h.params) {
			r.sign(h.class, 2, "asks for a lease as %s does", h.system)
		}
	}
}

// atWord reports whether text occurs in name at the beginning of a word, and
// ends there too when it is short.
func atWord(name, text string) bool {
	for from := 0; ; {
		i := strings.Index(name[from:], text)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(text)
		if (i == 0 || !isLetter(name[i-1])) && (len(text) > 3 || end == len(name) || !isLetter(name[end])) {
			return true
		}
		from = i + 1
	}
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' }

// judge sets the class and its reasons from what is known now.
func (r *record) judge() {
	r.unsure = false
	r.Class, r.Reasons = cordon.Unknown, nil
	switch {
	case r.Gateway:
		r.Class, r.Reasons = cordon.Infrastructure, []string{"is the home's router"}
		return
	case r.Relay:
		r.Class, r.Reasons = cordon.Infrastructure, []string{"other devices send through it: " + r.behind.relay}
		return
	case r.told != nil:
		r.Class, r.Reasons = *r.told, []string{"somebody said so"}
		return
	}
	r.Class = strongest(r.signs)
	for _, s := range r.signs {
		if s.class == r.Class && len(r.Reasons) < maxReason {
			r.Reasons = append(r.Reasons, s.why)
		}
	}
}

// strongest returns the class that the signs speak for, Unknown when none has
// twice the weight of the next. A doubt must not cut a life-line, so for that
// class any good sign decides.
func strongest(signs []sign) cordon.Class {
	var weight [cordon.LifeLine + 1]int
	for _, s := range signs {
		weight[s.class] += s.weight
	}
	if weight[cordon.LifeLine] >= enough {
		return cordon.LifeLine
	}
	best, next := cordon.Unknown, 0
	for c := cordon.IoT; c < cordon.LifeLine; c++ {
		switch {
		case weight[c] > weight[best]:
			best, next = c, weight[best]
		case weight[c] > next:
			next = weight[c]
		}
	}
	if weight[best] < max(enough, 2*next) {
		return cordon.Unknown
	}
	return best
}
