package network

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"cordon"
)

// The names of shortcomings. They are stable: the portal and doctor know them.
const (
	HardwareOffload  = "hardware-offload"
	VendorFastPath   = "vendor-fast-path"
	SwitchNeighbours = "switch-neighbours"
	WiFiNeighbours   = "wifi-neighbours"
	BridgeNetfilter  = "bridge-netfilter"

	// Notes: nothing is lost by them.
	SoftwareOffload = "software-offload"
	TCOffload       = "tc-offload"
)

// fastPaths are the kernel modules with which makers of router chips take flows
// past Linux's own network code, by the beginning of their names.
var fastPaths = []struct{ module, product string }{
	{"shortcut_fe", "Qualcomm's shortcut forwarding engine"},
	{"fast_classifier", "Qualcomm's shortcut forwarding engine"},
	{"qca_nss_ecm", "Qualcomm's network subsystem"},
	{"qca_nss_sfe", "Qualcomm's shortcut forwarding engine"},
	{"qca_nss_drv", "Qualcomm's network subsystem"},
	{"qca_nss_ppe", "Qualcomm's packet processing engine"},
	{"ecm", "Qualcomm's enhanced connection manager"},
	{"hw_nat", "MediaTek's hardware NAT"},
	{"mtkhnat", "MediaTek's hardware NAT"},
	{"mtk_hnat", "MediaTek's hardware NAT"},
	{"ctf", "Broadcom's cut-through forwarding"},
	{"bcm_flow", "Broadcom's flow cache"},
	{"pktflow", "Broadcom's flow cache"},
	{"fastpath", "a fast path of the chip's maker"},
	{"fast_path", "a fast path of the chip's maker"},
	{"fastnat", "a fast path of the chip's maker"},
	{"ppa_api", "Intel's packet processing accelerator"},
	{"ltq_ppa", "Intel's packet processing accelerator"},
	{"rtk_hwnat", "Realtek's hardware NAT"},
	{"rtl_hwnat", "Realtek's hardware NAT"},
}

// judge writes to each port what cannot be seen or kept apart there.
func (f *facts) judge(n *cordon.Network) {
	for k := range n.LAN {
		p := &n.LAN[k]
		p.Blind = append(f.offloaded(p), f.fastPath()...)
		for _, s := range []*cordon.Shortcoming{f.switched(p, n.LAN), f.radio(p)} {
			if s != nil {
				p.Blind = append(p.Blind, *s)
				p.CannotIsolate = append(p.CannotIsolate, *s)
			}
		}
		p.CannotIsolate = append(p.CannotIsolate, f.bridgeNetfilter(p)...)
	}
	for k := range n.WAN {
		n.WAN[k].Blind = append(f.offloaded(&n.WAN[k]), f.fastPath()...)
	}
}

// notes is what takes nothing away.
func (f *facts) notes(n cordon.Network) (list []cordon.Shortcoming) {
	for _, t := range f.tables {
		if !t.hardware {
			list = append(list, cordon.Shortcoming{Name: SoftwareOffload,
				Text: fmt.Sprintf("The flowtable %q takes established connections past the forwarding rules; Cordon still sees and stops them, because it watches before it.", t.name)})
		}
	}
	var may []string
	for _, p := range slices.Concat(n.LAN, n.WAN) {
		if f.hwTC[p.Name] {
			may = append(may, p.Name)
		}
	}
	if len(may) > 0 {
		list = append(list, cordon.Shortcoming{Name: TCOffload,
			Text: fmt.Sprintf("The hardware of %s can take over traffic rules (hw-tc-offload); nothing is hidden as long as no flowtable has the flag offload.", strings.Join(may, ", "))})
	}
	return list
}

// offloaded finds what lets the hardware forward flows of p by itself.
func (f *facts) offloaded(p *cordon.Port) []cordon.Shortcoming {
	s := cordon.Shortcoming{Name: HardwareOffload,
		Mend: "Switch hardware flow offloading off: on OpenWrt, `uci set firewall.@defaults[0].flow_offloading_hw=0`, commit and restart the firewall; elsewhere take the flag offload out of the flowtable."}
	for _, t := range f.tables {
		if t.hardware && t.listed(p) {
			s.Text = fmt.Sprintf("The flowtable %q has established connections forwarded by the hardware, which neither shows nor stops them.", t.name)
			return []cordon.Shortcoming{s}
		}
	}
	// fw3 of OpenWrt up to 21.02 asks for it in an iptables target, which does not
	// say how it was configured.
	if slices.Contains(f.modules, "xt_FLOWOFFLOAD") && uciOption(f.file("etc/config/firewall"), "flow_offloading_hw") == "1" {
		s.Text = "The firewall has established connections forwarded by the hardware, which neither shows nor stops them."
		return []cordon.Shortcoming{s}
	}
	return nil
}

// fastPath finds a chip maker's module that forwards flows past the kernel.
func (f *facts) fastPath() []cordon.Shortcoming {
	for _, m := range f.modules {
		for _, fp := range fastPaths {
			if m == fp.module || strings.HasPrefix(m, fp.module+"_") || len(fp.module) > 6 && strings.HasPrefix(m, fp.module) {
				return []cordon.Shortcoming{{Name: VendorFastPath,
					Text: fmt.Sprintf("The kernel module %s (%s) forwards established connections past everything that watches and blocks.", m, fp.product),
					Mend: fmt.Sprintf("Switch this acceleration off in the router's settings, or do not load the module %s.", m)}}
			}
		}
	}
	return nil
}

// switched finds a switch chip that forwards between its own ports: a driver that
// names it (phys_switch_id) with another port of the same switch on the same
// bridge, or OpenWrt's swconfig, which shows all sockets as one interface.
func (f *facts) switched(p *cordon.Port, lan []cordon.Port) *cordon.Shortcoming {
	if f.wireless(p.Name) {
		return nil
	}
	s := &cordon.Shortcoming{Name: SwitchNeighbours,
		Mend: "Put sockets that need protection from each other into VLANs or bridges of their own, or set the bridge ports to isolated."}
	if id := f.sys(p.Name, "phys_switch_id"); id != "" && p.Bridge != "" {
		for k := range lan {
			q := &lan[k]
			if q.Name != p.Name && q.Bridge == p.Bridge && f.sys(q.Name, "phys_switch_id") == id && !(f.isolated(p) && f.isolated(q)) {
				s.Text = "Devices on sockets of the same switch chip talk to each other inside the chip, unseen, and cannot be kept apart there."
				return s
			}
		}
	}
	if kind, known := f.kinds[p.Name]; f.switchd && known && (kind == "" || kind == "vlan") {
		s.Text = "Several sockets may be behind this interface on a switch chip, and devices on them talk to each other inside the chip, unseen, and cannot be kept apart."
		return s
	}
	return nil
}

// isolated reports whether p is one of those ports between which the bridge
// forwards nothing (BR_ISOLATED), in software and in switches that can.
func (f *facts) isolated(p *cordon.Port) bool { return f.sys(p.Name, "brport/isolated") == "1" }

// radio finds an access point that lets its stations talk to each other.
func (f *facts) radio(p *cordon.Port) *cordon.Shortcoming {
	if !f.wireless(p.Name) {
		return nil
	}
	s := &cordon.Shortcoming{Name: WiFiNeighbours,
		Text: "Devices on this Wi-Fi network talk to each other inside the radio, unseen, and cannot be kept apart there.",
		Mend: "Switch client isolation on for this Wi-Fi network: on OpenWrt `option isolate '1'` of its wifi-iface, elsewhere `ap_isolate=1` in hostapd's configuration."}
	switch isolated, known := f.apIsolated(p.Name); {
	case isolated:
		return nil
	case !known: // an unprivileged agent may not read it
		s.Text = "It cannot be seen whether this Wi-Fi network keeps its devices apart; if it does not, they talk to each other inside the radio, unseen."
		s.Mend += " Let the agent's user read that configuration."
	}
	return s
}

// hostapdFiles are where access points keep what they run with.
var hostapdFiles = []string{"var/run/hostapd-*.conf", "run/hostapd-*.conf", "tmp/run/hostapd-*.conf",
	"etc/hostapd/*.conf", "etc/hostapd.conf"}

// apIsolated reports whether hostapd keeps the stations of an interface apart, and
// whether that is known.
func (f *facts) apIsolated(port string) (isolated, known bool) {
	for _, pattern := range hostapdFiles {
		for _, text := range files(f.root, pattern) {
			if isolate, found := parseHostapd(text)[port]; found {
				return isolate, true
			}
		}
	}
	return false, false
}

// parseHostapd returns for each interface of a hostapd configuration whether it
// keeps stations apart. "interface=" and "bss=" each begin a section.
func parseHostapd(text []byte) map[string]bool {
	isolate := make(map[string]bool)
	section := ""
	for line := range lines(text) {
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "interface", "bss":
			section = value
			if len(isolate) < 64 { // more than a radio has
				isolate[section] = false
			}
		case "ap_isolate":
			if _, known := isolate[section]; known {
				isolate[section] = value == "1"
			}
		}
	}
	return isolate
}

// bridgeNetfilter finds a bridge that runs its frames through the IP rules.
func (f *facts) bridgeNetfilter(p *cordon.Port) []cordon.Shortcoming {
	if p.Bridge == "" {
		return nil
	}
	for _, file := range []string{"proc/sys/net/bridge/bridge-nf-call-iptables", "proc/sys/net/bridge/bridge-nf-call-ip6tables",
		path.Join("sys/class/net", p.Bridge, "bridge/nf_call_iptables"), path.Join("sys/class/net", p.Bridge, "bridge/nf_call_ip6tables")} {
		if strings.TrimSpace(string(f.file(file))) == "1" {
			key := path.Base(file)
			return []cordon.Shortcoming{{Name: BridgeNetfilter,
				Text: fmt.Sprintf("The bridge hands its frames to the IP firewall (%s is 1), so the DNS guard cannot run and no name can be blocked.", key),
				Mend: "Set net.bridge.bridge-nf-call-iptables and net.bridge.bridge-nf-call-ip6tables to 0 with sysctl."}}
		}
	}
	return nil
}

// file returns a file's contents, nil if it cannot be read.
func (f *facts) file(name string) []byte {
	text, err := readFile(f.root, name)
	if err != nil {
		return nil
	}
	return text
}

// uciOption returns the first value of an option in a UCI file, whatever section
// it is in.
func uciOption(text []byte, name string) string {
	for line := range lines(text) {
		if field := strings.Fields(line); len(field) == 3 && field[0] == "option" && unquote(field[1]) == name {
			return unquote(field[2])
		}
	}
	return ""
}
