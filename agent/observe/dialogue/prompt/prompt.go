// Package prompt knows what a device's log-in asks and answers, line by line. A line
// comes in without its end and without telnet's commands.
package prompt

import (
	"bytes"
	"unicode"

	"cordon/internal/ascii"
)

// Prompt is what a line that waits for an answer asks for.
type Prompt uint8

// The prompts.
const (
	None     Prompt = iota
	Name            // who it is
	Password        // the proof
	Shell           // a command
)

// Of returns what a line asks for. "Last login:" is no prompt.
func Of(line []byte) Prompt {
	line = uncolour(bytes.TrimSpace(line))
	if len(line) == 0 || ascii.HasPrefixFold(line, "last") {
		return None
	}
	switch line[len(line)-1] {
	case '#', '$', '>':
		return Shell
	case ':':
	default:
		return None
	}
	for _, word := range askPassword {
		if ascii.IndexFold(line, word) >= 0 {
			return Password
		}
	}
	for _, word := range askName {
		if n := len(line) - len(word); n >= 0 && ascii.EqualFold(line[n:], word) {
			return Name
		}
	}
	return None
}

// What routers, cameras, recorders and ordinary systems ask with.
var (
	askName     = []string{"login:", "username:", "user:", "user name:", "account:", "login as:", "userid:", "user id:", "login name:"}
	askPassword = []string{"password", "passwd", "passcode", "pass:"}
	refusals    = []string{"incorrect", "fail", "denied", "invalid", "wrong", "bad ", "error", "refused", "not allowed",
		"locked", "too many", "timed out", "timeout", "unknown user", "try again", "bye"}
)

// Asked reports whether a line is a prompt for a name that was already answered:
// who types without waiting sees it only with the echo.
func Asked(line []byte) bool {
	asked := line[:bytes.IndexByte(line, ':')+1]
	return Of(asked) == Name && (ascii.EqualFold(asked, "username:") || Bare(asked))
}

// Bare reports whether a line asks for a name and has at most one word more.
func Bare(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(bytes.TrimSuffix(line, []byte("login:"))) < len(line) && bytes.Count(line, []byte(" ")) <= 1
}

// Refuses reports whether a line says no.
func Refuses(line []byte) bool {
	for _, word := range refusals {
		if ascii.IndexFold(line, word) >= 0 {
			return true
		}
	}
	return false
}

// uncolour returns b without the escape sequences (ECMA-48 §5.4) at its end.
func uncolour(b []byte) []byte {
	for {
		i := bytes.LastIndexByte(b, 0x1b)
		if i < 0 || bytes.IndexFunc(b[i+1:], unicode.IsLetter) != len(b)-i-2 {
			return b
		}
		b = bytes.TrimRight(b[:i], " \t")
	}
}
