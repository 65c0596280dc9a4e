package oui

import (
	"net"
	"testing"
)

func mac(t *testing.T, s string) [6]byte {
	t.Helper()
	hw, err := net.ParseMAC(s)
	if err != nil {
		t.Fatal(err)
	}
	return [6]byte(hw)
}

func TestMaker(t *testing.T) {
	for _, c := range []struct{ mac, want string }{
		{"b8:27:eb:01:02:03", "Raspberry Pi Foundation"},
		{"00:17:88:ff:ff:ff", "Philips Lighting BV"},
		{"ec:b5:fa:00:00:00", "Philips Lighting BV"},
		{"00:00:00:00:00:01", "XEROX CORPORATION"},
		{"c8:5c:e2:7a:bc:de", "SYNERGY SYSTEMS AND SOLUTIONS"}, // MA-M
		{"c8:5c:e2:00:00:00", "Fela Management AG"},            // its neighbour under the same 24 bits
		{"8c:1f:64:ff:ff:ff", ""},                              // divided, this part not assigned
		{"ba:27:eb:01:02:03", ""},                              // the first, but locally administered
		{"b9:27:eb:01:02:03", ""},                              // and multicast
		{"ff:ff:ff:ff:ff:ff", ""},
	} {
		got, ok := Maker(mac(t, c.mac))
		if got != c.want || ok != (c.want != "") {
			t.Errorf("Maker(%s) = %q, %v; want %q", c.mac, got, ok, c.want)
		}
	}
}

// TestTable reads the embedded file from end to end: sorted, every prefix of a
// known maker, no name that nobody has, small enough for a router.
func TestTable(t *testing.T) {
	if len(makers) > 1_200_000 {
		t.Errorf("table has %d bytes, want at most 1,200,000", len(makers))
	}
	table, err := parse(makers)
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[string]bool)
	for _, s := range table.blocks {
		if s.len() < 5_000 {
			t.Errorf("%d bits: %d prefixes, want thousands", s.bits, s.len())
		}
		for i := range s.len() {
			if i > 0 && s.prefix(i-1) >= s.prefix(i) {
				t.Errorf("%d bits: prefix %x after %x", s.bits, s.prefix(i), s.prefix(i-1))
			}
			var mac [6]byte
			copy(mac[:], s.prefix(i))
			name, ok := Maker(mac)
			if !ok {
				t.Errorf("prefix %x has no maker", s.prefix(i))
			}
			used[name] = true
		}
	}
	if names := len(table.offsets)/3 - 1; len(used) > names || len(used) < names-10 {
		t.Errorf("%d names in the table, %d used", names, len(used))
	}
}

func TestMakerAllocates(t *testing.T) {
	address := mac(t, "b8:27:eb:01:02:03")
	if n := testing.AllocsPerRun(100, func() { Maker(address) }); n != 0 {
		t.Errorf("Maker allocates %v times", n)
	}
}

// TestDamaged cuts and twists a table: no panic, and a cut is found at once or
// gives no name.
func TestDamaged(t *testing.T) {
	good := "oui1\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\xb8\x27\xeb\x00\x00" + "\x00\x00\x00\x00\x00\x03" + "Pie"
	address := mac(t, "b8:27:eb:01:02:03")
	table, err := parse(good)
	if name, ok := table.find(address); err != nil || name != "Pie" || !ok {
		t.Fatalf("good table: %q, %v, %v", name, ok, err)
	}
	for n := range len(good) {
		if table, err := parse(good[:n]); err == nil {
			if name, ok := table.find(address); ok {
				t.Errorf("cut to %d bytes: found %q", n, name)
			}
		}
	}
	for i := range len(good) {
		for _, b := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			if table, err := parse(good[:i] + string([]byte{b}) + good[i+1:]); err == nil {
				table.find(address)
			}
		}
	}
}

func TestShort(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"Hangzhou Hikvision Digital Technology Co.,Ltd.", "Hikvision"},
		{"Zhejiang Dahua Technology Co., Ltd.", "Dahua"},
		{"Raspberry Pi Foundation", "Raspberry Pi"},
		{"Raspberry Pi (Trading) Ltd", "Raspberry Pi"},
		{"HUAWEI TECHNOLOGIES CO.,LTD", "Huawei"},
		{"Huawei Device Co., Ltd.", "Huawei"},
		{"TP-LINK TECHNOLOGIES CO.,LTD.", "TP-LINK"},
		{"Samsung Electronics Co.,Ltd", "Samsung"},
		{"LG Electronics (Mobile Communications)", "LG"},
		{"Motorola Mobility LLC, a Lenovo Company", "Motorola Mobility"},
		{"Philips Lighting BV", "Philips Lighting"},
		{"Signify B.V.", "Signify"},
		{"Espressif Systems (Singapore) Pte. Ltd", "Espressif"},
		{"Intel Corporate", "Intel"},
		{"NETGEAR", "Netgear"},
		{"zte corporation", "zte"},
		{"Nokia Danmark A/S", "Nokia Danmark"},
		{"AVM GmbH", "AVM"},
		{"Texas Instruments", "Texas Instruments"},
		{"Technologies Ltd", "Technologies"},
		{"Co., Ltd.", "Co."},
		{"(nobody)", ""},
		{"", ""},
	} {
		if got := Short(c.name); got != c.want {
			t.Errorf("Short(%q) = %q, want %q", c.name, got, c.want)
		}
	}
}

// TestShortKeepsAName: no registered name is cut away wholly.
func TestShortKeepsAName(t *testing.T) {
	table, err := parse(makers)
	if err != nil {
		t.Fatal(err)
	}
	for place := range len(table.offsets)/3 - 1 {
		name, ok := table.name(place)
		if !ok || Short(name) == "" {
			t.Errorf("name %d, %q: short %q", place, name, Short(name))
		}
	}
}

func FuzzShort(f *testing.F) {
	f.Add("Hangzhou Hikvision Digital Technology Co.,Ltd.")
	f.Fuzz(func(t *testing.T, name string) {
		if got := Short(name); len(got) > len(name) {
			t.Errorf("Short(%q) = %q, which is longer", name, got)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("oui1\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"+
		"\xb8\x27\xeb\x00\x00\x00\x00\x00\x00\x00\x03Pie", []byte{0xb8, 0x27, 0xeb, 1, 2, 3})
	f.Fuzz(func(t *testing.T, file string, address []byte) {
		table, err := parse(file)
		if err != nil {
			return
		}
		var mac [6]byte
		copy(mac[:], address)
		if name, ok := table.find(mac); ok && name == "" {
			t.Error("found, but no name")
		}
	})
}
