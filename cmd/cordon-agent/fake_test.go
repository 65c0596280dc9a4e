package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cordon"
	"cordon/agent/control"
)

// agentCmd starts a made-up agent that answers on $WORK/agent.sock until the script
// ends: agent.
func agentCmd(ts *testscript.TestScript, _ bool, _ []string) {
	server, err := control.NewServer(control.Config{Agent: fakeAgent{}, Path: ts.MkAbs("agent.sock")})
	ts.Check(err)
	l, err := control.Listen(ts.MkAbs("agent.sock"), "")
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(ctx, l) }()
	ts.Defer(func() { stop(); <-done })
}

// fakeAgent has a camera in quarantine with a name that attacks terminals, a lamp
// of which a part is blocked, and the router.
type fakeAgent struct{}

var (
	noon   = cordon.TimeOf(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
	camera = &cordon.Device{ID: "02:00:00:00:00:01", MAC: cordon.MAC{2, 0, 0, 0, 0, 1}, HasMAC: true, Name: "camera\x1b[2J",
		Maker: "Hikvision", Class: cordon.IoT, Reasons: []string{"speaks like a camera"},
		Addrs: []netip.Addr{netip.MustParseAddr("192.168.1.10")}, FirstSeen: noon, LastSeen: noon.Add(time.Hour)}
	lamp = &cordon.Device{ID: "02:00:00:00:00:02", MAC: cordon.MAC{2, 0, 0, 0, 0, 2}, HasMAC: true, Name: "lamp bedroom",
		Addrs: []netip.Addr{netip.MustParseAddr("192.168.1.11")}, FirstSeen: noon, LastSeen: noon}
	lamp2 = &cordon.Device{ID: "02:00:00:00:00:03", MAC: cordon.MAC{2, 0, 0, 0, 0, 3}, HasMAC: true, Name: "lamp kitchen", FirstSeen: noon, LastSeen: noon}
	me    = &cordon.Device{ID: "02:00:00:00:00:ff", MAC: cordon.MAC{2, 0, 0, 0, 0, 0xff}, HasMAC: true, Gateway: true,
		Class: cordon.Infrastructure, FirstSeen: noon, LastSeen: noon}
	found = &cordon.Detection{ID: "det-1", Kind: cordon.ScanMirai, Device: camera, At: noon.Add(time.Second), Level: cordon.Act,
		Subject: "telnet (23, 2323)", Sentence: "It looks for victims.",
		Evidence: []cordon.Evidence{{Name: "marked packets", Value: 12, Threshold: 8, Window: time.Second}}, Samples: []string{"203.0.113.9:23"}}
	trouble = &cordon.Incident{ID: "inc-1", Device: camera, Level: cordon.Act, Opened: noon, Last: noon.Add(time.Minute), Odds: 5,
		Kinds: []cordon.Kind{cordon.ScanMirai}, Verbs: []cordon.Verb{cordon.VerbBlock, cordon.VerbQuarantine}, Mode: cordon.ModeDo,
		Timeline: []cordon.Moment{{At: noon.Add(time.Second), Level: cordon.Act, Kind: cordon.ScanMirai, Technique: "T1595.001",
			Subject: "telnet (23, 2323)", Text: "It looks for victims.", Ref: "det-1", Count: 3}},
		Story: "The camera was taken over.", Told: "Your camera looks for victims on the internet."}
)

func fakeAction(id string, v cordon.Verb, device string, t cordon.Target, life time.Duration, by string) control.Action {
	return control.ActionOf(&cordon.Action{ID: id, Verb: v, Mode: cordon.ModeDo, Entity: cordon.Entity{Device: device, Target: t},
		Incident: "inc-1", Reason: "It looks for victims.", Purpose: cordon.PurposeSecurity, At: noon, Expires: noon.Add(life)}, by)
}

func fakeDevices() []control.Device {
	return []control.Device{
		control.DeviceOf(me, cordon.PolicyProtect, nil, nil),
		control.DeviceOf(camera, cordon.PolicyProtect, trouble, []control.Action{
			fakeAction("act-1", cordon.VerbBlock, camera.ID, cordon.Target{Ports: []uint16{23, 2323}}, time.Hour, ""),
			fakeAction("act-2", cordon.VerbQuarantine, camera.ID, cordon.Target{}, 7*24*time.Hour, ""),
		}),
		control.DeviceOf(lamp, cordon.PolicyProtect, nil, []control.Action{
			fakeAction("act-3", cordon.VerbBlock, lamp.ID, cordon.Target{Peer: netip.MustParseAddr("203.0.113.7"), Ports: []uint16{6667}}, time.Hour, ""),
		}),
		control.DeviceOf(lamp2, cordon.PolicyObserve, nil, nil),
	}
}

func (fakeAgent) Status(context.Context) (control.Status, error) {
	return control.Status{Version: "1.2.3", Mode: "safe", Why: "It ended badly 3 times in a row.", Policy: cordon.PolicyProtect,
		Started: noon, Uptime: 3 * 24 * time.Hour, Devices: control.DeviceCount{Known: 3, Quarantined: 1, Blocked: 1},
		Incidents: 1, InForce: map[cordon.Verb]int{cordon.VerbBlock: 2, cordon.VerbQuarantine: 1}, Allowed: 1,
		Eyes:  control.Part{Name: "afpacket", State: control.PartDegraded, Why: "the kernel has no eBPF"},
		Hands: control.Part{Name: "nft", State: control.PartOK},
		Guard: control.Part{State: control.PartOff, Why: "dns.guard is false"},
		Flash: control.Part{State: control.PartOK},
		Core: &control.Core{State: "away", Why: "core does not answer", Mend: "check whether this router reaches the internet", URL: "https://core.example",
			Router: "01jdq", Since: noon, Waiting: 12, OnFlash: 4096, Lost: 2, Desired: 5},
		Blind:  []control.Shortcoming{{Port: "lan3", Lack: "blind", Name: "hardware-offload", Text: "The switch forwards by itself.", Mend: "Switch offload off."}},
		Memory: control.Memory{Resident: 21_300_000, Heap: 6_100_000, Limit: 25_000_000}, Counters: map[string]uint64{"frames": 12}}, nil
}

func (fakeAgent) Devices(context.Context) ([]control.Device, error) { return fakeDevices(), nil }

func (fakeAgent) Incidents(_ context.Context, all bool) ([]control.Incident, error) {
	list := []control.Incident{control.IncidentOf(trouble, true, []*cordon.Detection{found})}
	if all {
		old := *trouble
		old.ID, old.Told, old.Mode = "inc-0", "", cordon.ModeWould
		list = append(list, control.IncidentOf(&old, false, nil))
	}
	return list, nil
}

func (f fakeAgent) Why(ctx context.Context, device string) (control.Explanation, error) {
	d, err := control.Find(fakeDevices(), device)
	if err != nil {
		return control.Explanation{}, err
	}
	var incidents []control.Incident
	if d.ID == camera.ID {
		incidents, _ = f.Incidents(ctx, false)
	}
	return control.Explain(d, incidents, []control.Allowed{{ID: "alw-1", To: "update.example:443", By: "root", Reason: "firmware", At: noon, Expires: noon.Add(time.Hour)}}), nil
}

func (fakeAgent) Allow(_ context.Context, r control.AllowRequest) (o control.Outcome, err error) {
	if r.Device != "" {
		d, err := control.Find(fakeDevices(), r.Device)
		if err != nil {
			return o, err
		}
		r.Device = d.ID
	}
	o.Allowed = []control.Allowed{{ID: "alw-2", Device: r.Device, To: r.To, Reason: r.Reason, By: r.By, At: noon, Expires: noon.Add(r.For)}}
	o.Ended = []control.Action{fakeAction("act-3", cordon.VerbBlock, lamp.ID, cordon.Target{Peer: netip.MustParseAddr("203.0.113.7")}, time.Hour, "")}
	return o, nil
}

func (fakeAgent) Quarantine(_ context.Context, r control.QuarantineRequest) (o control.Outcome, err error) {
	d, err := control.Find(fakeDevices(), r.Device)
	if err != nil {
		return o, err
	}
	if d.Router {
		return o, &control.Error{Code: control.CodeRefused, Message: "that is the router itself", Hint: "name one of the devices behind it"}
	}
	o.Begun = []control.Action{fakeAction("act-4", cordon.VerbQuarantine, d.ID, cordon.Target{}, r.For, r.By)}
	return o, nil
}

func (fakeAgent) Release(_ context.Context, r control.ReleaseRequest) (o control.Outcome, err error) {
	if r.What == "act-9" {
		return o, cordon.ErrUnknown
	}
	_, err = control.Find(fakeDevices(), r.What)
	return o, err
}

func (fakeAgent) Ledger(_ context.Context, n int) ([]control.Sent, error) {
	all := []control.Sent{{Sent: noon, Report: "7/1", Sort: "device", Device: camera.ID, Text: "camera\x1b[2J, iot, 1 addresses", Bytes: 80},
		{Sent: noon.Add(time.Second), Report: "7/2", Sort: "detection", Device: camera.ID, Text: "scan.mirai at act: telnet (23, 2323)", Bytes: 310}}
	return all[max(0, len(all)-n):], nil
}

func (fakeAgent) Doctor(context.Context) ([]control.Finding, error) {
	return []control.Finding{
		{Name: "kernel", State: control.FindingOK, Text: "Linux 6.1 has what is needed."},
		{Name: "bpf-jit", State: control.FindingFail, Text: "The kernel interprets BPF.", Mend: "Set net.core.bpf_jit_enable to 1."},
	}, nil
}
