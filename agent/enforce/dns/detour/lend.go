package detour

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// lending adds the chain that lets the guard's TCP connections bear a device's
// address: that which is lent to the port that they come from. Where the home is
// masqueraded the router's own chain has come first.
func (t *table) lending(c *nftables.Conn, s *side) {
	family := uint32(unix.NFPROTO_IPV4)
	if s.six {
		family = unix.NFPROTO_IPV6
	}
	rule := append(t.hasMark(t.marks.Query),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
		&expr.Lookup{SourceRegister: 1, DestRegister: 1, IsDestRegSet: true, SetName: s.lent.Name, SetID: s.lent.ID},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: family, RegAddrMin: 1})
	s.rule(c, s.chain(c, "lending", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource+10), rule)
}

// Lend lets a TCP connection that is about to be opened from a port of the
// router's bear a device's address, and returns what ends that for further ones.
// After most it ends by itself. It may be called by any goroutine.
func Lend(port uint16, device netip.Addr, most time.Duration) (end func(), err error) {
	own := &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4}
	set := &nftables.Set{Table: own, Name: "lent", KeyType: nftables.TypeInetService, DataType: nftables.TypeIPAddr, IsMap: true, HasTimeout: true}
	if device.Is6() {
		own.Family, set.DataType = nftables.TableFamilyIPv6, nftables.TypeIP6Addr
	}
	element := []nftables.SetElement{{Key: binary.BigEndian.AppendUint16(nil, port), Val: device.AsSlice(), Timeout: most}}
	change := func(f func(*nftables.Conn) error) error {
		c, err := nftables.New()
		if err == nil {
			err = f(c)
		}
		if err == nil {
			err = c.Flush()
		}
		return err
	}
	if err := change(func(c *nftables.Conn) error { return c.SetAddElements(set, element) }); err != nil {
		return nil, fmt.Errorf("lend %s to port %d: %w", device, port, err)
	}
	return func() {
		_ = change(func(c *nftables.Conn) error { return c.SetDeleteElements(set, element) }) // it lapses anyway
	}, nil
}
