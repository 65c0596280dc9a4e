package cordon

import "net/netip"

// Fact is what kind of thing an Observation tells.
type Fact uint8

// The facts that observe reads from packets.
const (
	FactDNSQuery   Fact = iota + 1 // the device asked for Name (DNSType)
	FactDNSAnswer                  // the device was told: Name has Addrs, or RCode
	FactDHCP                       // the device asked for a lease: Name, Vendor, Params, Addrs[0] if it wants or got one
	FactDHCPServer                 // the device handed out a lease: it is the home's router or DHCP server
	FactMDNS                       // the device announced itself: Name, Service, Model
	FactSSDP                       // the device announced itself or searched: Service, Model
	FactARP                        // the device asked who has Addrs[0]
	FactNeighbour                  // the device asked for (NDP solicitation) Addrs[0]
	FactAddress                    // the device says that it has Addrs[0] (ARP reply, NDP advertisement)
)

// Observation is one fact read from one packet. One struct serves every fact,
// so that the hot path needs no interface and no allocation; which fields are
// set, the Fact's comment says. Slices alias the packet or a buffer of the
// parser and are valid during the call only. All text is hostile.
type Observation struct {
	Fact   Fact
	At     Time
	Device *Device    // who told it, or for FactDNSAnswer who was told
	Peer   netip.Addr // the other side: the resolver, the DHCP server

	Name    []byte       // host or domain name, lower case, without trailing dot
	Addrs   []netip.Addr // addresses told or asked for
	DNSType uint16       // RR type of the question (RFC 1035 §3.2.2)
	RCode   uint8        // DNS response code
	TTL     uint32       // of the shortest-lived address, seconds
	Vendor  []byte       // DHCP option 60
	Params  []byte       // DHCP option 55, the requested options in order
	Client  []byte       // DHCP option 61, the client identifier
	Service []byte       // service or device type announced
	Model   []byte       // model announced
}

// SearchPrefix begins the Service of a FactSSDP that is a search: what the device
// looks for and does not offer.
const SearchPrefix = "search:"
