// Package records makes up what a provider's database holds after months: homes with
// routers, devices, incidents and what was done about them. The same seed makes the same
// records.
package records

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"cordon"

	"golang.org/x/sync/errgroup"
)

// Store is the part of core's store that is filled.
type Store interface {
	ImportRouters(ctx context.Context, list []cordon.RouterImport, dry bool) (cordon.ImportResult, error)
	RouterBySerial(ctx context.Context, serial string) (cordon.Router, error)
	Enrol(ctx context.Context, id, key string, at cordon.Time) error
	Ingest(ctx context.Context, reports []cordon.Report) ([]cordon.Event, error)
}

// Size is how much there is to be.
type Size struct {
	Seed    uint64
	Homes   int
	Devices int // of a home, on average
	// Incidents of all homes together. Each has three detections and one action.
	Incidents int
	Now       time.Time // when the last of it happened; zero: now
	Workers   int       // 0: 4
}

// The variety of what there is. Some are common and some are rare, as in life.
const (
	areas  = 100
	groups = 10
	models = 200
	months = 3
)

// Area, Group and Model name what homes and devices are of, by number.
func Area(n int) string  { return fmt.Sprintf("area-%02d", n%areas) }
func Group(n int) string { return fmt.Sprintf("group-%d", n%groups) }
func Model(n int) string { return fmt.Sprintf("Model %03d", n%models) }

// Serial is the serial of the router of a home, Account and Site the references.
func Serial(home int) string  { return fmt.Sprintf("SN%08d", home) }
func Account(home int) string { return fmt.Sprintf("K%08d", home) }
func Site(home int) string    { return fmt.Sprintf("L%08d", home) }

// importAtOnce is how many routers one import takes.
const importAtOnce = 5_000

// Fill fills a store. progress is called now and then with a share from 0 to 1; nil: it
// is not.
func Fill(ctx context.Context, s Store, size Size, progress func(float64)) error {
	if size.Now.IsZero() {
		size.Now = time.Now()
	}
	if size.Workers == 0 {
		size.Workers = 4
	}
	if progress == nil {
		progress = func(float64) {}
	}
	if err := homes(ctx, s, size); err != nil {
		return err
	}
	progress(0.1)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(size.Workers)
	const slice = 20 // homes of a worker's turn: a few batches of reports
	for from := 0; from < size.Homes; from += slice {
		g.Go(func() error { return fill(ctx, s, size, from, min(from+slice, size.Homes)) })
		if from%(slice*100) == 0 {
			progress(0.1 + 0.9*float64(from)/float64(size.Homes))
		}
		if ctx.Err() != nil {
			break
		}
	}
	err := g.Wait()
	progress(1)
	return err
}

// homes imports every home.
func homes(ctx context.Context, s Store, size Size) error {
	for from := 0; from < size.Homes; from += importAtOnce {
		var list []cordon.RouterImport
		for h := from; h < min(from+importAtOnce, size.Homes); h++ {
			list = append(list, cordon.RouterImport{Line: h + 1, Serial: Serial(h), Claim: cordon.Claim{SecretHash: sha256.Sum256([]byte(Serial(h)))},
				AccountReference: Account(h), AccountName: fmt.Sprintf("%s %s", pick(h, firsts), pick(h/7, lasts)), SiteReference: Site(h),
				SiteName: fmt.Sprintf("%s %d", pick(h/3, streets), h%200), Area: Area(h * h % 9973), Group: Group(h % 13), Model: pick(h, boxes)})
		}
		r, err := s.ImportRouters(ctx, list, false)
		if err == nil && len(r.Problems) > 0 {
			err = fmt.Errorf("line %d: %s", r.Problems[0].Line, r.Problems[0].Why)
		}
		if err != nil {
			return fmt.Errorf("import homes from %d: %w", from, err)
		}
	}
	return nil
}

// batch is how many reports are stored at once.
const batch = 200

// fill lets the routers of some homes enrol and report.
func fill(ctx context.Context, s Store, size Size, from, to int) error {
	var reports []cordon.Report
	flush := func(least int) error {
		for len(reports) >= least && len(reports) > 0 {
			n := min(len(reports), batch)
			if _, err := s.Ingest(ctx, reports[:n]); err != nil {
				return err
			}
			reports = reports[n:]
		}
		return nil
	}
	for h := from; h < to; h++ {
		r, err := s.RouterBySerial(ctx, Serial(h))
		if err != nil {
			return err
		}
		if r.State != cordon.RouterEnrolled {
			if err := s.Enrol(ctx, r.ID, "U"+r.Serial, cordon.TimeOf(size.Now.AddDate(0, -months, 0))); err != nil {
				return err
			}
		}
		reports = append(reports, Home(size, h, r.ID)...)
		if err := flush(batch); err != nil {
			return err
		}
	}
	return flush(1)
}

// Home returns what the router of a home reports.
func Home(size Size, home int, router string) []cordon.Report {
	h := &maker{rng: rand.New(rand.NewPCG(size.Seed, uint64(home))), router: router, now: cordon.TimeOf(size.Now), home: home}
	n := 1
	if size.Devices > 1 {
		n = 1 + h.rng.IntN(2*size.Devices-1)
	}
	var devices []*cordon.Device
	for i := range n {
		devices = append(devices, h.device(i))
		h.add(cordon.Report{Device: devices[i]})
	}
	// Incidents fall on homes evenly, and what is left over on the first ones.
	incidents := size.Incidents / max(size.Homes, 1)
	if home < size.Incidents%max(size.Homes, 1) {
		incidents++
	}
	for i := range incidents {
		h.incident(i, devices[h.rng.IntN(len(devices))])
	}
	h.add(cordon.Report{Health: &cordon.Health{At: h.now, Mode: "normal", Policy: cordon.PolicyObserve, Eyes: "kernel", Boot: 1, Uptime: 3600, Clock: true, Devices: uint32(n)}})
	return h.reports
}

// maker makes what a router reports.
type maker struct {
	rng     *rand.Rand
	home    int
	router  string
	now     cordon.Time
	seq     uint64
	reports []cordon.Report
}

func (m *maker) add(r cordon.Report) {
	m.seq++
	r.ID = cordon.ReportID{Router: m.router, Boot: 1, Seq: m.seq}
	r.At = m.now
	m.reports = append(m.reports, r)
}

// rare returns small numbers often and great ones seldom, below n.
func (m *maker) rare(n int) int {
	return int(float64(n) * m.rng.Float64() * m.rng.Float64() * m.rng.Float64())
}

// ago returns a moment of the last months.
func (m *maker) ago() cordon.Time {
	return m.now.Add(-time.Duration(m.rng.Int64N(int64(months*30*24*time.Hour)))) / 1000 * 1000
}

func (m *maker) device(i int) *cordon.Device {
	var mac cordon.MAC
	binary.BigEndian.PutUint16(mac[:2], 0x0200)
	binary.BigEndian.PutUint32(mac[2:], uint32(m.home)*64+uint32(i))
	mac[1] = byte(m.home >> 24)
	kind := m.rng.IntN(len(things))
	first := m.ago()
	return &cordon.Device{ID: mac.String(), MAC: mac, HasMAC: true, Randomised: true, Name: fmt.Sprintf("%s-%04x", things[kind], m.rng.IntN(1<<16)),
		Maker: pick(m.rare(len(makers)), makers), Model: Model(m.rare(models)), Class: cordon.Class(1 + kind%2),
		Addrs:   []netip.Addr{netip.AddrFrom4([4]byte{192, 168, byte(m.home % 4), byte(10 + i)})},
		Reasons: []string{"It announces itself as such.", "Its MAC is of that maker."}, FirstSeen: first, LastSeen: min(m.now, first.Add(time.Duration(m.rng.Int64N(int64(30*24*time.Hour)))))}
}

func (m *maker) incident(i int, d *cordon.Device) {
	kinds := cordon.Kinds()
	opened := m.ago()
	id := fmt.Sprintf("i-%d-%d", m.home, i)
	level := cordon.Level(1 + m.rare(3))
	in := &cordon.Incident{ID: id, Device: d, Level: level, Opened: opened, Last: opened.Add(time.Hour), Odds: m.rng.Float64() * 5, Mode: cordon.ModeWould,
		Raised: []cordon.Raise{{Level: level, At: opened}}, Verbs: []cordon.Verb{cordon.VerbBlock}, Told: "A device does what it should not.",
		Story: "It opened connections to many hosts on ports that such devices never use, and none of them answered."}
	for k := range 3 {
		kind := kinds[m.rare(len(kinds))]
		at := opened.Add(time.Duration(k) * 20 * time.Minute)
		det := &cordon.Detection{ID: fmt.Sprintf("d-%d-%d-%d", m.home, i, k), Kind: kind, Device: d, At: at, Since: at.Add(-time.Minute), Confirmed: true,
			Sentence: "It opened connections to 120 hosts within a minute.", Level: level, Subject: "telnet (23, 2323)",
			Target:   cordon.Target{Proto: 6, Ports: []uint16{23, 2323}},
			Evidence: []cordon.Evidence{{Name: "targets", Value: 120, Threshold: 12, Unit: "hosts", Window: time.Minute}, {Name: "answered", Value: 0.01, Threshold: 0.2}},
			Samples:  []string{"192.0.2.1:23", "192.0.2.2:23", "192.0.2.3:2323"}}
		in.Kinds = append(in.Kinds, kind)
		in.Timeline = append(in.Timeline, cordon.Moment{At: at, Level: level, Kind: kind, Technique: kind.Technique(), Subject: det.Subject, Text: det.Sentence, Ref: det.ID, Count: 1})
		m.add(cordon.Report{Detection: det})
	}
	result, over := cordon.ResultEnded, true
	if m.rng.IntN(10) == 0 {
		result, over = cordon.ResultDone, false
	}
	m.add(cordon.Report{Incident: in, Over: over})
	verb := []cordon.Verb{cordon.VerbNotify, cordon.VerbLimit, cordon.VerbBlock, cordon.VerbQuarantine}[m.rng.IntN(4)]
	m.add(cordon.Report{Action: &cordon.ActionReport{Result: result, Action: cordon.Action{ID: "x-" + id, Verb: verb, Mode: cordon.ModeDo, Incident: id,
		Entity: cordon.Entity{Device: d.ID, Target: cordon.Target{Proto: 6, Ports: []uint16{23}}}, Reason: in.Told, Purpose: cordon.PurposeSecurity,
		At: opened, Expires: m.now.Add(24 * time.Hour)}}})
}

func pick(n int, of []string) string { return of[n%len(of)] }

var (
	firsts  = []string{"Ada", "Ben", "Cleo", "Dario", "Emma", "Finn", "Gül", "Hana", "Ivo", "Jana", "Kofi", "Lea", "Milan", "Nora", "Oskar", "Pia"}
	lasts   = []string{"Abel", "Berger", "Costa", "Dietz", "Egger", "Frey", "Gruber", "Huber", "Ilic", "Jung", "Kaya", "Lang", "Maier", "Novak", "Ott", "Peters"}
	streets = []string{"Mill Lane", "Bahnhofstraße", "Rue du Pont", "Harbour View", "Am Anger", "Church Road", "Via Roma", "Station Square"}
	boxes   = []string{"Box 3", "Box 3", "Box 3", "Box 4", "Box 5"}
	makers  = []string{"Acme", "Borealis", "Cirrus", "Dynamo", "Elektra", "Fabrik", "Gizmo", "Helio", "Ikaros", "Jota", "Kelvin", "Lumen"}
	things  = []string{"cam", "phone", "plug", "laptop", "tv", "tablet", "bulb", "desktop", "doorbell", "watch", "printer", "console"}
)
