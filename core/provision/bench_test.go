package provision_test

import (
	"fmt"
	"strings"
	"testing"

	"cordon/core/provision"
)

// BenchmarkRead reads a list of 100,000 routers.
func BenchmarkRead(b *testing.B) {
	var list strings.Builder
	list.WriteString("serial,claim_secret,account,account_name,site,area,model\n")
	for n := range 100_000 {
		fmt.Fprintf(&list, "SN%07d,secret-of-%d,C%d,Customer %d,L%d,area/%d,R1\n", n, n, n, n, n, n%97)
	}
	b.SetBytes(int64(list.Len()))
	b.ReportAllocs()
	for b.Loop() {
		l, err := provision.Read(strings.NewReader(list.String()), provision.CSV)
		if err != nil || len(l.Routers) != 100_000 {
			b.Fatal(len(l.Routers), err)
		}
	}
}
