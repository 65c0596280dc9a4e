package cordon

import (
	"fmt"
	"slices"
)

// PortClass is a set of ports that malware probes for the same reason. A scan is
// judged, and blocked, by class: Mirai tries 23 and every tenth time 2323.
type PortClass struct {
	Name  string
	Ports []uint16
	// Probe means that unsolicited contacts to it are what malware does: it may
	// count against any device. Other ports are a class of their own each and
	// are judged with more care.
	Probe bool
	// Web means that people's programs contact it too, without DNS in sight
	// (DNS over HTTPS, restored tabs): an attempt counts only once it has failed.
	Web bool

	index int // in portClasses
}

// portClasses is data, not code. Sources: the scanner and loader sources of
// Mirai, the CVE texts of the exploits named, and FortiGuard, Netlab and SANS ISC
// reports on IoT botnets' probes.
var portClasses = []PortClass{
	{Name: "telnet", Ports: []uint16{23, 2323, 23231, 2324, 2332}, Probe: true},
	{Name: "ssh", Ports: []uint16{22, 2222, 2022, 22222}, Probe: true},
	{Name: "web", Ports: []uint16{80, 443}, Probe: true, Web: true},
	{Name: "web-alt", Ports: []uint16{8080, 8443}, Probe: true, Web: true},
	{Name: "web-admin", Ports: []uint16{81, 82, 83, 88, 8081, 8088, 8181, 8888, 9000, 60001}, Probe: true},
	{Name: "smb", Ports: []uint16{139, 445}, Probe: true},
	{Name: "adb", Ports: []uint16{5555}, Probe: true},                          // Android debug bridge
	{Name: "tr-064", Ports: []uint16{7547, 5358, 30005}, Probe: true},          // remote management; CVE-2016-10372
	{Name: "huawei", Ports: []uint16{37215}, Probe: true},                      // CVE-2017-17215
	{Name: "upnp", Ports: []uint16{52869, 49152, 5000, 1900}, Probe: true},     // CVE-2014-8361 and other SOAP services
	{Name: "dvr", Ports: []uint16{9527, 9530, 34567, 37777, 554}, Probe: true}, // recorders' and cameras' own protocols
	{Name: "ftp", Ports: []uint16{21}, Probe: true},
	{Name: "rdp", Ports: []uint16{3389}, Probe: true},
	{Name: "vnc", Ports: []uint16{5900, 5901}, Probe: true},
	{Name: "database", Ports: []uint16{1433, 3306, 5432, 6379, 27017, 9200}, Probe: true},
	{Name: "iot-misc", Ports: []uint16{5500, 6789, 1883, 2375, 4719, 8291}, Probe: true},
}

var classOfPort = func() map[uint16]*PortClass {
	m := make(map[uint16]*PortClass)
	for i := range portClasses {
		portClasses[i].index = i
		for _, p := range portClasses[i].Ports {
			m[p] = &portClasses[i]
		}
	}
	return m
}()

// PortClasses returns the named classes.
func PortClasses() []PortClass { return slices.Clone(portClasses) }

// ClassOfPort returns the class that a TCP port belongs to: a named one, or for
// any other port a class of that port alone, named "port N".
func ClassOfPort(port uint16) PortClass {
	if c, ok := classOfPort[port]; ok {
		return *c
	}
	return PortClass{Name: fmt.Sprintf("port %d", port), Ports: []uint16{port}}
}

// ClassKey returns the number by which a detector keys what it knows about the
// class of a port: the first port of the class.
func ClassKey(port uint16) uint16 {
	if c, ok := classOfPort[port]; ok {
		return c.Ports[0]
	}
	return port
}

// ClassIndex returns the place of a port's class among PortClasses, false for a
// port that has no class but its own.
func ClassIndex(port uint16) (int, bool) {
	c, ok := classOfPort[port]
	if !ok {
		return 0, false
	}
	return c.index, true
}

// WebPort reports whether a TCP port belongs to a Web class.
func WebPort(port uint16) bool {
	c, ok := classOfPort[port]
	return ok && c.Web
}

// ProbePort reports whether a TCP port belongs to a class that malware probes.
func ProbePort(port uint16) bool {
	c, ok := classOfPort[port]
	return ok && c.Probe
}
