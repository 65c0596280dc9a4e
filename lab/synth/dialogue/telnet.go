// Package dialogue plays what the two ends of an open connection say to each
// other until somebody is logged in, or is not: telnet, SSH, FTP, IRC. It knows
// neither who is honest nor why they talk; attackers (lab/synth/attack) and their
// harmless twins (lab/synth) use the same words.
package dialogue

import (
	"time"

	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// Telnet is a session that begins with a log-in.
type Telnet struct {
	// Typing is how long a person takes for a key; each goes and comes back by
	// itself. 0: a program, which sends whole lines.
	Typing time.Duration

	p    *world.Proc
	c    *world.Conn
	host string // as the server calls itself
}

// OpenTelnet plays the options and the first prompt on c.
func OpenTelnet(p *world.Proc, c *world.Conn, host string) *Telnet {
	t := &Telnet{p: p, c: c, host: host}
	p.Sleep(p.Jitter(30*time.Millisecond, 0.5))
	c.Down(message.TelnetOffer())
	c.Ask(message.TelnetRefuse(), []byte("\r\r\n"+host+" login: "))
	c.Up(message.TelnetAgree())
	return t
}

// Login tries a name and a password. A refusal takes a second or two and ends
// with a new prompt, success with that of the shell.
func (t *Telnet) Login(user, password string, ok bool) {
	t.line(user, true)
	t.c.Down([]byte("Password: "))
	t.line(password, false)
	if !ok {
		t.p.Sleep(t.p.Jitter(1300*time.Millisecond, 0.3))
		t.c.Down([]byte("Login incorrect\r\n" + t.host + " login: "))
		return
	}
	t.p.Sleep(t.p.Jitter(250*time.Millisecond, 0.3))
	t.c.Down([]byte("\r\n\r\nBusyBox v1.19.4 built-in shell (ash)\r\nEnter 'help' for a list of commands.\r\n\r\n# "))
}

// Run sends a command; output, which may be empty, and the prompt come back.
func (t *Telnet) Run(command, output string) {
	t.line(command, true)
	t.p.Sleep(t.p.Jitter(20*time.Millisecond, 0.5))
	if output != "" {
		output += "\r\n"
	}
	t.c.Down([]byte(output + "# "))
}

// Start sends a command; Run's rest follows when the caller calls Done.
func (t *Telnet) Start(command string) { t.line(command, true) }

// Done is the output of what was started, and the prompt.
func (t *Telnet) Done(output string) { t.c.Down([]byte(output + "\r\n# ")) }

// line sends a line; the server says what it read, unless it is a password.
func (t *Telnet) line(text string, echo bool) {
	if t.Typing > 0 {
		for _, key := range []byte(text) {
			t.p.Sleep(t.p.Jitter(t.Typing, 0.5))
			if echo {
				t.c.Ask([]byte{key}, []byte{key})
			} else {
				t.c.Up([]byte{key})
			}
		}
		text = ""
	}
	said := "\r\n"
	if echo {
		said = text + said
	}
	t.c.Ask([]byte(text+"\r\n"), []byte(said))
}
