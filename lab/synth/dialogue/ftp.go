package dialogue

import (
	"time"

	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// FTP is the control connection of a session (RFC 959 §5.4).
type FTP struct {
	p *world.Proc
	c *world.Conn
}

// OpenFTP plays the greeting.
func OpenFTP(p *world.Proc, c *world.Conn, greeting string) *FTP {
	c.Down(message.Lines("220 " + greeting))
	return &FTP{p, c}
}

// Login tries a name and a password.
func (f *FTP) Login(user, password string, ok bool) {
	f.Say("USER "+user, "331 Please specify the password.")
	if ok {
		f.Say("PASS "+password, "230 Login successful.")
		return
	}
	f.c.Up(message.Lines("PASS " + password))
	f.p.Sleep(f.p.Jitter(900*time.Millisecond, 0.3))
	f.c.Down(message.Lines("530 Login incorrect."))
}

// Say is one command with its answer.
func (f *FTP) Say(command, answer string) {
	f.c.Ask(message.Lines(command), message.Lines(answer))
	f.p.Sleep(f.p.Jitter(60*time.Millisecond, 0.5))
}
