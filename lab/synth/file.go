package synth

import (
	"bufio"
	"io"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"cordon"
)

// progressEvery is how many packets pass between two calls of Options.Progress.
const progressEvery = 1 << 15

// sink writes a capture file and counts.
type sink struct {
	out    *bufio.Writer
	packet func(gopacket.CaptureInfo, []byte) error
	flush  func() error
	o      Options
	report *Report
	failed bool // writing did, and was reported
}

func newSink(w io.Writer, o Options, report *Report) (*sink, error) {
	s := &sink{out: bufio.NewWriterSize(w, 1<<18), o: o, report: report, flush: func() error { return nil }}
	snap := uint32(65535)
	if o.Snap > 0 {
		snap = uint32(o.Snap)
	}
	if o.Format == "pcap" {
		file := pcapgo.NewWriter(s.out)
		s.packet = file.WritePacket
		return s, file.WriteFileHeader(snap, layers.LinkTypeEthernet)
	}
	options := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "cordon-lab synth"}}
	iface := pcapgo.NgInterface{Name: "br-lan", LinkType: layers.LinkTypeEthernet, SnapLength: snap, TimestampResolution: 9}
	file, err := pcapgo.NewNgWriterInterface(s.out, iface, options)
	if err != nil {
		return nil, err
	}
	s.packet, s.flush = file.WritePacket, file.Flush
	return s, nil
}

// Packet is world.Sink.
func (s *sink) Packet(at cordon.Time, frame []byte) error {
	r := s.report
	if r.Packets == 0 {
		r.First = at
	}
	kept := frame
	if s.o.Snap > 0 && len(kept) > s.o.Snap {
		kept = kept[:s.o.Snap]
	}
	info := gopacket.CaptureInfo{Timestamp: at.Std(), CaptureLength: len(kept), Length: len(frame)}
	if err := s.packet(info, kept); err != nil {
		s.failed = true
		return err
	}
	r.Packets++
	r.Bytes += uint64(len(frame))
	r.Last = at
	if s.o.Progress != nil && r.Packets%progressEvery == 0 {
		s.progress()
	}
	if r.Packets == s.o.Packets {
		return errEnough
	}
	return nil
}

func (s *sink) progress() {
	if s.o.Packets > 0 {
		s.o.Progress(int64(s.report.Packets), int64(s.o.Packets), "packets")
		return
	}
	done := s.report.Last.Std().Sub(s.o.Start)
	s.o.Progress(int64(done/time.Second), int64(s.o.Duration/time.Second), "seconds of capture")
}

// close writes what is left. An error that Packet returned is not returned again.
func (s *sink) close() error {
	if s.failed {
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	return s.out.Flush()
}
