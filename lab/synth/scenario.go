package synth

import (
	"slices"
	"time"

	"cordon"
	"cordon/lab/synth/attack"
	"cordon/lab/synth/twin"
	"cordon/lab/synth/world"
)

// Scenario is one kind of capture.
type Scenario struct {
	Name     string
	Short    string        // one line: what is in it
	Duration time.Duration // unless Options say otherwise
	// Outcome is the strongest level that an incident in it must and may reach
	// (detection.md §A5, Decision).
	Outcome cordon.Level

	play func(*play)
}

// Scenarios returns all of them, each attacker next to its benign twin: the same
// device, the same shape, harmless.
func Scenarios() []Scenario { return slices.Clone(scenarios) }

func find(name string) *Scenario {
	for i := range scenarios {
		if scenarios[i].Name == name {
			return &scenarios[i]
		}
	}
	return nil
}

const usual = 10 * time.Minute

var scenarios = []Scenario{
	{"calm", "a family's devices on an ordinary day", usual, cordon.None, func(p *play) { p.calm() }},
	{"busy", "calm, and all that looks odd: torrent, call, game, speed test, restored tabs, broken IPv6", usual, cordon.None, busyDay},
	{"outage", "calm, and for 40 s nothing comes in from the internet", usual, cordon.None, outage},

	{"mirai", "the camera scans as Mirai does: raw SYNs to telnet, the sequence number is the destination", usual, cordon.Act, mirai},
	{"twin-mirai", "the camera's cloud is down: it tries its three servers all the time", usual, cordon.None, twinMirai},
	{"scan-horizontal", "the recorder scans with ordinary sockets: telnet, 8080, 37215, 12 hosts a second", usual, cordon.Act, scanHorizontal},
	{"twin-horizontal", "the NAS runs BitTorrent and the laptop restores 60 tabs", usual, cordon.None, twinHorizontal},
	{"scan-deadc2", "nothing comes in: the camera scans telnet in vain, and its own server is gone", usual, cordon.Act, scanDeadC2},
	{"scan-block", "the recorder scans blocks of 64 hosts, 200 ports each, 200 SYNs a second", usual, cordon.Act, scanBlock},
	{"scan-hidden", "the recorder scans telnet among forty times as many connections to junk ports", usual, cordon.Act, scanHidden},
	{"twin-eyeballs-doh", "a laptop and an unknown device read rich pages by DNS over HTTPS while IPv6 leads nowhere", usual, cordon.None, twinEyeballsDoH},
	{"twin-dmz", "the camera gets all that the internet throws at an open address: DHT, SIP, telnet, backscatter", usual, cordon.None, twinDMZ},
	{"scan-slow", "the camera tries one host every six minutes on telnet, for hours", 6 * time.Hour, cordon.Watch, scanSlow},
	{"twin-slow", "the camera tries its ten built-in addresses, one a minute, half of them down", 6 * time.Hour, cordon.None, twinSlow},
	{"scan-vertical", "the recorder tries 1,000 ports of the NAS as nmap does", usual, cordon.Notify, scanVertical},
	{"scan-fin", "the recorder tries 1,000 ports of the NAS as nmap's FIN scan does", usual, cordon.Notify, scanFIN},
	{"twin-openport", "the laptop uses sixteen ports of one host, while its monitor asks for a closed one", usual, cordon.None, twinOpenPort},
	{"twin-vertical", "the laptop fetches 60 files by passive FTP and traces a route", usual, cordon.None, twinVertical},
	{"scan-lateral", "a TV box sweeps the home by ARP, then tries 23, 5555 and 445 of its neighbours", usual, cordon.Watch, scanLateral},
	{"twin-lateral", "the hub asks every neighbour how it is, the laptop looks for printers", usual, cordon.None, twinLateral},
	{"arp-sweep", "the plug asks for every address of the home", usual, cordon.Watch, sweep(attack.ArpSweep)},
	{"ping-sweep", "the plug pings every address of the home", usual, cordon.Watch, sweep(attack.PingSweep)},
	{"web-page", "a page's script in the laptop's browser tries 40 addresses of the home on 80, 8080 and 443", usual, cordon.Watch, webPage},

	{"infection", "all of Mirai: the camera's telnet password is guessed, a bot loaded, commanded, and it spreads", usual, cordon.Act, infection},
	{"twin-telnet", "the laptop uses telnet: an old switch at home, a hobbyist's mailbox", usual, cordon.None, twinTelnet},
	{"telnet-guess", "the recorder guesses telnet passwords of strangers", usual, cordon.Notify, guess(attack.GuessTelnet)},
	{"ssh-guess", "the recorder guesses SSH passwords of strangers, one of them on an odd port", usual, cordon.Notify, guess(attack.GuessSSH)},
	{"ftp-guess", "the recorder guesses FTP passwords of strangers", usual, cordon.Notify, guess(attack.GuessFTP)},
	{"http-guess", "the recorder guesses passwords of strangers' cameras on 8080 and 81", usual, cordon.Notify, guess(attack.GuessHTTP)},
	{"ssh-guessed", "three strangers guess at the NAS's open SSH server, in vain", usual, cordon.Watch, sshGuessed},
	{"twin-guess", "passwords mistyped (SSH, FTP), a backup by SSH every minute, pictures that are refused first", usual, cordon.None, twinGuess},
	{"twin-admin", "an unknown box logs in by SSH at twenty bare addresses within 8 s, every five minutes", usual, cordon.None, twinAdmin},
	{"twin-nvr", "the recorder tries the old password of two cameras every 10 s, for ever", usual, cordon.None, twinNVR},
	{"exploit", "the camera sends old exploits to strangers on 80, 7547, 8080 and 37215", usual, cordon.Notify, exploit},
	{"exploited", "an exploit at the camera's open web server works: it fetches a bot, which logs in", usual, cordon.Act, exploited},
	{"twin-exploit", "the laptop is at the administration pages of router and camera, and reads about worms", usual, cordon.None, twinExploit},
	{"twin-downloader", "a sensor fetches its agent, a program for MIPS, with wget; the NAS fetches packages", usual, cordon.None, twinDownloader},

	{"c2-only", "an infected camera with nothing to do: Mirai's keep-alive every minute, on port 4441", time.Hour, cordon.Act, c2Only},
	{"twin-keepalive", "MQTT pings to a bare address, and a maker's own heartbeat of two bytes, every minute", time.Hour, cordon.None, twinKeepalive},
	{"irc-bot", "the camera waits for commands in an IRC channel, at a bare address and an odd port", usual, cordon.Act, ircBot},
	{"twin-irc", "the laptop chats in IRC", usual, cordon.None, twinIRC},
	{"twin-irc-help", "a small computer is in a help channel, where people give orders", usual, cordon.None, twinIRCHelp},
	{"dht-bot", "the camera is a node of BitTorrent's DHT, as Mozi's bots are", usual, cordon.Act, dhtBot},
	{"p2p-bot", "the camera sends nine bytes a second to random hosts and scans, as Hide and Seek does", usual, cordon.Act, p2pBot},
	{"twin-p2p", "NAS and laptop run BitTorrent, a console plays with eleven others", usual, cordon.None, twinP2P},

	{"flood-syn", "the camera sends 2,000 SYNs a second to a shop's web server", brief, cordon.Act, floods(attack.FloodSYN, cordon.DoSSYN, 2*time.Second)},
	{"flood-ack", "the camera sends 2,000 segments a second that belong to no connection", brief, cordon.Act, floods(attack.FloodACK, cordon.DoSACK, 2*time.Second)},
	{"flood-udp", "the camera bombs two dozen networks with datagrams, all hosts and thousands of ports", brief, cordon.Act, floods(attack.FloodUDP, cordon.DoSUDP, 2*time.Second)},
	{"flood-tv", "the TV bombs one host with datagrams while it plays a film by QUIC", brief, cordon.Act, floodTV},
	{"flood-gre", "the camera sends 2,000 GRE packets a second", brief, cordon.Act, floods(attack.FloodGRE, cordon.DoSGRE, 2*time.Second)},
	{"flood-icmp", "the camera pings a host 1,000 times a second", brief, cordon.Act, floods(attack.FloodICMP, cordon.DoSICMP, 2*time.Second)},
	{"flood-http", "the camera opens 40 connections a second to a web server", brief, cordon.Act, floods(attack.FloodHTTP, cordon.DoSHTTP, 6*time.Second)},
	{"flood-dns", "the camera asks for 250 names a second that do not exist, of one domain", brief, cordon.Act, floods(attack.FloodDNS, cordon.DoSDNS, 2*time.Second)},
	{"flood-turn", "the camera floods in turn with SYNs, segments and GRE packets", brief, cordon.Act, floodTurn},
	{"spoofed", "the camera sends 2,000 SYNs a second from random addresses", brief, cordon.Act, floods(attack.Spoof, cordon.DoSSpoofed, 2*time.Second)},
	{"reflection", "the plug's discovery service is open to the internet and answers in a victim's name", brief, cordon.Act, reflector},
	{"twin-upload", "a camera, a recorder and the NAS upload: TCP, RTP, QUIC", brief, cordon.None, twinUpload},
	{"twin-speed", "speed tests, by TCP and by datagrams", brief, cordon.None, twinSpeed},
	{"twin-stream", "a console is played remotely, a large call, a film, a game, bursts to the far side of the world", brief, cordon.None, twinStream},
	{"twin-seed", "the NAS uploads to thirty peers by uTP, and runs BitTorrent", brief, cordon.None, twinSeed},
	{"twin-cut", "the line is cut while the camera sends pictures and the NAS a film; the camera goes on for 4 s", brief, cordon.None, twinCut},
	{"twin-athome", "the laptop copies its disk to the NAS by datagrams that nobody acknowledges", brief, cordon.None, twinAtHome},
	{"twin-prefetch", "a browser looks up a hundred names a second, restores tabs, and a mail server asks block lists", brief, cordon.None, twinPrefetch},

	{"flood", "stress: the camera opens 100,000 flows a second for 20 s", 30 * time.Second, cordon.Act, flood},
	{"crowd", "stress: 200 devices", usual, cordon.None, func(p *play) { p.crowd(200) }},
	{"bench", "stress: a busy day in minutes, about 23,000 packets a second", usual, cordon.None, func(p *play) { p.calm(); p.busy() }},
}

// outbreak is when the attacker of a scenario begins: late enough for the home
// to be known, early enough for a short play.
func (p *play) outbreak() time.Duration { return min(3*time.Minute, p.length/3) }

// infect lets d do b from the outbreak on, which is the truth about kinds.
func (p *play) infect(d *world.Device, b behaviour, within time.Duration, kinds ...cordon.Kind) {
	p.do(d, "infection", p.outbreak(), b)
	for i, k := range kinds {
		deed := attack.Deed{Kind: k, At: p.Begin().Add(p.outbreak()), Within: within}
		if i == 0 {
			deed.ActWithin = within
		}
		p.tell(d)(deed)
	}
}

func busyDay(p *play) {
	h, at := p.calm(), p.outbreak()/2
	p.do(h.nas, "torrent", at, torrent(400))
	p.do(h.phone, "call", at, call)
	p.do(h.laptop, "eyeballs", at, eyeballs)
	p.do(h.laptop, "tabs", 2*at, restoreTabs(60))
	p.do(h.laptop, "speed", 3*at, testSpeed)
	p.do(h.laptop, "game", 3*at+20*time.Second, playGame)
}

func outage(p *play) {
	h := p.calm()
	p.do(h.nas, "torrent", p.outbreak()/2, torrent(200))
	p.do(h.laptop, "tabs", p.outbreak()+5*time.Second, restoreTabs(40))
	p.Outage(p.outbreak(), p.outbreak()+40*time.Second)
}

func mirai(p *play) {
	p.infect(p.calm().camera, attack.MiraiScan, time.Second, cordon.ScanMirai, cordon.ScanHorizontal)
}

func twinMirai(p *play) { p.do(p.calm().camera, "dead cloud", p.outbreak(), deadCloud) }

func scanHorizontal(p *play) {
	p.infect(p.calm().recorder, attack.SocketScan, 20*time.Second, cordon.ScanHorizontal)
}

func scanDeadC2(p *play) {
	camera := p.asleep()
	p.do(camera, "server", p.outbreak()/2, attack.CallInVain)
	p.infect(camera, attack.DeafScan, 20*time.Second, cordon.ScanHorizontal)
}

func scanBlock(p *play) {
	p.infect(p.calm().recorder, attack.BlockScan, 30*time.Second, cordon.ScanHorizontal)
}

func scanHidden(p *play) {
	p.infect(p.calm().recorder, attack.HiddenScan, 20*time.Second, cordon.ScanHorizontal)
}

func twinEyeballsDoH(p *play) {
	p.quiet()
	p.live(p.Add("laptop-ada", "f8:b1:56", world.Windows, true), 4*time.Second, browsePrivately)
	p.live(p.unknown("something"), 5*time.Second, browsePrivately)
}

func twinDMZ(p *play) { p.do(p.calm().camera, "noise", p.outbreak()/2, twin.BeExposed) }

func twinHorizontal(p *play) {
	h := p.calm()
	p.do(h.nas, "torrent", p.outbreak(), torrent(600))
	p.do(h.laptop, "tabs", p.outbreak(), restoreTabs(60))
}

// quiet is the calm home at night: only what keeps itself alive. The camera is
// returned.
func (p *play) quiet() *world.Device {
	camera := p.Add("cam-porch", "44:19:b6", world.Embedded, false)
	plug := p.Add("plug-desk", "5c:cf:7f", world.Tiny, false)
	hub := p.Add("hub", "00:17:88", world.Embedded, false)
	plug.Open = []uint16{80}
	p.live(camera, time.Second, askClock, keepCloud("hub.camera-cloud.example.com", 20*time.Second))
	p.live(plug, 2*time.Second, switchPlug)
	p.live(hub, 3*time.Second, askClock, keepCloud("ws.hub.example.org", time.Minute), pollNeighbours(30*time.Second, plug))
	return camera
}

func scanSlow(p *play) { p.infect(p.quiet(), attack.SlowScan, 4*time.Hour, cordon.ScanSlow) }

func twinSlow(p *play) { p.do(p.quiet(), "raw cloud", p.outbreak(), rawCloud) }

func scanVertical(p *play) {
	h := p.calm()
	p.infect(h.recorder, attack.PortScan(h.nas), 5*time.Second, cordon.ScanVertical)
}

func scanFIN(p *play) {
	h := p.calm()
	p.infect(h.recorder, attack.FINScan(h.nas), 5*time.Second, cordon.ScanVertical)
}

func twinOpenPort(p *play) {
	laptop := p.calm().laptop
	p.do(laptop, "fetch", p.outbreak()/2, twin.FetchAll)
	p.do(laptop, "monitor", p.outbreak()/2, twin.Monitor)
}

func twinVertical(p *play) {
	h := p.calm()
	p.do(h.laptop, "ftp", p.outbreak(), fetchFTP(60))
	p.do(h.laptop, "trace", p.outbreak()+10*time.Second, traceRoute)
}

func scanLateral(p *play) {
	p.calm()
	box := p.Add("tvbox", "00:1a:9a", world.Android, false)
	p.live(box, 8*time.Second, keepCloud("ota.tvbox.example.net", time.Minute), watchTV)
	p.infect(box, attack.LateralScan, 60*time.Second, cordon.ScanLateral)
}

func twinLateral(p *play) {
	h := p.calm()
	p.do(h.hub, "poll", p.outbreak(), pollNeighbours(20*time.Second, h.bulb, h.plug, h.camera, h.printer, h.nas))
	p.do(h.laptop, "print", p.outbreak(), printPages(h.printer))
	p.do(h.recorder, "record", p.outbreak(), record(h.camera))
}

// sweep is the scenario of a plug that does b.
func sweep(b behaviour) func(*play) {
	return func(p *play) { p.infect(p.calm().plug, b, 15*time.Second, cordon.ScanLateral) }
}

func webPage(p *play) { p.infect(p.calm().laptop, probePage, 30*time.Second, cordon.ScanLateral) }

func flood(p *play) {
	p.infect(p.calm().camera, floodFlows(20*time.Second), time.Second, cordon.ScanHorizontal)
}
