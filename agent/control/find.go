package control

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"cordon"
)

// maxCandidates bounds the devices that an ambiguous name is told to fit.
const maxCandidates = 10

// Find returns the device that a person means: its MAC address, one of its IP
// addresses, its name, or the beginning of a name that only one has. Case does not
// matter. The error of a name that fits several lists them.
func Find(devices []Device, selector string) (Device, error) {
	want := strings.ToLower(strings.TrimSpace(selector))
	if want == "" {
		return Device{}, &Error{Code: CodeRequest, Message: "no device named", Hint: "'cordon-agent devices' lists them"}
	}
	tests := []func(*Device) bool{byAddress(want)}
	if tests[0] == nil {
		tests = []func(*Device) bool{
			func(d *Device) bool { return strings.ToLower(d.ID) == want },
			func(d *Device) bool { return strings.ToLower(d.Name) == want },
			func(d *Device) bool { return strings.HasPrefix(strings.ToLower(d.Name), want) },
		}
	}
	for _, fits := range tests {
		var found []Device
		for i := range devices {
			if fits(&devices[i]) {
				found = append(found, devices[i])
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return found[0], nil
		}
		return Device{}, ambiguous(selector, found)
	}
	return Device{}, &Error{Code: CodeNotFound, Message: fmt.Sprintf("no device %q", strings.TrimSpace(selector)),
		Hint: "'cordon-agent devices' lists them; a MAC or IP address, a name or the beginning of one will do"}
}

// byAddress returns the test for a MAC or IP address, nil if want is none.
func byAddress(want string) func(*Device) bool {
	if a, err := netip.ParseAddr(want); err == nil {
		a = a.Unmap()
		return func(d *Device) bool { return d.ID == want || slices.Contains(d.Addresses, a) }
	}
	if hw, err := net.ParseMAC(want); err == nil && len(hw) == 6 {
		mac := cordon.MAC(hw).String()
		return func(d *Device) bool { return d.ID == mac || d.MAC == mac }
	}
	return nil
}

func ambiguous(selector string, found []Device) error {
	e := &Error{Code: CodeAmbiguous, Message: fmt.Sprintf("%q fits %d devices", strings.TrimSpace(selector), len(found)),
		Hint: "name one by its MAC address"}
	for i, d := range found {
		if i == maxCandidates {
			break
		}
		c := d.ID
		if d.Name != "" {
			c += " " + d.Name
		}
		if len(d.Addresses) > 0 && d.Addresses[0].String() != d.ID {
			c += " " + d.Addresses[0].String()
		}
		e.Candidates = append(e.Candidates, c)
	}
	return e
}
