package network_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"cordon/agent/network"
	"cordon/lab/netns"
)

// TestDNSRules finds the rules of other programs that redirect DNS, as they are
// written in practice, and nothing else.
func TestDNSRules(t *testing.T) {
	host := netns.New(t).Host("router")
	host.NFT(`
table inet fw4 {
	chain dstnat {
		type nat hook prerouting priority dstnat
		jump dstnat_lan
	}
	chain dstnat_lan {
		meta nfproto ipv4 meta l4proto { tcp, udp } th dport 53 counter redirect to :53 comment "Intercept-DNS"
	}
	chain input { udp dport 53 accept; tcp dport { 22, 53 } accept; }
	chain web { tcp dport 80 redirect to :8080; udp sport 53 redirect to :53; udp dport != 53 redirect; }
}
table ip adblock {
	chain dns {
		type nat hook prerouting priority dstnat
		udp dport { 53, 853 } dnat to 192.0.2.1
	}
	chain out {
		type nat hook postrouting priority srcnat
		udp dport 53 masquerade
	}
}
table inet cordon {
	chain guard {
		type filter hook prerouting priority -310
		udp dport 53 tproxy to :5353
	}
}
`)
	var got []string
	if err := host.Do(func() (err error) { got, err = network.DNSRules(); return err }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"inet fw4 dstnat_lan", "ip adblock dns"}, got); diff != "" {
		t.Errorf("chains (-want +got):\n%s", diff)
	}
}
