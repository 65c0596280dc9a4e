package layout

import "testing"

func TestChainName(t *testing.T) {
	for device, want := range map[string]string{"lan1": "lan_lan1", "eth0.10": "lan_eth0.10", "wlan0-1": "lan_wlan0-1",
		"a b{};": "lan_a_b___", "phy0@ap": "lan_phy0_ap"} {
		if got := chainName(device); got != want {
			t.Errorf("%q: %s, want %s", device, got, want)
		}
	}
}
