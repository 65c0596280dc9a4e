package config

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"cordon"
)

// document is the file as it is written.
type document struct {
	Network struct {
		LAN    []value[string, anInterface]   `toml:"lan"`
		WAN    []value[string, anInterface]   `toml:"wan"`
		Home   []value[netip.Prefix, aPrefix] `toml:"home"`
		Spared []value[netip.Addr, anAddress] `toml:"spared"`
	} `toml:"network"`
	Capture struct {
		Mode         value[Eyes, someEyes] `toml:"mode"`
		DeviceFrames value[int, frames]    `toml:"device_frames"`
	} `toml:"capture"`
	Policy struct {
		Default value[cordon.Policy, aPolicy] `toml:"default"`
	} `toml:"policy"`
	Device []struct {
		MAC    value[cordon.MAC, aMAC]              `toml:"mac"`
		Name   value[string, aLabel]                `toml:"name"`
		Class  value[cordon.Class, aClass]          `toml:"class"`
		Policy value[cordon.Policy, aPolicy]        `toml:"policy"`
		Allow  []value[cordon.Target, aDestination] `toml:"allow"`
	} `toml:"device"`
	DNS struct {
		Guard     *bool                          `toml:"guard"`
		Blocked   value[Answer, anAnswer]        `toml:"blocked"`
		Addresses []value[netip.Addr, anAddress] `toml:"addresses"`
	} `toml:"dns"`
	Page struct {
		Port      value[uint16, aPort]       `toml:"port"`
		Brand     value[string, aLabel]      `toml:"brand"`
		Portal    value[string, aPortal]     `toml:"portal"`
		Languages []value[string, aLanguage] `toml:"languages"`
	} `toml:"page"`
	Indicators struct {
		File value[string, aPathOrNone] `toml:"file"`
	} `toml:"indicators"`
	Limits struct {
		Memory      value[int64, megabytes] `toml:"memory_mb"`
		Quarantines value[int, quarantines] `toml:"quarantines_per_hour"`
	} `toml:"limits"`
	State struct {
		Dir value[string, aPath] `toml:"dir"`
	} `toml:"state"`
	Control struct {
		Socket value[string, aSocket] `toml:"socket"`
		Group  value[string, aLabel]  `toml:"group"`
	} `toml:"control"`
	Core struct {
		URL    value[string, aCore]       `toml:"url"`
		CA     value[string, aPathOrNone] `toml:"ca_file"`
		Serial value[string, aSerial]     `toml:"serial"`
		Secret value[string, aPathOrNone] `toml:"secret_file"`
		Key    value[string, aPathOrNone] `toml:"key_file"`
		Queue  value[int64, queue]        `toml:"queue_mb"`
	} `toml:"core"`
	Log struct {
		Level  value[Level, aLevel]   `toml:"level"`
		Format value[Format, aFormat] `toml:"format"`
	} `toml:"log"`
}

// decode reads text into d. Its error has a line for each thing that is wrong, as
// far as reading came.
func decode(text []byte, d *document) error {
	dec := toml.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(d)
	if missing := (*toml.StrictMissingError)(nil); errors.As(err, &missing) {
		var all []error
		for i := range missing.Errors {
			all = append(all, unknown(&missing.Errors[i]))
		}
		return errors.Join(all...)
	}
	if wrong := (*toml.DecodeError)(nil); errors.As(err, &wrong) {
		line, _ := wrong.Position()
		where := fmt.Sprintf("line %d", line)
		if key := keyOf(text, line, wrong.Key()); key != "" {
			where += ": " + key
		}
		return fmt.Errorf("%s: %s", where, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	if wrong := (*numberError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("line %d: %w", wrong.line(text), wrong)
	}
	return err
}

// unknown says that a key or a table has no meaning here.
func unknown(e *toml.DecodeError) error {
	line, _ := e.Position()
	key := strings.Join(e.Key(), ".")
	return fmt.Errorf("line %d: no key %q: remove it, or mend its spelling; 'cordon-agent config' prints every key", line, key)
}

// keyOf returns the key that a value on a line belongs to: what the library knows,
// else what stands before the line's equals sign.
func keyOf(text []byte, line int, known toml.Key) string {
	if len(known) > 0 {
		return strings.Join(known, ".")
	}
	lines := bytes.Split(text, []byte("\n"))
	if line < 1 || line > len(lines) {
		return ""
	}
	key, _, found := bytes.Cut(lines[line-1], []byte("="))
	if !found || bytes.ContainsAny(key, "\"'[#") {
		return ""
	}
	return string(bytes.TrimSpace(key))
}

// config returns the defaults with what the document says.
func (d *document) config() (Config, error) {
	c := Default()
	c.Network = Network{LAN: list(d.Network.LAN), WAN: list(d.Network.WAN), Home: list(d.Network.Home),
		Spared: list(d.Network.Spared)}
	d.Capture.Mode.set(&c.Capture.Mode)
	d.Capture.DeviceFrames.set(&c.Capture.DeviceFrames)
	d.Policy.Default.set(&c.Policy)
	if d.DNS.Guard != nil {
		c.DNS.Guard = *d.DNS.Guard
	}
	d.DNS.Blocked.set(&c.DNS.Blocked)
	c.DNS.Addresses = list(d.DNS.Addresses)
	d.Page.Port.set(&c.Page.Port)
	d.Page.Brand.set(&c.Page.Brand)
	d.Page.Portal.set(&c.Page.Portal)
	if len(d.Page.Languages) > 0 {
		c.Page.Languages = list(d.Page.Languages)
	}
	d.Indicators.File.set(&c.Indicators.File)
	d.Limits.Memory.set(&c.Limits.Memory)
	d.Limits.Quarantines.set(&c.Limits.Quarantines)
	d.State.Dir.set(&c.State.Dir)
	d.Control.Socket.set(&c.Control.Socket)
	d.Control.Group.set(&c.Control.Group)
	d.Core.URL.set(&c.Core.URL)
	d.Core.CA.set(&c.Core.CA)
	d.Core.Serial.set(&c.Core.Serial)
	d.Core.Secret.set(&c.Core.Secret)
	d.Core.Key.set(&c.Core.Key)
	d.Core.Queue.set(&c.Core.Queue)
	if err := c.Core.check(); err != nil {
		return c, err
	}
	d.Log.Level.set(&c.Log.Level)
	d.Log.Format.set(&c.Log.Format)
	return c, d.devices(&c)
}

// check says what is missing for the agent to find core and to be let in.
func (c *Core) check() error {
	switch {
	case c.URL == "":
		return nil
	case c.CA == "":
		return errors.New("core.url without core.ca_file: name the file of the certificate that your provider's core is signed by")
	case c.Serial == "":
		return errors.New("core.url without core.serial: the provider's list knows the router by it")
	case (c.Secret == "") == (c.Key == ""):
		return errors.New("core.url needs either core.secret_file or core.key_file, to prove which router this is")
	}
	return nil
}

// Bounds of what is told by hand.
const (
	maxDevices = 256
	maxAllow   = 64 // places of one device
)

// devices adds the devices to c.
func (d *document) devices(c *Config) error {
	if len(d.Device) > maxDevices {
		return fmt.Errorf("%d [[device]] tables: at most %d fit", len(d.Device), maxDevices)
	}
	seen := make(map[cordon.MAC]int)
	for i, one := range d.Device {
		told := Device{Class: one.Class.v, Allow: list(one.Allow)}
		one.MAC.set(&told.MAC)
		one.Name.set(&told.Name)
		one.Policy.set(&told.Policy)
		if one.MAC.v == nil {
			return fmt.Errorf("[[device]] number %d has no mac: add mac = \"02:00:00:00:00:01\", as 'cordon-agent devices' shows it", i+1)
		}
		if first, twice := seen[told.MAC]; twice {
			return fmt.Errorf("[[device]] number %d has the mac %s of number %d: make them one", i+1, told.MAC, first)
		}
		if len(told.Allow) > maxAllow {
			return fmt.Errorf("[[device]] number %d (%s): allow has %d places, at most %d fit", i+1, told.MAC, len(told.Allow), maxAllow)
		}
		seen[told.MAC] = i + 1
		c.Devices = append(c.Devices, told)
	}
	return nil
}
