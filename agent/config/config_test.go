package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cordon"
	"cordon/internal/document"
)

var comparers = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

// TestReference holds the reference file to the defaults, and the defaults to the
// reference file.
func TestReference(t *testing.T) {
	got, err := Parse(strings.NewReader(Reference))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got, comparers); diff != "" {
		t.Errorf("reference.toml differs from the defaults (-default +file):\n%s", diff)
	}
	empty, err := Parse(strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), empty); diff != "" {
		t.Errorf("an empty file differs from the defaults (-default +file):\n%s", diff)
	}
}

// TestReferenceListsEveryKey takes each key out of the document type's tags and
// looks for it in the reference file.
func TestReferenceListsEveryKey(t *testing.T) {
	source, err := os.ReadFile("file.go")
	if err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile("toml:\"([a-z_]+)\"").FindAllStringSubmatch(string(source), -1)
	if len(keys) < 25 {
		t.Fatalf("%d keys found in file.go", len(keys))
	}
	for _, k := range keys {
		if !regexp.MustCompile(`(?m)^(# )?(\[+` + k[1] + `\]|` + k[1] + ` = )`).MatchString(Reference) {
			t.Errorf("reference.toml does not list %q", k[1])
		}
	}
}

// TestReferenceDevice parses the commented part of the reference file.
func TestReferenceDevice(t *testing.T) {
	_, from, _ := strings.Cut(Reference, "# [[device]]\n")
	part, _, _ := strings.Cut(from, "\n\n")
	text := "[[device]]\n" + regexp.MustCompile(`(?m)^# `).ReplaceAllString(part, "")
	got, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	iot := cordon.IoT
	want := []Device{{MAC: cordon.MAC{2, 0, 0, 0, 0, 1}, Name: "Kitchen camera", Class: &iot, Policy: cordon.PolicyProtect,
		Allow: []cordon.Target{{Name: "update.example"}, {Peer: netip.MustParseAddr("192.0.2.7"), Ports: []uint16{8883}}}}}
	if diff := cmp.Diff(want, got.Devices, comparers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDocs holds docs/reference/config.md to the reference file.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "config.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```toml\n"+Reference+"```\n") {
		t.Errorf("docs/reference/config.md does not hold agent/config/reference.toml as it is: copy it")
	}
}

func TestParse(t *testing.T) {
	got, err := Parse(strings.NewReader(`
[network]
lan = ["br-lan", "br-guest"]
home = ["192.168.9.7/24", "2001:db8:9::/48"]
spared = ["::ffff:192.0.2.1"]
[capture]
mode = "afpacket"
device_frames = 1_000
[policy]
default = "protect"
[dns]
guard = false
[limits]
memory_mb = 40
quarantines_per_hour = 0
[page]
languages = ["de-CH", "fr"]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Network = Network{LAN: []string{"br-lan", "br-guest"}, Home: []netip.Prefix{netip.MustParsePrefix("192.168.9.0/24"),
		netip.MustParsePrefix("2001:db8:9::/48")}, Spared: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
	want.Capture = Capture{Mode: EyesAFPacket, DeviceFrames: 1000}
	want.Policy = cordon.PolicyProtect
	want.DNS.Guard = false
	want.Limits = Limits{Memory: 40e6, Quarantines: 0}
	want.Page.Languages = []string{"de-CH", "fr"}
	if diff := cmp.Diff(want, got, comparers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Limits.Heap() != 35e6 {
		t.Errorf("heap %d, want 35 MB", got.Limits.Heap())
	}
}

func TestParseRefuses(t *testing.T) {
	twice := "[[device]]\nmac = \"02:00:00:00:00:01\"\n"
	for _, c := range []struct{ name, in, want string }{
		{"unknown key", "[log]\n\nlevle = \"info\"\n", `line 3: no key "log.levle": remove it`},
		{"two unknown keys", "[log]\nlevle = 1\n[dns]\ngaurd = true\n", `line 4: no key "dns.gaurd"`},
		{"unknown table", "[logs]\nlevel = \"info\"\n", `line 1: no key "logs"`},
		{"no TOML", "[log]\nlevel info\n", "line 2: "},
		{"wrong type", "[dns]\nguard = \"yes\"\n", "line 2: dns.guard: "},
		{"policy", "[policy]\ndefault = \"hard\"\n", `line 2: policy.default: policy "hard": want off, observe, ask or protect`},
		{"mode", "[capture]\nmode = \"xdp\"\n", `line 2: capture.mode: "xdp": want one of ["auto" "ebpf" "afpacket"]`},
		{"frames", "[capture]\ndevice_frames = 0\n", "line 2: capture.device_frames: 0: want frames a second from 50"},
		{"port", "[page]\nport = 70000\n", "line 2: page.port: 70000: want a port from 1 to 65535"},
		{"memory", "[limits]\nmemory_mb = 5\n", "line 2: limits.memory_mb: 5: want megabytes from 20"},
		{"prefix", "[network]\nhome = [\n \"192.168.1.0\"]\n", `line 3: network.home: no prefix "192.168.1.0": want one such as`},
		{"all of it", "[network]\nhome = [\"0.0.0.0/0\"]\n", "whole internet"},
		{"address", "[network]\nspared = [\"core.example\"]\n", `line 2: network.spared: no address of a host "core.example"`},
		{"interface", "[network]\nlan = [\"eth0:1\"]\n", `line 2: network.lan: no interface can be called "eth0:1"`},
		{"MAC", "[[device]]\nmac = \"ff:ff:ff:ff:ff:ff\"\n", "line 2: device.mac: no MAC address of a device"},
		{"no MAC", "[[device]]\nname = \"x\"\n", "[[device]] number 1 has no mac"},
		{"MAC twice", twice + twice, "[[device]] number 2 has the mac 02:00:00:00:00:01 of number 1"},
		{"class", "[[device]]\nclass = \"toy\"\n", `line 2: device.class: class "toy": want iot`},
		{"allow", "[[device]]\nallow = [\"com\"]\n", `line 2: device.allow: destination "com"`},
		{"name", "[[device]]\nname = \"a\\u001bb\"\n", "line 2: device.name: no name"},
		{"portal", "[page]\nportal = \"javascript:alert(1)\"\n", "line 2: page.portal: portal"},
		{"language", "[page]\nlanguages = [\"\"]\n", "line 2: page.languages: no language"},
		{"relative", "[state]\ndir = \"state\"\n", `line 2: state.dir: "state" depends on where`},
		{"empty path", "[state]\ndir = \"\"\n", "line 2: state.dir: empty"},
		{"socket", "[control]\nsocket = \"/" + strings.Repeat("x", 107) + "\"\n", "line 2: control.socket: "},
		{"core", "[core]\nurl = \"http://core.example\"\n", "line 2: core.url: core"},
		{"core's CA", "[core]\nurl = \"https://core.example\"\n", "core.url without core.ca_file"},
		{"claim", "[core]\nurl = \"https://core.example\"\nca_file = \"/ca\"\nserial = \"1\"\n", "either core.secret_file or core.key_file"},
		{"serial", "[core]\nserial = \"a b\"\n", "line 2: core.serial: no serial number"},
		{"queue", "[core]\nqueue_mb = 100\n", "line 2: core.queue_mb: 100: want megabytes from 1 to 64"},
		{"too long", strings.Repeat("#", document.MaxFile+1), "is it a configuration?"},
	} {
		if _, err := Parse(strings.NewReader(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.toml")
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "agent.toml") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(file, []byte("[dns]\nx = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "agent.toml: line 2: no key") {
		t.Errorf("wrong file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Reference)
	f.Add("[[device]]\nmac = \"02:00:00:00:00:01\"\nallow = [\"[2001:db8::7]:443\"]\n")
	f.Add("a = [\n\"\xff")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := Parse(strings.NewReader(text))
		if err == nil && (cfg.Policy == "" || cfg.Limits.Heap() <= 0 || len(cfg.Devices) > maxDevices) {
			t.Errorf("Parse(%q) = %+v", text, cfg)
		}
	})
}
