package synth

import (
	"time"

	"cordon"
	"cordon/lab/synth/attack"
	"cordon/lab/synth/twin"
	"cordon/lab/synth/world"
)

// infection begins with a calm home whose camera has a forgotten telnet server
// that the router forwards from the internet.
func infection(p *play) {
	h := p.calm()
	h.camera.Open = append(h.camera.Open, 23)
	p.do(h.camera, "infection", p.outbreak(), attack.Infect(p.tell(h.camera)))
}

func twinTelnet(p *play) {
	h := p.calm()
	old := p.Add("switch-cellar", "00:1b:0c", world.Embedded, false)
	old.Open = []uint16{23, 80}
	p.live(old, 8*time.Second, askClock)
	p.do(h.laptop, "telnet", p.outbreak(), twin.UseTelnet(old))
}

// guess is the scenario of a recorder that guesses passwords, as b does.
func guess(b behaviour) func(*play) {
	return func(p *play) { p.infect(p.calm().recorder, b, time.Minute, cordon.BruteforceOutbound) }
}

func sshGuessed(p *play) {
	p.infect(p.calm().nas, attack.GuessSSHAt, time.Minute, cordon.BruteforceInbound)
}

func twinGuess(p *play) {
	h := p.calm()
	p.do(h.laptop, "ssh", p.outbreak(), twin.MistypeSSH(h.nas))
	p.do(h.laptop, "ftp", p.outbreak()+10*time.Second, twin.MistypeFTP)
	p.do(h.nas, "backup", p.outbreak()/2, twin.BackUp)
	p.do(h.recorder, "pictures", p.outbreak()/2, twin.PollPictures(h.camera))
}

func twinAdmin(p *play) {
	p.calm()
	box := p.unknown("box")
	p.live(box, 8*time.Second, askClock, keepCloud("updates.box.example.org", time.Minute))
	p.do(box, "admin", p.outbreak(), twin.Administer)
	p.allow(cordon.ScanHorizontal)
}

func twinNVR(p *play) {
	h := p.calm()
	second := p.Add("cam-garden", "44:19:b6", world.Embedded, false)
	second.Open = []uint16{80, 554}
	p.live(second, 8*time.Second, askClock)
	p.do(h.recorder, "first", p.outbreak(), twin.KeepTrying(h.camera))
	p.do(h.recorder, "second", p.outbreak()+3*time.Second, twin.KeepTrying(second))
	p.allow(cordon.BruteforceOutbound)
}

func exploit(p *play) {
	p.infect(p.calm().camera, attack.Exploit, 15*time.Second, cordon.ExploitAttempt)
}

func exploited(p *play) {
	h := p.calm()
	p.do(h.camera, "infection", p.outbreak(), attack.BeExploited(p.tell(h.camera)))
}

func twinExploit(p *play) {
	h := p.calm()
	p.do(h.laptop, "admin", p.outbreak(), twin.UseAdminPages(h.camera))
	p.do(h.laptop, "read", p.outbreak()+5*time.Second, twin.ReadAdvisories)
}

func twinDownloader(p *play) {
	h := p.calm()
	sensor := p.Add("sensor-door", "6c:72:20", world.Embedded, false)
	p.live(sensor, 8*time.Second, askClock, keepCloud("hub.sensor.example.com", time.Minute))
	p.do(sensor, "agent", p.outbreak(), twin.UpdateAgent)
	p.do(h.nas, "packages", p.outbreak()+5*time.Second, twin.UpdatePackages)
}

func c2Only(p *play) {
	camera := p.quiet()
	p.do(camera, "infection", p.outbreak(), attack.CallHome(p.tell(camera)))
}

func twinKeepalive(p *play) {
	camera := p.quiet()
	p.do(camera, "heartbeat", p.outbreak(), twin.Beat)
	p.do(camera, "broker", p.outbreak(), twin.PingBroker)
}

func ircBot(p *play) { p.infect(p.calm().camera, attack.JoinIRC, 90*time.Second, cordon.C2IRC) }

func twinIRC(p *play) { p.do(p.calm().laptop, "irc", p.outbreak(), twin.ChatIRC) }

func twinIRCHelp(p *play) {
	p.calm()
	shelf := p.Add("rpi-shelf", "b8:27:eb", world.Linux, true)
	p.live(shelf, 8*time.Second, askClock)
	p.do(shelf, "irc", p.outbreak()/2, twin.HelpOverIRC)
}

func dhtBot(p *play) { p.infect(p.calm().camera, attack.JoinDHT, time.Minute, cordon.C2P2P) }

func p2pBot(p *play) {
	p.infect(p.calm().camera, attack.HideAndSeek, time.Minute, cordon.C2P2P, cordon.ScanHorizontal)
}

func twinP2P(p *play) {
	h := p.calm()
	console := p.Add("console-den", "00:d9:d1", world.Linux, false)
	p.live(console, 8*time.Second, keepCloud("live.console.example.net", time.Minute))
	p.do(h.nas, "bootstrap", p.outbreak(), twin.Bootstrap)
	p.do(h.nas, "torrent", p.outbreak()+time.Second, torrent(400))
	p.do(h.laptop, "torrent", p.outbreak()+20*time.Second, torrent(200))
	p.do(console, "together", p.outbreak()+10*time.Second, twin.PlayTogether)
}
