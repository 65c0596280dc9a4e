package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	// tableName is the guard's own table, in family inet.
	tableName = "cordon-dns"
	// beforeTracking is before connection tracking (−200) and before the raw tables
	// of others (−300), after fragments are put together (−400).
	beforeTracking nftables.ChainPriority = -310
	// afterTracking is where a packet's connection is known; the packet's way is
	// not chosen yet.
	afterTracking nftables.ChainPriority = -150
	// Where fields lie.
	ip4Destination = 16 // RFC 791 §3.1
	ip6Destination = 24 // RFC 8200 §3
	portDNS        = 53
)

// table is the guard's nftables table. It exists while the guard runs. Its rules
// match only what comes in by an interface in the set lan, and the elements of
// that set lapse: they are the heartbeat. It is owned by the heart.
type table struct {
	marks  marks
	ports  ports
	set    *nftables.Set
	chains []*nftables.Chain
	rules  int // in chains
}

// ports are where the guard listens, 0 for a family that there is not.
type ports struct{ udp4, udp6, tcp4, tcp6 uint16 }

// lapse is how long the guard's rules match without being renewed.
const lapse = 2 * time.Second

// install replaces the guard's table, if there is one, by one that intercepts
// nothing yet.
func (t *table) install() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("install nft table %s: %w", tableName, err)
	}
	own := &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}
	c.AddTable(own) // so that there is one to delete
	c.DelTable(own)
	c.AddTable(own)
	t.set = &nftables.Set{Table: own, Name: "lan", KeyType: nftables.TypeIFName, HasTimeout: true,
		KeyByteOrder: binaryutil.NativeEndian}
	if err := c.AddSet(t.set, nil); err != nil {
		return fmt.Errorf("install nft table %s: %w", tableName, err)
	}
	t.chains, t.rules = nil, 0
	t.intercept(c, own)
	t.keep(c, own)
	t.bring(c, own)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("install nft table %s: %w", tableName, err)
	}
	return nil
}

// intercept adds the chain that hands DNS to the guard's sockets. The mark comes
// after tproxy: a rule that found no socket ends there, and has changed nothing.
func (t *table) intercept(c *nftables.Conn, own *nftables.Table) {
	chain := t.chain(c, own, "intercept", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, beforeTracking)
	// Nearly everything is something else, and has done with one look. TCP and UDP
	// have the port in the same place; of other protocols the rules below think.
	t.rule(c, chain, []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, portDNS)},
		&expr.Verdict{Kind: expr.VerdictAccept}})
	add := func(six bool, proto byte, port uint16) {
		if port != 0 {
			t.rule(c, chain, t.interception(six, proto, port))
		}
	}
	add(false, unix.IPPROTO_UDP, t.ports.udp4)
	add(true, unix.IPPROTO_UDP, t.ports.udp6)
	add(false, unix.IPPROTO_TCP, t.ports.tcp4)
	add(true, unix.IPPROTO_TCP, t.ports.tcp6)
}

// interception is one rule of intercept.
func (t *table) interception(six bool, proto byte, port uint16) []expr.Any {
	family, loopback := byte(unix.NFPROTO_IPV4), []byte{127, 0, 0, 1}
	// Nobody forwards or proxies what goes to everybody.
	unicast := []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: ip4Destination, Len: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: []byte{224, 0, 0, 0}}}
	if six {
		family, loopback = unix.NFPROTO_IPV6, []byte{15: 1}
		unicast = []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: ip6Destination, Len: 1},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{0xff}}}
	}
	rule := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Lookup{SourceRegister: 1, SetName: t.set.Name, SetID: t.set.ID},
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}}}
	rule = append(rule, unicast...)
	rule = append(rule,
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, portDNS)},
		&expr.Immediate{Register: 1, Data: loopback},
		&expr.Immediate{Register: 2, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.TProxy{Family: family, TableFamily: unix.NFPROTO_INET, RegAddr: 1, RegPort: 2})
	rule = append(rule, t.setMark(t.marks.intercepted)...)
	return append(rule, &expr.Notrack{}, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept})
}

// keep adds the chains that keep what the guard answers out of connection
// tracking, which would take it for the beginning of a connection, and what was
// intercepted from being forwarded, should its way to the guard be gone.
func (t *table) keep(c *nftables.Conn, own *nftables.Table) {
	t.rule(c, t.chain(c, own, "answers", nftables.ChainTypeFilter, nftables.ChainHookOutput, beforeTracking), append(t.hasMark(t.marks.answer),
		&expr.Notrack{}, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}))
	t.rule(c, t.chain(c, own, "stray", nftables.ChainTypeFilter, nftables.ChainHookForward, beforeTracking), append(t.hasMark(t.marks.intercepted),
		&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}))
}

// bring adds the chains that bring what servers send on the guard's TCP
// connections to the guard: these bear the devices' addresses, so it would go to
// the devices. A remote server's comes in, the router's own resolver's goes out.
func (t *table) bring(c *nftables.Conn, own *nftables.Table) {
	remember := append(t.hasMark(t.marks.query),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Ct{Key: expr.CtKeyMARK, Register: 1})
	remember = append(append(remember, t.replaceBits(t.marks.query)),
		&expr.Ct{Key: expr.CtKeyMARK, Register: 1, SourceRegister: true})
	// In one chain, and after the other: an answer is no question.
	out := t.chain(c, own, "streams-out", nftables.ChainTypeRoute, nftables.ChainHookOutput, afterTracking)
	t.rule(c, out, append(remember, &expr.Verdict{Kind: expr.VerdictAccept}))
	t.rule(c, out, t.back())
	t.rule(c, t.chain(c, own, "streams-in", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, afterTracking), t.back())
}

// back is the rule for packets of a server on one of the guard's connections.
func (t *table) back() []expr.Any {
	rule := []expr.Any{
		&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{1}}, // IP_CT_DIR_REPLY
		&expr.Ct{Key: expr.CtKeyMARK, Register: 1},
		t.keepBits(),
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(t.marks.query)}}
	return append(append(rule, t.setMark(t.marks.back)...), &expr.Counter{})
}

// chain adds a chain at a hook.
func (t *table) chain(c *nftables.Conn, own *nftables.Table, name string, sort nftables.ChainType, hook *nftables.ChainHook,
	priority nftables.ChainPriority) *nftables.Chain {
	chain := c.AddChain(&nftables.Chain{Name: name, Table: own, Type: sort, Hooknum: hook, Priority: &priority})
	t.chains = append(t.chains, chain)
	return chain
}

// rule adds a rule to a chain.
func (t *table) rule(c *nftables.Conn, chain *nftables.Chain, exprs []expr.Any) {
	c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: exprs})
	t.rules++
}

// whole reports whether the table has all its rules.
func (t *table) whole() bool {
	c, err := nftables.New()
	if err != nil {
		return true // nobody knows; the renewal will tell
	}
	n := 0
	for _, chain := range t.chains {
		rules, err := c.GetRules(chain.Table, chain)
		if err != nil {
			return false
		}
		n += len(rules)
	}
	return n == t.rules
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
func (t *table) keepBits() expr.Any { return bitwise(t.marks.mask, 0) }

// replaceBits sets the guard's bits of register 1 to value.
func (t *table) replaceBits(value uint32) expr.Any { return bitwise(^t.marks.mask, value) }

func bitwise(mask, xor uint32) expr.Any {
	return &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(mask),
		Xor: binaryutil.NativeEndian.PutUint32(xor)}
}

// renew makes the table intercept what comes in by the interfaces for lapse from
// now, and by no other; without interfaces, nothing. Elements that are added
// again keep their old end, so all are removed first, in the same transaction.
func (t *table) renew(lan []string) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("renew nft set: %w", err)
	}
	c.FlushSet(t.set)
	if len(lan) > 0 {
		elements := make([]nftables.SetElement, 0, len(lan))
		for _, name := range lan {
			key := make([]byte, unix.IFNAMSIZ)
			copy(key, name)
			elements = append(elements, nftables.SetElement{Key: key, Timeout: lapse})
		}
		if err := c.SetAddElements(t.set, elements); err != nil {
			return fmt.Errorf("renew nft set: %w", err)
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("renew nft set: %w", err)
	}
	return nil
}

// remove removes the guard's table; one that is not there is removed.
func (t *table) remove() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("remove nft table %s: %w", tableName, err)
	}
	c.DelTable(&nftables.Table{Name: tableName, Family: nftables.TableFamilyINet})
	if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove nft table %s: %w", tableName, err)
	}
	return nil
}
