package doctor_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/doctor"
)

// files of a router where all is well.
var files = map[string]string{
	"proc/sys/kernel/osrelease":                 "6.6.30",
	"proc/self/status":                          "Name:\tcordon-agent\nCapEff:\t000000c000003400\nSeccomp:\t0",
	"proc/sys/net/core/bpf_jit_enable":          "1",
	"proc/modules":                              "nft_tproxy 12288 2 - Live 0x0\nnf_tables 300000 9 - Live 0x0",
	"proc/sys/net/netfilter/nf_conntrack_max":   "15360",
	"proc/sys/net/netfilter/nf_conntrack_count": "200",
	"proc/sys/net/ipv4/ip_forward":              "1",
	"proc/net/udp": "   sl  local_address rem_address   st tx_queue\n" +
		"  205: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0",
	"proc/meminfo": "MemTotal:         250000 kB\nMemAvailable:     120000 kB",
}

var (
	now  = time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC)
	nope = func(context.Context) error { return errors.New("no such thing") }
	fine = func(context.Context) error { return nil }
)

// healthy is a configuration in which all is well.
func healthy() doctor.Config {
	return doctor.Config{
		Network: cordon.Network{LAN: []cordon.Port{{Name: "lan1", Bridge: "br-lan"}, {Name: "lan2", Bridge: "br-lan"}}, WAN: []cordon.Port{{Name: "wan"}},
			Home: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")}},
		EBPF: fine, NFTables: fine, Resolve: fine, DNSRules: func(context.Context) ([]string, error) { return nil, nil },
		StateDir: "/var/lib/cordon", Guard: true, Built: now.Add(-time.Hour),
		Now: func() time.Time { return now }, Synced: func() (bool, error) { return true, nil },
		Disk: func(string) (doctor.Disk, error) { return doctor.Disk{Free: 50 << 20}, nil },
		Try:  func(string) error { return nil },
	}
}

func root(text map[string]string) fstest.MapFS {
	m := make(fstest.MapFS)
	for name, t := range text {
		m[name] = &fstest.MapFile{Data: []byte(t + "\n")}
	}
	return m
}

// TestFindings shows each finding by what brings it about, and that nothing else
// changes with it.
func TestFindings(t *testing.T) {
	offload := cordon.Shortcoming{Name: "hardware-offload", Text: "The hardware forwards.", Mend: "Switch it off."}
	chip := cordon.Shortcoming{Name: "switch-neighbours", Text: "The chip forwards.", Mend: "Use VLANs."}
	packed := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write([]byte(text))
		z.Close()
		return b.String()
	}
	for _, c := range []struct {
		name   string
		files  map[string]string // "" removes
		change func(*doctor.Config)
		want   []string // "name state: part of the text"
	}{
		{name: "all is well"},
		{name: "old kernel", files: map[string]string{"proc/sys/kernel/osrelease": "5.10.176"}, want: []string{"kernel fail: 5.10.176 is older"}},
		{name: "just new enough", files: map[string]string{"proc/sys/kernel/osrelease": "5.15-custom"}},
		{name: "nonsense kernel", files: map[string]string{"proc/sys/kernel/osrelease": "openwrt"}, want: []string{"kernel skip: does not tell"}},
		{name: "no CAP_BPF", files: map[string]string{"proc/self/status": "CapEff:\t0000000000003000"}, want: []string{"capabilities warn: Without CAP_BPF eBPF cannot"}},
		{name: "CAP_SYS_ADMIN is CAP_BPF too", files: map[string]string{"proc/self/status": "CapEff:\t0000000000203000"}},
		{name: "no privileges", files: map[string]string{"proc/self/status": "CapEff:\t0000000000000000"}, want: []string{"capabilities fail: Without CAP_NET_ADMIN nothing"}},
		{name: "no status", files: map[string]string{"proc/self/status": ""}, want: []string{"capabilities skip: "}},
		{name: "no eBPF", change: func(c *doctor.Config) { c.EBPF = nope }, want: []string{"ebpf warn: slower way: no such thing."}},
		{name: "no JIT", files: map[string]string{"proc/sys/net/core/bpf_jit_enable": "0"}, want: []string{"bpf-jit warn: switched off"}},
		{name: "no JIT for this processor", files: map[string]string{"proc/sys/net/core/bpf_jit_enable": ""}, want: []string{"bpf-jit warn: no eBPF compiler"}},
		{name: "no nftables", change: func(c *doctor.Config) { c.NFTables = nope }, want: []string{"nftables fail: no such thing."}},
		{name: "nftables not tried, and not there", change: func(c *doctor.Config) { c.NFTables = nil },
			files: map[string]string{"proc/modules": "nft_tproxy 1 0", "proc/config.gz": packed("CONFIG_NET=y\n# CONFIG_NF_TABLES_NETDEV is not set\n")},
			want:  []string{"nftables fail: no nftables for ports"}},
		{name: "no tproxy", files: map[string]string{"proc/modules": "nf_tables 1 0", "boot/config-6.6.30": "CONFIG_NET=y"}, want: []string{"tproxy fail: no tproxy"}},
		{name: "no tproxy, no guard", files: map[string]string{"proc/modules": "nf_tables 1 0", "boot/config-6.6.30": "CONFIG_NET=y"},
			change: func(c *doctor.Config) { c.Guard = false }},
		{name: "tproxy unknown", files: map[string]string{"proc/modules": "nf_tables 1 0"}, want: []string{"tproxy skip: cannot be seen"}},
		{name: "tproxy built in", files: map[string]string{"proc/modules": "", "proc/config.gz": packed("CONFIG_NFT_TPROXY=y")}},
		{name: "tproxy to be loaded", files: map[string]string{"proc/modules": "nf_tables 1 0", "lib/modules/6.6.30/modules.dep": "kernel/net/netfilter/nft_tproxy.ko: a.ko"}},
		{name: "tproxy of OpenWrt, to be loaded", files: map[string]string{"proc/modules": "nf_tables 1 0", "lib/modules/6.6.30/nft_tproxy.ko": "ELF"}},
		{name: "tproxy not installed", files: map[string]string{"proc/modules": "nf_tables 1 0", "lib/modules/6.6.30/modules.builtin": "kernel/net/ipv4/a.ko"}, want: []string{"tproxy fail: "}},
		{name: "no connection tracking", files: map[string]string{"proc/sys/net/netfilter/nf_conntrack_max": ""}, want: []string{"conntrack warn: tracks no"}},
		{name: "full connection table", files: map[string]string{"proc/sys/net/netfilter/nf_conntrack_count": "15000"}, want: []string{"conntrack warn: 15000 of 15360"}},
		{name: "unreadable network", change: func(c *doctor.Config) { c.Network, c.NetworkErr = cordon.Network{}, errors.New("no netlink") },
			want: []string{"network fail: no netlink"}},
		{name: "nothing found", change: func(c *doctor.Config) { c.Network = cordon.Network{} }, want: []string{"lan fail: No port", "wan warn: no default route"}},
		{name: "no address", change: func(c *doctor.Config) { c.Network.Home = nil }, want: []string{"lan warn: lan1, lan2, but"}},
		{name: "not a router", files: map[string]string{"proc/sys/net/ipv4/ip_forward": "0"}, want: []string{"forwarding warn: not the home's router"}},
		{name: "blind", change: func(c *doctor.Config) {
			c.Network.LAN[0].Blind = []cordon.Shortcoming{offload, chip}
			c.Network.LAN[1].Blind, c.Network.WAN[0].Blind = []cordon.Shortcoming{chip}, []cordon.Shortcoming{offload}
			c.Network.LAN[0].CannotIsolate, c.Network.LAN[1].CannotIsolate = []cordon.Shortcoming{chip}, []cordon.Shortcoming{chip}
		}, want: []string{"hardware-offload warn: lan1, wan: The hardware forwards.", "switch-neighbours warn: lan1, lan2: The chip forwards."}},
		{name: "no resolver", change: func(c *doctor.Config) { c.Resolve = nope }, want: []string{"resolver warn: no such thing"}},
		{name: "no DNS server", files: map[string]string{"proc/net/udp": "sl\n 1: 0100007F:0036 0:0"}, want: []string{"dns-server warn: No DNS server"}},
		{name: "another program redirects DNS", change: func(c *doctor.Config) {
			c.DNSRules = func(context.Context) ([]string, error) { return []string{"inet adblock dns"}, nil }
		}, want: []string{"dns-rules warn: inet adblock dns"}},
		{name: "clock at the epoch", change: func(c *doctor.Config) { c.Now = func() time.Time { return time.Unix(60, 0) } }, want: []string{"clock warn: 1970-01-01 00:01"}},
		{name: "clock far ahead", change: func(c *doctor.Config) { c.Now = func() time.Time { return now.AddDate(30, 0, 0) } }, want: []string{"clock warn: 2056"}},
		{name: "clock unknown to be right", change: func(c *doctor.Config) { c.Built = time.Time{} }},
		{name: "no NTP", change: func(c *doctor.Config) { c.Synced = func() (bool, error) { return false, nil } }, want: []string{"ntp warn: Nothing keeps"}},
		{name: "little memory", files: map[string]string{"proc/meminfo": "MemAvailable:     30000 kB"}, want: []string{"memory warn: 29 MB"}},
		{name: "too little memory", files: map[string]string{"proc/meminfo": "MemAvailable:     9000 kB"}, want: []string{"memory fail: 8 MB"}},
		{name: "no state directory", change: func(c *doctor.Config) {
			c.Disk = func(string) (doctor.Disk, error) { return doctor.Disk{Missing: true}, nil }
		}, want: []string{"state warn: does not exist"}},
		{name: "state in memory", change: func(c *doctor.Config) {
			c.Disk = func(string) (doctor.Disk, error) { return doctor.Disk{Free: 50 << 20, InMemory: true}, nil }
		}, want: []string{"state warn: is in memory"}},
		{name: "flash full", change: func(c *doctor.Config) {
			c.Disk = func(string) (doctor.Disk, error) { return doctor.Disk{Free: 100 << 10}, nil }
		}, want: []string{"state warn: has 100 KB"}},
		{name: "flash read-only", change: func(c *doctor.Config) {
			c.Disk = func(string) (doctor.Disk, error) { return doctor.Disk{ReadOnly: true}, nil }
		}, want: []string{"state fail: that cannot be written to"}},
		{name: "state of somebody else", change: func(c *doctor.Config) { c.Try = func(string) error { return os.ErrPermission } },
			want: []string{"state fail: permission denied"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, text := healthy(), maps.Clone(files)
			for name, value := range c.files {
				if text[name] = value; value == "" {
					delete(text, name)
				}
			}
			cfg.Root = root(text)
			if c.change != nil {
				c.change(&cfg)
			}
			var got []string
			for _, f := range doctor.Run(t.Context(), cfg) {
				if f.State == doctor.OK {
					continue
				}
				got = append(got, f.Name+" "+f.State+": "+f.Text)
				if f.Mend == "" && f.State != doctor.Skip || !strings.HasSuffix(f.Text, ".") {
					t.Errorf("%+v: want a sentence and what to do", f)
				}
			}
			if len(got) != len(c.want) {
				t.Fatalf("found %q, want %q", got, c.want)
			}
			for k, want := range c.want {
				if head, part, _ := strings.Cut(want, ": "); !strings.HasPrefix(got[k], head+": ") || !strings.Contains(got[k], part) {
					t.Errorf("found %q, want %q", got[k], want)
				}
			}
		})
	}
}

// TestStable names the findings of a healthy router, which programs rely on.
func TestStable(t *testing.T) {
	cfg := healthy()
	cfg.Root, cfg.Notes = root(files), []cordon.Shortcoming{{Name: "software-offload", Text: "It is seen."}}
	var got []string
	for _, f := range doctor.Run(t.Context(), cfg) {
		got = append(got, f.Name)
	}
	want := []string{"kernel", "capabilities", "ebpf", "bpf-jit", "nftables", "tproxy", "conntrack", "lan", "wan", "forwarding", "blind", "isolate",
		"software-offload", "resolver", "dns-server", "dns-rules", "clock", "ntp", "memory", "state"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	b, err := json.Marshal(doctor.Finding{Name: "a", State: doctor.OK, Text: "b"})
	if string(b) != `{"name":"a","state":"ok","text":"b"}` || err != nil {
		t.Errorf("JSON %s, %v", b, err)
	}
}

// TestHere looks at the machine that the test runs on, with a real directory.
func TestHere(t *testing.T) {
	dir := t.TempDir()
	list := doctor.Run(t.Context(), doctor.Config{StateDir: dir, Resolve: fine, Guard: true})
	states := make(map[string]string)
	for _, f := range list {
		states[f.Name] = f.State
		t.Logf("%-14s %-4s %s", f.Name, f.State, f.Text)
	}
	for _, name := range []string{"kernel", "clock", "memory"} {
		if states[name] == doctor.Skip || states[name] == "" {
			t.Errorf("%s: not seen here", name)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left in the state directory: %v, %v", left, err)
	}
	missing := doctor.Run(t.Context(), doctor.Config{StateDir: dir + "/not/here", Resolve: fine})
	if last := missing[len(missing)-1]; last.State != doctor.Warn || !strings.Contains(last.Text, "does not exist") {
		t.Errorf("a directory that is not there: %+v", last)
	}
}

// FuzzFiles holds the doctor to an answer whatever the kernel says.
func FuzzFiles(f *testing.F) {
	for _, text := range files {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, all := healthy(), maps.Clone(files)
		for name := range all {
			all[name] = text
		}
		cfg.Root = root(all)
		for _, found := range doctor.Run(t.Context(), cfg) {
			if found.Name == "" || found.Text == "" {
				t.Errorf("%+v", found)
			}
		}
	})
}
