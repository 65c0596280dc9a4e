package message

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Answers reports whether a message is an answer to the query.
func Answers(msg, query []byte) bool {
	if len(msg) < HeaderLen || msg[2]&0xf8 != 0x80 || !bytes.Equal(msg[:2], query[:2]) ||
		binary.BigEndian.Uint16(msg[4:]) != 1 {
		return false
	}
	var asked, told Question
	return asked.Read(query) && told.Read(msg) && asked.Type == told.Type && asked.Class == told.Class &&
		bytes.Equal(asked.Name(), told.Name())
}

const (
	// maxAddresses bounds what one answer opens.
	maxAddresses = 32
	// maxTTL bounds how long an answer claims to hold: RFC 8767 §4 advises days at
	// most, and a hole in a quarantine should close.
	maxTTL = 24 * time.Hour
)

// Addresses returns the addresses in the answer section and the shortest time for
// which they hold. They come from the router's own resolver, so a CNAME is
// believed.
func Addresses(msg []byte) (addrs []netip.Addr, ttl time.Duration, err error) {
	var p dnsmessage.Parser
	if _, err := p.Start(msg); err != nil {
		return nil, 0, fmt.Errorf("read answer: %w", err)
	}
	if err := p.SkipAllQuestions(); err != nil {
		return nil, 0, fmt.Errorf("read answer: %w", err)
	}
	ttl = maxTTL
	for len(addrs) < maxAddresses {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read answer: %w", err)
		}
		addr, err := nextAddress(&p, h.Type)
		if err != nil {
			return nil, 0, fmt.Errorf("read answer: %w", err)
		}
		if addr.IsValid() && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
			ttl = min(ttl, time.Duration(h.TTL)*time.Second)
		}
	}
	return addrs, ttl, nil
}

// nextAddress reads one record of the answer section, the zero Addr if it is no
// address.
func nextAddress(p *dnsmessage.Parser, t dnsmessage.Type) (netip.Addr, error) {
	switch t {
	case dnsmessage.TypeA:
		r, err := p.AResource()
		return netip.AddrFrom4(r.A), err
	case dnsmessage.TypeAAAA:
		r, err := p.AAAAResource()
		return netip.AddrFrom16(r.AAAA), err
	}
	return netip.Addr{}, p.SkipAnswer()
}
