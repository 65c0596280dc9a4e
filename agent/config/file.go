package config

import (
	"errors"
	"fmt"
	"net/netip"

	"cordon"
	"cordon/internal/document"
)

// file is the file as it is written.
type file struct {
	Network struct {
		LAN    []document.Value[string, anInterface]   `toml:"lan"`
		WAN    []document.Value[string, anInterface]   `toml:"wan"`
		Home   []document.Value[netip.Prefix, aPrefix] `toml:"home"`
		Spared []document.Value[netip.Addr, anAddress] `toml:"spared"`
	} `toml:"network"`
	Capture struct {
		Mode         document.Value[Eyes, someEyes] `toml:"mode"`
		DeviceFrames document.Value[int, frames]    `toml:"device_frames"`
	} `toml:"capture"`
	Policy struct {
		Default document.Value[cordon.Policy, aPolicy] `toml:"default"`
	} `toml:"policy"`
	Device []struct {
		MAC    document.Value[cordon.MAC, aMAC]              `toml:"mac"`
		Name   document.Value[string, document.ALabel]       `toml:"name"`
		Class  document.Value[cordon.Class, aClass]          `toml:"class"`
		Policy document.Value[cordon.Policy, aPolicy]        `toml:"policy"`
		Allow  []document.Value[cordon.Target, aDestination] `toml:"allow"`
	} `toml:"device"`
	DNS struct {
		Guard     *bool                                   `toml:"guard"`
		Blocked   document.Value[Answer, anAnswer]        `toml:"blocked"`
		Addresses []document.Value[netip.Addr, anAddress] `toml:"addresses"`
	} `toml:"dns"`
	Page struct {
		Port      document.Value[uint16, aPort]           `toml:"port"`
		Brand     document.Value[string, document.ALabel] `toml:"brand"`
		Portal    document.Value[string, aPortal]         `toml:"portal"`
		Languages []document.Value[string, aLanguage]     `toml:"languages"`
	} `toml:"page"`
	Indicators struct {
		File document.Value[string, aPathOrNone] `toml:"file"`
	} `toml:"indicators"`
	Limits struct {
		Memory      document.Value[int64, megabytes] `toml:"memory_mb"`
		Quarantines document.Value[int, quarantines] `toml:"quarantines_per_hour"`
	} `toml:"limits"`
	State struct {
		Dir document.Value[string, aPath] `toml:"dir"`
	} `toml:"state"`
	Control struct {
		Socket document.Value[string, aSocket]         `toml:"socket"`
		Group  document.Value[string, document.ALabel] `toml:"group"`
	} `toml:"control"`
	Core struct {
		URL    document.Value[string, aCore]       `toml:"url"`
		CA     document.Value[string, aPathOrNone] `toml:"ca_file"`
		Serial document.Value[string, aSerial]     `toml:"serial"`
		Secret document.Value[string, aPathOrNone] `toml:"secret_file"`
		Key    document.Value[string, aPathOrNone] `toml:"key_file"`
		Queue  document.Value[int64, queue]        `toml:"queue_mb"`
	} `toml:"core"`
	Log struct {
		Level  document.Value[document.Level, document.ALevel]   `toml:"level"`
		Format document.Value[document.Format, document.AFormat] `toml:"format"`
	} `toml:"log"`
}

// config returns the defaults with what the document says.
func (d *file) config() (Config, error) {
	c := Default()
	c.Network = Network{LAN: document.List(d.Network.LAN), WAN: document.List(d.Network.WAN), Home: document.List(d.Network.Home),
		Spared: document.List(d.Network.Spared)}
	d.Capture.Mode.Set(&c.Capture.Mode)
	d.Capture.DeviceFrames.Set(&c.Capture.DeviceFrames)
	d.Policy.Default.Set(&c.Policy)
	if d.DNS.Guard != nil {
		c.DNS.Guard = *d.DNS.Guard
	}
	d.DNS.Blocked.Set(&c.DNS.Blocked)
	c.DNS.Addresses = document.List(d.DNS.Addresses)
	d.Page.Port.Set(&c.Page.Port)
	d.Page.Brand.Set(&c.Page.Brand)
	d.Page.Portal.Set(&c.Page.Portal)
	if len(d.Page.Languages) > 0 {
		c.Page.Languages = document.List(d.Page.Languages)
	}
	d.Indicators.File.Set(&c.Indicators.File)
	d.Limits.Memory.Set(&c.Limits.Memory)
	d.Limits.Quarantines.Set(&c.Limits.Quarantines)
	d.State.Dir.Set(&c.State.Dir)
	d.Control.Socket.Set(&c.Control.Socket)
	d.Control.Group.Set(&c.Control.Group)
	d.Core.URL.Set(&c.Core.URL)
	d.Core.CA.Set(&c.Core.CA)
	d.Core.Serial.Set(&c.Core.Serial)
	d.Core.Secret.Set(&c.Core.Secret)
	d.Core.Key.Set(&c.Core.Key)
	d.Core.Queue.Set(&c.Core.Queue)
	if err := c.Core.check(); err != nil {
		return c, err
	}
	d.Log.Level.Set(&c.Log.Level)
	d.Log.Format.Set(&c.Log.Format)
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
func (d *file) devices(c *Config) error {
	if len(d.Device) > maxDevices {
		return fmt.Errorf("%d [[device]] tables: at most %d fit", len(d.Device), maxDevices)
	}
	seen := make(map[cordon.MAC]int)
	for i, one := range d.Device {
		told := Device{Class: one.Class.Get(), Allow: document.List(one.Allow)}
		one.MAC.Set(&told.MAC)
		one.Name.Set(&told.Name)
		one.Policy.Set(&told.Policy)
		if one.MAC.Get() == nil {
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
