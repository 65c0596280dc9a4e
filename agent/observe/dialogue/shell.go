package dialogue

import (
	"bytes"
	"math/bits"
	"strings"

	"cordon"
	"cordon/internal/ascii"
)

// shell is what was typed into a shell that malware types too.
type shell struct {
	asked  bool // BusyBox was asked for a program that it may not have
	loaded bool // a program was fetched, or written by echo
	run    uint8
	ran    bool // the programs of escalation were told
}

// What a command line is for, as FactShell calls it.
var (
	shellProbe    = []byte("busybox-probe")
	shellDownload = []byte("download")
	shellEcho     = []byte("echo-load")
	shellEscalate = []byte("shell-escalation")
	shellExecute  = []byte("execute")
)

// isSeparator reports whether a byte ends one command of a line (POSIX.1-2017
// XCU §2.10.2).
func isSeparator(ch byte) bool { return ch == ';' || ch == '|' || ch == '&' || ch == '`' }

// told tells of a command without saying more than what it is for.
func (t *Table) told(service []byte) {
	t.tell(cordon.FactShell, opener, cordon.Observation{Service: service})
}

// shell takes one command, without its line's end.
func (t *Table) shell(c *conversation, line []byte) {
	word, rest := cutWord(line)
	if len(word) == 0 {
		return
	}
	program := base(word)
	if string(program) == "busybox" {
		word, rest = cutWord(rest)
		if program = base(word); len(word) == 0 {
			return
		}
		c.shell.asked = !isShout(word)
		if !c.shell.asked {
			t.told(shellProbe)
			return
		}
	}
	t.escalate(c, program)
	switch string(program) {
	case "wget", "curl", "tftp", "ftpget":
		t.download(c, program, rest)
	case "echo", "printf":
		t.echo(c, line)
	case "chmod":
		mode, _ := cutWord(rest)
		if isExecutable(mode) && c.shell.loaded {
			t.told(shellExecute)
		}
	case "sh", "nohup", "exec":
		if file, _ := cutWord(rest); len(file) > 0 && c.shell.loaded {
			t.told(shellExecute)
		}
	default:
		if c.shell.loaded && (bytes.HasPrefix(word, []byte("./")) || bytes.HasPrefix(word, []byte("/tmp/")) || bytes.HasPrefix(word, []byte("/var/"))) {
			t.told(shellExecute)
		}
	}
}

// escalation is the programs that Mirai and its descendants run in a row to come
// from a device's own menu to a shell (Mirai's scanner and loader).
var escalation = [...]string{"enable", "system", "shell", "sh", "linuxshell", "bash"}

// escalate tells of three different ones in a row, the last of which is a shell.
func (t *Table) escalate(c *conversation, program []byte) {
	s := &c.shell
	for i, name := range escalation {
		if string(program) == name {
			s.run |= 1 << i
			if bits.OnesCount8(s.run) >= 3 && !s.ran && (name == "sh" || name == "bash") {
				s.ran = true
				t.told(shellEscalate)
			}
			return
		}
	}
	s.run = 0
}

// echo knows the writing of a program by its bytes in hex or octal.
func (t *Table) echo(c *conversation, line []byte) {
	if !bytes.Contains(line, []byte(`\x`)) && !bytes.Contains(line, []byte(`\0`)) {
		return
	}
	if bytes.IndexByte(line, '>') < 0 && len(line) < lineBytes { // of a longer line the target is not seen
		return
	}
	c.shell.loaded = true
	t.told(shellEcho)
}

// valued is the options whose next word is a value and no address, by program: of
// BusyBox 1.36 and GNU Wget, of curl.
func valued(program []byte) string {
	if string(program) == "curl" {
		return "uAbcdeHmoTxX"
	}
	return "uUpPlrbOotT"
}

// download tells the host and path that a command fetches from. Names, passwords
// and queries are left out.
func (t *Table) download(c *conversation, program, args []byte) {
	host, path := address(args)
	for options := valued(program); len(args) > 0 && host == nil; {
		var arg []byte
		arg, args = cutWord(args)
		switch {
		case len(arg) == 2 && arg[0] == '-' && strings.IndexByte(options, arg[1]) >= 0:
			_, args = cutWord(args)
		case len(arg) > 0 && arg[0] != '-':
			host, path = place(bytes.Trim(arg, `"'`))
		}
	}
	if host == nil {
		return
	}
	c.shell.loaded = true
	t.tell(cordon.FactShell, opener, cordon.Observation{Service: shellDownload, Name: t.lower(host), Path: path})
}

// address returns the host and path of the first URL.
func address(args []byte) (host, path []byte) {
	for len(args) > 0 {
		var arg []byte
		if arg, args = cutWord(args); bytes.Contains(arg, []byte("://")) {
			return place(bytes.Trim(arg, `"'`))
		}
	}
	return nil, nil
}

// place takes a URL or a host apart: the host without user and port, the path
// without query. Nil when it is neither.
func place(b []byte) (host, path []byte) {
	if i := bytes.Index(b, []byte("://")); i >= 0 {
		b = b[i+3:]
	}
	host = b
	if i := bytes.IndexByte(b, '/'); i >= 0 {
		host, path = b[:i], b[i:]
	}
	if i := bytes.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	host = hostOf(host)
	if bytes.IndexByte(host, '.') <= 0 && bytes.IndexByte(host, ':') < 0 {
		return nil, nil
	}
	return host, pathOf(path)
}

// hostOf returns a host without its port, nil if it has other bytes than names
// and addresses have.
func hostOf(b []byte) []byte {
	if i := bytes.IndexByte(b, ']'); i > 0 && b[0] == '[' { // RFC 3986 §3.2.2
		b = b[1:i]
	} else if bytes.Count(b, []byte(":")) == 1 {
		b = b[:bytes.IndexByte(b, ':')]
	}
	for _, ch := range b {
		if ch := ascii.Lower(ch); (ch < 'a' || ch > 'z') && (ch < '0' || ch > '9') && ch != '.' && ch != '-' && ch != '_' && ch != ':' {
			return nil
		}
	}
	return b
}

// pathOf returns a path without query and fragment, which may hold a password.
func pathOf(b []byte) []byte {
	if i := bytes.IndexAny(b, "?#"); i >= 0 {
		return b[:i]
	}
	return b
}

// lower copies a name in lower case into the table's own buffer.
func (t *Table) lower(b []byte) []byte {
	return ascii.AppendLower(t.name[:0], b[:min(len(b), len(t.name))])
}

// cutWord returns the first word of a line and what is behind it.
func cutWord(b []byte) (word, rest []byte) {
	b = bytes.TrimLeft(b, " \t")
	if i := bytes.IndexAny(b, " \t"); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// base returns the last element of a path.
func base(b []byte) []byte { return b[bytes.LastIndexByte(b, '/')+1:] }

// isShout reports whether a word is three or more capital letters, as no program
// of BusyBox is.
func isShout(b []byte) bool {
	for _, ch := range b {
		if ch < 'A' || ch > 'Z' {
			return false
		}
	}
	return len(b) >= 3
}

// isExecutable knows the modes that loaders give.
func isExecutable(mode []byte) bool {
	return len(mode) >= 2 && mode[len(mode)-1] == 'x' && bytes.IndexByte(mode, '+') >= 0 ||
		string(mode) == "777" || string(mode) == "755" || string(mode) == "0777" || string(mode) == "0755"
}
