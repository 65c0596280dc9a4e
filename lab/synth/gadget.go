package synth

import (
	"fmt"
	"net/netip"
	"time"

	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

var (
	ssdpGroup = netip.MustParseAddr("239.255.255.250")
	allHome   = netip.MustParseAddr("192.168.1.255")
)

// keepCloud holds one TLS connection to a maker's cloud and says a little every
// so often; after a failure it tries again.
func keepCloud(name string, every time.Duration) behaviour {
	return func(p *world.Proc, d *world.Device) {
		for p.Sleep(p.Poisson(2 * time.Second)) {
			if c := secure(p, d, name); c != nil {
				for p.Sleep(p.Jitter(every, 0.02)) {
					fetch(c, p, 90+p.IntN(60), 60+p.IntN(40))
				}
			}
			p.Sleep(10 * time.Second)
		}
	}
}

// uploadVideo is a camera: every half minute or so it sees something move and
// sends a few megabytes to its cloud.
func uploadVideo(p *world.Proc, d *world.Device) {
	for p.Sleep(p.Poisson(35 * time.Second)) {
		c := secure(p, d, "media.camera-cloud.example.com")
		if c == nil {
			continue
		}
		for range 4 + p.IntN(6) {
			c.UpBulk(40000 + p.IntN(40000))
			p.Sleep(p.Jitter(900*time.Millisecond, 0.2))
		}
		c.DownBulk(180)
		c.Close()
	}
}

// record pulls the stream of a camera over RTSP, for a minute or two at a time.
func record(camera *world.Device) behaviour {
	return func(p *world.Proc, d *world.Device) {
		for p.Sleep(p.Poisson(15 * time.Second)) {
			c := d.Knock(p, camera.Addr, 554, 2)
			if c == nil {
				continue
			}
			for i, method := range []string{"OPTIONS", "DESCRIBE", "SETUP", "PLAY"} {
				c.Ask(message.RTSP(method, camera.Addr, i+1), message.RTSPReply(i+1))
			}
			for i := range 200 + p.IntN(300) {
				for range 2 {
					c.Down(message.RTP(p.Rand, uint16(i), uint32(i*3600), 1000+p.IntN(380)))
				}
				if !p.Sleep(90 * time.Millisecond) {
					return
				}
			}
			c.Close()
		}
	}
}

// watchTV streams: pieces of video over QUIC and TLS, some seconds apart.
func watchTV(p *world.Proc, d *world.Device) {
	for p.Sleep(p.Jitter(4*time.Second, 0.3)) {
		if p.IntN(3) > 0 {
			quic(p, d, "stream.tv.example.net", 8+p.IntN(12))
			continue
		}
		if c := secure(p, d, "vod.tv.example.net"); c != nil {
			for range 5 {
				fetch(c, p, 600, 90000+p.IntN(200000))
				p.Sleep(p.Jitter(2*time.Second, 0.3))
			}
			c.Close()
		}
	}
}

// speak is a speaker: now and then a question goes up and an answer comes back.
func speak(p *world.Proc, d *world.Device) {
	for p.Sleep(p.Poisson(50 * time.Second)) {
		if c := secure(p, d, "voice.speaker.example.com", "h2"); c != nil {
			fetch(c, p, 40000, 160000)
			c.Close()
		}
	}
}

// announce says by mDNS and SSDP what d is, every minute, and looks around.
func announce(service, instance, model string, port uint16) behaviour {
	return func(p *world.Proc, d *world.Device) {
		id := fmt.Sprintf("5eed0000-0000-4000-8000-%02x%02x%02x%02x%02x%02x",
			d.MAC[0], d.MAC[1], d.MAC[2], d.MAC[3], d.MAC[4], d.MAC[5])
		for ok := true; ok; ok = p.Sleep(p.Jitter(60*time.Second, 0.1)) {
			d.MDNS(p, message.MDNSQuery(service))
			p.Sleep(120 * time.Millisecond)
			d.MDNS(p, message.MDNSAnnounce(d.Name, service, instance, port, d.Addr, "md="+model, "vs=1"))
			p.Sleep(250 * time.Millisecond)
			d.Cast(p, ssdpGroup, 4, 1900, 1900, message.SSDPNotify(d.Addr, port, "upnp:rootdevice", "Linux/5.4 UPnP/1.1 "+model+"/1.0", id))
		}
	}
}

// search looks for devices by SSDP every two minutes; one answers.
func search(answerer *world.Device) behaviour {
	return func(p *world.Proc, d *world.Device) {
		for n := uint16(0); ; n++ {
			port := 50000 + n
			d.Cast(p, ssdpGroup, 2, port, 1900, message.SSDPSearch("ssdp:all"))
			p.Sleep(p.Jitter(300*time.Millisecond, 0.5))
			t := answerer.TalkFrom(p, 1900, d.Near(false), port)
			t.Send(message.SSDPReply(answerer.Addr, 8008, "upnp:rootdevice", "Linux/5.4 UPnP/1.1 "+answerer.Name+"/1.0", "5eed0000-0000-4000-8000-000000000001"))
			if !p.Sleep(p.Jitter(120*time.Second, 0.1)) {
				return
			}
		}
	}
}

// glow is a bulb: it calls for its like on the LAN and keeps MQTT over TLS open.
func glow(p *world.Proc, d *world.Device) {
	p.Go(func(p *world.Proc) {
		for p.Sleep(p.Jitter(20*time.Second, 0.1)) {
			d.Cast(p, allHome, 64, 9999, 9999, message.BulbDiscovery(`{"system":{"get_sysinfo":{}}}`))
		}
	})
	h, ok := d.Resolve(p, "mqtt.bulb.example.com")
	if !ok {
		return
	}
	for p.Sleep(2 * time.Second) {
		c := shake(p, d, p.World.Far(h, false), "mqtt.bulb.example.com", 8883)
		if c == nil {
			continue
		}
		for p.Sleep(p.Jitter(30*time.Second, 0.01)) {
			fetch(c, p, 24, 24)
		}
	}
}

// switchPlug is a plug: MQTT in the clear with its pings of two bytes, the twin
// of a bot's keep-alive.
func switchPlug(p *world.Proc, d *world.Device) {
	h, ok := d.Resolve(p, "mqtt.plug.example.net")
	if !ok {
		return
	}
	for p.Sleep(time.Second) {
		c := d.Dial(p, p.World.Far(h, false), 1883)
		if c.Outcome != world.Answers {
			continue
		}
		c.Ask(message.MQTTConnect(d.Name, 60), message.MQTTConnAck())
		for n := 0; p.Sleep(p.Jitter(60*time.Second, 0.003)); n++ {
			c.Ask(message.MQTTPing(), message.MQTTPong())
			if n%5 == 2 {
				c.Up(message.MQTTPublish("tele/"+d.Name+"/ENERGY", fmt.Sprintf(`{"Power":%d}`, p.IntN(1800))))
			}
		}
	}
}

// pollNeighbours is a hub that asks devices of the home how they are.
func pollNeighbours(every time.Duration, all ...*world.Device) behaviour {
	return func(p *world.Proc, d *world.Device) {
		for p.Sleep(p.Jitter(every, 0.05)) {
			for _, n := range all {
				if c := d.Knock(p, n.Addr, 80, 2); c != nil {
					c.Ask(message.HTTPGet(n.Addr.String(), "/api/state", "hub/1.9"), message.HTTPReply("200 OK", 300))
					c.Close()
				}
			}
		}
	}
}

// printPages looks for printers and asks one how it is, now and then.
func printPages(printer *world.Device) behaviour {
	return func(p *world.Proc, d *world.Device) {
		for p.Sleep(p.Poisson(3 * time.Minute)) {
			d.MDNS(p, message.MDNSQuery("_ipp._tcp.local", "_pdl-datastream._tcp.local"))
			p.Sleep(300 * time.Millisecond)
			if c := d.Knock(p, printer.Addr, 631, 2); c != nil {
				c.Ask(message.HTTPGet(printer.Addr.String(), "/ipp/print", "CUPS/2.4"), message.HTTPReply("200 OK", 900))
				c.Close()
			}
		}
	}
}
