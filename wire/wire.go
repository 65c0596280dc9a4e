// Package wire is what agents and core say to each other.
//
// Values of the vocabulary come in and bytes go out, and back. What is decoded is
// hostile until then: it is bounded, its texts are UTF-8, its addresses parse. Fields
// are added and never reused, so that routers of any age can be spoken with.
package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"cordon"
	"cordon/wire/internal/pb"
)

//go:generate ../scripts/protobuf

// Version is the version of the messages that this program speaks. It only grows.
//
//	1  2026-11-24  reports, directives, shadows, indicators, questions
const Version = 1

// Bounds of what is taken. Nothing honest comes near them.
const (
	MaxBatch     = 1 << 20 // bytes of a batch of reports
	MaxReports   = 1000    // in a batch
	MaxDirective = 4 << 20 // bytes of a directive
	maxList      = 4096    // elements of a list in a report or directive
	maxText      = 4096    // bytes of one text
)

// ErrMalformed is wrapped by the errors about bytes that say nothing.
var ErrMalformed = errors.New("malformed message")

// EncodeReports writes a batch of reports under a number, by which it is acknowledged.
func EncodeReports(number uint64, reports []cordon.Report) ([]byte, error) {
	b := &pb.Batch{Number: number, Reports: make([]*pb.Report, len(reports))}
	for i := range reports {
		b.Reports[i] = fromReport(&reports[i])
	}
	data, err := proto.Marshal(b)
	switch {
	case err != nil:
		return nil, fmt.Errorf("encode reports: %w", err)
	case len(data) > MaxBatch || len(reports) > MaxReports:
		return nil, fmt.Errorf("encode reports: %d of %d bytes: at most %d of %d fit", len(reports), len(data), MaxReports, MaxBatch)
	}
	return data, nil
}

// DecodeReports reads what EncodeReports wrote.
func DecodeReports(data []byte) (number uint64, reports []cordon.Report, err error) {
	var b pb.Batch
	if err := read(data, MaxBatch, &b); err != nil {
		return 0, nil, fmt.Errorf("decode reports: %w", err)
	}
	if len(b.Reports) > MaxReports {
		return 0, nil, fmt.Errorf("decode reports: %w: %d reports", ErrMalformed, len(b.Reports))
	}
	var r reader
	reports = make([]cordon.Report, len(b.Reports))
	for i, p := range b.Reports {
		reports[i] = r.report(p)
	}
	if r.err != nil {
		return 0, nil, fmt.Errorf("decode reports: %w", r.err)
	}
	return b.Number, reports, nil
}

// EncodeReport writes one report, as it is kept on a router until it is sent.
func EncodeReport(report *cordon.Report) ([]byte, error) { return proto.Marshal(fromReport(report)) }

// DecodeReport reads what EncodeReport wrote.
func DecodeReport(data []byte) (cordon.Report, error) {
	var p pb.Report
	if err := read(data, MaxBatch, &p); err != nil {
		return cordon.Report{}, fmt.Errorf("decode report: %w", err)
	}
	var r reader
	report := r.report(&p)
	return report, r.err
}

// EncodeAck writes that the batch of that number is safe.
func EncodeAck(number uint64) []byte {
	data, _ := proto.Marshal(&pb.Ack{Number: number}) // a number always can be written
	return data
}

// DecodeAck reads what EncodeAck wrote.
func DecodeAck(data []byte) (uint64, error) {
	var a pb.Ack
	err := read(data, 64, &a)
	return a.Number, err
}

// Hello is what an agent says when its line to core stands: what it has.
type Hello struct {
	Version uint32 // of the messages that it speaks
	Agent   string // version of the program
	Boot    uint32
	Desired uint64 // version of the desired state that it has
	Shared  uint64 // number of the newest directive to all that it has
	Queued  uint64 // reports that wait
}

// Encode writes h.
func (h Hello) Encode() ([]byte, error) {
	return proto.Marshal(&pb.Hello{Version: h.Version, Agent: h.Agent, Boot: h.Boot, Desired: h.Desired, Shared: h.Shared, Queued: h.Queued})
}

// DecodeHello reads what Hello.Encode wrote.
func DecodeHello(data []byte) (Hello, error) {
	var p pb.Hello
	if err := read(data, 1024, &p); err != nil {
		return Hello{}, fmt.Errorf("decode hello: %w", err)
	}
	if len(p.Agent) > 128 {
		return Hello{}, fmt.Errorf("decode hello: %w: version of %d bytes", ErrMalformed, len(p.Agent))
	}
	return Hello{Version: p.Version, Agent: p.Agent, Boot: p.Boot, Desired: p.Desired, Shared: p.Shared, Queued: p.Queued}, nil
}

// Answer is what a router says to a question.
type Answer struct {
	ID    string
	JSON  []byte
	Error string // in words; then JSON is empty
}

// MaxAnswer bounds an answer, in bytes.
const MaxAnswer = 512 << 10

// Encode writes a.
func (a Answer) Encode() ([]byte, error) {
	return proto.Marshal(&pb.Answer{Id: a.ID, Json: a.JSON, Error: a.Error})
}

// DecodeAnswer reads what Answer.Encode wrote.
func DecodeAnswer(data []byte) (Answer, error) {
	var p pb.Answer
	if err := read(data, MaxAnswer, &p); err != nil {
		return Answer{}, fmt.Errorf("decode answer: %w", err)
	}
	return Answer{ID: p.Id, JSON: p.Json, Error: p.Error}, nil
}

// read reads a message of at most so many bytes.
func read(data []byte, most int, m proto.Message) error {
	if len(data) > most {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(data), most)
	}
	if err := proto.Unmarshal(data, m); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}
