// Package scene plays one attack in a home of lab/netns while another device
// downloads and calls, and tells what left the router and when, and what the
// others lost. cordon-lab shows it to people.
package scene

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"cordon/agent/packet"
	"cordon/lab/live"
	"cordon/lab/netns"
)

// Where things are on the internet of a scene, all in netns.Alive.
var (
	c2At       = netip.MustParseAddrPort("198.51.100.23:23")
	loaderAt   = netip.MustParseAddrPort("198.51.100.80:80")
	victimAt   = netip.MustParseAddrPort("198.19.7.7:23")
	downloadAt = netip.MustParseAddrPort("192.0.2.10:443")
	callAt     = netip.MustParseAddrPort("192.0.2.20:3478")
	webAt      = netip.MustParseAddrPort("198.51.100.99:80")
)

const (
	// downloadRate is the pace of the neighbour's download, bytes a second.
	downloadRate = 2 << 20
	// aliveEvery is the bot's keep-alive: faster than Mirai's, so that a short
	// scene shows it.
	aliveEvery = 2 * time.Second
)

// Attacks lists what device 1 may do: "none", "scan", "bot" and the floods.
func Attacks() []string {
	all := []string{"none", "scan", "bot"}
	for _, k := range live.FloodKinds {
		all = append(all, string(k))
	}
	return all
}

// Config is a scene.
type Config struct {
	Attack  string        // one of Attacks
	Devices int           // at least 2
	Rate    int           // of a flood, packets a second; 0: 5,000
	Length  time.Duration // of the attack, at most live.MaxDuration
	// Router is a command that runs on the router; none for the router alone.
	// {lan} and {wan} stand for its interfaces.
	Router []string
	// Settle is how long that command may take to be ready.
	Settle time.Duration
	// Ready is called when the home is there, if not nil.
	Ready func(*netns.Home)
}

// Report is how a scene went.
type Report struct {
	Attack  string
	Sent    live.Sent
	Bot     live.BotReport
	LAN     []live.Arrival // of the attack, as they reached the router
	WAN     []live.Arrival // as they left it
	Alive   int            // keep-alives that reached the command server
	Tried   int            // logins that reached the victim
	Got     live.Transfer  // the neighbour's download
	Broken  error          // of it
	Call    live.CallReport
	Program string // what the router's program said
}

// Run plays a scene. It needs root.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if !slices.Contains(Attacks(), cfg.Attack) || cfg.Devices < 2 || cfg.Length <= 0 || cfg.Length > live.MaxDuration {
		return nil, fmt.Errorf("scene %q of %d devices for %v: want one of %s, 2 devices or more, at most %v",
			cfg.Attack, cfg.Devices, cfg.Length, strings.Join(Attacks(), ", "), live.MaxDuration)
	}
	s := &scene{cfg: cfg, out: &Report{Attack: cfg.Attack}}
	err := netns.Run(func(t netns.TB) error {
		s.home = netns.NewHome(t, netns.HomeConfig{Devices: cfg.Devices})
		return s.play(ctx, t)
	})
	return s.out, err
}

// scene is a scene being played.
type scene struct {
	cfg  Config
	home *netns.Home
	out  *Report
}

// play starts the internet and the router's program, then everybody at once.
func (s *scene) play(ctx context.Context, t netns.TB) error {
	c2, err := live.StartC2(s.home.Internet, c2At)
	if err != nil {
		return err
	}
	defer c2.Close()
	victim, err := live.StartTelnet(s.home.Internet, victimAt, live.Logins[len(live.Logins)-1])
	if err != nil {
		return err
	}
	defer victim.Close()
	for _, at := range []netip.AddrPort{loaderAt, webAt} {
		server, err := live.StartLoader(s.home.Internet, at)
		if err != nil {
			return err
		}
		defer server.Close()
	}
	if s.cfg.Ready != nil {
		s.cfg.Ready(s.home)
	}
	program, err := s.program(ctx)
	if err != nil {
		return err
	}
	err = s.act(ctx)
	s.out.Alive, _ = c2.Alive()
	s.out.Tried, _ = victim.Tried()
	if program != nil {
		_ = program.Stop()
		s.out.Program = program.Output()
	}
	return err
}

// program starts what runs on the router, if anything.
func (s *scene) program(ctx context.Context) (*netns.Process, error) {
	if len(s.cfg.Router) == 0 {
		return nil, nil
	}
	words := strings.NewReplacer("{lan}", "br-lan", "{wan}", "wan")
	args := make([]string, len(s.cfg.Router))
	for i, w := range s.cfg.Router {
		args[i] = words.Replace(w)
	}
	p := s.home.Router.Go(args[0], args[1:]...)
	timer := time.NewTimer(s.cfg.Settle)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.Done():
		return nil, fmt.Errorf("%s ended by itself: %v: %s", args[0], p.Err(), p.Output())
	case <-timer.C:
		return p, nil
	}
}

// act lets device 1 attack, and device 2 download and call meanwhile.
func (s *scene) act(ctx context.Context) error {
	lan, err := live.StartMeter(s.home.Router, "lan1", s.isAttack)
	if err != nil {
		return err
	}
	wan, err := live.StartMeter(s.home.Internet, "eth0", s.isAttack)
	if err != nil {
		_, _ = lan.Stop()
		return err
	}
	var wait sync.WaitGroup
	var callFailed, attackFailed error
	seconds := s.cfg.Length.Seconds()
	wait.Go(func() {
		s.out.Got, s.out.Broken = live.Download{Server: s.home.Internet, At: downloadAt, Rate: downloadRate,
			Bytes: int64(seconds * downloadRate), Patient: s.cfg.Length}.Run(ctx, s.home.Devices[1])
	})
	wait.Go(func() {
		s.out.Call, callFailed = live.Call{Server: s.home.Internet, At: callAt, Duration: s.cfg.Length}.Run(ctx, s.home.Devices[1])
	})
	wait.Go(func() { attackFailed = s.attack(ctx) })
	wait.Wait()
	s.out.LAN, err = lan.Stop()
	var lost error
	if s.out.WAN, lost = wan.Stop(); err == nil {
		err = lost
	}
	for _, failed := range []error{attackFailed, callFailed, err} {
		if failed != nil {
			return failed
		}
	}
	return ctx.Err()
}

// attack is what device 1 does.
func (s *scene) attack(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Length)
	defer cancel()
	device := s.home.Devices[0]
	switch s.cfg.Attack {
	case "none":
	case "scan":
		s.out.Sent, err = live.Scan{}.Run(ctx, device)
	case "bot":
		s.out.Bot, err = live.Bot{Loader: loaderAt, C2: c2At, ID: "scene", Alive: aliveEvery,
			Victims: []netip.AddrPort{victimAt}, Scan: &live.Scan{}}.Run(ctx, device)
		s.out.Sent = s.out.Bot.Scan
	default:
		s.out.Sent, err = s.flood().Run(ctx, device)
	}
	return err
}

// flood is the flood of the scene's attack.
func (s *scene) flood() live.Flood {
	f := live.Flood{Kind: live.FloodKind(s.cfg.Attack), Rate: s.cfg.Rate, Duration: s.cfg.Length, Targets: netip.MustParsePrefix("198.18.9.9/32")}
	switch f.Kind {
	case live.UDP:
		f.Targets = netip.MustParsePrefix("198.18.9.0/24") // a carpet
	case live.SYN:
		f.Port = 80
	case live.HTTP:
		f.Targets = netip.PrefixFrom(webAt.Addr(), 32)
	}
	return f
}

// isAttack reports whether a packet, on either side of the router, is of the
// attack.
func (s *scene) isAttack(p *packet.Packet) bool {
	switch s.cfg.Attack {
	case "scan", "bot":
		return live.ScanSYN(p)
	}
	return s.cfg.Attack != "none" && p.Dst.IsValid() && s.flood().Targets.Contains(p.Dst)
}
