package message

import "math/rand/v2"

// The telnet options that a log-in negotiates (RFC 854, RFC 857, RFC 858,
// RFC 1073): an embedded server offers, a client refuses one thing and agrees to
// the rest.
var (
	telnetOffer  = []byte{255, 253, 1, 255, 253, 31, 255, 251, 1, 255, 251, 3}
	telnetRefuse = []byte{255, 252, 1}
	telnetAgree  = []byte{255, 251, 31, 255, 250, 31, 0, 80, 0, 24, 255, 240, 255, 253, 1, 255, 253, 3}
)

// TelnetOffer is what a telnet server says first.
func TelnetOffer() []byte { return telnetOffer }

// TelnetRefuse refuses to echo.
func TelnetRefuse() []byte { return telnetRefuse }

// TelnetAgree tells the size of the window and agrees to the rest.
func TelnetAgree() []byte { return telnetAgree }

// SSHBanner is the first line of each side, such as "OpenSSH_9.2p1" (RFC 4253 §4.2).
func SSHBanner(software string) []byte { return []byte("SSH-2.0-" + software + "\r\n") }

// The SSH message numbers used (RFC 4253 §12, RFC 5656 §7.1).
const (
	sshKexInit   = 20
	sshNewKeys   = 21
	sshECDHInit  = 30
	sshECDHReply = 31
)

// sshLists is what a side can do, in the order of RFC 4253 §7.1: key exchange,
// host keys, and ciphers, MACs, compression and languages for both directions.
var sshLists = []string{
	"curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,diffie-hellman-group14-sha256",
	"ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256",
	"chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr",
	"chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr",
	"hmac-sha2-256,hmac-sha2-512,hmac-sha1",
	"hmac-sha2-256,hmac-sha2-512,hmac-sha1",
	"none,zlib@openssh.com",
	"none,zlib@openssh.com",
	"",
	"",
}

// SSHKexInit says what a side can do.
func SSHKexInit(r *rand.Rand) []byte {
	b := random(r, []byte{sshKexInit}, 16)
	for _, list := range sshLists {
		b = sshString(b, []byte(list))
	}
	return sshPacket(r, append(b, 0, 0, 0, 0, 0))
}

// SSHExchange is the client's half of the key exchange.
func SSHExchange(r *rand.Rand) []byte {
	return sshPacket(r, sshString([]byte{sshECDHInit}, random(r, nil, 32)))
}

// SSHExchanged is the server's half with its Ed25519 key, and its last message in
// the clear.
func SSHExchanged(r *rand.Rand) []byte {
	name := []byte("ssh-ed25519")
	key := sshString(sshString(nil, name), random(r, nil, 32))
	signature := sshString(sshString(nil, name), random(r, nil, 64))
	b := sshString([]byte{sshECDHReply}, key)
	b = sshString(b, random(r, nil, 32))
	return append(sshPacket(r, sshString(b, signature)), SSHNewKeys(r)...)
}

// SSHNewKeys is a side's last message in the clear.
func SSHNewKeys(r *rand.Rand) []byte { return sshPacket(r, []byte{sshNewKeys}) }

func sshString(b, s []byte) []byte {
	return append(be.AppendUint32(b, uint32(len(s))), s...)
}

// sshPacket wraps a message before there are keys: length, padding to eight bytes
// (RFC 4253 §6).
func sshPacket(r *rand.Rand, body []byte) []byte {
	pad := 8 - (5+len(body))%8
	if pad < 4 {
		pad += 8
	}
	b := append(be.AppendUint32(nil, uint32(1+len(body)+pad)), byte(pad))
	return random(r, append(b, body...), pad)
}
