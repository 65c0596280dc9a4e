package synth

import (
	"time"

	"cordon/lab/synth/world"
)

// home is a family's devices by what they are.
type home struct {
	camera, recorder, tv, speaker, bulb, plug, hub, phone, laptop, printer, nas *world.Device
}

// unknown adds a device that gives nothing away: a prefix without a maker, and a
// lease without a name. So nobody knows what it is.
func (p *play) unknown(name string) *world.Device {
	d := p.Add(name, "18:9d:ec", world.Linux, true)
	d.Shy = true
	return d
}

// asleep is a home to which nothing comes by itself: a camera without a cloud,
// which is returned, and a hub that sleeps.
func (p *play) asleep() *world.Device {
	camera := p.Add("cam-porch", "44:19:b6", world.Embedded, false)
	p.live(camera, time.Second)
	p.live(p.Add("hub", "00:17:88", world.Embedded, false), 2*time.Second)
	return camera
}

// calm is a home on an ordinary day. Scenarios begin with it and add what they
// are about. The maker prefixes are real assignments, the devices are not.
func (p *play) calm() *home {
	h := &home{
		camera:   p.Add("cam-porch", "44:19:b6", world.Embedded, false),
		recorder: p.Add("nvr", "3c:ef:8c", world.Embedded, false),
		tv:       p.Add("tv-living", "a8:23:fe", world.Linux, true),
		speaker:  p.Add("speaker-kitchen", "44:65:0d", world.Android, false),
		bulb:     p.Add("bulb-hall", "50:c7:bf", world.Tiny, false),
		plug:     p.Add("plug-desk", "5c:cf:7f", world.Tiny, false),
		hub:      p.Add("hub", "00:17:88", world.Embedded, false),
		phone:    p.Add("phone-ada", "", world.Android, true),
		laptop:   p.Add("laptop-ada", "f8:b1:56", world.Windows, true),
		printer:  p.Add("printer", "3c:d9:2b", world.Embedded, false),
		nas:      p.Add("nas", "00:11:32", world.Linux, true),
	}
	h.camera.Open = []uint16{80, 554}
	h.recorder.Open = []uint16{80, 554}
	h.tv.Open = []uint16{8008, 8009}
	h.bulb.Open = []uint16{80}
	h.plug.Open = []uint16{80}
	h.hub.Open = []uint16{80, 443}
	h.printer.Open = []uint16{80, 443, 631, 9100}
	h.nas.Open = []uint16{22, 80, 139, 443, 445, 5000, 5001}
	h.phone.Drops, h.laptop.Drops, h.speaker.Drops = true, true, true

	const s, ms = time.Second, time.Millisecond
	p.live(h.camera, 200*ms, askClock, keepCloud("hub.camera-cloud.example.com", 20*s), uploadVideo)
	p.live(h.recorder, 900*ms, askClock, record(h.camera))
	p.live(h.tv, 1700*ms, watchTV, keepCloud("push.tv.example.net", 45*s), announce("_googlecast._tcp.local", "Living room", "TV-55X", 8009))
	p.live(h.speaker, 2600*ms, speak, keepCloud("device.speaker.example.com", 30*s), announce("_amzn-wplay._tcp.local", "Kitchen", "Speaker-2", 55443))
	p.live(h.bulb, 3200*ms, glow)
	p.live(h.plug, 3900*ms, switchPlug)
	p.live(h.hub, 4500*ms, askClock, keepCloud("ws.hub.example.org", 60*s), pollNeighbours(30*s, h.bulb, h.plug), announce("_hap._tcp.local", "Hub", "BSB002", 80))
	p.live(h.phone, 6*s, browse, keepCloud("push.phone.example.com", 90*s))
	p.live(h.laptop, 9*s, browse, printPages(h.printer), search(h.tv))
	p.live(h.printer, 5200*ms, announce("_ipp._tcp.local", "Printer", "LaserJet-9", 631))
	p.live(h.nas, 7300*ms, askClock, keepCloud("quick.nas.example.com", 40*s), announce("_smb._tcp.local", "nas", "DS-220", 445))
	return h
}
