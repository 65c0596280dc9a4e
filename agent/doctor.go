package agent

import (
	"context"

	"cordon/agent/capture/kernel"
	"cordon/agent/config"
	"cordon/agent/control"
	"cordon/agent/doctor"
	"cordon/agent/network"
	"cordon/agent/uplink"
	"cordon/internal/clock"
)

// Doctor looks at everything that the agent needs on this router. It works whether
// or not an agent runs, and changes nothing.
func Doctor(ctx context.Context, cfg config.Config) []control.Finding {
	c := doctor.Config{StateDir: cfg.State.Dir, Guard: cfg.DNS.Guard, Built: clock.Released(),
		EBPF:     func(context.Context) error { return kernel.Probe() },
		NFTables: func(context.Context) error { return network.TryNFTables() },
		DNSRules: func(context.Context) ([]string, error) { return network.DNSRules() },
	}
	r, err := network.New(network.Config{LAN: cfg.Network.LAN, WAN: cfg.Network.WAN, Spared: cfg.Network.Spared})
	if err == nil {
		c.Network, err = r.Read()
		c.Notes, _ = r.Notes() // what cannot be read is missed, not wrong
	}
	c.NetworkErr = err
	var list []control.Finding
	for _, f := range doctor.Run(ctx, c) {
		list = append(list, control.Finding(f))
	}
	if cfg.Core.URL != "" {
		list = append(list, examineCore(ctx, cfg.Core))
	}
	return list
}

// examineCore looks at the way to core.
func examineCore(ctx context.Context, cfg config.Core) control.Finding {
	f := control.Finding{Name: "core", State: control.FindingOK}
	line, err := lineConfig(cfg)
	if err != nil {
		f.State, f.Text = control.FindingFail, err.Error()
		f.Mend = "put the file there, readable for the agent's user"
		return f
	}
	line.Floor = clock.Released()
	found := uplink.Examine(ctx, line)
	f.Text, f.Mend = found.Text, found.Mend
	if !found.OK {
		f.State = control.FindingWarn // the home is protected all the same
	}
	return f
}
