package load

import (
	"fmt"
	"math/rand/v2"
	"time"

	"cordon"
	"cordon/lab/records"
)

// household is what there is at a router's home.
type household struct {
	devices   []*cordon.Device
	incident  *cordon.Incident // that grows; nil: none yet
	incidents int
	found     int // detections
	acted     int // actions
}

// devicesEach is how many devices a home has on average.
const devicesEach = 4

// introduce returns what a router reports first: its devices, and how it is.
func (r *router) introduce() (reports []cordon.Report) {
	for _, report := range records.Home(records.Size{Seed: 1, Devices: devicesEach, Now: time.Now()}, r.home, r.id) {
		if report.Device != nil {
			r.devices = append(r.devices, report.Device)
		}
		reports = append(reports, report)
	}
	return reports
}

// mix returns n reports about one of the router's devices. Of 20, 7 are of a device that
// is seen again, 5 of the agent's health, 2 are a device's day, 2 detections, 2 its
// incident that grows, 1 an action and 1 what is in force. Of quiet homes most are about
// their health, which is cheaper; this is a provider in an outbreak.
func (r *router) mix(rng *rand.Rand, n int, now cordon.Time) []cordon.Report {
	d := r.devices[rng.IntN(len(r.devices))]
	reports := make([]cordon.Report, n)
	for i := range reports {
		reports[i].At = now
		r.fill(&reports[i], rng.IntN(20), d)
	}
	return reports
}

func (r *router) fill(to *cordon.Report, sort int, d *cordon.Device) {
	switch sort {
	case 0, 1, 2, 3, 4, 5, 6:
		seen := *d
		seen.LastSeen = to.At
		to.Device = &seen
	case 7, 8, 9, 10, 11:
		to.Health = &cordon.Health{At: to.At, Mode: "normal", Policy: cordon.PolicyObserve, Eyes: "kernel", Boot: 1, Uptime: 86_400, Resident: 18 << 20,
			Devices: uint32(len(r.devices)), Clock: true, Counters: map[string]uint64{"packets": uint64(to.At), "flows": 12345, "dropped": 0}}
	case 12, 13:
		to.Summary = &cordon.Summary{Day: to.At / cordon.Time(24*time.Hour) * cordon.Time(24*time.Hour), Device: d.ID, Class: cordon.IoT, Maker: d.Maker, Model: d.Model,
			Domains: []cordon.DomainCount{{Domain: "maker.example", Count: 480}, {Domain: "ntp.example", Count: 96}, {Domain: "update.example", Count: 2}}}
	case 14, 15:
		to.Detection = r.detection(d, to.At)
	case 16, 17:
		to.Incident = r.grown(d, to.At)
	case 18:
		r.acted++
		to.Action = &cordon.ActionReport{Result: cordon.ResultDone, Action: cordon.Action{ID: fmt.Sprintf("x-%d-%d", r.home, r.acted), Verb: cordon.VerbBlock,
			Mode: cordon.ModeWould, Entity: cordon.Entity{Device: d.ID, Target: cordon.Target{Proto: 6, Ports: []uint16{23}}}, Purpose: cordon.PurposeSecurity,
			At: to.At, Expires: to.At.Add(time.Hour), Reason: "It scans."}}
	default:
		to.Enforced = &cordon.Enforced{}
	}
}

func (r *router) detection(d *cordon.Device, at cordon.Time) *cordon.Detection {
	r.found++
	return &cordon.Detection{ID: fmt.Sprintf("d-%d-%d", r.home, r.found), Kind: cordon.ScanMirai, Device: d, At: at, Since: at.Add(-time.Minute), Confirmed: true,
		Sentence: "It opened connections to 120 hosts within a minute.", Level: cordon.Notify, Subject: "telnet (23, 2323)",
		Target:   cordon.Target{Proto: 6, Ports: []uint16{23, 2323}},
		Evidence: []cordon.Evidence{{Name: "targets", Value: 120, Threshold: 12, Unit: "hosts", Window: time.Minute}, {Name: "answered", Value: 0.01, Threshold: 0.2}},
		Samples:  []string{"192.0.2.1:23", "192.0.2.2:23", "192.0.2.3:2323"}}
}

// longest is how many moments an incident has before it is over and another begins.
const longest = 16

// grown returns the home's incident with one moment more.
func (r *router) grown(d *cordon.Device, at cordon.Time) *cordon.Incident {
	if r.incident == nil || len(r.incident.Timeline) >= longest {
		r.incidents++
		r.incident = &cordon.Incident{ID: fmt.Sprintf("i-%d-%d", r.home, r.incidents), Device: d, Level: cordon.Notify, Opened: at, Odds: 2, Mode: cordon.ModeWould,
			Kinds: []cordon.Kind{cordon.ScanMirai}, Verbs: []cordon.Verb{cordon.VerbBlock}, Raised: []cordon.Raise{{Level: cordon.Notify, At: at}},
			Told: "A device does what it should not.", Story: "It opened connections to many hosts on ports that such devices never use."}
	}
	r.incident.Last = at
	r.incident.Timeline = append(r.incident.Timeline, cordon.Moment{At: at, Level: cordon.Notify, Kind: cordon.ScanMirai, Technique: cordon.ScanMirai.Technique(),
		Subject: "telnet (23, 2323)", Text: "It opened connections to 120 hosts within a minute.", Count: 1})
	copied := *r.incident // the next moment is appended behind what this one shows
	return &copied
}

// mark returns an incident of a name that nobody else has.
func (r *router) mark(name string, at cordon.Time) cordon.Report {
	return cordon.Report{At: at, Incident: &cordon.Incident{ID: name, Device: r.devices[0], Level: cordon.Notify, Opened: at, Last: at,
		Kinds: []cordon.Kind{cordon.ScanMirai}, Timeline: []cordon.Moment{{At: at, Kind: cordon.ScanMirai, Text: "It scans."}}, Story: "It scans."}}
}
