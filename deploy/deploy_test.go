package deploy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/config"
	core "cordon/core/config"
)

// need skips a test without the programs it calls.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip("needs " + p)
		}
	}
}

// functions stands in for OpenWrt's /lib/functions.sh: config_load reads a file as
// `uci export` writes it, which is shell, and calls back as the real one does.
const functions = `
config() { config_cb "$@"; }
option() { option_cb "$@"; }
list() { list_cb "$@"; }
config_load() { . "$UCI" && config_cb; }
`

// converted returns what cordon-uci2toml makes of a UCI file.
func converted(t *testing.T, uci string) string {
	t.Helper()
	need(t, "sh", "sed")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "functions.sh"), functions)
	write(t, filepath.Join(dir, "cordon"), uci)
	cmd := exec.Command("sh", "openwrt/cordon-uci2toml")
	cmd.Env = append(os.Environ(), "FUNCTIONS="+dir+"/functions.sh", "UCI="+dir+"/cordon")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || said.Len() > 0 {
		t.Fatalf("cordon-uci2toml: %v, %s", err, &said)
	}
	return string(out)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestShippedUCI: the configuration in the OpenWrt package is one that the agent
// takes, in observe, with its state on flash.
func TestShippedUCI(t *testing.T) {
	got, err := config.Parse(strings.NewReader(converted(t, read(t, "openwrt/cordon.config"))))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.State.Dir, want.Control.Socket = "/etc/cordon/state", "/var/run/cordon/agent.sock"
	if diff := cmp.Diff(want, got, exported); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if got.Policy != cordon.PolicyObserve {
		t.Errorf("a new installation begins in %s", got.Policy)
	}
}

// exported compares addresses and prefixes, which keep their fields to themselves.
var exported = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
}

// TestEveryKey: every key of the reference with its default, written in UCI, gives
// the defaults. So a new key whose kind the script does not know is noticed.
func TestEveryKey(t *testing.T) {
	got, err := config.Parse(strings.NewReader(converted(t, uciOf(config.Reference))))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), got, exported); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

// uciOf writes a TOML file of simple values as UCI.
func uciOf(toml string) string {
	var b strings.Builder
	for line := range strings.Lines(toml) {
		line = strings.TrimSpace(line)
		if section, ok := strings.CutPrefix(line, "["); ok {
			section = strings.Trim(section, "[]")
			b.WriteString("config " + section + " '" + section + "'\n")
			continue
		}
		key, value, ok := strings.Cut(line, " = ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if values, ok := strings.CutPrefix(value, "["); ok {
			for v := range strings.SplitSeq(strings.TrimSuffix(values, "]"), ",") {
				if v = strings.Trim(v, ` "`); v != "" {
					b.WriteString("\tlist " + key + " '" + v + "'\n")
				}
			}
			continue
		}
		b.WriteString("\toption " + key + " '" + strings.Trim(value, `"`) + "'\n")
	}
	return b.String()
}

// TestUCI: lists, single values of lists, devices and hostile text arrive as meant.
func TestUCI(t *testing.T) {
	got, err := config.Parse(strings.NewReader(converted(t, `
config service 'service'
	option enabled '1'
	list anything 'of the service'

config network
	option lan 'br-lan'
	list home '10.1.0.0/16'
	list home '10.2.0.0/16'

config dns
	option guard 'off'

config limits
	option memory_mb '40'

config page
	option brand 'A "quoted" \ brand $(echo no) #x'

config device
	option mac '02:00:00:00:00:01'
	list allow 'update.example'
	list allow '192.0.2.7:8883'

config device 'lamp'
	option mac '02:00:00:00:00:02'
	option policy 'protect'
`)))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Network.LAN, []string{"br-lan"}) || len(got.Network.Home) != 2 || got.DNS.Guard || got.Limits.Memory != 40e6 {
		t.Errorf("configuration %+v", got)
	}
	if want := `A "quoted" \ brand $(echo no) #x`; got.Page.Brand != want {
		t.Errorf("brand %q, want %q", got.Page.Brand, want)
	}
	if len(got.Devices) != 2 || len(got.Devices[0].Allow) != 2 || got.Devices[1].Policy != cordon.PolicyProtect {
		t.Errorf("devices %+v", got.Devices)
	}
}

// TestUCIMistakes: what is wrong reaches the agent, which says so.
func TestUCIMistakes(t *testing.T) {
	for uci, want := range map[string]string{
		"config policy\n\toption defualt 'protect'\n":                      "policy.defualt",
		"config polcy\n\toption default 'protect'\n":                       "polcy",
		"config dns\n\toption guard 'maybe'\n":                             "guard",
		"config page\n\toption port 'eighty'\n":                            "port",
		"config limits\n\toption memory_mb '40\n[state]\ndir = \"/\"'\n":   "memory_mb",
		"config policy\n\toption default 'ask'\nconfig policy\n":           "policy",
		"config page\n\toption brand 'x\"\n[policy]\ndefault=\"protect'\n": "line",
	} {
		toml := converted(t, uci)
		if c, err := config.Parse(strings.NewReader(toml)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %q, read as %+v, %v; want an error with %q", uci, toml, c, err, want)
		}
	}
}

// TestDebianConfiguration: the Debian package's file is one that the agent takes,
// and changes no default.
func TestDebianConfiguration(t *testing.T) {
	got, err := config.Parse(strings.NewReader(read(t, "debian/agent.toml")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), got, exported); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

// capabilities are all that the agent has; docs/install.md says why.
var capabilities = []string{"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "CAP_PERFMON"}

// TestPrivileges: both services give the agent a user of its own and the same
// capabilities, and no others.
func TestPrivileges(t *testing.T) {
	unit := unitKeys(t)
	for _, key := range []string{"AmbientCapabilities", "CapabilityBoundingSet"} {
		if diff := cmp.Diff(capabilities, strings.Fields(strings.Join(unit[key], " "))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	if unit["User"][0] != "cordon" || unit["NoNewPrivileges"][0] != "yes" {
		t.Errorf("user %s, NoNewPrivileges %s", unit["User"], unit["NoNewPrivileges"])
	}
	var jail map[string][]string
	if err := json.Unmarshal([]byte(read(t, "openwrt/capabilities.json")), &jail); err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"bounding", "effective", "ambient", "permitted", "inheritable"} {
		if diff := cmp.Diff(capabilities, jail[set]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", set, diff)
		}
	}
	if doc := read(t, "../docs/install.md"); !strings.Contains(doc, "| CAP_BPF |") {
		t.Error("docs/install.md does not say what each capability is for")
	}
}

// unitKeys returns the settings of the systemd unit.
func unitKeys(t *testing.T) map[string][]string {
	keys := make(map[string][]string)
	for line := range strings.Lines(read(t, "systemd/cordon-agent.service")) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			keys[key] = append(keys[key], value)
		}
	}
	return keys
}

// TestUnit: the directories are those of the agent's defaults, and it is started
// again as often as it crashes, also when the status is that of a panic.
func TestUnit(t *testing.T) {
	unit, def := unitKeys(t), config.Default()
	if got := "/var/lib/" + unit["StateDirectory"][0]; got != def.State.Dir {
		t.Errorf("state in %s, the agent looks in %s", got, def.State.Dir)
	}
	if got := "/run/" + unit["RuntimeDirectory"][0]; got != filepath.Dir(def.Control.Socket) {
		t.Errorf("socket in %s, the agent wants %s", got, def.Control.Socket)
	}
	if got := "/etc/" + unit["ConfigurationDirectory"][0]; got != filepath.Dir(config.Path) {
		t.Errorf("configuration in %s, the agent looks for %s", got, config.Path)
	}
	if unit["Restart"][0] != "on-failure" || unit["StartLimitIntervalSec"][0] != "0" || len(unit["RestartPreventExitStatus"]) > 0 {
		t.Error("safe mode needs a fourth start after three crashes")
	}
	if !regexp.MustCompile(`respawn \d+ \d+ 0\b`).MatchString(read(t, "openwrt/cordon.init")) {
		t.Error("procd would give up before safe mode")
	}
	for _, family := range []string{"AF_NETLINK", "AF_PACKET", "AF_INET", "AF_INET6", "AF_UNIX"} {
		if !slices.Contains(strings.Fields(unit["RestrictAddressFamilies"][0]), family) {
			t.Errorf("%s is forbidden", family)
		}
	}
}

// TestUnitVerified asks systemd about the units; the programs' places are made to
// exist.
func TestUnitVerified(t *testing.T) {
	need(t, "systemd-analyze", "true")
	yes, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"cordon-agent", "cordon-core"} {
		unit := filepath.Join(t.TempDir(), program+".service")
		write(t, unit, strings.ReplaceAll(read(t, "systemd/"+program+".service"), "/usr/sbin/"+program, yes))
		if out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("systemd-analyze verify %s: %v\n%s", program, err, out)
		}
	}
}

// TestScripts: the shell reads every script; OpenWrt's ash takes the same language.
func TestScripts(t *testing.T) {
	need(t, "sh", "bash")
	for _, script := range []string{"debian/postinst", "debian/prerm", "debian/postrm",
		"core/postinst", "core/prerm", "core/postrm", "openwrt/postinst", "openwrt/prerm",
		"openwrt/postrm", "openwrt/cordon.init", "openwrt/cordon-uci2toml"} {
		if out, err := exec.Command("sh", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
	for _, script := range []string{"debian/postrm", "openwrt/prerm"} {
		for _, table := range []string{"'netdev cordon'", "'inet cordon'", "'ip cordon-dns'", "'ip6 cordon-dns'"} {
			if !strings.Contains(read(t, script), table) {
				t.Errorf("%s leaves table %s behind", script, table)
			}
		}
	}
}

// packed makes a package of a program that is none.
func packed(t *testing.T, format, arch string) []byte {
	t.Helper()
	need(t, "bash", "tar", "gzip", "awk", "install")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "program"), "no program\n")
	out := filepath.Join(dir, "package")
	cmd := exec.Command("./pack", format, "1.2.3", arch, filepath.Join(dir, "program"), out)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pack %s: %v\n%s", format, err, said)
	}
	return []byte(read(t, out))
}

// TestIPK: the package has the three members that opkg wants, everything in it is
// root's and has one time, and the files and their modes are as they should be.
func TestIPK(t *testing.T) {
	first, second := packed(t, "ipk", "mips_24kc"), packed(t, "ipk", "mips_24kc")
	if !bytes.Equal(first, second) {
		t.Error("packed twice gives other bytes")
	}
	outer := untar(t, first)
	if got := outer["./debian-binary"].text; got != "2.0\n" || len(outer) != 3 {
		t.Errorf("%d members, debian-binary %q", len(outer), got)
	}
	control := untar(t, []byte(outer["./control.tar.gz"].text))
	for _, line := range []string{"Version: 1.2.3\n", "Architecture: mips_24kc\n", "Require-User: cordon:cordon\n", "kmod-nft-tproxy", "kmod-sched-bpf"} {
		if !strings.Contains(control["./control"].text, line) {
			t.Errorf("control lacks %q:\n%s", line, control["./control"].text)
		}
	}
	data := untar(t, []byte(outer["./data.tar.gz"].text))
	for name, mode := range map[string]int64{"./usr/sbin/cordon-agent": 0o755, "./etc/init.d/cordon": 0o755, "./etc/config/cordon": 0o600,
		"./usr/libexec/cordon-uci2toml": 0o755, "./etc/capabilities/cordon.json": 0o644, "./lib/upgrade/keep.d/cordon-agent": 0o644} {
		if f, ok := data[name]; !ok || f.head.Mode&0o777 != mode {
			t.Errorf("%s: there %v, mode %o, want %o", name, ok, f.head.Mode, mode)
		}
	}
	if got := "/" + strings.TrimPrefix(config.Path, "/"); data["."+got].head.Linkname != "/var/etc/cordon.toml" {
		t.Errorf("%s is no link to what the init script makes", got)
	}
	for file := range strings.Lines(control["./conffiles"].text) {
		if _, ok := data["."+strings.TrimSpace(file)]; !ok {
			t.Errorf("conffile %s is not in the package", file)
		}
	}
}

// member is a file of an archive.
type member struct {
	head tar.Header
	text string
}

// untar reads a gzipped tar and holds its owners and times to what is fixed.
func untar(t *testing.T, archive []byte) map[string]member {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]member)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 1700000000 {
			t.Errorf("%s belongs to %d:%d, of %s", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		all[h.Name] = member{*h, string(text)}
	}
}

// TestAPK: the package is one tar archive in two gzip streams, of which the first says
// what the hash of the second is; tar reads it; every file has its checksum, and what
// OpenWrt looks for in files of its own is there.
func TestAPK(t *testing.T) {
	need(t, "go", "tar", "sed")
	first, second := packed(t, "apk", "mips_24kc"), packed(t, "apk", "mips_24kc")
	if !bytes.Equal(first, second) {
		t.Error("packed twice gives other bytes")
	}
	all := untar(t, first)
	rest := bytes.NewReader(first)
	z, err := gzip.NewReader(rest)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	if _, err := io.Copy(io.Discard, z); err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(first[len(first)-rest.Len():])
	for _, line := range []string{"pkgname = cordon-agent\n", "pkgver = 1.2.3\n", "arch = mips_24kc\n", "depend = kmod-nft-tproxy\n",
		fmt.Sprintf("datahash = %x\n", hash)} {
		if !strings.Contains(all[".PKGINFO"].text, line) {
			t.Errorf(".PKGINFO lacks %q:\n%s", line, all[".PKGINFO"].text)
		}
	}
	list, listed := all["lib/apk/packages/cordon-agent.list"].text, 0
	for name, f := range all {
		if f.head.Typeflag == tar.TypeReg && f.head.PAXRecords["APK-TOOLS.checksum.SHA1"] != fmt.Sprintf("%x", sha1.Sum([]byte(f.text))) {
			t.Errorf("%s has another checksum", name)
		}
		if strings.Contains(list, "/"+name+"\n") {
			listed++
		}
	}
	if n := strings.Count(list, "\n"); listed != n || n < 10 || !strings.Contains(list, "/etc/init.d/cordon\n") {
		t.Errorf("%d of %d files listed are there:\n%s", listed, n, list)
	}
	if got := all["lib/apk/packages/cordon-agent.rusers"].text; got != "cordon:cordon\n" {
		t.Errorf("user %q", got)
	}
	if got := all["lib/apk/packages/cordon-agent.conffiles_static"].text; got != fmt.Sprintf("/etc/config/cordon %x\n", sha256.Sum256([]byte(all["etc/config/cordon"].text))) {
		t.Errorf("configuration %q", got)
	}
	for _, script := range []string{".post-install", ".post-upgrade", ".pre-deinstall", ".post-deinstall"} {
		cmd := exec.Command("sh", "-n")
		cmd.Stdin = strings.NewReader(all[script].text)
		if out, err := cmd.CombinedOutput(); err != nil || all[script].text == "" {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
	file := filepath.Join(t.TempDir(), "a.apk")
	write(t, file, string(first))
	out, err := exec.Command("tar", "-tzf", file, "--warning=no-unknown-keyword").Output()
	if names := strings.Fields(string(out)); err != nil || len(names) != len(all) || names[0] != ".PKGINFO" {
		t.Errorf("tar reads %d of %d names, %v", len(names), len(all), err)
	}
}

// TestPostinst: the user is made where apk leaves that to the package, and the package's
// own name is known whatever its script is called.
func TestPostinst(t *testing.T) {
	need(t, "sh")
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "lib", "apk", "packages"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "lib", "functions.sh"), "add_group_and_user() { echo \"user of $pkgname\"; }\ndefault_postinst() { echo \"default of $pkgname\"; }\n")
	run := func() string {
		cmd := exec.Command("sh", "openwrt/postinst", "1.2.3")
		cmd.Env = append(os.Environ(), "IPKG_INSTROOT="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return string(out)
	}
	if got := run(); got != "default of cordon-agent\n" {
		t.Errorf("with opkg %q", got)
	}
	write(t, filepath.Join(dir, "lib", "apk", "packages", "cordon-agent.rusers"), "cordon:cordon\n")
	if got := run(); got != "user of cordon-agent\ndefault of cordon-agent\n" {
		t.Errorf("with apk %q", got)
	}
}

// TestDeb: dpkg reads the packages, and everything in them is root's.
func TestDeb(t *testing.T) {
	need(t, "dpkg-deb")
	for format, p := range map[string]struct {
		name  string
		files []string
	}{
		"deb":  {"cordon-agent", []string{"./usr/sbin/cordon-agent", "./lib/systemd/system/cordon-agent.service", "." + config.Path}},
		"core": {"cordon-core", []string{"./usr/sbin/cordon-core", "./lib/systemd/system/cordon-core.service", "./etc/cordon/core.toml"}},
	} {
		first, second := packed(t, format, "armhf"), packed(t, format, "armhf")
		if !bytes.Equal(first, second) {
			t.Errorf("%s: packed twice gives other bytes", p.name)
		}
		file := filepath.Join(t.TempDir(), "a.deb")
		write(t, file, string(first))
		out, err := exec.Command("dpkg-deb", "--field", file, "Package", "Version", "Architecture").CombinedOutput()
		if want := "Package: " + p.name + "\nVersion: 1.2.3\nArchitecture: armhf\n"; err != nil || string(out) != want {
			t.Errorf("fields %q, %v; want %q", out, err, want)
		}
		out, err = exec.Command("dpkg-deb", "--contents", file).CombinedOutput()
		if err != nil {
			t.Fatalf("contents: %v\n%s", err, out)
		}
		for _, name := range p.files {
			if !regexp.MustCompile(`(?m)^-\S+ root/root .* ` + regexp.QuoteMeta(name) + `$`).Match(out) {
				t.Errorf("%s is not there as root's:\n%s", name, out)
			}
		}
	}
}

// TestCoreConfiguration: the file of core's package is one that core takes, and changes
// nothing but where core lives, which is where its service may write.
func TestCoreConfiguration(t *testing.T) {
	got, err := core.Parse(strings.NewReader(read(t, "core/core.toml")))
	if err != nil {
		t.Fatal(err)
	}
	want := core.Default()
	want.Dir = "/var/lib/cordon-core"
	if diff := cmp.Diff(want, got, exported); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if unit := read(t, "systemd/cordon-core.service"); !strings.Contains(unit, "StateDirectory=cordon-core\n") || !strings.Contains(unit, "ConfigurationDirectory=cordon\n") {
		t.Error("the service may not write where core lives")
	}
}
