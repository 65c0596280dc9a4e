package scene

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"cordon/lab/netns"
)

// TestRun shows each attack pass through a router that does nothing against it.
func TestRun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, attack := range []string{"none", "scan", "bot", "syn", "udp", "http"} {
		t.Run(attack, func(t *testing.T) {
			t.Parallel()
			report, err := Run(t.Context(), Config{Attack: attack, Devices: 2, Rate: 500, Length: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if !report.Got.Whole() || report.Broken != nil || report.Call.Up.Lost() != 0 {
				t.Errorf("the neighbour suffered: %+v", report)
			}
			if some := len(report.LAN) > 0; some != (attack != "none") || len(report.LAN) != len(report.WAN) {
				t.Errorf("%d packets reached the router, %d left", len(report.LAN), len(report.WAN))
			}
			if attack == "bot" && (report.Alive == 0 || report.Tried == 0) {
				t.Errorf("a bot that did nothing: %+v", report.Bot)
			}
			var b bytes.Buffer
			if err := report.Text(&b); err != nil || !strings.Contains(b.String(), "whole, ") {
				t.Errorf("%v: %s", err, &b)
			}
		})
	}
}

// TestBlocked shows what a report says of a router that blocks.
func TestBlocked(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	report, err := Run(t.Context(), Config{Attack: "scan", Devices: 2, Length: 1800 * time.Millisecond, Ready: func(h *netns.Home) {
		h.Router.NFT("table inet test {\n chain forward {\n type filter hook forward priority 0\n tcp dport 23 drop\n }\n}\n")
	}})
	if err != nil {
		t.Fatal(err)
	}
	reached, left := report.Seconds()
	if len(reached) != 2 || reached[0] != 160 || reached[1] != 160 || len(left) == 0 || left[0] != 16 {
		t.Errorf("reached %v, left %v; want 160 a second, a tenth of them", reached, left)
	}
	if report.Left() <= 0 {
		t.Errorf("the last left after %v", report.Left())
	}
}
