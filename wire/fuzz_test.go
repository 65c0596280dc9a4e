package wire

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"cordon/wire/internal/pb"
)

// seeds adds the golden encoding of that name, and those of all reports one by one.
func seeds(f *testing.F, name string) {
	for _, s := range messages(f) {
		if s.name == name {
			f.Add(s.data)
		}
	}
}

// FuzzDecodeReports decodes anything. What was decoded is encoded and decoded again,
// and the schema agrees with it.
func FuzzDecodeReports(f *testing.F) {
	seeds(f, "reports")
	for _, r := range reports() {
		data, err := EncodeReports(1, append(reports()[:0:0], r))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, list, err := DecodeReports(data)
		if err != nil {
			return
		}
		again, err := EncodeReports(n, list)
		if err != nil {
			return // without what is unknown, it may be too little for its empty elements
		}
		m, back, err := DecodeReports(again)
		if err != nil || m != n || len(back) != len(list) {
			t.Fatalf("what was decoded cannot be sent: %v", err)
		}
		hold(t, again, &pb.Batch{})
	})
}

func FuzzDecodeReport(f *testing.F) {
	for _, r := range reports() {
		data, err := EncodeReport(&r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := DecodeReport(data); err == nil {
			if again, err := EncodeReport(&r); err == nil {
				hold(t, again, &pb.Report{})
			}
		}
	})
}

// FuzzOpenBody opens bodies as if core's key had been stolen.
func FuzzOpenBody(f *testing.F) {
	d := directive()
	body, err := encode(true, func(c *codec) { codeDirective(c, &d) })
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := Open(sealed(t, forDirective, body), keysOf(key("core")), "router", 150)
		switch {
		case err != nil:
		case d.Receiver != "router" && d.Receiver != All || d.Expires <= 150:
			t.Errorf("opened %+v", d)
		case d.Least <= Version:
			if _, err := Sign(d, key("core")); err != nil && len(body) < roomOnTop/100 {
				t.Errorf("what was opened cannot be signed: %v", err)
			}
		}
	})
}

// FuzzOpen opens anything, which core has not signed.
func FuzzOpen(f *testing.F) {
	seeds(f, "directive")
	seeds(f, "question")
	f.Fuzz(func(t *testing.T, data []byte) {
		if d, err := Open(data, keysOf(key("somebody")), "router", 150); err == nil {
			t.Errorf("opened %+v", d)
		}
		if q, err := OpenQuestion(data, keysOf(key("somebody")), "router", 150); err == nil {
			t.Errorf("opened %+v", q)
		}
	})
}

func FuzzOpenQuestionBody(f *testing.F) {
	q := Question{ID: "q", Receiver: "router", What: "why", Device: "d", Issued: 1, Expires: 200}
	body, err := encode(true, func(c *codec) { codeQuestion(c, &q) })
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := OpenQuestion(sealed(t, forQuestion, body), keysOf(key("core")), "router", 150)
		if err == nil && (q.Receiver != "router" && q.Receiver != All || q.Expires <= 150) {
			t.Errorf("opened %+v", q)
		}
	})
}

func FuzzDecodeAck(f *testing.F) {
	seeds(f, "ack")
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := DecodeAck(data); err == nil {
			hold(t, EncodeAck(n), &pb.Ack{})
		}
	})
}

func FuzzDecodeHello(f *testing.F) {
	seeds(f, "hello")
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, err := DecodeHello(data); err == nil {
			again(t, &pb.Hello{}, h.Encode)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	seeds(f, "answer")
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := DecodeAnswer(data); err == nil {
			again(t, &pb.Answer{}, a.Encode)
		}
	})
}

func again(t *testing.T, m proto.Message, encode func() ([]byte, error)) {
	data, err := encode()
	if err != nil {
		t.Fatalf("what was decoded cannot be encoded: %v", err)
	}
	hold(t, data, m)
}
