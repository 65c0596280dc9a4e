package mend_test

import (
	"testing"

	"cordon/agent/mend"
)

func TestAllows(t *testing.T) {
	h, err := mend.New("portal.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		maker, name string
		want        bool
	}{
		{"Signify", "firmware.meethue.com", true},
		{"Signify", "x.firmware.meethue.com", true},
		{"Signify Netherlands B.V.", "firmware.meethue.com", true},
		{"Signify", "evilfirmware.meethue.com", false},
		{"Signify", "meethue.com", false},
		{"Hikvision", "firmware.meethue.com", false},
		{"", "firmware.meethue.com", false},
		{"nobody knows", "update.qnap.com", false},
		{"", "2.openwrt.pool.ntp.org", true},
		{"", "portal.example", true},
		{"", "notportal.example", false},
		{"", "", false},
	} {
		if got := h.Allows(c.maker, []byte(c.name)); got != c.want {
			t.Errorf("maker %q, name %q: %v, want %v", c.maker, c.name, got, c.want)
		}
	}
}
