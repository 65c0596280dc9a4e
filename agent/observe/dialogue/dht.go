package dialogue

import (
	"bytes"

	"cordon"
)

// Of the DHT's messages (BEP 5): a query and a reply both begin their dictionary of
// arguments with the sender's id. Newer ones put the receiver's address first (BEP
// 42), which is at most dhtBefore bytes.
var (
	dhtQuery  = []byte("1:ad2:id20:")
	dhtReply  = []byte("1:rd2:id20:")
	dhtAsks   = []byte("query")
	dhtAnswer = []byte("reply")
)

const (
	dhtID     = 20 // bytes
	dhtBefore = 48 // bytes
)

// dht reads a datagram that may be a message of BitTorrent's DHT.
func (t *Table) dht(k int, b []byte) {
	if len(b) < 2 || b[0] != 'd' || b[1] < '0' || b[1] > '9' {
		return
	}
	service, i := dhtAsks, bytes.Index(b[:min(len(b), dhtBefore)], dhtQuery)
	if i < 0 {
		service, i = dhtAnswer, bytes.Index(b[:min(len(b), dhtBefore)], dhtReply)
	}
	if i < 0 {
		return
	}
	if i += len(dhtQuery); len(b) >= i+dhtID {
		t.tell(cordon.FactDHT, k, cordon.Observation{Service: service, Data: b[i : i+dhtID]})
	}
}
