package wire

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"cordon"
	"cordon/wire/internal/pb"
)

// BenchmarkReports encodes and decodes a batch of 200 reports; generated is what the
// code that is generated from the schema takes, to its own values.
func BenchmarkReports(b *testing.B) {
	var list []cordon.Report
	for len(list) < 200 {
		list = append(list, reports()...)
	}
	list = list[:200]
	data, err := EncodeReports(1, list)
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(list)*b.N)/b.Elapsed().Seconds(), "reports/s")
		})
	}
	run("encode", func() error { _, err := EncodeReports(1, list); return err })
	run("decode", func() error { _, _, err := DecodeReports(data); return err })
	run("decode generated", func() error { return proto.Unmarshal(data, &pb.Batch{}) })
}

// BenchmarkDirective signs and opens a set of 20,000 indicators, a router's budget.
func BenchmarkDirective(b *testing.B) {
	d := Directive{Number: 1, Receiver: All, Expires: 200, Indicators: &Indicators{}}
	for i := range 20_000 {
		d.Indicators.Added = append(d.Indicators.Added, cordon.Indicator{Type: cordon.IndicatorName, Value: fmt.Sprintf("host-%d.example.net", i),
			Source: "crowd", Role: cordon.RoleC2, Confidence: 90, FirstSeen: 1e18, LastSeen: 1e18, Expires: 2e18})
	}
	k := key("core")
	data, err := Sign(d, k)
	if err != nil {
		b.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"sign": func() error { _, err := Sign(d, k); return err },
		"open": func() error { _, err := Open(data, keysOf(k), "router", 1); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
