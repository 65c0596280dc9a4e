package packet

// Error says why Parse stopped. The zero value is no error and never returned.
// Converting an Error to error does not allocate.
type Error uint8

// What Parse stops at. "Short": the frame, or its captured part, ends inside
// the header. "Length": a length field contradicts what surrounds it.
const (
	ErrLink            Error = iota + 1 // a link type that Parse does not take
	ErrLinkShort                        // Ethernet, cooked or loopback header cut
	ErrFamily                           // loopback frame of another family than IPv4 and IPv6
	ErrLLC                              // IEEE 802.3 length instead of an EtherType (spanning tree, IPX)
	ErrEtherType                        // an EtherType that Parse does not look into
	ErrVLANShort                        // 802.1Q or 802.1ad tag cut
	ErrVLANDepth                        // more than MaxVLAN tags
	ErrPPPoEShort                       // PPPoE or PPP header cut
	ErrPPPoEVersion                     // version, type or code of no session packet (RFC 2516 §4)
	ErrPPPoELength                      // PPPoE length lies
	ErrPPPProtocol                      // PPP carries neither IPv4 nor IPv6 (LCP, IPCP)
	ErrARPShort                         // ARP packet cut
	ErrARPFormat                        // ARP for other addresses than Ethernet and IPv4
	ErrIPVersion                        // raw IP that is neither version 4 nor 6
	ErrIPv4Short                        // IPv4 header or its options cut
	ErrIPv4Version                      // version is not 4 where IPv4 was announced
	ErrIPv4Length                       // IPv4 header length or total length lies
	ErrIPv6Short                        // IPv6 header cut
	ErrIPv6Version                      // version is not 6 where IPv6 was announced
	ErrIPv6Length                       // IPv6 payload length lies
	ErrExtensionShort                   // IPv6 extension header cut
	ErrExtensionLength                  // IPv6 extension header longer than its datagram
	ErrExtensionCount                   // more than MaxExtensions IPv6 extension headers
	ErrTCPShort                         // TCP header or its options cut
	ErrTCPLength                        // TCP data offset lies
	ErrUDPShort                         // UDP header cut
	ErrUDPLength                        // UDP length lies
	ErrICMPShort                        // ICMP or ICMPv6 header cut
	ErrGREShort                         // GRE header cut
	ErrGREVersion                       // GRE version above 1, or source routing (RFC 2784 §2.3)
	errEnd
)

var errorText = [errEnd]string{
	ErrLink:            "unsupported link type",
	ErrLinkShort:       "link header too short",
	ErrFamily:          "unsupported address family",
	ErrLLC:             "unsupported 802.3 frame",
	ErrEtherType:       "unsupported ethertype",
	ErrVLANShort:       "vlan tag too short",
	ErrVLANDepth:       "too many vlan tags",
	ErrPPPoEShort:      "pppoe header too short",
	ErrPPPoEVersion:    "bad pppoe version, type or code",
	ErrPPPoELength:     "bad pppoe length",
	ErrPPPProtocol:     "unsupported ppp protocol",
	ErrARPShort:        "arp packet too short",
	ErrARPFormat:       "unsupported arp address format",
	ErrIPVersion:       "bad ip version",
	ErrIPv4Short:       "ipv4 header too short",
	ErrIPv4Version:     "bad ipv4 version",
	ErrIPv4Length:      "bad ipv4 length",
	ErrIPv6Short:       "ipv6 header too short",
	ErrIPv6Version:     "bad ipv6 version",
	ErrIPv6Length:      "bad ipv6 length",
	ErrExtensionShort:  "ipv6 extension header too short",
	ErrExtensionLength: "bad ipv6 extension header length",
	ErrExtensionCount:  "too many ipv6 extension headers",
	ErrTCPShort:        "tcp header too short",
	ErrTCPLength:       "bad tcp data offset",
	ErrUDPShort:        "udp header too short",
	ErrUDPLength:       "bad udp length",
	ErrICMPShort:       "icmp header too short",
	ErrGREShort:        "gre header too short",
	ErrGREVersion:      "unsupported gre version or routing",
}

// Error names the layer and what is wrong with it.
func (e Error) Error() string {
	if e == 0 || e >= errEnd {
		return "unknown packet error"
	}
	return errorText[e]
}

// Errors is the number of error values, for counters indexed by Error.
const Errors = int(errEnd)
