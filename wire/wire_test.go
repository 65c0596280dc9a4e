package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/wire/internal/pb"

	"google.golang.org/protobuf/proto"
)

var update = flag.Bool("update", false, "write the golden encodings that are missing")

// fill sets every field below v to something of its own, so that one that the wire
// forgets is seen.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)})))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, 0}), 24)))
		return
	case cordon.Level:
		v.Set(reflect.ValueOf(cordon.Notify))
		return
	case cordon.Class:
		v.Set(reflect.ValueOf(cordon.IoT))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n % 100))
	case reflect.Float64:
		v.SetFloat(float64(*n) / 2)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key := reflect.New(v.Type().Key()).Elem()
		value := reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	}
}

// reports returns one report of every sort with every field set.
func reports() (list []cordon.Report) {
	n := 0
	bodies := []string{"Device", "Detection", "Incident", "Action", "Enforced", "Health", "Summary"}
	for i, name := range bodies {
		r := cordon.Report{ID: cordon.ReportID{Router: "router", Boot: 7, Seq: uint64(i + 1)}, At: 1_800_000_000e9, Doubt: time.Second}
		fill(reflect.ValueOf(&r).Elem().FieldByName(name), &n)
		for _, d := range []*cordon.Device{r.Device} {
			clean(d)
		}
		if r.Detection != nil {
			r.Shadowed = true
			clean(r.Detection.Device)
		}
		if r.Incident != nil {
			r.Over = true
			clean(r.Incident.Device)
		}
		list = append(list, r)
	}
	return list
}

// clean takes out what is a router's own and stays there.
func clean(d *cordon.Device) {
	if d != nil {
		d.Slot, d.Generation = 0, 0
	}
}

var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

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

func key(seed string) ed25519.PrivateKey {
	s := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(s[:])
}

func keysOf(k ed25519.PrivateKey) Keys {
	public := k.Public().(ed25519.PublicKey)
	return Keys{KeyID(public): public}
}

func directive() Directive {
	n := 0
	d := Directive{Number: 9, Receiver: "router", Issued: 100, Expires: 200, Desired: &cordon.Desired{}, Shadows: &Shadows{}, Indicators: &Indicators{}}
	fill(reflect.ValueOf(d.Desired).Elem(), &n)
	fill(reflect.ValueOf(d.Shadows).Elem(), &n)
	fill(reflect.ValueOf(d.Indicators).Elem(), &n)
	return d
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
	forged := append([]byte(nil), data...)
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
		{"no key", data, nil, "router", 150, ErrForged},
		{"another router", data, keysOf(k), "neighbour", 150, ErrNotForUs},
		{"too late", data, keysOf(k), "router", 200, ErrExpired},
		{"a question", q, keysOf(k), "router", 150, ErrForged},
		{"nothing", nil, keysOf(k), "router", 150, ErrForged},
		{"garbage", []byte("garbage"), keysOf(k), "router", 150, ErrMalformed},
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
}

// TestNewerCore refuses what this version does not know, and says what.
func TestNewerCore(t *testing.T) {
	d := directive()
	d.Least = Version + 1
	data, err := Sign(d, key("core"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(data, keysOf(key("core")), "router", 150)
	if err != nil || len(got.Unknown) != 1 || got.Desired != nil {
		t.Errorf("%+v, %v: want nothing but the refusal", got, err)
	}
	body, err := proto.Marshal(&pb.Directive{Number: 1, Receiver: "router", Expires: 200})
	if err != nil {
		t.Fatal(err)
	}
	body = append(body, 0xa2, 0x06, 2, 1, 2) // field 100
	k := key("core")
	data, err = proto.Marshal(&pb.Signed{Key: k.Public().(ed25519.PublicKey)[:8], Body: body,
		Signature: ed25519.Sign(k, append([]byte(forDirective), body...))})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Open(data, keysOf(k), "router", 150); err != nil || len(got.Unknown) != 1 {
		t.Errorf("%+v, %v: want what is new to be named", got, err)
	}
}

// TestBounds refuses what nothing honest sends.
func TestBounds(t *testing.T) {
	long := strings.Repeat("x", maxText+1)
	for name, r := range map[string]cordon.Report{
		"long text": {Device: &cordon.Device{ID: long}},
		"level":     {Incident: &cordon.Incident{Level: 200}},
		"number":    {Incident: &cordon.Incident{Odds: math.NaN()}},
		"long list": {Enforced: &cordon.Enforced{InForce: make([]cordon.Action, maxList+1)}},
		"counters":  {Health: &cordon.Health{Counters: map[string]uint64{long: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := EncodeReports(1, []cordon.Report{r})
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
	if _, _, err := DecodeReports(make([]byte, MaxBatch+1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("error %v, want %v", err, ErrMalformed)
	}
}

// TestGolden decodes what every version wrote. A file is never written again: routers
// of that version are out there.
func TestGolden(t *testing.T) {
	dir := filepath.Join("testdata", fmt.Sprintf("v%d", Version))
	batch, err := EncodeReports(42, reports())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := Sign(directive(), key("core"))
	if err != nil {
		t.Fatal(err)
	}
	hello, err := Hello{Version: 1, Agent: "1.0", Boot: 2, Desired: 3, Shared: 4, Queued: 5}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"reports": batch, "directive": signed, "hello": hello, "ack": EncodeAck(42)} {
		path := filepath.Join(dir, name+".bin")
		if _, err := os.Stat(path); *update && errors.Is(err, os.ErrNotExist) {
			if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(path, data, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	versions, err := filepath.Glob(filepath.Join("testdata", "v*"))
	if err != nil || len(versions) != Version {
		t.Fatalf("%d versions have golden files, want %d (go test ./wire -update)", len(versions), Version)
	}
	for _, v := range versions {
		file := func(name string) []byte {
			b, err := os.ReadFile(filepath.Join(v, name+".bin"))
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		number, list, err := DecodeReports(file("reports"))
		if err != nil || number != 42 || len(list) != 7 || list[1].Detection.Sentence == "" {
			t.Errorf("%s: reports: %d, %d, %v", v, number, len(list), err)
		}
		d, err := Open(file("directive"), keysOf(key("core")), "router", 150)
		if err != nil || d.Desired == nil || len(d.Desired.Orders) != 2 || len(d.Unknown) != 0 {
			t.Errorf("%s: directive: %+v, %v", v, d, err)
		}
		if h, err := DecodeHello(file("hello")); err != nil || h.Agent != "1.0" || h.Queued != 5 {
			t.Errorf("%s: hello: %+v, %v", v, h, err)
		}
		if n, err := DecodeAck(file("ack")); err != nil || n != 42 {
			t.Errorf("%s: ack: %d, %v", v, n, err)
		}
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

func FuzzDecodeReports(f *testing.F) {
	data, err := EncodeReports(1, reports())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		n, list, err := DecodeReports(data)
		if err != nil {
			return
		}
		again, err := EncodeReports(n, list)
		if err != nil {
			return // the same in other words may be longer
		}
		if _, back, err := DecodeReports(again); err != nil || len(back) != len(list) {
			t.Errorf("what was decoded cannot be sent: %v", err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	body, err := Sign(directive(), key("core"))
	if err != nil {
		f.Fatal(err)
	}
	var s pb.Signed
	if err := proto.Unmarshal(body, &s); err != nil {
		f.Fatal(err)
	}
	f.Add(s.Body)
	f.Fuzz(func(t *testing.T, body []byte) { // as if core's key had been stolen
		k := key("core")
		data, err := proto.Marshal(&pb.Signed{Key: k.Public().(ed25519.PublicKey)[:8], Body: body,
			Signature: ed25519.Sign(k, append([]byte(forDirective), body...))})
		if err != nil {
			t.Fatal(err)
		}
		if d, err := Open(data, keysOf(k), "router", 150); err == nil && d.Receiver != "router" && d.Receiver != All {
			t.Errorf("opened one for %q", d.Receiver)
		}
	})
}

func FuzzSmall(f *testing.F) {
	f.Add(EncodeAck(1))
	f.Fuzz(func(t *testing.T, data []byte) {
		DecodeAck(data)
		DecodeHello(data)
		DecodeAnswer(data)
		DecodeReport(data)
		OpenQuestion(data, keysOf(key("core")), "router", 1)
	})
}

func BenchmarkReports(b *testing.B) {
	list := reports()
	data, err := EncodeReports(1, list)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			EncodeReports(1, list)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			DecodeReports(data)
		}
	})
}
