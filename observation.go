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
	FactPrefix                     // the router says that the home's addresses begin with Addrs[0]/Bits (router advertisement)

	// Facts about what is said in a flow; Flow is set, and Opener says which side.
	FactTLS          // ClientHello, over TCP or in a QUIC Initial: Name (SNI, empty when hidden), Service (first ALPN)
	FactHTTPRequest  // Service (method), Name (Host), Path, Agent (User-Agent)
	FactHTTPResponse // Status; Service is "elf" and Model the machine when the body is an executable
	FactLogin        // Service (protocol), Login
	FactShell        // a command line that malware types: Service (what it does), Name (host it names)
	FactExploit      // the opener's first bytes hold a known exploit: Service (its name)
	FactIRC          // Service (command: nick, join, privmsg), Name (channel)
	FactDHT          // a BitTorrent DHT message, Service (query or reply), Data (node id)
	FactSmall        // a payload of at most 16 bytes in a flow that is none of the known protocols: Data
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
	Bits    uint8        // length of a prefix
	DNSType uint16       // RR type of the question (RFC 1035 §3.2.2)
	RCode   uint8        // DNS response code
	TTL     uint32       // of the shortest-lived address, seconds
	Vendor  []byte       // DHCP option 60
	Params  []byte       // DHCP option 55, the requested options in order
	Client  []byte       // DHCP option 61, the client identifier
	Service []byte       // service or device type announced
	Model   []byte       // model announced

	Flow   *Flow  // the flow in which it was said
	Opener bool   // said by the side that began the flow
	Status uint16 // HTTP status (RFC 9110 §15)
	Path   []byte // request target
	Agent  []byte // User-Agent
	Login  Login
	Data   []byte
}

// SearchPrefix begins the Service of a FactSSDP that is a search: what the device
// looks for and does not offer.
const SearchPrefix = "search:"

// Login is how far a log-in has come. What was typed is never kept.
type Login uint8

// The steps of a log-in.
const (
	LoginPrompt    Login = iota + 1 // the server asks who it is
	LoginTried                      // the client answered
	LoginRefused                    // the server said no
	LoginSucceeded                  // the client is in
)

// String returns the step's stable name.
func (l Login) String() string {
	return [...]string{"none", "prompt", "tried", "refused", "succeeded"}[min(l, 4)]
}
