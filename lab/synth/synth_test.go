package synth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"cordon"
)

// short plays a minute of a scenario, or as much as fits in so many packets.
func short(packets uint64) Options {
	return Options{Seed: 7, Duration: time.Minute, Packets: packets}
}

func capture(t *testing.T, scenario string, o Options) ([]byte, Report) {
	t.Helper()
	var b bytes.Buffer
	report, err := Write(&b, scenario, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), report
}

// each calls f with every packet of a pcap file.
func each(t *testing.T, file []byte, f func(gopacket.CaptureInfo, []byte)) {
	t.Helper()
	r, err := pcapgo.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		f(info, data)
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			first, one := capture(t, s.Name, short(20000))
			second, two := capture(t, s.Name, short(20000))
			if !bytes.Equal(first, second) {
				t.Error("two plays with one seed differ")
			}
			if diff := cmp.Diff(one.Truth, two.Truth, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
			other := short(20000)
			other.Seed++
			if third, _ := capture(t, s.Name, other); bytes.Equal(first, third) {
				t.Error("two seeds give the same bytes")
			}
		})
	}
}

// Every packet decodes, every checksum is right, and time never runs backwards.
func TestPacketsAreSound(t *testing.T) {
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			file, report := capture(t, s.Name, short(30000))
			var count, last uint64
			each(t, file, func(info gopacket.CaptureInfo, data []byte) {
				count++
				if at := uint64(info.Timestamp.UnixNano()); at < last {
					t.Fatalf("packet %d comes %d ns before the one in front", count, last-at)
				} else {
					last = at
				}
				p := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.NoCopy)
				if err := p.ErrorLayer(); err != nil && !payloadOnly(p) {
					t.Fatalf("packet %d: %v\n%v", count, err.Error(), p)
				}
				sumOver(t, p)
				if err, wrong := p.VerifyChecksums(); err != nil || len(wrong) > 0 {
					t.Fatalf("packet %d: checksum %v %v\n%v", count, err, wrong, p)
				}
			})
			if count != report.Packets || count < 100 {
				t.Errorf("%d packets in the file, %d in the report, want the same and at least 100", count, report.Packets)
			}
		})
	}
}

// sumOver tells the layers above which addresses count in their checksums.
func sumOver(t *testing.T, p gopacket.Packet) {
	t.Helper()
	for _, l := range p.Layers() {
		if l, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok {
			if err := l.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// payloadOnly reports whether p's headers are good; gopacket guesses contents by
// port number and stumbles over segments of longer messages.
func payloadOnly(p gopacket.Packet) bool {
	return p.TransportLayer() != nil
}

// A home's device behaves the same whatever else happens in the home.
func TestAttackerChangesNothingBefore(t *testing.T) {
	o := short(0)
	calm, _ := capture(t, "calm", o)
	sick, report := capture(t, "mirai", o)
	common := 0
	for common < len(calm) && common < len(sick) && calm[common] == sick[common] {
		common++
	}
	var before int
	each(t, sick, func(info gopacket.CaptureInfo, data []byte) {
		if cordon.TimeOf(info.Timestamp) < report.Truth[0].At {
			before += 16 + len(data)
		}
	})
	if common < before {
		t.Errorf("the captures part after %d bytes, the infection begins after %d", common, before)
	}
}

func TestTruth(t *testing.T) {
	for _, s := range Scenarios() {
		o := short(0)
		if s.Name == "bench" || s.Name == "crowd" || s.Name == "flood" {
			o.Duration = 5 * time.Second
		}
		_, report := capture(t, s.Name, o)
		if sick, told := s.Outcome > cordon.None, len(report.Truth) > 0; sick != told {
			t.Errorf("%s: outcome %v but %d truths", s.Name, s.Outcome, len(report.Truth))
		}
		if strings.HasPrefix(s.Name, "twin-") && len(report.Truth) > 0 {
			t.Errorf("%s does %v", s.Name, report.Truth)
		}
		for _, truth := range report.Truth {
			if truth.Kind.Family() == "" || truth.Within <= 0 || truth.At < report.First || truth.At > report.Last {
				t.Errorf("%s: %+v is not of this capture (%v to %v)", s.Name, truth, report.First, report.Last)
			}
		}
	}
}

func TestWriteTruth(t *testing.T) {
	_, report := capture(t, "mirai", short(0))
	var b bytes.Buffer
	if err := report.WriteTruth(&b, "home.pcap"); err != nil {
		t.Fatal(err)
	}
	var got truthFile
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	c := got.Captures[0]
	if len(got.Captures) != 1 || c.File != "home.pcap" || c.Device != "192.168.1.20" || len(c.Must) != 2 {
		t.Errorf("truth: %s", b.Bytes())
	}
	// the camera scans after a third of the minute; the first packet is at 0.2 s
	if c.Must[0].At != 19.8 || c.Must[0].Any[0] != cordon.ScanMirai || *c.ActAt != 19.8 || c.CleanUntil != 18.8 {
		t.Errorf("truth: %s", b.Bytes())
	}
}

// What a harmless home may be suspected of is no false alarm, everything else is.
func TestWriteTruthOfSigns(t *testing.T) {
	_, report := capture(t, "twin-nvr", short(0))
	var b bytes.Buffer
	if err := report.WriteTruth(&b, "home.pcap"); err != nil {
		t.Fatal(err)
	}
	var got truthFile
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	c := got.Captures[0]
	want := []string{"posture.*", string(cordon.BruteforceOutbound)}
	if diff := cmp.Diff(want, c.Except); diff != "" || c.Outcome != cordon.None || !cmp.Equal(c.MustNot, []string{"*"}) {
		t.Errorf("truth: %s", b.Bytes())
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		scenario, want string
		o              Options
	}{
		{"nonesuch", `scenario "nonesuch"`, Options{}},
		{"calm", "duration", Options{Duration: time.Millisecond}},
		{"calm", "duration", Options{Duration: -time.Hour}},
		{"calm", "start", Options{Start: time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{"calm", "format", Options{Format: "csv"}},
		{"calm", "snap", Options{Snap: 10}},
	} {
		_, err := Write(io.Discard, c.scenario, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: error %v, want one about %q", c.scenario, c.o, err, c.want)
		}
		if check := Check(c.scenario, c.o); check == nil {
			t.Errorf("%s %+v: Check finds nothing wrong", c.scenario, c.o)
		}
	}
}

// fullDisk fails after so many bytes.
type fullDisk struct{ left int }

var errFull = errors.New("disk is full")

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.left -= len(b); d.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestWriteErrorIsReturned(t *testing.T) {
	for _, format := range []string{"pcap", "pcapng"} {
		o := short(0)
		o.Format = format
		if _, err := Write(&fullDisk{left: 1 << 20}, "calm", o); !errors.Is(err, errFull) {
			t.Errorf("%s: error %v, want %v", format, err, errFull)
		}
	}
}

func TestSnapAndPcapng(t *testing.T) {
	o := short(2000)
	o.Format, o.Snap = "pcapng", 96
	file, report := capture(t, "calm", o)
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var count, size uint64
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		count, size = count+1, size+uint64(info.Length)
		if len(data) > 96 || len(data) != info.CaptureLength {
			t.Fatalf("packet %d has %d bytes of %d, want at most 96", count, len(data), info.CaptureLength)
		}
	}
	if count != 2000 || count != report.Packets || size != report.Bytes {
		t.Errorf("%d packets of %d bytes, the report says %d of %d", count, size, report.Packets, report.Bytes)
	}
}

func BenchmarkBench(b *testing.B) {
	report, err := Write(io.Discard, "bench", Options{Packets: uint64(b.N), Duration: 24 * time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(report.Bytes / max(report.Packets, 1)))
	b.ReportMetric(float64(report.Packets)/b.Elapsed().Seconds(), "packets/s")
}
