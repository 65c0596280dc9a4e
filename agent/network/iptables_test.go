package network

import (
	"encoding/binary"
	"testing"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// TestIPTables finds the rules that iptables makes through nftables, which names
// its own targets in them and, before 1.8.8, its own matches.
func TestIPTables(t *testing.T) {
	port := func(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }
	match := func(name string, from, to uint16) *expr.Match {
		info := make(xt.Unknown, 10)
		binary.NativeEndian.PutUint16(info[2:], 65535)
		binary.NativeEndian.PutUint16(info[4:], from)
		binary.NativeEndian.PutUint16(info[6:], to)
		return &expr.Match{Name: name, Info: &info}
	}
	load := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
	redirect := &expr.Target{Name: "REDIRECT"}
	for _, c := range []struct {
		name  string
		exprs []expr.Any
		want  bool
	}{
		{"new", []expr.Any{load, &expr.Cmp{Register: 1, Data: port(53)}, redirect}, true},
		{"old", []expr.Any{match("udp", 53, 53), redirect}, true},
		{"old, TPROXY", []expr.Any{match("tcp", 53, 53), &expr.Target{Name: "TPROXY"}}, true},
		{"any port", []expr.Any{match("udp", 0, 65535), redirect}, false},
		{"another match", []expr.Any{match("multiport", 53, 53), redirect}, false},
		{"accepted", []expr.Any{match("udp", 53, 53), &expr.Target{Name: "MARK"}}, false},
		{"another port", []expr.Any{load, &expr.Cmp{Register: 1, Data: port(80)}, redirect}, false},
		{"another register", []expr.Any{load, &expr.Cmp{Register: 2, Data: port(53)}, redirect}, false},
		{"a register used again", []expr.Any{load, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Len: 2},
			&expr.Cmp{Register: 1, Data: port(53)}, redirect}, false},
	} {
		if got := redirectsDNS(c.exprs, func(string) bool { return false }); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}
