package attack

import (
	"fmt"
	"time"

	"cordon/lab/synth/dialogue"
	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// Guessing: how many passwords a bot tries at one host (Mirai: ten, each on a
// connection of its own), and how long it waits for the next host.
const (
	telnetTries = 4
	nextHost    = 3 * time.Second
)

// user and password are what is guessed: words that no device has.
func user(n int) string     { return []string{"root", "admin", "support", "guest"}[n%4] }
func password(n int) string { return fmt.Sprintf("guess%d", n+1) }

// GuessTelnet tries a few passwords at one stranger after the other.
func GuessTelnet(p *world.Proc, d *world.Device) {
	strangers(p, func(p *world.Proc) {
		guessTelnet(p, d, stranger(p, sometimes(p, 10)), 23, -1)
	})
}

// strangers lets f try one host, and a little later the next.
func strangers(p *world.Proc, f func(p *world.Proc)) {
	for ok := true; ok; ok = p.Sleep(p.Poisson(nextHost)) {
		p.Go(f)
	}
}

// guessTelnet tries passwords at one host, each on a connection of its own, and
// reports whether the last was right, which is the one with the number right.
func guessTelnet(p *world.Proc, d *world.Device, to world.End, port uint16, right int) bool {
	for n := range telnetTries {
		c := d.Try(p, to, port, 1)
		if c.Outcome != world.Answers {
			return false
		}
		t := dialogue.OpenTelnet(p, c, "dvr")
		t.Login(user(n), password(n), n == right)
		if n == right {
			t.Run("/bin/busybox MIRAI", "MIRAI: applet not found")
		}
		c.Close()
		if n == right || !p.Sleep(p.Poisson(300*time.Millisecond)) {
			return n == right
		}
	}
	return false
}

// oddSSH is where one of the guessed hosts has its SSH server.
const oddSSH = 22022

// GuessSSH tries passwords at one stranger after the other, and all the time at
// one host that has its server on an odd port.
func GuessSSH(p *world.Proc, d *world.Device) {
	p.Go(func(p *world.Proc) {
		to := lair(p, "backup.stranger.example.net")
		for p.Sleep(p.Poisson(time.Second)) {
			guessSSH(p, d.Dial(p, to, oddSSH))
		}
	})
	strangers(p, func(p *world.Proc) {
		to := stranger(p, sometimes(p, 10))
		for range 3 {
			guessSSH(p, d.Try(p, to, 22, 1))
			if !p.Sleep(p.Poisson(time.Second)) {
				return
			}
		}
	})
}

// guessSSH tries three to six passwords on one connection; after the last the
// server hangs up.
func guessSSH(p *world.Proc, c *world.Conn) {
	if c.Outcome != world.Answers {
		return
	}
	s := dialogue.OpenSSH(p, c, "libssh2_1.4.3", "dropbear_2014.63")
	for range 3 + p.IntN(4) {
		s.Login(false)
		p.Sleep(p.Poisson(150 * time.Millisecond))
	}
	c.Quit()
}

// GuessSSHAt is three hosts on the internet that guess at d's own SSH server,
// which is open to them, and never get in.
func GuessSSHAt(p *world.Proc, d *world.Device) {
	for n := range 3 {
		from := stranger(p, world.Answers)
		p.After(time.Duration(n)*7*time.Second, func(p *world.Proc) {
			for p.Sleep(p.Poisson(time.Duration(1+n) * time.Second)) {
				guessSSH(p, d.Accept(p, from, 22))
			}
		})
	}
}

// GuessFTP tries passwords at a few strangers' file servers, ten on each
// connection.
func GuessFTP(p *world.Proc, d *world.Device) {
	strangers(p, func(p *world.Proc) {
		c := d.Try(p, stranger(p, sometimes(p, 10)), 21, 1)
		if c.Outcome != world.Answers {
			return
		}
		f := dialogue.OpenFTP(p, c, "ready")
		for n := range 10 {
			f.Login(user(n), password(n), false)
		}
		c.Close()
	})
}

// GuessHTTP tries passwords at strangers' cameras, each on a connection of its own.
func GuessHTTP(p *world.Proc, d *world.Device) {
	strangers(p, func(p *world.Proc) {
		to, port := stranger(p, sometimes(p, 10)), []uint16{8080, 81}[p.IntN(2)]
		for n := range 8 {
			c := d.Try(p, to, port, 1)
			if c.Outcome != world.Answers {
				return
			}
			c.Ask(message.HTTPAsk("GET", fmt.Sprintf("%s:%d", to.Addr, port), "/", "Mozilla/4.0", message.Basic("admin", password(n)), ""),
				message.HTTPRefused("camera"))
			c.Close()
			if !p.Sleep(p.Poisson(400 * time.Millisecond)) {
				return
			}
		}
	})
}
