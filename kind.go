package cordon

import "strings"

// Kind is the stable name of a kind of detection, "family.judgement".
type Kind string

// The kinds, by family. The names are a contract: code, API, portal and command
// output use them, and none is ever reused for something else.
const (
	ScanMirai      Kind = "scan.mirai"      // SYN whose sequence number is its destination
	ScanHorizontal Kind = "scan.horizontal" // one port, many hosts
	ScanVertical   Kind = "scan.vertical"   // one host, many ports
	ScanLateral    Kind = "scan.lateral"    // the neighbours at home
	ScanSlow       Kind = "scan.slow"       // one port, many hosts, over hours

	BruteforceOutbound Kind = "bruteforce.outbound"
	BruteforceInbound  Kind = "bruteforce.inbound"
	ExploitAttempt     Kind = "exploit.attempt"
	ExploitDownloader  Kind = "exploit.downloader"
	InfectionChain     Kind = "infection.chain"

	C2Indicator Kind = "c2.indicator"
	C2Keepalive Kind = "c2.keepalive"
	C2Beacon    Kind = "c2.beacon"
	C2P2P       Kind = "c2.p2p"
	C2IRC       Kind = "c2.irc"
	DNSDGA      Kind = "dns.dga"
	DNSTunnel   Kind = "dns.tunnel"
	DNSBypass   Kind = "dns.bypass"

	DoSSYN        Kind = "dos.syn"
	DoSUDP        Kind = "dos.udp"
	DoSACK        Kind = "dos.ack"
	DoSGRE        Kind = "dos.gre"
	DoSHTTP       Kind = "dos.http"
	DoSDNS        Kind = "dos.dns"
	DoSICMP       Kind = "dos.icmp"
	DoSSpoofed    Kind = "dos.spoofed"
	DoSReflection Kind = "dos.reflection"

	AbuseMining       Kind = "abuse.mining"
	AbuseProxy        Kind = "abuse.proxy"
	AbuseSpam         Kind = "abuse.spam"
	AbuseExfiltration Kind = "abuse.exfiltration"

	ProfileDestination Kind = "profile.destination"
	ProfileVolume      Kind = "profile.volume"
	ProfileService     Kind = "profile.service"

	PostureService     Kind = "posture.service"
	PostureCredentials Kind = "posture.credentials"
	PostureUPnP        Kind = "posture.upnp"
	PostureFirmware    Kind = "posture.firmware"
)

// Family groups the kinds that look at the same behaviour and therefore count
// once when evidence is added up.
type Family string

// The families.
const (
	FamilyScan    Family = "scan"
	FamilyAccess  Family = "access"
	FamilyC2      Family = "c2"
	FamilyDoS     Family = "dos"
	FamilyAbuse   Family = "abuse"
	FamilyProfile Family = "profile"
	FamilyPosture Family = "posture"
)

// kinds is every kind with its MITRE ATT&CK Enterprise technique
// (attack.mitre.org, version 15; posture kinds name what the weakness invites).
var kinds = []struct {
	kind      Kind
	family    Family
	technique string
}{
	{ScanMirai, FamilyScan, "T1595.001"},
	{ScanHorizontal, FamilyScan, "T1595.001"},
	{ScanVertical, FamilyScan, "T1046"},
	{ScanLateral, FamilyScan, "T1018"},
	{ScanSlow, FamilyScan, "T1595.001"},
	{BruteforceOutbound, FamilyAccess, "T1110.001"},
	{BruteforceInbound, FamilyAccess, "T1110.001"},
	{ExploitAttempt, FamilyAccess, "T1190"},
	{ExploitDownloader, FamilyAccess, "T1105"},
	{InfectionChain, FamilyAccess, "T1105"},
	{C2Indicator, FamilyC2, "T1071"},
	{C2Keepalive, FamilyC2, "T1095"},
	{C2Beacon, FamilyC2, "T1071"},
	{C2P2P, FamilyC2, "T1095"},
	{C2IRC, FamilyC2, "T1071"},
	{DNSDGA, FamilyC2, "T1568.002"},
	{DNSTunnel, FamilyC2, "T1071.004"},
	{DNSBypass, FamilyC2, "T1572"},
	{DoSSYN, FamilyDoS, "T1498.001"},
	{DoSUDP, FamilyDoS, "T1498.001"},
	{DoSACK, FamilyDoS, "T1498.001"},
	{DoSGRE, FamilyDoS, "T1498.001"},
	{DoSHTTP, FamilyDoS, "T1499.002"},
	{DoSDNS, FamilyDoS, "T1498.001"},
	{DoSICMP, FamilyDoS, "T1498.001"},
	{DoSSpoofed, FamilyDoS, "T1498.001"},
	{DoSReflection, FamilyDoS, "T1498.002"},
	{AbuseMining, FamilyAbuse, "T1496.001"},
	{AbuseProxy, FamilyAbuse, "T1496.002"},
	{AbuseSpam, FamilyAbuse, "T1496"},
	{AbuseExfiltration, FamilyAbuse, "T1048"},
	{ProfileDestination, FamilyProfile, "T1071"},
	{ProfileVolume, FamilyProfile, "T1071"},
	{ProfileService, FamilyProfile, "T1071"},
	{PostureService, FamilyPosture, "T1133"},
	{PostureCredentials, FamilyPosture, "T1078.001"},
	{PostureUPnP, FamilyPosture, "T1133"},
	{PostureFirmware, FamilyPosture, "T1190"},
}

// Kinds returns every kind there is, in the order of the table.
func Kinds() []Kind {
	all := make([]Kind, len(kinds))
	for i, k := range kinds {
		all[i] = k.kind
	}
	return all
}

// Family returns the family that k counts in, empty for an unknown kind.
func (k Kind) Family() Family {
	for _, e := range kinds {
		if e.kind == k {
			return e.family
		}
	}
	return ""
}

// Technique returns the MITRE ATT&CK technique id of k, empty for an unknown kind.
func (k Kind) Technique() string {
	for _, e := range kinds {
		if e.kind == k {
			return e.technique
		}
	}
	return ""
}

// Match reports whether k matches pattern: a kind, "family.*" or "*".
func (k Kind) Match(pattern string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(string(k), prefix)
	}
	return string(k) == pattern
}
