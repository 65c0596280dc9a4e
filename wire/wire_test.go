package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"cordon"
	"cordon/wire/internal/pb"
)

// TestReports sends one report of every sort, with every field set, there and back.
func TestReports(t *testing.T) {
	want := reports()
	data, err := EncodeReports(42, want)
	if err != nil {
		t.Fatal(err)
	}
	number, got, err := DecodeReports(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, compare); diff != "" || number != 42 {
		t.Errorf("number %d (-sent +received):\n%s", number, diff)
	}
	for i := range want {
		one, err := EncodeReport(&want[i])
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeReport(one)
		if diff := cmp.Diff(want[i], got, compare); diff != "" || err != nil {
			t.Errorf("%v (-kept +read):\n%s", err, diff)
		}
	}
}

// TestRoundTrip sends random reports there and back. What is none of text or number is
// made one, once.
func TestRoundTrip(t *testing.T) {
	there := func(t *rapid.T, list []cordon.Report) []cordon.Report {
		data, err := EncodeReports(1, list)
		if err != nil {
			t.Fatal(err)
		}
		_, back, err := DecodeReports(data)
		if err != nil {
			t.Fatal(err)
		}
		return back
	}
	rapid.Check(t, func(t *rapid.T) {
		hostile := rapid.Bool().Draw(t, "hostile")
		sent := drawReports(t, hostile)
		got := there(t, sent)
		if hostile {
			sent, got = got, there(t, got)
		}
		if diff := cmp.Diff(sent, got, compare); diff != "" {
			t.Fatalf("(-sent +received):\n%s", diff)
		}
	})
}

// TestDirectiveRoundTrip signs and opens random directives.
func TestDirectiveRoundTrip(t *testing.T) {
	k := key("core")
	rapid.Check(t, func(t *rapid.T) {
		want := Directive{Number: rapid.Uint64().Draw(t, "n"), Receiver: "router", Issued: 1, Expires: 200}
		for _, name := range []string{"Desired", "Shadows", "Indicators", "Configuration"} {
			draw(t, reflect.ValueOf(&want).Elem().FieldByName(name), false)
		}
		data, err := Sign(want, k)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Open(data, keysOf(k), "router", 150)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Fatalf("(-signed +opened):\n%s", diff)
		}
	})
}

// TestMended makes fit what cannot be said, instead of losing what stands beside it.
func TestMended(t *testing.T) {
	r := cordon.Report{Detection: &cordon.Detection{
		ID: "d", Sentence: strings.Repeat("ä", maxText), PeerName: "a\xffb",
		Evidence: []cordon.Evidence{{Value: math.Inf(1), Threshold: math.NaN()}, {Value: math.Inf(-1)}},
		Target:   cordon.Target{Peer: netip.MustParseAddr("::ffff:192.0.2.1"), Net: netip.MustParsePrefix("192.0.2.7/24")},
		Device:   &cordon.Device{Addrs: []netip.Addr{netip.MustParseAddr("fe80::1%lan")}},
	}}
	data, err := EncodeReport(&r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeReport(data)
	if err != nil {
		t.Fatal(err)
	}
	want := r
	d := *r.Detection
	want.Detection = &d
	d.Sentence, d.PeerName = strings.Repeat("ä", maxText/2), "a\uFFFDb"
	d.Evidence = []cordon.Evidence{{Value: math.MaxFloat64}, {Value: -math.MaxFloat64}}
	d.Target = cordon.Target{Peer: netip.MustParseAddr("192.0.2.1"), Net: netip.MustParsePrefix("192.0.2.0/24")}
	d.Device = &cordon.Device{Addrs: []netip.Addr{netip.MustParseAddr("fe80::1")}}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := Sign(Directive{Receiver: "r", Expires: 1, Desired: &cordon.Desired{Site: "\xff"}}, key("core")); err == nil {
		t.Error("a directive was changed and signed")
	}
}

// TestEncodeReads: encoding only looks at what others look at, too (go test -race).
func TestEncodeReads(t *testing.T) {
	list, d := reports(), directive()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := EncodeReports(1, list); err != nil {
				t.Error(err)
			}
			if _, err := Sign(d, key("core")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// TestDirective opens what was signed, and nothing else.
func TestDirective(t *testing.T) {
	k, other := key("core"), key("somebody")
	data, err := Sign(directive(), k)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(data, keysOf(k), "router", 150)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(directive(), got, compare); diff != "" {
		t.Errorf("(-signed +opened):\n%s", diff)
	}
	forged := slices.Clone(data)
	forged[len(forged)-1] ^= 1
	q, err := SignQuestion(Question{ID: "q", Receiver: "router", What: "status", Expires: 200}, k)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		data   []byte
		keys   Keys
		router string
		now    cordon.Time
		want   error
	}{
		{"one bit", forged, keysOf(k), "router", 150, ErrForged},
		{"another key", data, keysOf(other), "router", 150, ErrForged},
		{"another key of that name", data, Keys{KeyID(k.Public().(ed25519.PublicKey)): other.Public().(ed25519.PublicKey)}, "router", 150, ErrForged},
		{"half a key", data, Keys{KeyID(k.Public().(ed25519.PublicKey)): ed25519.PublicKey{1}}, "router", 150, ErrForged},
		{"no key", data, nil, "router", 150, ErrForged},
		{"another router", data, keysOf(k), "neighbour", 150, ErrNotForUs},
		{"too late", data, keysOf(k), "router", 200, ErrExpired},
		{"a question", q, keysOf(k), "router", 150, ErrForged},
		{"nothing", nil, keysOf(k), "router", 150, ErrForged},
		{"garbage", []byte("garbage"), keysOf(k), "router", 150, ErrMalformed},
		{"too long", make([]byte, MaxDirective+1), keysOf(k), "router", 150, ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Open(c.data, c.keys, c.router, c.now); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
	asked, err := OpenQuestion(q, keysOf(k), "router", 150)
	if err != nil || asked.What != "status" {
		t.Errorf("question %+v, %v", asked, err)
	}
	if _, err := OpenQuestion(data, keysOf(k), "router", 150); !errors.Is(err, ErrForged) {
		t.Errorf("a directive was taken for a question: %v", err)
	}
	for _, d := range []Directive{{Receiver: "r"}, {Expires: 1}} {
		if _, err := Sign(d, k); err == nil {
			t.Errorf("signed %+v", d)
		}
	}
}

// newer returns a signed message of a core that knows more: f adds to m what is new.
func newer(t testing.TB, purpose string, m proto.Message) []byte {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return sealed(t, purpose, body)
}

func sealed(t testing.TB, purpose string, body []byte) []byte {
	k := key("core")
	data, err := proto.Marshal(&pb.Signed{Key: k.Public().(ed25519.PublicKey)[:8], Body: body, Signature: ed25519.Sign(k, statement(purpose, body))})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// with adds a field to a message that its schema lacks.
func with[M proto.Message](m M, field protowire.Number) M {
	m.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), 1))
	return m
}

// TestNewerCore refuses what this version does not know, says what, and does the rest.
func TestNewerCore(t *testing.T) {
	order := func(id string) *pb.Order { return &pb.Order{Id: id, Verb: "block"} }
	of := func(d *pb.Desired) *pb.Directive { return &pb.Directive{Desired: d} }
	for _, c := range []struct {
		name   string
		d      *pb.Directive
		want   []string
		orders int
	}{
		{"version", &pb.Directive{Least: Version + 1, Desired: &pb.Desired{Orders: []*pb.Order{order("a")}}}, []string{"messages of version 2"}, 0},
		{"body", with(of(&pb.Desired{Orders: []*pb.Order{order("a")}}), 77), []string{"directive: field 77"}, 1},
		{"body that may be overlooked", with(of(&pb.Desired{Orders: []*pb.Order{order("a")}}), overlooked), nil, 1},
		{"part of the desired state", of(with(&pb.Desired{Orders: []*pb.Order{order("a")}}, 77)), []string{"desired state: field 77"}, 1},
		{"order", of(&pb.Desired{Orders: []*pb.Order{order("a"), with(order("b"), 77), order("c")}}), []string{"b"}, 2},
		{"order that may be overlooked", of(&pb.Desired{Orders: []*pb.Order{with(order("a"), overlooked+1)}}), nil, 1},
		{"target", of(&pb.Desired{Orders: []*pb.Order{{Id: "a", Target: with(&pb.Target{Name: "n"}, 77)}}}), []string{"a"}, 0},
		{"permission", of(&pb.Desired{Allowed: []*pb.Permission{with(&pb.Permission{Id: "p"}, 77)}}), []string{"p"}, 0},
		{"release", of(&pb.Desired{Released: []*pb.Release{with(&pb.Release{Action: "x"}, 77)}}), []string{"release of x"}, 0},
		{"device", of(&pb.Desired{Devices: []*pb.DesiredDevice{with(&pb.DesiredDevice{Device: "d"}, 77)}}), []string{"device d"}, 0},
		{"shadow", &pb.Directive{Shadows: &pb.Shadows{List: []*pb.Shadow{with(&pb.Shadow{Id: "s"}, 77)}}}, []string{"shadow s"}, 0},
		{"indicator", &pb.Directive{Indicators: &pb.Indicators{Added: []*pb.Indicator{with(&pb.Indicator{Value: "v"}, 77)}}}, []string{"indicator v"}, 0},
		{"setting", &pb.Directive{Configuration: &pb.Configuration{Settings: []*pb.Setting{with(&pb.Setting{Name: "n"}, 77)}}}, []string{"setting n"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.d.Number, c.d.Receiver, c.d.Expires = 5, "router", 200
			got, err := Open(newer(t, forDirective, c.d), keysOf(key("core")), "router", 150)
			if err != nil {
				t.Fatal(err)
			}
			orders := 0
			if got.Desired != nil {
				orders = len(got.Desired.Orders)
			}
			if diff := cmp.Diff(c.want, got.Unknown); diff != "" || orders != c.orders || got.Number != 5 {
				t.Errorf("number %d, %d orders, want %d; unknown (-want +got):\n%s", got.Number, orders, c.orders, diff)
			}
			if got.Desired != nil && slices.ContainsFunc(got.Desired.Orders, func(o cordon.Order) bool { return slices.Contains(c.want, o.ID) }) {
				t.Errorf("refused, but here: %+v", got.Desired.Orders)
			}
		})
	}
	many := &pb.Desired{}
	for range 2 * maxUnknown {
		many.Orders = append(many.Orders, with(order("a"), 77))
	}
	got, err := Open(newer(t, forDirective, &pb.Directive{Receiver: "router", Expires: 200, Desired: many}), keysOf(key("core")), "router", 150)
	if err != nil || len(got.Unknown) != maxUnknown || len(got.Desired.Orders) != 0 {
		t.Errorf("%d unknown, %v", len(got.Unknown), err)
	}
	q := newer(t, forQuestion, with(&pb.Question{Id: "q", Receiver: "router", Expires: 200}, 77))
	if _, err := OpenQuestion(q, keysOf(key("core")), "router", 150); !errors.Is(err, ErrNewer) {
		t.Errorf("error %v, want %v", err, ErrNewer)
	}
}

// TestNewerAgent takes what it knows of a report that a newer agent made.
func TestNewerAgent(t *testing.T) {
	data, err := proto.Marshal(&pb.Batch{Number: 3, Reports: []*pb.Report{
		with(&pb.Report{Router: "r", Seq: 1, Body: &pb.Report_Device{Device: with(&pb.Device{Id: "d", Class: 99}, 77)}}, 78),
		with(&pb.Report{Router: "r", Seq: 2}, 79),
	}})
	if err != nil {
		t.Fatal(err)
	}
	n, got, err := DecodeReports(data)
	want := []cordon.Report{{ID: cordon.ReportID{Router: "r", Seq: 1}, Device: &cordon.Device{ID: "d"}}, {ID: cordon.ReportID{Router: "r", Seq: 2}}}
	if diff := cmp.Diff(want, got, compare); diff != "" || n != 3 || err != nil {
		t.Errorf("%d, %v (-want +got):\n%s", n, err, diff)
	}
}

// TestBounds refuses what nothing honest sends.
func TestBounds(t *testing.T) {
	long := strings.Repeat("x", maxText+1)
	device := func(d *pb.Device) *pb.Report { return &pb.Report{Body: &pb.Report_Device{Device: d}} }
	incident := func(i *pb.Incident) *pb.Report { return &pb.Report{Body: &pb.Report_Incident{Incident: i}} }
	target := func(x *pb.Target) *pb.Report {
		return &pb.Report{Body: &pb.Report_Detection{Detection: &pb.Detection{Target: x}}}
	}
	health := func(h *pb.Health) *pb.Report { return &pb.Report{Body: &pb.Report_Health{Health: h}} }
	counters := make(map[string]uint64)
	for i := range maxList + 1 {
		counters[string(binaryText(i))] = 1
	}
	enforced := &pb.Enforced{}
	for range maxList + 1 {
		enforced.Refused = append(enforced.Refused, &pb.Refusal{})
	}
	empty := &pb.Incident{Timeline: make([]*pb.Moment, maxList)}
	for i := range empty.Timeline {
		empty.Timeline[i] = &pb.Moment{}
	}
	for name, r := range map[string]*pb.Report{
		"long text":         device(&pb.Device{Id: long}),
		"long text in list": device(&pb.Device{Reasons: []string{long}}),
		"MAC":               device(&pb.Device{Mac: []byte{1, 2, 3}}),
		"address":           device(&pb.Device{Addrs: []string{"300.1.2.3"}}),
		"zone":              device(&pb.Device{Addrs: []string{"fe80::1%eth0"}}),
		"level":             incident(&pb.Incident{Level: 4}),
		"large level":       incident(&pb.Incident{Level: 256}),
		"number":            incident(&pb.Incident{Odds: math.NaN()}),
		"infinite":          incident(&pb.Incident{Odds: math.Inf(1)}),
		"negative count":    incident(&pb.Incident{Omitted: -1}),
		"protocol":          target(&pb.Target{Proto: 256}),
		"port":              target(&pb.Target{Ports: []uint32{65536}}),
		"ports":             target(&pb.Target{Ports: make([]uint32, maxList+1)}),
		"local port":        target(&pb.Target{LocalPort: 65536}),
		"peer":              target(&pb.Target{Peer: "localhost"}),
		"prefix":            target(&pb.Target{Net: "192.0.2.1"}),
		"mapped prefix":     target(&pb.Target{Net: "::ffff:192.0.0.0/112"}), // a /16 that counts 112 bits
		"long list":         {Body: &pb.Report_Enforced{Enforced: enforced}},
		"counters":          health(&pb.Health{Counters: counters}),
		"counter":           health(&pb.Health{Counters: map[string]uint64{long: 1}}),
		"empty elements":    incident(empty),
	} {
		t.Run(name, func(t *testing.T) {
			data, err := proto.Marshal(&pb.Batch{Reports: []*pb.Report{r, r, r, r}})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := DecodeReports(data); !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v, want %v", err, ErrMalformed)
			}
		})
	}
	if _, err := EncodeReports(1, make([]cordon.Report, MaxReports+1)); err == nil {
		t.Error("too many reports were encoded")
	}
	if _, err := EncodeReport(&cordon.Report{Device: &cordon.Device{}, Health: &cordon.Health{}}); err == nil {
		t.Error("a report about two things was encoded")
	}
	if _, err := (Answer{JSON: make([]byte, MaxAnswer)}).Encode(); err == nil {
		t.Error("too long an answer was encoded")
	}
	for _, n := range []int{MaxBatch, MaxBatch + 1} { // bytes
		if _, _, err := DecodeReports(make([]byte, n)); !errors.Is(err, ErrMalformed) {
			t.Errorf("error %v, want %v", err, ErrMalformed)
		}
	}
}

// binaryText returns a short text of its own for every i.
func binaryText(i int) []byte {
	return []byte{'a' + byte(i%26), 'a' + byte(i/26%26), 'a' + byte(i/676)}
}

// TestMalformed refuses bytes that are no message of ours.
func TestMalformed(t *testing.T) {
	number := func(n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
	}
	disorder := make([]byte, 0, 4*maxUnsorted)
	for range maxUnsorted {
		disorder = append(append(disorder, number(3, 1)...), number(2, 1)...)
	}
	for name, b := range map[string][]byte{
		"cut off":           {0x08},
		"field 0":           {0x00, 0x01},
		"group":             {0x0b, 0x0c},
		"another type":      protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), 1),
		"twice":             slices.Concat(number(1, 1), number(1, 2)),
		"more than fits":    number(1, math.MaxUint32+1),
		"in great disorder": disorder,
		"text that is none": protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), "\xff"),
	} {
		t.Run(name, func(t *testing.T) {
			var n uint32
			var s string
			err := decode(b, len(b), func(c *codec) {
				natural(c, 1, &n)
				text(c, 2, &s)
			})
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v, want %v", err, ErrMalformed)
			}
		})
	}
}

// TestDisorder reads fields in any order, as every reader of the encoding has to.
func TestDisorder(t *testing.T) {
	want, _ := Hello{Version: 1, Agent: "1.0", Boot: 2}.Encode()
	h, err := DecodeHello(want)
	if err != nil {
		t.Fatal(err)
	}
	var fields [][]byte
	for rest := want; len(rest) > 0; {
		_, _, n := protowire.ConsumeField(rest)
		fields, rest = append(fields, rest[:n]), rest[n:]
	}
	slices.Reverse(fields)
	if got, err := DecodeHello(slices.Concat(fields...)); err != nil || got != h {
		t.Errorf("%+v, %v, want %+v", got, err, h)
	}
}

// TestProves takes the claim that was imported, and no other.
func TestProves(t *testing.T) {
	maker := key("maker")
	e := Enrolment{Serial: "S", Key: "U", Nonce: "N", Secret: "secret"}
	hash := cordon.Claim{SecretHash: sha256.Sum256([]byte("secret"))}
	public := cordon.Claim{Key: [32]byte(maker.Public().(ed25519.PublicKey))}
	signed := e
	signed.Secret, signed.Claim = "", ed25519.Sign(maker, EnrolmentText("S", "U", "N"))
	replayed := signed
	replayed.Nonce = "M"
	wrong := e
	wrong.Secret = "secre"
	empty := Enrolment{}
	for _, c := range []struct {
		name  string
		e     Enrolment
		claim cordon.Claim
		want  bool
	}{
		{"secret", e, hash, true}, {"wrong secret", wrong, hash, false}, {"signature", signed, public, true},
		{"signature of another enrolment", replayed, public, false}, {"secret for a key", e, public, false},
		{"nothing was imported", e, cordon.Claim{}, false}, {"nothing is shown", empty, hash, false},
	} {
		if got := c.e.Proves(c.claim); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
