package prompt

import "testing"

func TestOf(t *testing.T) {
	for line, want := range map[string]Prompt{
		"": None, "login:": Name, "OpenWrt login: ": Name, "\tUserName:": Name, "login as: ": Name, "Account:": Name,
		"Password:": Password, "Password for admin: ": Password, "Enter passcode:": Password, "pass:": Password,
		"root@OpenWrt:~# ": Shell, "$": Shell, "router>": Shell, "# \x1b[0m": Shell,
		"\x1b[1;31mPassword: \x1b[0m\x1b[K": Password, "Last login: Sat Nov 27 20:11:": None, "last failed login:": None,
		"login: root": None, "Usage:": None, "Welcome": None, "\x1b": None, "\x1b[": None, ":": None,
	} {
		if got := Of([]byte(line)); got != want {
			t.Errorf("%q: prompt %d, want %d", line, got, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for line, want := range map[string]bool{
		"Login incorrect": true, "% Login invalid": true, "username or password error": true, "Access denied.": true,
		"% Bad passwords, too many failures!": true, "BusyBox v1.24.2 () built-in shell (ash)": false, "Welcome": false, "": false,
	} {
		if got := Refuses([]byte(line)); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}

func TestAsked(t *testing.T) {
	for line, want := range map[string]bool{
		"username: shell": true, "openwrt login: sh": true, "login:": true, "last login: sat nov 27": false, "": false,
		"you are logged in as user: x": false, "shell": false,
	} {
		if got := Asked([]byte(line)); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}

func FuzzOf(f *testing.F) {
	f.Add([]byte("\x1b[1mlogin: \x1b[0m"))
	f.Fuzz(func(t *testing.T, line []byte) {
		Asked(line)
		Refuses(line)
		if Of(line) != None && len(line) == 0 {
			t.Error("an empty line asks for something")
		}
	})
}
