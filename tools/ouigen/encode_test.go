package main

import (
	"slices"
	"testing"
)

func TestEncode(t *testing.T) {
	got, err := encode(map[string]string{
		"001788":    "Lamp  Works\nSome Street\nSome Land",
		"00155D":    "Bridge\nElsewhere",
		"0050C2":    "IEEE Registration Authority",
		"001BC5":    "Private",
		"AA0004":    "DIGITAL EQUIPMENT CORPORATION",
		"0050C2A":   "Lamp Works",
		"70B3D5123": "Lamp Works",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat([]byte("oui1"),
		[]byte{0, 0, 0, 2}, []byte{0, 0, 0, 1}, []byte{0, 0, 0, 1}, []byte{0, 0, 0, 2},
		[]byte{0x00, 0x15, 0x5d, 0, 1}, []byte{0x00, 0x17, 0x88, 0, 0},
		[]byte{0x00, 0x50, 0xc2, 0xa0, 0, 0},
		[]byte{0x70, 0xb3, 0xd5, 0x12, 0x30, 0, 0},
		[]byte{0, 0, 0, 0, 0, 10, 0, 0, 16},
		[]byte("Lamp WorksBridge"))
	if !slices.Equal(got, want) {
		t.Errorf("encode:\n got %q\nwant %q", got, want)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, prefix := range []string{"00", "00ZZ00", "0011223344"} {
		if _, err := encode(map[string]string{prefix: "Somebody"}); err == nil {
			t.Errorf("prefix %q: no error", prefix)
		}
	}
}
