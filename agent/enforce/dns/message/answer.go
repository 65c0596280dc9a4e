package message

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unicode/utf8"
)

// Response codes, RFC 1035 §4.1.1.
const (
	rcodeNone     = 0
	rcodeServFail = 2
	rcodeNXDomain = 3
)

const (
	// MaxText is how much of an extended error's text is sent, bytes: with the longest
	// question, the answer still fits a device's EDNS buffer (at least 512, RFC
	// 6891 §6.2.3).
	MaxText = 180
	// MaxAnswer is the longest answer that this package makes: header, question, one
	// address, OPT with an extended error.
	MaxAnswer = HeaderLen + MaxQuestion + 12 + 16 + 11 + 6 + MaxText
	// pageTTL is how long a device may remember the page's address: briefly, so
	// that the name works again soon after the device is mended.
	pageTTL = 10 * time.Second
	// udpSize is the EDNS buffer that the guard's answers announce, bytes: what
	// passes without fragments everywhere (DNS flag day 2020).
	udpSize = 1232
	// optionEDE is the EDNS option of extended errors, RFC 8914 §2.
	optionEDE = 15
)

// Extended is an extended error (RFC 8914); only a device that speaks EDNS is
// told.
type Extended struct {
	Code uint16 // INFO-CODE, 0: there is no error
	Text string // EXTRA-TEXT, at most MaxText bytes of it
}

// AppendNXDomain appends the answer to a query that is not to be asked. q is the
// query's question, as Read left it.
func AppendNXDomain(b, query []byte, q *Question, e Extended) []byte {
	return appendOPT(appendHead(b, query, q, rcodeNXDomain), len(b), query, q, e)
}

// AppendServFail appends the answer to a query that could not be asked.
func AppendServFail(b, query []byte, q *Question) []byte {
	return appendOPT(appendHead(b, query, q, rcodeServFail), len(b), query, q, Extended{})
}

// AppendPage appends an answer with the IPv4 or IPv6 address of a page, as the
// query asks for; a query for something else, or for an address that there is
// not, is told that there is none.
func AppendPage(b, query []byte, q *Question, page [2]netip.Addr, e Extended) []byte {
	begin := len(b)
	b = appendHead(b, query, q, rcodeNone)
	var addr netip.Addr
	switch q.Type {
	case TypeA:
		if addr = page[0].Unmap(); !addr.Is4() {
			addr = netip.Addr{}
		}
	case TypeAAAA:
		if addr = page[1]; !addr.Is6() || addr.Is4In6() {
			addr = netip.Addr{}
		}
	}
	if addr.IsValid() {
		b[begin+7] = 1                         // ANCOUNT
		b = append(b, 0xc0, HeaderLen)         // the question's name
		b = append(b, query[q.end-4:q.end]...) // its type and class
		b = binary.BigEndian.AppendUint32(b, uint32(pageTTL/time.Second))
		b = binary.BigEndian.AppendUint16(b, uint16(addr.BitLen()/8))
		if addr.Is4() {
			a := addr.As4()
			b = append(b, a[:]...)
		} else {
			a := addr.As16()
			b = append(b, a[:]...)
		}
	}
	return appendOPT(b, begin, query, q, e)
}

// appendHead appends the header of an answer and the question as it was asked:
// with the id, the letters' case and the RD and CD bits of the query.
func appendHead(b, query []byte, q *Question, rcode byte) []byte {
	b = append(b, query[0], query[1], 0x80|query[2]&0x01, 0x80|query[3]&0x10|rcode,
		0, 1, 0, 0, 0, 0, 0, 0)
	return append(b, query[HeaderLen:q.end]...)
}

// appendOPT appends an OPT record with the extended error to the answer that
// begins at begin, if the query has such a record (RFC 6891 §6.1.1).
func appendOPT(b []byte, begin int, query []byte, q *Question, e Extended) []byte {
	o := edns(query, q.end)
	if !o.spoken {
		return b
	}
	b[begin+11] = 1 // ARCOUNT
	b = append(b, 0, 0, byte(typeOPT), udpSize>>8, udpSize&0xff, 0, 0, 0, 0)
	if o.do {
		b[len(b)-2] = 0x80
	}
	if e.Code == 0 {
		return append(b, 0, 0)
	}
	text := e.Text[:min(len(e.Text), MaxText)]
	for len(text) < len(e.Text) && len(text) > 0 && !utf8.RuneStart(e.Text[len(text)]) {
		text = text[:len(text)-1]
	}
	b = binary.BigEndian.AppendUint16(b, uint16(6+len(text)))
	b = binary.BigEndian.AppendUint16(b, optionEDE)
	b = binary.BigEndian.AppendUint16(b, uint16(2+len(text)))
	b = binary.BigEndian.AppendUint16(b, e.Code)
	return append(b, text...)
}
