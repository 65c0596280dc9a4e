package eval

import (
	"strings"
	"testing"
	"time"

	"cordon"
)

const second = time.Second

// at is a detection of the device that the truth is about.
func at(t time.Duration, kind cordon.Kind, level cordon.Level) seen {
	return seen{kind: kind, level: level, at: t, device: "cam", meant: true}
}

// raised is an incident that reached a level at a time.
func raised(t time.Duration, level cordon.Level, kinds ...cordon.Kind) *cordon.Incident {
	return &cordon.Incident{Level: level, Device: &cordon.Device{ID: "cam"}, Kinds: kinds,
		Raised: []cordon.Raise{{Level: level, At: cordon.Time(t)}}}
}

func TestJudge(t *testing.T) {
	scan := Must{Any: []cordon.Kind{cordon.ScanMirai}, When: &Window{At: 10 * second, Within: 2 * second}}
	tunnel := Must{Any: []cordon.Kind{cordon.DNSTunnel}}
	either := Must{Any: []cordon.Kind{cordon.DNSTunnel, cordon.ScanMirai}}
	other := at(10*second, cordon.ScanMirai, cordon.Act)
	other.meant = false
	telnet := at(10*second, cordon.ScanMirai, cordon.Act)
	telnet.subject = "telnet"
	act := &Window{At: 10 * second, Within: second}
	for _, c := range []struct {
		name   string
		entry  Entry
		said   []seen
		raised []*cordon.Incident
		want   string // the checks as "about state", joined by ", "
	}{
		{"found", Entry{Must: []Must{scan}, Outcome: cordon.Watch}, []seen{at(11*second, cordon.ScanMirai, cordon.Watch)},
			[]*cordon.Incident{raised(11*second, cordon.Watch)}, "must found, outcome found"},
		{"a second early is in time", Entry{Must: []Must{scan}}, []seen{at(9*second, cordon.ScanMirai, 1)}, nil, "must found, outcome kept"},
		{"too early", Entry{Must: []Must{scan}}, []seen{at(9*second-1, cordon.ScanMirai, 1)}, nil, "must MISSED, outcome kept"},
		{"too late", Entry{Must: []Must{scan}}, []seen{at(12*second+1, cordon.ScanMirai, 1)}, nil, "must MISSED, outcome kept"},
		{"early and again in time", Entry{Must: []Must{scan}}, []seen{at(0, cordon.ScanMirai, 1), at(12*second, cordon.ScanMirai, 1)}, nil,
			"must found, outcome kept"},
		{"nothing", Entry{Must: []Must{scan}, Outcome: cordon.Act}, nil, nil, "must MISSED, outcome TOO WEAK"},
		{"another device", Entry{Must: []Must{scan}}, []seen{other}, nil, "must MISSED, outcome kept, extra extra"},
		{"another kind", Entry{Must: []Must{scan}}, []seen{at(10*second, cordon.ScanSlow, 1)}, nil, "must MISSED, outcome kept, extra extra"},
		{"the subject", Entry{Must: []Must{{Any: scan.Any, Subject: "telnet"}}}, []seen{telnet}, nil, "must found, outcome kept"},
		{"another subject", Entry{Must: []Must{{Any: scan.Any, Subject: "ssh"}}}, []seen{telnet}, nil, "must MISSED, outcome kept"},
		{"not built", Entry{Must: []Must{tunnel}, Outcome: cordon.Act, Act: act}, nil, nil, "must not built, outcome not built, act not built"},
		{"not built, and too strong", Entry{Must: []Must{tunnel}, Outcome: cordon.Watch}, nil, []*cordon.Incident{raised(0, cordon.Act)},
			"must not built, outcome TOO STRONG"},
		{"one of two is built", Entry{Must: []Must{either}}, nil, nil, "must MISSED, outcome kept"},
		{"found though not built", Entry{Must: []Must{tunnel}}, []seen{at(0, cordon.DNSTunnel, 1)}, nil, "must found, outcome kept, built TAKE OUT"},
		{"act in time", Entry{Outcome: cordon.Act, Act: act}, nil, []*cordon.Incident{raised(11*second, cordon.Act)}, "outcome found, act found"},
		{"act too late", Entry{Outcome: cordon.Act, Act: act}, nil, []*cordon.Incident{raised(12*second, cordon.Act)}, "outcome found, act MISSED"},
		{"act too early", Entry{Must: []Must{tunnel}, Outcome: cordon.Act, Act: act}, nil, []*cordon.Incident{raised(0, cordon.Act)},
			"must not built, outcome found, act MISSED"},
		{"false alarm at watch", Entry{MustNot: []string{"scan.*"}}, []seen{at(0, cordon.ScanSlow, cordon.Watch)}, nil, "outcome kept, alarm FALSE ALARM"},
		{"of another device too", Entry{MustNot: []string{"*"}}, []seen{other}, nil, "outcome kept, alarm FALSE ALARM"},
		{"those alike are one", Entry{MustNot: []string{"*"}}, []seen{at(0, cordon.ScanSlow, 1), at(second, cordon.ScanSlow, 2)}, nil,
			"outcome kept, alarm FALSE ALARM"},
		{"excepted", Entry{MustNot: []string{"*"}, Except: []string{"scan.*"}}, []seen{at(0, cordon.ScanSlow, 1)},
			[]*cordon.Incident{raised(0, cordon.Watch, cordon.ScanSlow)}, "outcome kept, extra extra"},
		{"excepted and more", Entry{Except: []string{"scan.*"}}, nil,
			[]*cordon.Incident{raised(0, cordon.Watch, cordon.ScanSlow, cordon.DNSBypass)}, "outcome TOO STRONG"},
		{"before it began", Entry{Must: []Must{scan}, CleanUntil: 10 * second}, []seen{at(9500*time.Millisecond, cordon.ScanMirai, 1)}, nil,
			"must found, outcome kept, alarm FALSE ALARM"},
		{"no clean_until, clock set back", Entry{Must: []Must{{Any: scan.Any}}}, []seen{at(-9*second, cordon.ScanMirai, 1)}, nil,
			"must found, outcome kept"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &recorder{detections: c.said, incidents: c.raised}
			var got []string
			for _, check := range judge(r, &c.entry, []cordon.Kind{cordon.DNSTunnel}) {
				got = append(got, check.About+" "+string(check.State))
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("checks: %s\nwant:   %s", s, c.want)
			}
		})
	}
}

func TestMeans(t *testing.T) {
	mac := cordon.MAC{2, 0, 0, 0, 0, 1}
	d := &cordon.Device{ID: mac.String(), MAC: mac, HasMAC: true, Addrs: addrs("192.168.1.9", "fe80::1")}
	for _, c := range []struct {
		entry Entry
		want  bool
	}{
		{Entry{}, true},
		{Entry{Device: addrs("192.168.1.9")[0]}, true},
		{Entry{Device: addrs("192.168.1.8")[0]}, false},
		{Entry{MAC: mac}, true},
		{Entry{MAC: cordon.MAC{2, 0, 0, 0, 0, 2}}, false},
		{Entry{MAC: mac, Device: addrs("192.168.1.8")[0]}, false},
	} {
		if r := (&recorder{entry: &c.entry}); r.means(d) != c.want {
			t.Errorf("%v %v: %v, want %v", c.entry.Device, c.entry.MAC, !c.want, c.want)
		}
	}
}

func TestDeviceTime(t *testing.T) {
	hour := cordon.Time(time.Hour)
	r := &recorder{watched: 10 * time.Hour, devices: []*cordon.Device{
		{FirstSeen: 0, LastSeen: 4 * hour}, {FirstSeen: hour, LastSeen: 90 * hour}}}
	if got := r.deviceTime(); got != 14*time.Hour {
		t.Errorf("two devices, 4 h and the whole watch of 10 h: %v", got)
	}
	if r.devices = nil; r.deviceTime() != 10*time.Hour {
		t.Errorf("no device: %v, want the watch", r.deviceTime())
	}
}

// report has one of everything.
func report() *Report {
	s := func(d time.Duration) *time.Duration { return &d }
	checks := []Check{
		{About: AboutMust, State: Found, Kinds: []cordon.Kind{cordon.ScanMirai}, Kind: cordon.ScanMirai, Device: "cam", Level: cordon.Watch,
			At: s(10281 * time.Millisecond), Delay: s(281 * time.Millisecond)},
		{About: AboutMust, State: Unbuilt, Kinds: []cordon.Kind{cordon.C2Keepalive, cordon.C2Beacon}},
		{About: AboutOutcome, State: TooWeak, Want: cordon.Act, Level: cordon.Notify, Device: "cam", At: s(11 * second)},
	}
	alarm := Check{About: AboutAlarm, State: FalseAlarm, Kinds: []cordon.Kind{cordon.ScanSlow}, Kind: cordon.ScanSlow, Device: "tv",
		Level: cordon.Notify, At: s(second), Count: 2}
	return &Report{Verdicts: []Verdict{
		{File: "bad/\x1b.pcap", Run: plain, Checks: checks},
		{File: "good.pcap", Run: plain, Benign: true, DeviceTime: 12 * time.Hour, Devices: 1,
			Checks: []Check{{About: AboutOutcome, State: Kept}, alarm}},
		{File: "good.pcap", Run: "seed 1", Benign: true, DeviceTime: 12 * time.Hour, Devices: 1, Checks: []Check{{About: AboutOutcome, State: Kept}}},
	}}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := report().Text(&b); err != nil {
		t.Fatal(err)
	}
	want := `run: plain

capture        check                   result       at        delay     level   device
bad/\x1b.pcap  scan.mirai              found        10.281 s  +0.281 s  watch   cam
               c2.keepalive|c2.beacon  not built
               outcome act             TOO WEAK     11.000 s            notify  cam
good.pcap      outcome none            kept                             none
               scan.slow               FALSE ALARM  1.000 s             notify  tv      2×

kind                    found  missed  not built  median delay  longest delay
scan.mirai              1      0       0          0.281 s       0.281 s
c2.keepalive|c2.beacon  0      0       1          -             -

1 benign capture, 0.50 device-days: 2 false alarms, 4 a device-day; at notify or act 2, 4 a device-day
(device-days: each device from its first to its last packet, silences of the capture over 1 h counted as 1 h; at least the capture's length)
2 captures: 1 missed, 2 false alarms, 1 not built, 0 errors

run: seed 1

capture    check         result  at  delay  level  device
good.pcap  outcome none  kept               none

1 benign capture, 0.50 device-days: 0 false alarms, 0 a device-day; at notify or act 0, 0 a device-day
(device-days: each device from its first to its last packet, silences of the capture over 1 h counted as 1 h; at least the capture's length)
1 capture: 0 missed, 0 false alarms, 0 not built, 0 errors

run     captures  missed  false alarms  not built  errors
plain   2         1       2             1          0
seed 1  1         0       0             0          0
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestJSON(t *testing.T) {
	var b strings.Builder
	if err := report().JSON(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 3+5+1+2+2 {
		t.Errorf("%d lines:\n%s", len(lines), b.String())
	}
	for i, want := range map[int]string{
		0: `{"type":"capture","run":"plain","file":"bad/\u001b.pcap","benign":false,"frames":0,"length_s":0,"devices":0,"device_s":0}`,
		1: `{"type":"check","run":"plain","file":"bad/\u001b.pcap","about":"must","state":"found","failed":false,"kinds":["scan.mirai"],"kind":"scan.mirai","device":"cam","level":"watch","at_s":10.281,"delay_s":0.281}`,
		6: `{"type":"check","run":"plain","file":"good.pcap","about":"alarm","state":"FALSE ALARM","failed":true,"kinds":["scan.slow"],"kind":"scan.slow","device":"tv","level":"notify","at_s":1,"count":2}`,
		7: `{"type":"kind","run":"plain","kind":"scan.mirai","found":1,"missed":0,"not_built":0,"median_delay_s":0.281,"max_delay_s":0.281}`,
		9: `{"type":"total","run":"plain","captures":2,"missed":1,"false_alarms":2,"not_built":1,"errors":0,"benign_captures":1,"benign_device_days":0.5,"benign_false_alarms":2,"benign_false_alarms_per_device_day":4,"benign_disturbing":2,"benign_disturbing_per_device_day":4}`,
	} {
		if i < len(lines) && lines[i] != want {
			t.Errorf("line %d:\n%s\nwant\n%s", i, lines[i], want)
		}
	}
}

func TestFailed(t *testing.T) {
	for state, want := range map[State][2]bool{Found: {}, Kept: {}, Extra: {}, Unbuilt: {false, true}, Missed: {true, true},
		FalseAlarm: {true, true}, TooStrong: {true, true}, TooWeak: {true, true}, Unlisted: {true, true}, Unreadable: {true, true}} {
		r := Report{Verdicts: []Verdict{{Checks: []Check{{State: Found}, {State: state}}}}}
		if got := [2]bool{r.Failed(false), r.Failed(true)}; got != want {
			t.Errorf("%s: failed %v, strictly %v; want %v", state, got[0], got[1], want)
		}
	}
}
