package wire

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"cordon/wire/internal/pb"
)

var update = flag.Bool("update", false, "write the golden encodings that are missing")

// sample is a message with every field set.
type sample struct {
	name string
	data []byte
	as   proto.Message // its schema
	body proto.Message // of what is signed
	read func(data []byte) (any, error)
}

// messages returns one message of every sort.
func messages(t testing.TB) []sample {
	must := func(data []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	k := key("core")
	return []sample{
		{"reports", must(EncodeReports(42, reports())), &pb.Batch{}, nil, func(b []byte) (any, error) {
			number, list, err := DecodeReports(b)
			return map[string]any{"number": number, "reports": list}, err
		}},
		{"report", must(EncodeReport(&reports()[1])), &pb.Report{}, nil, func(b []byte) (any, error) { return DecodeReport(b) }},
		{"ack", EncodeAck(42), &pb.Ack{}, nil, func(b []byte) (any, error) { return DecodeAck(b) }},
		{"hello", must(Hello{Version: 1, Agent: "1.0", Boot: 2, Desired: 3, Shared: 4, Queued: 5}.Encode()), &pb.Hello{}, nil,
			func(b []byte) (any, error) { return DecodeHello(b) }},
		{"directive", must(Sign(directive(), k)), &pb.Signed{}, &pb.Directive{},
			func(b []byte) (any, error) { return Open(b, keysOf(k), "router", 150) }},
		{"question", must(SignQuestion(Question{ID: "q", Receiver: "router", What: "destinations", Device: "d", Issued: 100, Expires: 200}, k)),
			&pb.Signed{}, &pb.Question{}, func(b []byte) (any, error) { return OpenQuestion(b, keysOf(k), "router", 150) }},
		{"answer", must(Answer{ID: "q", JSON: []byte(`{"devices":1}`)}.Encode()), &pb.Answer{}, nil,
			func(b []byte) (any, error) { return DecodeAnswer(b) }},
		{"enrolment", must(json.Marshal(Enrolment{Serial: "S", Model: "M", Agent: "1.0", Key: "U", Nonce: "N", Secret: "s", Claim: []byte{1}, Proof: []byte{2}})),
			nil, nil, func(b []byte) (any, error) { return unmarshal[Enrolment](b) }},
		{"renewal", must(json.Marshal(Renewal{Router: "r", Key: "U", Nonce: "N", Proof: []byte{2}})), nil, nil,
			func(b []byte) (any, error) { return unmarshal[Renewal](b) }},
		{"credential", must(json.Marshal(Credential{Router: "r", JWT: "j", Servers: []string{"tls://core:4222"}, Keys: map[string][]byte{"k": {3}},
			Issued: 1, Renew: 2, Expires: 3})), nil, nil, func(b []byte) (any, error) { return unmarshal[Credential](b) }},
		{"clock", must(json.Marshal(Clock{Now: 1})), nil, nil, func(b []byte) (any, error) { return unmarshal[Clock](b) }},
		{"challenge", must(json.Marshal(Challenge{Serial: "S"})), nil, nil, func(b []byte) (any, error) { return unmarshal[Challenge](b) }},
		{"nonce", must(json.Marshal(Nonce{Nonce: "N", Now: 1})), nil, nil, func(b []byte) (any, error) { return unmarshal[Nonce](b) }},
		{"refusal", must(json.Marshal(Refusal{Code: RefusedNonce, Message: "m"})), nil, nil, func(b []byte) (any, error) { return unmarshal[Refusal](b) }},
	}
}

func unmarshal[T any](b []byte) (v T, err error) { return v, json.Unmarshal(b, &v) }

// TestGolden decodes what every version wrote, and reads what was meant: the values are
// beside the bytes. A file is never written again, for routers of that version are out
// there; fields that were added since are not looked at.
func TestGolden(t *testing.T) {
	samples := messages(t)
	for _, s := range samples {
		missing(t, filepath.Join("testdata", fmt.Sprintf("v%d", Version)), s)
	}
	versions, err := filepath.Glob(filepath.Join("testdata", "v*"))
	if err != nil || len(versions) != Version {
		t.Fatalf("%d versions have golden files, want %d (go test ./wire -update)", len(versions), Version)
	}
	for _, v := range versions {
		found := 0
		for _, s := range samples {
			data, err := os.ReadFile(filepath.Join(v, s.name+".bin"))
			if errors.Is(err, os.ErrNotExist) {
				continue // that version did not have it
			}
			found++
			got, err := s.read(data)
			if err != nil {
				t.Errorf("%s/%s: %v", v, s.name, err)
				continue
			}
			want, err := os.ReadFile(filepath.Join(v, s.name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if where := differ(generic(t, want), generic(t, b)); where != "" {
				t.Errorf("%s/%s: differs at %s", v, s.name, where)
			}
		}
		if files, _ := filepath.Glob(filepath.Join(v, "*.bin")); len(files) != found {
			t.Errorf("%s: %d files, but %d are read", v, len(files), found)
		}
	}
}

// missing writes the golden files of a message that are not there yet.
func missing(t *testing.T, dir string, s sample) {
	write := func(path string, data []byte) {
		switch _, err := os.Stat(path); {
		case !errors.Is(err, os.ErrNotExist):
		case !*update:
			t.Errorf("%s is missing (go test ./wire -update)", path)
		default:
			if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(path, data, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	path := filepath.Join(dir, s.name)
	write(path+".bin", s.data)
	data, err := os.ReadFile(path + ".bin")
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.read(data)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	write(path+".json", append(b, '\n'))
}

func generic(t *testing.T, b []byte) (v any) {
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// differ returns where got lacks something of want, empty if nowhere.
func differ(want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		for name := range w {
			if !ok {
				return "/"
			}
			if where := differ(w[name], g[name]); where != "" {
				return "/" + name + where
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return "/"
		}
		for i := range w {
			if where := differ(w[i], g[i]); where != "" {
				return fmt.Sprintf("/%d%s", i, where)
			}
		}
		return ""
	}
	if want != got {
		return fmt.Sprintf(" (want %v, got %v)", want, got)
	}
	return ""
}

// TestDiffer sees what is missing, and not what is more.
func TestDiffer(t *testing.T) {
	for _, c := range []struct {
		want, got string
		differ    bool
	}{
		{`{"a":1}`, `{"a":1,"b":2}`, false}, {`{"a":1}`, `{"a":2}`, true}, {`{"a":[1,2]}`, `{"a":[1]}`, true},
		{`{"a":{"b":"x"}}`, `{"a":{}}`, true}, {`{"a":{"b":"x"}}`, `{"a":3}`, true}, {`[1]`, `{}`, true},
	} {
		if got := differ(generic(t, []byte(c.want)), generic(t, []byte(c.got))); (got != "") != c.differ {
			t.Errorf("%s and %s: %q", c.want, c.got, got)
		}
	}
}
