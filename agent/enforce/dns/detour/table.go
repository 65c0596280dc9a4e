package detour

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	// tableName is the guard's own tables, in the families ip and ip6: a rule that
	// duplicates packets is of one family.
	tableName = "cordon-dns"
	// beforeTracking is before connection tracking (−200) and before the raw tables
	// of others (−300), after fragments are put together (−400).
	beforeTracking nftables.ChainPriority = -310
	// last is after the rules of others, which see a question as it was sent.
	last nftables.ChainPriority = 300
	// Where fields lie.
	ip4Destination = 16 // RFC 791 §3.1
	ip6Destination = 24 // RFC 8200 §3
	udpChecksum    = 6  // RFC 768
)

// table is the guard's nftables tables, one for each family. They exist while the
// guard runs. Their rules match only what comes in by an interface in the set lan,
// and the elements of that set lapse: they are the heartbeat. It is owned by its Way.
type table struct {
	marks Marks
	ports Ports
	// routed means that IPv4 too is brought to the guard's sockets by policy routing.
	routed bool
	sides  []*side
}

// side is the table of one family.
//
// A packet that is for somebody else would be forwarded although a socket was found
// for it. Policy routing (routes) keeps it here. But one rule of that makes the kernel
// look for the route of each packet of that family in every table, and for the way
// back too (measured: docs/dns-guard.md). So of IPv4 a duplicate is sent to the
// router's own loopback address, and the original dropped: it comes in again by lo,
// addressed as before, with a route that ends here. IPv6 puts fragments together too
// late for that.
type side struct {
	table  *nftables.Table
	six    bool
	routed bool // by policy routing
	lan    *nftables.Set
	lent   *nftables.Set
	chains []*nftables.Chain
	rules  int // in chains
}

// install replaces the guard's tables, if there are any, by ones that intercept
// nothing yet.
func (t *table) install() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("install nft tables %s: %w", tableName, err)
	}
	clearTables(c)
	t.sides = nil
	for _, f := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		if f == nftables.TableFamilyIPv6 && t.ports.UDP6 == 0 {
			continue
		}
		s := &side{table: c.AddTable(&nftables.Table{Name: tableName, Family: f}), six: f == nftables.TableFamilyIPv6}
		s.routed = t.routed || s.six
		if err := s.sets(c); err != nil {
			return fmt.Errorf("install nft tables %s: %w", tableName, err)
		}
		t.intercept(c, s)
		if !s.routed {
			t.hand(c, s)
		}
		t.keep(c, s)
		t.lending(c, s)
		t.sides = append(t.sides, s)
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("install nft tables %s: %w", tableName, err)
	}
	return nil
}

// clearTables removes the tables of a guard, of the versions before too, whose
// table was of family inet.
func clearTables(c *nftables.Conn) {
	for _, f := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6, nftables.TableFamilyINet} {
		own := &nftables.Table{Name: tableName, Family: f}
		c.AddTable(own) // so that there is one to delete
		c.DelTable(own)
	}
}

// sets adds the sets: the heartbeat, and the addresses that are lent.
func (s *side) sets(c *nftables.Conn) error {
	s.lan = &nftables.Set{Table: s.table, Name: "lan", KeyType: nftables.TypeIFName, HasTimeout: true,
		KeyByteOrder: binaryutil.NativeEndian}
	s.lent = &nftables.Set{Table: s.table, Name: "lent", KeyType: nftables.TypeInetService, DataType: nftables.TypeIPAddr,
		IsMap: true, HasTimeout: true}
	if s.six {
		s.lent.DataType = nftables.TypeIP6Addr
	}
	return errors.Join(c.AddSet(s.lan, nil), c.AddSet(s.lent, nil))
}

// intercept adds the chain that hands DNS to the guard's sockets. The mark comes
// after tproxy: a rule that found no socket ends there, and has changed nothing.
func (t *table) intercept(c *nftables.Conn, s *side) {
	chain := s.chain(c, "intercept", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, beforeTracking)
	// Nearly everything is something else, and has done with one look. TCP and UDP
	// have the port in the same place; of other protocols the rules below think.
	s.rule(c, chain, append(destPortIs(expr.CmpOpNeq, Port), &expr.Verdict{Kind: expr.VerdictAccept}))
	then := []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}
	if !s.routed {
		again := append(append(iifname(expr.CmpOpEq, "lo"), t.hasMark(t.marks.Intercepted)...), s.tproxy(unix.IPPROTO_TCP, t.ports.TCP4)...)
		s.rule(c, chain, append(again, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}))
		then = []expr.Any{&expr.Immediate{Register: 1, Data: []byte{127, 0, 0, 1}}, &expr.Dup{RegAddr: 1},
			&expr.Verdict{Kind: expr.VerdictDrop}}
	}
	for _, p := range []struct {
		proto byte
		port  uint16
	}{{unix.IPPROTO_UDP, s.pick(t.ports.UDP4, t.ports.UDP6)}, {unix.IPPROTO_TCP, s.pick(t.ports.TCP4, t.ports.TCP6)}} {
		rule := []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
			&expr.Lookup{SourceRegister: 1, SetName: s.lan.Name, SetID: s.lan.ID}}
		rule = append(append(rule, s.unicast()...), s.tproxy(p.proto, p.port)...)
		rule = append(append(rule, destPortIs(expr.CmpOpEq, Port)...), t.setMark(t.marks.Intercepted)...)
		s.rule(c, chain, append(append(rule, &expr.Notrack{}, &expr.Counter{}), then...))
	}
}

// hand adds the chain by which duplicates of datagrams reach the guard's socket. They
// are still addressed to port 53 of whom the device asked; the port becomes the
// guard's, whose socket is bound to any address. It is not done by tproxy, because
// what came in fragments leaves for lo in fragments again, and is put together only
// behind the prerouting hook. From elsewhere nothing gets to that port.
func (t *table) hand(c *nftables.Conn, s *side) {
	chain := s.chain(c, "hand", nftables.ChainTypeFilter, nftables.ChainHookInput, last)
	udp := []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_UDP}}}
	mine := append(append(iifname(expr.CmpOpEq, "lo"), t.hasMark(t.marks.Intercepted)...), udp...)
	port := binary.BigEndian.AppendUint16(nil, t.ports.UDP4)
	for _, sum := range []bool{false, true} { // a checksum of 0 is none (RFC 768)
		op, change := expr.CmpOpEq, &expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 1,
			Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
		if sum {
			op, change.CsumType, change.CsumOffset = expr.CmpOpNeq, expr.CsumTypeInet, udpChecksum
		}
		rule := append(append([]expr.Any{}, mine...), destPortIs(expr.CmpOpEq, Port)...)
		s.rule(c, chain, append(rule,
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: udpChecksum, Len: 2},
			&expr.Cmp{Op: op, Register: 1, Data: []byte{0, 0}},
			&expr.Immediate{Register: 1, Data: port}, change, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}))
	}
	s.rule(c, chain, append(append(append(iifname(expr.CmpOpNeq, "lo"), udp...), destPortIs(expr.CmpOpEq, t.ports.UDP4)...),
		&expr.Verdict{Kind: expr.VerdictDrop}))
}

// unicast matches what goes to one host: nobody forwards or proxies the rest.
func (s *side) unicast() []expr.Any {
	if s.six {
		return []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: ip6Destination, Len: 1},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{0xff}}}
	}
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: ip4Destination, Len: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: []byte{224, 0, 0, 0}}}
}

// tproxy matches packets of a protocol for which a socket of the guard's is found.
func (s *side) tproxy(proto byte, port uint16) []expr.Any {
	family, loopback := byte(unix.NFPROTO_IPV4), []byte{127, 0, 0, 1}
	if s.six {
		family, loopback = unix.NFPROTO_IPV6, []byte{15: 1}
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
		&expr.Immediate{Register: 1, Data: loopback},
		&expr.Immediate{Register: 2, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.TProxy{Family: family, TableFamily: byte(s.table.Family), RegAddr: 1, RegPort: 2}}
}

func (s *side) pick(four, six uint16) uint16 {
	if s.six {
		return six
	}
	return four
}

// keep adds the chains that keep what the guard answers out of connection
// tracking, which would take it for the beginning of a connection, and what was
// intercepted from being forwarded, should its way to the guard be gone.
func (t *table) keep(c *nftables.Conn, s *side) {
	s.rule(c, s.chain(c, "answers", nftables.ChainTypeFilter, nftables.ChainHookOutput, beforeTracking), append(t.hasMark(t.marks.Answer),
		&expr.Notrack{}, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}))
	if s.routed {
		s.rule(c, s.chain(c, "stray", nftables.ChainTypeFilter, nftables.ChainHookForward, beforeTracking), append(t.hasMark(t.marks.Intercepted),
			&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}))
	}
}

func iifname(op expr.CmpOp, name string) []expr.Any {
	key := make([]byte, unix.IFNAMSIZ)
	copy(key, name)
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: key}}
}

func destPortIs(op expr.CmpOp, port uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: op, Register: 1, Data: binary.BigEndian.AppendUint16(nil, port)}}
}

// chain adds a chain at a hook.
func (s *side) chain(c *nftables.Conn, name string, sort nftables.ChainType, hook *nftables.ChainHook,
	priority nftables.ChainPriority) *nftables.Chain {
	chain := c.AddChain(&nftables.Chain{Name: name, Table: s.table, Type: sort, Hooknum: hook, Priority: &priority})
	s.chains = append(s.chains, chain)
	return chain
}

// rule adds a rule to a chain.
func (s *side) rule(c *nftables.Conn, chain *nftables.Chain, exprs []expr.Any) {
	c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: exprs})
	s.rules++
}

// whole reports whether the tables have all their rules.
func (t *table) whole() bool {
	c, err := nftables.New()
	if err != nil {
		return true // nobody knows; the renewal will tell
	}
	for _, s := range t.sides {
		n := 0
		for _, chain := range s.chains {
			rules, err := c.GetRules(chain.Table, chain)
			if err != nil {
				return false
			}
			n += len(rules)
		}
		if n != s.rules {
			return false
		}
	}
	return true
}

// hasMark matches packets whose masked mark is value.
func (t *table) hasMark(value uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		t.keepBits(),
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(value)}}
}

// setMark sets the guard's bits of a packet's mark to value.
func (t *table) setMark(value uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		t.replaceBits(value),
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true}}
}

// keepBits keeps only the guard's bits of register 1.
func (t *table) keepBits() expr.Any { return bitwise(t.marks.Mask, 0) }

// replaceBits sets the guard's bits of register 1 to value.
func (t *table) replaceBits(value uint32) expr.Any { return bitwise(^t.marks.Mask, value) }

func bitwise(mask, xor uint32) expr.Any {
	return &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(mask),
		Xor: binaryutil.NativeEndian.PutUint32(xor)}
}

// renew makes the tables intercept what comes in by the interfaces for lapse from
// now, and by no other; without interfaces, nothing. Elements that are added
// again keep their old end, so all are removed first, in the same transaction.
func (t *table) renew(lan []string) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("renew nft set: %w", err)
	}
	for _, s := range t.sides {
		c.FlushSet(s.lan)
		if len(lan) == 0 {
			continue
		}
		elements := make([]nftables.SetElement, 0, len(lan))
		for _, name := range lan {
			key := make([]byte, unix.IFNAMSIZ)
			copy(key, name)
			elements = append(elements, nftables.SetElement{Key: key, Timeout: lapse})
		}
		if err := c.SetAddElements(s.lan, elements); err != nil {
			return fmt.Errorf("renew nft set: %w", err)
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("renew nft set: %w", err)
	}
	return nil
}

// removeTables removes a guard's tables; those that are not there are removed.
func removeTables() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("remove nft tables %s: %w", tableName, err)
	}
	clearTables(c)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("remove nft tables %s: %w", tableName, err)
	}
	return nil
}
