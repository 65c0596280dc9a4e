package wire

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"cordon/wire/internal/pb"
)

// fataler is a *testing.T or a *rapid.T.
type fataler interface{ Fatalf(string, ...any) }

// hold holds an encoding to the schema: what is generated from wire.proto reads it and
// knows every field, and there is nothing in it that it would not write. It returns
// what it writes, which is the same in another order.
func hold(t fataler, data []byte, m proto.Message) []byte {
	if err := proto.Unmarshal(data, m); err != nil {
		t.Fatalf("%T: %v", m, err)
	}
	known(t, m.ProtoReflect())
	generated, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil || len(generated) != len(data) {
		t.Fatalf("%T: %v, (-here +generated):\n%s", m, err, cmp.Diff(data, generated))
	}
	return generated
}

// known fails if a message or one within it has fields that the schema lacks.
func known(t fataler, m protoreflect.Message) {
	if b := m.GetUnknown(); len(b) > 0 {
		t.Fatalf("%s has fields that the schema lacks: %x", m.Descriptor().Name(), b)
	}
	each(m, func(_ protoreflect.FieldDescriptor, within protoreflect.Message) { known(t, within) })
}

// each calls f for the messages within m.
func each(m protoreflect.Message, f func(protoreflect.FieldDescriptor, protoreflect.Message)) {
	m.Range(func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case d.Message() == nil || d.IsMap():
		case d.IsList():
			for i := range v.List().Len() {
				f(d, v.List().Get(i).Message())
			}
		default:
			f(d, v.Message())
		}
		return true
	})
}

// TestSchema writes messages with every field set, and finds every field of the schema
// in them.
func TestSchema(t *testing.T) {
	seen := make(map[protoreflect.FullName]bool)
	var mark func(m protoreflect.Message)
	mark = func(m protoreflect.Message) {
		m.Range(func(d protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			seen[d.FullName()] = true
			return true
		})
		each(m, func(_ protoreflect.FieldDescriptor, within protoreflect.Message) { mark(within) })
	}
	for _, c := range messages(t) {
		if c.as == nil {
			continue // JSON
		}
		t.Run(c.name, func(t *testing.T) {
			hold(t, c.data, c.as)
			mark(c.as.ProtoReflect())
			if body, ok := c.as.(*pb.Signed); ok {
				hold(t, body.Body, c.body)
				mark(c.body.ProtoReflect())
			}
		})
	}
	all := pb.File_wire_proto.Messages()
	for i := range all.Len() {
		fields := all.Get(i).Fields()
		for j := range fields.Len() {
			if f := fields.Get(j); !seen[f.FullName()] && f.FullName() != "cordon.wire.Answer.error" {
				t.Errorf("%s is not written", f.FullName())
			}
		}
	}
}

// TestSchemaReports holds random reports to the schema, also those that had to be made
// to fit.
func TestSchemaReports(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data, err := EncodeReports(1, drawReports(t, rapid.Bool().Draw(t, "hostile")))
		if err != nil {
			t.Fatal(err)
		}
		_, want, err := DecodeReports(data)
		if err != nil {
			t.Fatal(err)
		}
		_, got, err := DecodeReports(hold(t, data, &pb.Batch{}))
		if diff := cmp.Diff(want, got, compare); diff != "" || err != nil {
			t.Fatalf("%v (-here +generated):\n%s", err, diff)
		}
	})
}

// TestSchemaDirective holds random directives to the schema.
func TestSchemaDirective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Directive{Number: 1, Receiver: "router", Expires: 200}
		for _, name := range []string{"Desired", "Shadows", "Indicators", "Configuration"} {
			draw(t, reflect.ValueOf(&d).Elem().FieldByName(name), false)
		}
		data, err := encode(true, func(c *codec) { codeDirective(c, &d) })
		if err != nil {
			t.Fatal(err)
		}
		hold(t, data, &pb.Directive{})
	})
}
