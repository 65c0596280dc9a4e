package network

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"cordon"
)

// tree makes a file system of "path=contents" words.
func tree(files ...string) fstest.MapFS {
	m := make(fstest.MapFS)
	for _, f := range files {
		name, text, _ := strings.Cut(f, "=")
		m[name] = &fstest.MapFile{Data: []byte(text + "\n")}
	}
	return m
}

// home is two wired ports and a radio on one bridge.
func home() cordon.Network {
	return cordon.Network{
		LAN: []cordon.Port{{Name: "lan1", Bridge: "br-lan"}, {Name: "lan2", Bridge: "br-lan"}, {Name: "wlan0", Bridge: "br-lan"}},
		WAN: []cordon.Port{{Name: "wan"}},
	}
}

const aps = "tmp/run/hostapd-phy0.conf=driver=nl80211\ninterface=wlan9\nap_isolate=1\nbss=wlan0\n"

// TestBlind shows what makes a port blind, and where devices cannot be kept apart.
func TestBlind(t *testing.T) {
	offload := []flowtable{{name: "fw4 ft", devices: []string{"lan1", "wan"}, hardware: true}}
	for _, c := range []struct {
		name    string
		files   []string
		facts   facts
		blind   map[string][]string // by port
		isolate map[string][]string
	}{
		{name: "nothing known"},
		{name: "hardware flowtable", facts: facts{tables: offload},
			blind: map[string][]string{"lan1": {HardwareOffload}, "wan": {HardwareOffload}}},
		{name: "hardware flowtable of the bridge", facts: facts{tables: []flowtable{{name: "x y", devices: []string{"br-lan"}, hardware: true}}},
			blind: map[string][]string{"lan1": {HardwareOffload}, "lan2": {HardwareOffload}, "wlan0": {HardwareOffload}}},
		{name: "software flowtable", facts: facts{tables: []flowtable{{name: "fw4 ft", devices: []string{"lan1", "wan"}}}}},
		{name: "hardware that only could", facts: facts{hwTC: map[string]bool{"lan1": true}}},
		{name: "the old firewall's hardware offload", facts: facts{modules: []string{"xt_FLOWOFFLOAD"}},
			files: []string{"etc/config/firewall=config defaults\n\toption flow_offloading '1'\n\toption flow_offloading_hw '1'"},
			blind: map[string][]string{"lan1": {HardwareOffload}, "lan2": {HardwareOffload}, "wlan0": {HardwareOffload}, "wan": {HardwareOffload}}},
		{name: "the old firewall's software offload", facts: facts{modules: []string{"xt_FLOWOFFLOAD"}},
			files: []string{"etc/config/firewall=\toption flow_offloading '1'"}},
		{name: "a maker's fast path", facts: facts{modules: []string{"nf_tables", "qca_nss_ecm"}},
			blind: map[string][]string{"lan1": {VendorFastPath}, "lan2": {VendorFastPath}, "wlan0": {VendorFastPath}, "wan": {VendorFastPath}}},
		{name: "modules that only sound like one", facts: facts{modules: []string{"ecmp", "ctfoo", "act_ct", "nf_flow_table", "mtk_ppe_stats"}}},
		{name: "two sockets of one switch", files: []string{"sys/class/net/lan1/phys_switch_id=00000000", "sys/class/net/lan2/phys_switch_id=00000000", "sys/class/net/wan/phys_switch_id=00000000"},
			blind: both("lan1", "lan2", SwitchNeighbours), isolate: both("lan1", "lan2", SwitchNeighbours)},
		{name: "sockets of two switches", files: []string{"sys/class/net/lan1/phys_switch_id=00000000", "sys/class/net/lan2/phys_switch_id=01000000"}},
		{name: "isolated sockets of one switch", files: []string{"sys/class/net/lan1/phys_switch_id=00", "sys/class/net/lan2/phys_switch_id=00",
			"sys/class/net/lan1/brport/isolated=1", "sys/class/net/lan2/brport/isolated=1"}},
		{name: "one isolated socket", files: []string{"sys/class/net/lan1/phys_switch_id=00", "sys/class/net/lan2/phys_switch_id=00",
			"sys/class/net/lan1/brport/isolated=1", "sys/class/net/lan2/brport/isolated=0"},
			blind: both("lan1", "lan2", SwitchNeighbours), isolate: both("lan1", "lan2", SwitchNeighbours)},
		{name: "a switch of OpenWrt's old kind", facts: facts{switchd: true, kinds: map[string]string{"lan1": "vlan", "lan2": "veth", "wlan0": ""}},
			files: []string{"sys/class/net/wlan0/phy80211/name=phy0", aps + "ap_isolate=1"},
			blind: map[string][]string{"lan1": {SwitchNeighbours}}, isolate: map[string][]string{"lan1": {SwitchNeighbours}}},
		{name: "a radio of which nothing is known", files: []string{"sys/class/net/wlan0/phy80211/name=phy0"},
			blind: map[string][]string{"wlan0": {WiFiNeighbours}}, isolate: map[string][]string{"wlan0": {WiFiNeighbours}}},
		{name: "a radio that isolates another network only", files: []string{"sys/class/net/wlan0/wireless/status=0", aps},
			blind: map[string][]string{"wlan0": {WiFiNeighbours}}, isolate: map[string][]string{"wlan0": {WiFiNeighbours}}},
		{name: "a radio that isolates", files: []string{"sys/class/net/wlan0/phy80211/name=phy0", aps + "ap_isolate=1"}},
		{name: "bridge netfilter", files: []string{"proc/sys/net/bridge/bridge-nf-call-iptables=1"},
			isolate: map[string][]string{"lan1": {BridgeNetfilter}, "lan2": {BridgeNetfilter}, "wlan0": {BridgeNetfilter}}},
		{name: "bridge netfilter of one bridge", files: []string{"proc/sys/net/bridge/bridge-nf-call-iptables=0", "sys/class/net/br-lan/bridge/nf_call_ip6tables=1"},
			isolate: map[string][]string{"lan1": {BridgeNetfilter}, "lan2": {BridgeNetfilter}, "wlan0": {BridgeNetfilter}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := c.facts
			f.root = tree(c.files...)
			n := home()
			f.judge(&n)
			blind, isolate := make(map[string][]string), make(map[string][]string)
			for _, p := range append(n.LAN, n.WAN...) {
				collect(t, blind, p.Name, p.Blind)
				collect(t, isolate, p.Name, p.CannotIsolate)
			}
			if c.blind == nil {
				c.blind = map[string][]string{}
			}
			if c.isolate == nil {
				c.isolate = map[string][]string{}
			}
			if diff := cmp.Diff(c.blind, blind); diff != "" {
				t.Errorf("blind (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.isolate, isolate); diff != "" {
				t.Errorf("cannot isolate (-want +got):\n%s", diff)
			}
		})
	}
}

func both(a, b, name string) map[string][]string {
	return map[string][]string{a: {name}, b: {name}}
}

// collect takes a port's shortcomings down, and checks that each says what it is
// and what to do.
func collect(t *testing.T, by map[string][]string, port string, list []cordon.Shortcoming) {
	t.Helper()
	for _, s := range list {
		by[port] = append(by[port], s.Name)
		if s.Name == "" || !strings.HasSuffix(s.Text, ".") || !strings.HasSuffix(s.Mend, ".") {
			t.Errorf("%s: %+v: want a name and two sentences", port, s)
		}
	}
}

// TestNotes shows what is worth telling without being a fault.
func TestNotes(t *testing.T) {
	f := facts{root: tree(), tables: []flowtable{{name: "fw4 ft", devices: []string{"lan1"}}, {name: "fw4 hw", hardware: true}},
		hwTC: map[string]bool{"lan1": true, "wan": true, "eth7": true}}
	var got []string
	for _, s := range f.notes(home()) {
		got = append(got, s.Name+": "+s.Text)
	}
	if len(got) != 2 || !strings.Contains(got[0], "software-offload: The flowtable \"fw4 ft\"") || !strings.Contains(got[1], "tc-offload: The hardware of lan1, wan can") {
		t.Errorf("notes %q", got)
	}
}

// TestProc reads the kernel's lists of modules and PPPoE sessions.
func TestProc(t *testing.T) {
	root := tree("proc/modules=nf-tables 249856 3 nft_ct,nft_chain_nat, Live 0x0000000000000000\nmtkhnat 28672 0 - Live 0x0000000000000000 (O)",
		"proc/net/pppoe=Id       Address              Device\n00000400 02:00:00:00:00:01    eth1.7")
	if got := modules(root); !cmp.Equal(got, []string{"nf_tables", "mtkhnat"}) {
		t.Errorf("modules %q", got)
	}
	if got := pppoePorts(root); !cmp.Equal(got, []string{"eth1.7"}) {
		t.Errorf("PPPoE on %q", got)
	}
}
