package doctor

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// The oldest kernel that the agent's programs are tested on.
const (
	leastMajor = 5
	leastMinor = 15
)

// kernel looks at the version.
func kernel(_ context.Context, cfg *Config) []Finding {
	release, _ := cfg.read("proc/sys/kernel/osrelease")
	major, minor, ok := version(release)
	switch {
	case !ok:
		return one("kernel", Skip, "The kernel does not tell its version.")
	case major < leastMajor || major == leastMajor && minor < leastMinor:
		return one("kernel", Fail, fmt.Sprintf("Linux %s is older than %d.%d.", release, leastMajor, leastMinor),
			fmt.Sprintf("Install a firmware with Linux %d.%d or newer, such as OpenWrt 22.03 or later with a newer kernel.", leastMajor, leastMinor))
	}
	return one("kernel", OK, fmt.Sprintf("Linux %s has what is needed.", release))
}

// version reads the first two numbers of a kernel release: "6.1.0-13-amd64".
func version(release string) (major, minor int, ok bool) {
	first, rest, _ := strings.Cut(release, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		rest = rest[:end]
	}
	major, err1 := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(rest)
	return major, minor, err1 == nil && err2 == nil
}

// capability is a privilege (capabilities(7)) and what is lost without it.
type capability struct {
	name string
	bit  uint
	lost string
	must bool
}

var needed = []capability{
	{"CAP_NET_ADMIN", 12, "nothing can be blocked and no program attached to a port", true},
	{"CAP_NET_RAW", 13, "DNS answers cannot be forged and packets cannot be read without eBPF", true},
	{"CAP_BPF", 39, "eBPF cannot be loaded, and packets are read in a slower way", false},
}

// sysAdmin has included CAP_BPF since before that existed.
const sysAdmin = 21

// capabilities looks at the privileges of this process.
func capabilities(_ context.Context, cfg *Config) []Finding {
	status, _ := cfg.read("proc/self/status")
	_, after, found := strings.Cut(status, "CapEff:")
	word, _, _ := strings.Cut(strings.TrimSpace(after), "\n")
	set, err := strconv.ParseUint(strings.TrimSpace(word), 16, 64)
	if !found || err != nil {
		return one("capabilities", Skip, "The kernel does not tell what this process may do.")
	}
	state := OK
	var names, lost []string
	for _, c := range needed {
		if set>>c.bit&1 == 1 || c.name == "CAP_BPF" && set>>sysAdmin&1 == 1 {
			continue
		}
		names, lost = append(names, c.name), append(lost, fmt.Sprintf("without %s %s", c.name, c.lost))
		if state == OK {
			state = Warn
		}
		if c.must {
			state = Fail
		}
	}
	if state == OK {
		return one("capabilities", OK, "This process has the privileges that are needed.")
	}
	return one("capabilities", state, sentence(strings.Join(lost, "; ")),
		fmt.Sprintf("Give the agent %s (AmbientCapabilities= in the systemd unit), or ask as root.", strings.Join(names, ", ")))
}

// eyes tries eBPF.
func eyes(ctx context.Context, cfg *Config) []Finding {
	if cfg.EBPF == nil {
		return one("ebpf", Skip, "eBPF was not tried.")
	}
	if err := cfg.EBPF(ctx); err != nil {
		return one("ebpf", Warn, fmt.Sprintf("eBPF cannot be used, and packets are read in a slower way: %v.", err),
			"Use a kernel with CONFIG_BPF_SYSCALL, CONFIG_NET_CLS_BPF and CONFIG_NET_SCH_INGRESS, and give the agent CAP_BPF and CAP_NET_ADMIN.")
	}
	return one("ebpf", OK, "eBPF can be loaded and attached.")
}

// jit looks whether eBPF is compiled. Interpreted it costs 2.6 to 3.2 times as
// much (measured on arm64 and mipsel kernels).
func jit(_ context.Context, cfg *Config) []Finding {
	value, there := cfg.read("proc/sys/net/core/bpf_jit_enable")
	switch {
	case !there:
		return one("bpf-jit", Warn, "The kernel has no eBPF compiler for this processor: eBPF costs about three times as much.",
			"Use a kernel with CONFIG_BPF_JIT if there is one for this processor.")
	case value == "0":
		return one("bpf-jit", Warn, "The eBPF compiler is switched off: eBPF costs about three times as much.", "Set net.core.bpf_jit_enable to 1 with sysctl.")
	}
	return one("bpf-jit", OK, "eBPF is compiled.")
}

// hands tries nftables.
func hands(ctx context.Context, cfg *Config) []Finding {
	if cfg.NFTables != nil {
		if err := cfg.NFTables(ctx); err != nil {
			return one("nftables", Fail, fmt.Sprintf("nftables cannot be used, so nothing can be blocked: %v.", err),
				"Use a kernel with CONFIG_NF_TABLES, CONFIG_NF_TABLES_NETDEV and CONFIG_NF_TABLES_INET (OpenWrt: kmod-nft-netdev), and give the agent CAP_NET_ADMIN.")
		}
		return one("nftables", OK, "nftables works, also on ports.")
	}
	if there, known := cfg.feature("nf_tables", "NF_TABLES_NETDEV"); known && !there {
		return one("nftables", Fail, "The kernel has no nftables for ports, so nothing can be blocked.", "Install it (OpenWrt: kmod-nft-netdev), or use a kernel with CONFIG_NF_TABLES_NETDEV.")
	}
	return one("nftables", Skip, "nftables was not tried.")
}

// tproxy looks for what the DNS guard is entered through.
func tproxy(_ context.Context, cfg *Config) []Finding {
	there, known := cfg.feature("nft_tproxy", "NFT_TPROXY")
	switch {
	case !cfg.Guard:
		return one("tproxy", OK, "The DNS guard is switched off and needs no tproxy.")
	case there:
		return one("tproxy", OK, "The kernel has tproxy, which the DNS guard is entered through.")
	case !known:
		return one("tproxy", Skip, "Whether the kernel has tproxy, which the DNS guard needs, cannot be seen from here.")
	}
	return one("tproxy", Fail, "The kernel has no tproxy, so the DNS guard cannot run and no name can be blocked.",
		"Install it (OpenWrt: kmod-nft-tproxy), or use a kernel with CONFIG_NFT_TPROXY.")
}

// conntrack looks for connection tracking, and whether its table is about to run
// full.
func conntrack(_ context.Context, cfg *Config) []Finding {
	most, there := cfg.number("proc/sys/net/netfilter/nf_conntrack_max")
	if !there {
		return one("conntrack", Warn, "The kernel tracks no connections, so established ones cannot be told from strays, and blocks of them may take effect late.",
			"Load nf_conntrack (OpenWrt: kmod-nf-conntrack).")
	}
	if held, _ := cfg.number("proc/sys/net/netfilter/nf_conntrack_count"); most > 0 && held*10 >= most*9 {
		return one("conntrack", Warn, fmt.Sprintf("The connection table is nearly full: %d of %d.", held, most),
			"Raise net.netfilter.nf_conntrack_max with sysctl, or look for the device that opens so many.")
	}
	return one("conntrack", OK, fmt.Sprintf("Connections are tracked, %d at most.", most))
}

// feature reports whether the kernel has a module or has it built in, and whether
// that can be known. The places are asked in the order of their certainty.
func (cfg *Config) feature(module, option string) (there, known bool) {
	if list, ok := cfg.read("proc/modules"); ok {
		for line := range strings.SplitSeq(list, "\n") {
			if name, _, _ := strings.Cut(line, " "); name == module {
				return true, true
			}
		}
	}
	if value, ok := cfg.option(option); ok && value == "y" {
		return true, true
	} else if ok && value == "" {
		return false, true
	}
	release, _ := cfg.read("proc/sys/kernel/osrelease")
	dir := path.Join("lib/modules", release)
	if !fs.ValidPath(dir) || release == "" {
		return false, false
	}
	if _, err := fs.Stat(cfg.Root, path.Join(dir, module+".ko")); err == nil { // OpenWrt's are flat
		return true, true
	}
	file := module + ".ko"
	for _, list := range []string{"modules.builtin", "modules.dep"} {
		if text, ok := cfg.read(path.Join(dir, list)); ok {
			known = true
			if strings.Contains(text, "/"+file) {
				return true, true
			}
		}
	}
	return false, known
}

// option returns a kernel option's value, empty if it is not set, and whether the
// kernel's configuration can be read.
func (cfg *Config) option(name string) (value string, known bool) {
	text, ok := cfg.compressed("proc/config.gz")
	if !ok {
		release, _ := cfg.read("proc/sys/kernel/osrelease")
		if text, ok = cfg.read("boot/config-" + release); !ok {
			return "", false
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		if v, is := strings.CutPrefix(line, "CONFIG_"+name+"="); is {
			return v, true
		}
	}
	return "", true
}

// compressed reads a gzip file.
func (cfg *Config) compressed(name string) (string, bool) {
	f, err := cfg.Root.Open(name)
	if err != nil {
		return "", false
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return "", false
	}
	z.Multistream(false)
	b, err := io.ReadAll(io.LimitReader(z, maxFile))
	return string(b), err == nil
}

// number reads a file with one number.
func (cfg *Config) number(name string) (uint64, bool) {
	text, _ := cfg.read(name)
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
