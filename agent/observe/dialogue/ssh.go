package dialogue

import (
	"cordon"
	"cordon/agent/observe/dialogue/ssh"
)

var sshService = []byte("ssh")

// ssh tells what can be guessed from the sizes of what is said.
func (t *Table) ssh(c *conversation, k int, b []byte) (more bool) {
	events, more := c.ssh.Said(k, b)
	if events&ssh.Tried != 0 {
		t.login(sshService, cordon.LoginTried)
	}
	if events&ssh.Refused != 0 {
		t.login(sshService, cordon.LoginRefused)
	}
	if events&ssh.Succeeded != 0 {
		t.login(sshService, cordon.LoginSucceeded)
	}
	return more
}
