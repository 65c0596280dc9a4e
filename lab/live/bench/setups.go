package bench

import (
	"fmt"
	"strings"

	"cordon/lab/netns"
)

// Indicators is how many the agent has while it is measured.
const Indicators = 20_000

// The names of the setups that are known.
const (
	Alone     = "router alone"
	EBPF      = "agent (eBPF)"
	AFPacket  = "agent (AF_PACKET)"
	Softflowd = "softflowd"
	NDPI      = "ndpiReader"
)

// agentConfig is the agent's configuration. It protects, so that all its hands
// are on the path, but only watches the one device of the test, whose traffic is
// a flood to it.
const agentConfig = `[network]
lan = ["{lan}"]
wan = ["{wan}"]

[capture]
mode = "%s"

[policy]
default = "protect"

[[device]]
mac = "%s"
policy = "observe"

[indicators]
file = "{dir}/indicators.csv"

[state]
dir = "{dir}/state"

[control]
socket = "{dir}/agent.sock"
`

// Setups returns the router alone, the agent in its two modes and other programs
// in the same place. agent is the path of cordon-agent; without it, its setups are
// left out.
func Setups(agent string) []Setup {
	setups := []Setup{{Name: Alone}}
	if agent != "" {
		setups = append(setups, Agent(EBPF, agent, "ebpf"), Agent(AFPacket, agent, "afpacket"))
	}
	return append(setups,
		Setup{Name: Softflowd, Command: []string{"softflowd", "-d", "-i", "{lan}", "-n", "127.0.0.1:9995", "-m", "8192",
			"-c", "{dir}/softflowd.ctl", "-p", "{dir}/softflowd.pid"}},
		Setup{Name: NDPI, Command: []string{"ndpiReader", "-q", "-i", "{lan}"}})
}

// Agent returns a setup of the agent in a capture mode.
func Agent(name, path, mode string) Setup {
	config := netns.HomeConfig{Devices: 1}
	return Setup{Name: name, Command: []string{path, "run", "--config", "{dir}/agent.toml"}, Files: map[string]string{
		"agent.toml":     fmt.Sprintf(agentConfig, mode, config.DeviceMAC(0)),
		"indicators.csv": indicators(),
	}}
}

// indicators lists addresses that the test does not use, and names that nobody
// has, half of each.
func indicators() string {
	var b strings.Builder
	for i := range Indicators / 2 {
		fmt.Fprintf(&b, "198.18.%d.%d\nc2-%d.botnet.example\n", 128+i>>8, i&0xff, i)
	}
	return b.String()
}
