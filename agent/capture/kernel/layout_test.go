package kernel

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// TestLayout compares the Go layouts with those that the compiler gave the
// program's.
func TestLayout(t *testing.T) {
	for _, file := range []string{"program/eyes_el.o", "program/eyes_eb.o"} {
		spec, err := ebpf.LoadCollectionSpec(file)
		if err != nil {
			t.Fatal(err)
		}
		structs := make(map[string]*btf.Struct)
		all := func(roots ...btf.Type) {
			for _, r := range roots {
				for typ := range btfTypes(r) {
					if s, ok := typ.(*btf.Struct); ok {
						structs[s.Name] = s
					}
				}
			}
		}
		all(spec.Maps["flows"].Key, spec.Maps["flows"].Value, spec.Maps["devices"].Value,
			spec.Variables["live"].Type.Type)
		for name, v := range map[string]any{"config": config{}, "prefix": prefix{}, "live": live{}, "end": end{}, "key": key{}, "slot": slot{},
			"half": half{}, "flow": flow{}, "tally": tally{}, "top": top{}, "interval": interval{}, "device": device{}} {
			s := structs[name]
			if s == nil {
				t.Errorf("%s: no struct %s", file, name)
				continue
			}
			compare(t, s, reflect.TypeOf(v))
		}
		if n := spec.Maps["desk"].ValueSize; n != deskLen {
			t.Errorf("%s: struct packet has %d bytes, want %d", file, n, deskLen)
		}
	}
}

// btfTypes returns all types below one.
func btfTypes(root btf.Type) map[btf.Type]bool {
	seen := make(map[btf.Type]bool)
	var walk func(btf.Type)
	walk = func(t btf.Type) {
		if t == nil || seen[t] {
			return
		}
		seen[t] = true
		switch t := t.(type) {
		case *btf.Struct:
			for _, m := range t.Members {
				walk(m.Type)
			}
		case *btf.Array:
			walk(t.Type)
		case *btf.Const:
			walk(t.Type)
		case *btf.Volatile:
			walk(t.Type)
		case *btf.Typedef:
			walk(t.Type)
		}
	}
	walk(root)
	return seen
}

// compare compares sizes, and the offsets of fields by their order.
func compare(t *testing.T, s *btf.Struct, v reflect.Type) {
	t.Helper()
	if int(s.Size) != int(v.Size()) {
		t.Errorf("struct %s has %d bytes, its twin %d", s.Name, s.Size, v.Size())
	}
	if len(s.Members) != v.NumField() {
		t.Errorf("struct %s has %d members, its twin %d", s.Name, len(s.Members), v.NumField())
		return
	}
	for i, m := range s.Members {
		if f := v.Field(i); int(m.Offset.Bytes()) != int(f.Offset) {
			t.Errorf("%s.%s is at %d, its twin %s at %d", s.Name, m.Name, m.Offset.Bytes(), f.Name, f.Offset)
		}
	}
}

// TestObjects compiles the program and compares it with what is committed.
func TestObjects(t *testing.T) {
	for _, program := range []string{"clang-14", "llvm-strip-14"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs clang")
		}
	}
	dir := t.TempDir()
	if out, err := exec.Command("program/build.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	for _, name := range []string{"eyes_el.o", "eyes_eb.o"} {
		made, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		committed, err := os.ReadFile(filepath.Join("program", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(made, committed) {
			t.Errorf("%s is not what build.sh makes of the sources: run go generate", name)
		}
		if strings.Contains(string(committed), "/program") {
			t.Errorf("%s names a place of the machine that made it", name)
		}
	}
}

func TestPrefix(t *testing.T) {
	for _, c := range []struct {
		prefix  string
		in, out []string
	}{
		{"192.168.77.0/24", []string{"192.168.77.0", "192.168.77.255"}, []string{"192.168.78.0", "::c0a8:4d01", "fd77::1"}},
		{"10.0.0.0/8", []string{"10.255.0.1"}, []string{"11.0.0.1"}},
		{"0.0.0.0/0", []string{"1.2.3.4"}, []string{"2001:db8::1"}},
		{"203.0.113.7/32", []string{"203.0.113.7"}, []string{"203.0.113.6"}},
		{"2001:db8::/32", []string{"2001:db8:ffff::"}, []string{"2001:db9::", "1.2.3.4"}},
		{"fd77::/64", []string{"fd77::1"}, []string{"fd77:0:0:1::1"}},
		{"fd77::8/125", []string{"fd77::f"}, []string{"fd77::10"}},
		{"::1/128", []string{"::1"}, []string{"::2"}},
		{"::/0", []string{"::1", "1.2.3.4"}, nil},
	} {
		x := prefixOf(netip.MustParsePrefix(c.prefix))
		fits := func(s string) bool {
			hi, lo := numbers(netip.MustParseAddr(s))
			return hi&x.MaskHi == x.Hi && lo&x.MaskLo == x.Lo
		}
		for _, s := range c.in {
			if !fits(s) {
				t.Errorf("%s is not in %s", s, c.prefix)
			}
		}
		for _, s := range c.out {
			if fits(s) {
				t.Errorf("%s is in %s", s, c.prefix)
			}
		}
	}
}
