// Package wire is what agents and core say to each other.
//
// Values of the vocabulary come in and bytes go out, and back. What is decoded is
// hostile until then: it is bounded, its texts are UTF-8, its addresses parse. Fields
// are added and never reused, so that routers of any age can be spoken with.
package wire

import (
	"errors"
	"fmt"

	"cordon"
)

// Version is the version of the messages that this program speaks. It only grows.
//
//	1  2026-11-24  reports, directives, shadows, indicators, questions
const Version = 1

// Bounds of what is taken. Nothing honest comes near them.
const (
	MaxBatch     = 1 << 20 // bytes of a batch of reports
	MaxReports   = 1000    // in a batch
	MaxDirective = 4 << 20 // bytes of a directive
)

// ErrMalformed is wrapped by the errors about bytes that say nothing.
var ErrMalformed = errors.New("malformed message")

// EncodeReports writes a batch of reports under a number, by which it is acknowledged.
// Texts that are none or too long are made to fit; what is written can be read.
func EncodeReports(number uint64, reports []cordon.Report) ([]byte, error) {
	data, err := encode(false, func(c *codec) { codeBatch(c, &number, &reports) })
	if err == nil && len(data) > MaxBatch {
		err = fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(data), MaxBatch)
	}
	if err != nil {
		return nil, fmt.Errorf("encode %d reports: %w", len(reports), err)
	}
	return data, nil
}

// DecodeReports reads what EncodeReports wrote.
func DecodeReports(data []byte) (number uint64, reports []cordon.Report, err error) {
	if err := decode(data, MaxBatch, func(c *codec) { codeBatch(c, &number, &reports) }); err != nil {
		return 0, nil, fmt.Errorf("decode reports: %w", err)
	}
	return number, reports, nil
}

func codeBatch(c *codec, number *uint64, reports *[]cordon.Report) {
	natural(c, 1, number)
	items(c, 2, reports, MaxReports, codeReport, nil)
}

// EncodeReport writes one report, as it is kept on a router until it is sent.
func EncodeReport(report *cordon.Report) ([]byte, error) {
	data, err := encode(false, func(c *codec) { codeReport(c, report) })
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return data, nil
}

// DecodeReport reads what EncodeReport wrote.
func DecodeReport(data []byte) (cordon.Report, error) {
	var r cordon.Report
	if err := decode(data, MaxBatch, func(c *codec) { codeReport(c, &r) }); err != nil {
		return cordon.Report{}, fmt.Errorf("decode report: %w", err)
	}
	return r, nil
}

// EncodeAck writes that the batch of that number is safe.
func EncodeAck(number uint64) []byte {
	data, _ := encode(true, func(c *codec) { natural(c, 1, &number) }) // a number always can be written
	return data
}

// DecodeAck reads what EncodeAck wrote.
func DecodeAck(data []byte) (number uint64, err error) {
	if err := decode(data, 64, func(c *codec) { natural(c, 1, &number) }); err != nil {
		return 0, fmt.Errorf("decode acknowledgement: %w", err)
	}
	return number, nil
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
	return encode(false, func(c *codec) { codeHello(c, &h) })
}

// DecodeHello reads what Hello.Encode wrote.
func DecodeHello(data []byte) (h Hello, err error) {
	if err := decode(data, 1024, func(c *codec) { codeHello(c, &h) }); err != nil {
		return Hello{}, fmt.Errorf("decode hello: %w", err)
	}
	return h, nil
}

func codeHello(c *codec, h *Hello) {
	natural(c, 1, &h.Version)
	text(c, 2, &h.Agent)
	natural(c, 3, &h.Boot)
	natural(c, 4, &h.Desired)
	natural(c, 5, &h.Shared)
	natural(c, 6, &h.Queued)
	if len(h.Agent) > 128 {
		c.fail("version of %d bytes", len(h.Agent))
	}
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
	data, err := encode(false, func(c *codec) { codeAnswer(c, &a) })
	if err == nil && len(data) > MaxAnswer {
		err = fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(data), MaxAnswer)
	}
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return data, nil
}

// DecodeAnswer reads what Answer.Encode wrote. JSON is a part of data.
func DecodeAnswer(data []byte) (a Answer, err error) {
	if err := decode(data, MaxAnswer, func(c *codec) { codeAnswer(c, &a) }); err != nil {
		return Answer{}, fmt.Errorf("decode answer: %w", err)
	}
	return a, nil
}

func codeAnswer(c *codec, a *Answer) {
	text(c, 1, &a.ID)
	c.bytes(2, &a.JSON)
	text(c, 3, &a.Error)
}
