package network

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"cordon"
)

// facts is what the router's hardware and other programs may do with frames behind
// the back of those that watch and block.
type facts struct {
	root    fs.FS
	tables  []flowtable
	modules []string        // loaded, with _ for -
	switchd bool            // the kernel has OpenWrt's old switch drivers (swconfig)
	hwTC    map[string]bool // by interface: tc rules may be handed to the hardware
	kinds   map[string]string
}

// flowtable is one nftables flowtable: what takes established flows past the
// forwarding rules.
type flowtable struct {
	name     string // with its table
	devices  []string
	hardware bool
}

// facts asks for everything that view does not hold. What the kernel does not have
// or does not let see is taken as absent.
func (r *Reader) facts(v *view) facts {
	f := facts{root: r.cfg.Root, modules: modules(r.cfg.Root), kinds: make(map[string]string)}
	for _, l := range v.links {
		f.kinds[l.name] = l.kind
	}
	var err error
	if f.tables, err = flowtables(); err != nil {
		r.once("flowtables not readable", "err", err)
	}
	if f.hwTC, f.switchd, err = generic(v); err != nil {
		r.once("interface features not readable", "err", err)
	}
	return f
}

// modules returns the names of the loaded kernel modules.
func modules(root fs.FS) (list []string) {
	text, err := readFile(root, "proc/modules")
	if err != nil {
		return nil
	}
	for line := range lines(text) {
		name, _, _ := strings.Cut(line, " ")
		list = append(list, strings.ReplaceAll(name, "-", "_"))
	}
	return list
}

// pppoePorts returns the Ethernet interfaces that carry a PPPoE session, from the
// kernel's list: "Id Address Device", one session a line.
func pppoePorts(root fs.FS) (list []string) {
	for _, file := range []string{"proc/thread-self/net/pppoe", "proc/net/pppoe"} {
		text, err := readFile(root, file)
		if err != nil {
			continue
		}
		for line := range lines(text) {
			if field := strings.Fields(line); len(field) == 3 && field[0] != "Id" {
				list = append(list, field[2])
			}
		}
		return list
	}
	return nil
}

// flowtables lists the flowtables of all tables.
func flowtables() ([]flowtable, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	tables, err := c.ListTables()
	if err != nil {
		return nil, absent(err)
	}
	var list []flowtable
	for _, t := range tables {
		found, err := c.ListFlowtables(t)
		if err != nil {
			if err = absent(err); err == nil {
				continue // gone meanwhile, or a kernel without flowtables
			}
			return list, err
		}
		for _, ft := range found {
			if ft.Table != nil && ft.Name != "" {
				list = append(list, flowtable{name: t.Name + " " + ft.Name, devices: ft.Devices,
					hardware: ft.Flags&nftables.FlowtableFlagsHWOffload != 0})
			}
		}
	}
	return list, nil
}

// absent returns nil for the errors that mean that the kernel does not have what
// was asked for.
func absent(err error) error {
	for _, e := range []error{unix.EOPNOTSUPP, unix.EINVAL, unix.ENOENT, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT} {
		// google/nftables hands some errors on as text only.
		if errors.Is(err, e) || strings.Contains(err.Error(), e.Error()) {
			return nil
		}
	}
	return err
}

// Generic netlink's own family (linux/genetlink.h): find a family by its name.
const (
	genlHeaderLen  = 4 // command, version, two reserved bytes
	ctrlGetFamily  = 3
	ctrlAttrFamily = 1
	ctrlAttrName   = 2
	genlVersion    = 1
	featureTC      = "hw-tc-offload" // net/ethtool/common.c
	ethtoolFamily  = "ethtool"       // linux/ethtool_netlink.h, since Linux 5.6
	swconfigFamily = "switch"        // linux/switch.h of OpenWrt
	maxBitsetBits  = 1024
)

// generic asks by generic netlink which interfaces have hw-tc-offload on, and
// whether OpenWrt's swconfig is there.
func generic(v *view) (hwTC map[string]bool, swconfig bool, err error) {
	c, err := netlink.Dial(unix.NETLINK_GENERIC, nil)
	if err != nil {
		return nil, false, absent(err)
	}
	defer c.Close()
	if _, err := family(c, swconfigFamily); err == nil {
		swconfig = true
	}
	ethtool, err := family(c, ethtoolFamily)
	if err != nil {
		return nil, swconfig, absent(err)
	}
	hwTC = make(map[string]bool)
	for i := range v.links {
		on, err := offloads(c, ethtool, v.links[i].index)
		switch {
		case errors.Is(err, unix.ENODEV): // gone meanwhile
		case err != nil:
			return hwTC, swconfig, absent(err)
		case on:
			hwTC[v.links[i].name] = true
		}
	}
	return hwTC, swconfig, nil
}

// offloads asks whether one interface has hw-tc-offload on. A dump of all of them
// fails with EMSGSIZE where the names of one's features do not fit into the message
// that the kernel makes for a dump; the answer about one has the size it needs.
func offloads(c *netlink.Conn, ethtool uint16, index int) (on bool, err error) {
	ae := netlink.NewAttributeEncoder()
	ae.Nested(unix.ETHTOOL_A_FEATURES_HEADER, func(ae *netlink.AttributeEncoder) error {
		ae.Uint32(unix.ETHTOOL_A_HEADER_DEV_INDEX, uint32(index))
		return nil
	})
	attrs, err := ae.Encode()
	if err != nil {
		return false, err
	}
	list, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(ethtool), Flags: netlink.Request},
		Data:   append([]byte{unix.ETHTOOL_MSG_FEATURES_GET, genlVersion, 0, 0}, attrs...)})
	if err != nil {
		return false, err
	}
	for _, m := range list {
		_, active, err := decodeFeatures(m.Data)
		if err != nil {
			return false, err
		}
		on = on || active
	}
	return on, nil
}

// family returns the number of a generic netlink family.
func family(c *netlink.Conn, name string) (uint16, error) {
	ae := netlink.NewAttributeEncoder()
	ae.String(ctrlAttrName, name)
	attrs, err := ae.Encode()
	if err != nil {
		return 0, err
	}
	list, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.GENL_ID_CTRL, Flags: netlink.Request},
		Data:   append([]byte{ctrlGetFamily, genlVersion, 0, 0}, attrs...)})
	if err != nil {
		return 0, err
	}
	for _, m := range list {
		if len(m.Data) < genlHeaderLen {
			return 0, errShort
		}
		ad, err := netlink.NewAttributeDecoder(m.Data[genlHeaderLen:])
		if err != nil {
			return 0, err
		}
		for ad.Next() {
			if ad.Type() == ctrlAttrFamily {
				return ad.Uint16(), ad.Err()
			}
		}
	}
	return 0, fmt.Errorf("family %q: no number", name)
}

// decodeFeatures reads an ETHTOOL_MSG_FEATURES_GET_REPLY: whose it is, and whether
// hw-tc-offload is active.
func decodeFeatures(b []byte) (name string, on bool, err error) {
	if len(b) < genlHeaderLen {
		return "", false, errShort
	}
	ad, err := netlink.NewAttributeDecoder(b[genlHeaderLen:])
	if err != nil {
		return "", false, err
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.ETHTOOL_A_FEATURES_HEADER:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() == unix.ETHTOOL_A_HEADER_DEV_NAME {
						name = ad.String()
					}
				}
				return nil
			})
		case unix.ETHTOOL_A_FEATURES_ACTIVE:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				on = bitNamed(ad, featureTC)
				return nil
			})
		}
	}
	return name, on, ad.Err()
}

// bitNamed reports whether a bitset in its verbose form without a mask, which lists
// the bits that are set, has one of that name.
func bitNamed(ad *netlink.AttributeDecoder, want string) (found bool) {
	for ad.Next() {
		if ad.Type() != unix.ETHTOOL_A_BITSET_BITS {
			continue
		}
		ad.Nested(func(ad *netlink.AttributeDecoder) error {
			for n := 0; ad.Next() && n < maxBitsetBits; n++ {
				ad.Nested(func(ad *netlink.AttributeDecoder) error {
					for ad.Next() {
						found = found || ad.Type() == unix.ETHTOOL_A_BITSET_BIT_NAME && ad.String() == want
					}
					return nil
				})
			}
			return nil
		})
	}
	return found
}

// sys reads one value of an interface's directory in sysfs, empty if it is not
// there.
func (f *facts) sys(port, file string) string {
	text, err := readFile(f.root, path.Join("sys/class/net", port, file))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// wireless reports whether port is of a Wi-Fi card.
func (f *facts) wireless(port string) bool {
	for _, mark := range []string{"phy80211", "wireless"} {
		if _, err := fs.Stat(f.root, path.Join("sys/class/net", port, mark)); err == nil {
			return true
		}
	}
	return false
}

// listed reports whether ft takes flows of port: it names it or its bridge, or
// names nothing.
func (ft *flowtable) listed(p *cordon.Port) bool {
	return len(ft.devices) == 0 || slices.Contains(ft.devices, p.Name) || p.Bridge != "" && slices.Contains(ft.devices, p.Bridge)
}
