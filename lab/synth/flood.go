package synth

import (
	"time"

	"cordon"
	"cordon/lab/synth/attack"
	"cordon/lab/synth/twin"
	"cordon/lab/synth/world"
)

// brief is how long floods and their twins are played: they send much.
const brief = 3 * time.Minute

// floods is the scenario of a camera that floods as b does, in a home where the
// laptop is in a call meanwhile.
func floods(b behaviour, kind cordon.Kind, within time.Duration) func(*play) {
	return func(p *play) {
		h := p.calm()
		p.do(h.laptop, "call", p.outbreak()-10*time.Second, call)
		p.infect(h.camera, b, within, kind)
	}
}

// floodTV is a TV box that floods while it shows a film, by datagrams both.
func floodTV(p *play) {
	h := p.calm()
	p.do(h.tv, "film", p.outbreak()-10*time.Second, twin.DownloadQUIC)
	p.infect(h.tv, attack.FloodUDPAt, 2*time.Second, cordon.DoSUDP)
}

func floodTurn(p *play) {
	h := p.calm()
	p.do(h.camera, "bot", p.outbreak(), attack.FloodInTurn(p.tell(h.camera)))
}

func reflector(p *play) {
	h := p.calm()
	p.infect(h.plug, attack.BeReflector, 3*time.Second, cordon.DoSReflection)
}

func twinUpload(p *play) {
	h := p.calm()
	p.do(h.camera, "film", p.outbreak(), twin.UploadFilm)
	p.do(h.recorder, "pictures", p.outbreak()+5*time.Second, twin.SendPictures)
	p.do(h.nas, "quic", p.outbreak()+10*time.Second, twin.UploadQUIC)
}

func twinSpeed(p *play) {
	h := p.calm()
	p.do(h.laptop, "tcp", p.outbreak(), testSpeed)
	p.do(h.laptop, "udp", p.outbreak()+20*time.Second, twin.TestUDP)
	p.do(h.tv, "udp", p.outbreak()+40*time.Second, twin.TestUDP)
}

func twinStream(p *play) {
	h := p.calm()
	console := p.Add("console-den", "00:d9:d1", world.Linux, false)
	p.live(console, 8*time.Second, keepCloud("live.console.example.net", time.Minute))
	p.do(console, "remote", p.outbreak(), twin.PlayRemotely)
	p.do(h.laptop, "meet", p.outbreak(), twin.Meet)
	p.do(h.tv, "video", p.outbreak()+5*time.Second, twin.DownloadQUIC)
	p.do(h.hub, "burst", p.outbreak(), twin.BurstFarAway)
	p.do(h.laptop, "game", p.outbreak()+45*time.Second, playGame)
}

func twinSeed(p *play) {
	h := p.calm()
	p.do(h.nas, "seed", p.outbreak(), twin.SeedTorrent)
	p.do(h.nas, "torrent", p.outbreak(), torrent(300))
}

func twinCut(p *play) {
	h := p.calm()
	const cut = 15 * time.Second
	p.do(h.camera, "pictures", p.outbreak(), twin.SendUntilCut(cut))
	p.do(h.laptop, "tabs", p.outbreak()+cut, restoreTabs(40))
	p.do(h.nas, "film", p.outbreak(), twin.UploadFilm)
	p.Outage(p.outbreak()+cut, p.outbreak()+cut+30*time.Second)
}

func twinAtHome(p *play) {
	h := p.calm()
	p.do(h.laptop, "copy", p.outbreak(), twin.BackUpAtHome(h.nas))
}

func twinPrefetch(p *play) {
	h := p.calm()
	p.do(h.laptop, "prefetch", p.outbreak(), twin.Prefetch)
	p.do(h.laptop, "tabs", p.outbreak()+5*time.Second, restoreTabs(60))
	p.do(h.nas, "mail", p.outbreak(), twin.CheckSenders)
}
