package message

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
)

// SSDPSearch looks for devices of a type (UPnP Device Architecture 1.1 §1.3.2).
func SSDPSearch(target string) []byte {
	return fmt.Appendf(nil, "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\nST: %s\r\n\r\n", target)
}

// SSDPNotify announces a device (same, §1.2.2).
func SSDPNotify(addr netip.Addr, port uint16, kind, server, id string) []byte {
	return fmt.Appendf(nil, "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nCACHE-CONTROL: max-age=1800\r\n"+
		"LOCATION: http://%s:%d/description.xml\r\nNT: %s\r\nNTS: ssdp:alive\r\nSERVER: %s\r\nUSN: uuid:%s::%s\r\n\r\n",
		addr, port, kind, server, id, kind)
}

// SSDPReply answers a search.
func SSDPReply(addr netip.Addr, port uint16, kind, server, id string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nLOCATION: http://%s:%d/description.xml\r\n"+
		"SERVER: %s\r\nST: %s\r\nUSN: uuid:%s::%s\r\n\r\n", addr, port, server, kind, id, kind)
}

// RTSP is one request of RFC 2326.
func RTSP(method string, addr netip.Addr, sequence int) []byte {
	return fmt.Appendf(nil, "%s rtsp://%s:554/stream1 RTSP/1.0\r\nCSeq: %d\r\nUser-Agent: recorder\r\n\r\n", method, addr, sequence)
}

// RTSPReply answers it.
func RTSPReply(sequence int) []byte {
	return fmt.Appendf(nil, "RTSP/1.0 200 OK\r\nCSeq: %d\r\nSession: 51a7c2\r\n\r\n", sequence)
}

// RTP is one interleaved packet of video (RFC 2326 §10.12, RFC 3550 §5.1).
func RTP(r *rand.Rand, sequence uint16, clock uint32, size int) []byte {
	b := be.AppendUint16([]byte{'$', 0}, uint16(size+12))
	b = be.AppendUint16(append(b, 0x80, 96), sequence)
	b = be.AppendUint32(be.AppendUint32(b, clock), 0x5eed5eed)
	return random(r, b, size)
}

// MQTTConnect opens a session, protocol level 4 (MQTT 3.1.1 §3.1).
func MQTTConnect(client string, keepAlive uint16) []byte {
	body := append(vector16(nil, []byte("MQTT")), 4, 2)
	body = vector16(be.AppendUint16(body, keepAlive), []byte(client))
	return append([]byte{0x10, byte(len(body))}, body...)
}

// MQTTConnAck accepts it.
func MQTTConnAck() []byte { return []byte{0x20, 2, 0, 0} }

// MQTTPing and MQTTPong keep a session alive (MQTT 3.1.1 §3.12, §3.13).
func MQTTPing() []byte { return []byte{0xc0, 0} }

// MQTTPong answers MQTTPing.
func MQTTPong() []byte { return []byte{0xd0, 0} }

// MQTTPublish sends a value, quality of service 0.
func MQTTPublish(topic, value string) []byte {
	body := append(vector16(nil, []byte(topic)), value...)
	return append([]byte{0x30, byte(len(body))}, body...)
}

// NTP is a client's question (mode 3) or a server's answer (mode 4) of RFC 5905
// §7.3; seconds counts from 1900.
func NTP(mode byte, seconds uint32) []byte {
	b := make([]byte, 48)
	b[0], b[2], b[3] = 0x20|mode, 6, 0xec
	if mode == 4 {
		b[1] = 2
		copy(b[12:], []byte{192, 0, 2, 200})
		be.PutUint32(b[4:], 0x0000_0210)
		be.PutUint32(b[8:], 0x0000_0350)
		for _, at := range []int{16, 24, 32} {
			be.PutUint32(b[at:], seconds)
		}
	}
	be.PutUint32(b[40:], seconds)
	return b
}

// STUNRequest asks a peer or server for the address that it sees (RFC 8489 §5).
func STUNRequest(transaction [12]byte) []byte {
	return append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, transaction[:]...)
}

// STUNReply tells it (XOR-MAPPED-ADDRESS, RFC 8489 §14.2).
func STUNReply(transaction [12]byte, addr netip.AddrPort) []byte {
	b := append([]byte{1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42}, transaction[:]...)
	b = append(b, 0, 0x20, 0, 8, 0, 1)
	b = be.AppendUint16(b, addr.Port()^0x2112)
	a := addr.Addr().As4()
	return be.AppendUint32(b, be.Uint32(a[:])^0x2112a442)
}

// RTPDatagram is one packet of a call.
func RTPDatagram(r *rand.Rand, kind byte, sequence uint16, clock, source uint32, size int) []byte {
	b := be.AppendUint16([]byte{0x80, kind}, sequence)
	b = be.AppendUint32(be.AppendUint32(b, clock), source)
	return random(r, b, size)
}

// DHTQuery asks a node of BitTorrent's DHT for peers (BEP 5).
func DHTQuery(r *rand.Rand) []byte {
	b := append(random(r, []byte("d1:ad2:id20:"), 20), "9:info_hash20:"...)
	b = append(random(r, b, 20), "e1:q9:get_peers1:t2:"...)
	return append(random(r, b, 2), "1:y1:qe"...)
}

// DHTReply names n nodes.
func DHTReply(r *rand.Rand, n int) []byte {
	b := append(random(r, []byte("d1:rd2:id20:"), 20), fmt.Sprintf("5:nodes%d:", 26*n)...)
	b = append(random(r, b, 26*n), "5:token4:"...)
	b = append(random(r, b, 4), "e1:t2:"...)
	return append(random(r, b, 2), "1:y1:re"...)
}

// TorrentHandshake begins a conversation of peers (BEP 3).
func TorrentHandshake(r *rand.Rand) []byte {
	b := append([]byte("\x13BitTorrent protocol"), 0, 0, 0, 0, 0, 0x10, 0, 5)
	return append(random(r, random(r, b, 20), 8), "-XX4000-0000"...)
}

// TorrentPiece is the head of a piece message that carries size bytes (BEP 3).
func TorrentPiece(index, begin, size int) []byte {
	b := be.AppendUint32(nil, uint32(9+size))
	b = be.AppendUint32(append(b, 7), uint32(index))
	return be.AppendUint32(b, uint32(begin))
}

// SIPOptions asks whether a telephone exchange is there (RFC 3261 §11), as those
// who look for open ones do.
func SIPOptions(r *rand.Rand, host, from netip.Addr) []byte {
	id := r.Uint32()
	return fmt.Appendf(nil, "OPTIONS sip:100@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s:5060;branch=z9hG4bK-%d;rport\r\nMax-Forwards: 70\r\n"+
		"To: <sip:100@%s>\r\nFrom: <sip:100@%s>;tag=%08x\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\nContact: <sip:100@%s:5060>\r\n"+
		"Accept: application/sdp\r\nContent-Length: 0\r\n\r\n", host, from, id, host, from, id, id, from)
}

// BulbDiscovery is a small obfuscated question as light bulbs broadcast it: the
// text, each byte combined with the one before.
func BulbDiscovery(text string) []byte {
	b, key := make([]byte, 0, len(text)), byte(171)
	for i := range len(text) {
		key ^= text[i]
		b = append(b, key)
	}
	return b
}

// Opaque is size bytes that mean nothing to anybody.
func Opaque(r *rand.Rand, size int) []byte { return random(r, nil, size) }
