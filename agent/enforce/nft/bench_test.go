package nft_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"cordon"
	"cordon/agent/enforce/nft"
	"cordon/lab/netns"
)

// BenchmarkForward is what a 60-byte packet costs from a device's write until
// the internet has swallowed it: without Cordon, with its tables, with 20,000
// places in them, and from a device of whose traffic a part is blocked; and
// without Cordon, but with a rule of policy routing, which the DNS guard does
// without for IPv4. The cheapest thousand of each run counts, so that neighbours
// on the machine do not.
func BenchmarkForward(b *testing.B) {
	for _, c := range []struct {
		name   string
		tables bool
		places int
		block  bool
		rule   bool
	}{{name: "without"}, {name: "tables", tables: true}, {name: "places", tables: true, places: 20000},
		{name: "scoped", tables: true, places: 20000, block: true}, {name: "rule", rule: true}} {
		b.Run(c.name, func(b *testing.B) {
			home := netns.NewHome(b, netns.HomeConfig{Devices: 1})
			if c.tables {
				prepare(b, home, c.places, c.block)
			}
			if c.rule {
				home.Router.IP("rule add fwmark 1 lookup 20053")
			}
			conn := answered(b, home)
			packet, best := make([]byte, 18), time.Hour
			for n := 0; b.Loop(); n++ {
				start := time.Now()
				for range 1000 {
					conn.Write(packet)
				}
				best = min(best, time.Since(start))
			}
			b.ReportMetric(float64(best.Nanoseconds())/1000, "ns/packet")
		})
	}
}

// answered is a flow from the device to the internet that was answered once.
func answered(b *testing.B, home *netns.Home) net.Conn {
	b.Helper()
	far, err := home.Internet.ListenPacket("udp", c2+":9")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { far.Close() })
	conn, err := home.Devices[0].Dial("udp", c2+":9")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	conn.Write([]byte("hello"))
	buffer := make([]byte, 10)
	n, from, err := far.ReadFrom(buffer)
	if err == nil {
		_, err = far.WriteTo(buffer[:n], from)
	}
	if err == nil {
		_, err = conn.Read(buffer)
	}
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

func prepare(b *testing.B, home *netns.Home, places int, block bool) {
	b.Helper()
	ctx := context.Background()
	table, err := nft.New(nft.Config{})
	if err == nil {
		err = home.Router.Do(func() error { return table.Open(ctx) })
	}
	if err == nil {
		err = table.SetNetwork(ctx, networkOf(home))
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { table.Close() })
	var list []nft.Hostile
	for i := range places {
		list = append(list, nft.Hostile{Addr: netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)}), For: time.Hour})
	}
	if _, err := table.Indicators(ctx, list, nil); err != nil {
		b.Fatal(err)
	}
	if block {
		a := action(0, cordon.VerbBlock, cordon.Target{Proto: 6, Ports: []uint16{23}})
		if _, err := table.Apply(ctx, device(0), a); err != nil {
			b.Fatal(err)
		}
	}
}
