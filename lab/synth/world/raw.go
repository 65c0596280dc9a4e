package world

import (
	"encoding/binary"
	"net/netip"

	"cordon/lab/synth/frame"
)

// Raw is a first segment that no kernel made: a SYN, or a FIN or an ACK out of
// nowhere.
type Raw struct {
	Source, Port uint16
	Seq          uint32
	Window       uint16
	MSS          bool // with the one option; otherwise none
	FIN          bool // instead of SYN
	ACK          bool // instead of SYN
	Size         int  // bytes of payload, all zeros
}

// zeros is the payload of raw packets.
var zeros [1400]byte

// MiraiSYN is the SYN of Mirai's scanner: the destination is the sequence
// number, the window is random and there is no option (detection.md §A1).
func MiraiSYN(p *Proc, to End, source, port uint16) Raw {
	addr := to.Addr.As4()
	return Raw{Source: source, Port: port, Seq: binary.BigEndian.Uint32(addr[:]), Window: uint16(p.Uint32())}
}

// SendRaw sends a segment past d's kernel. If the other is in the mood it answers,
// and a SYN-ACK is reset by that kernel, which knows of nothing. An open port has
// no answer to a FIN, a closed one resets it (RFC 9293 §3.10.7). SendRaw waits for
// an unknown neighbour's MAC only.
func (d *Device) SendRaw(p *Proc, to End, r Raw) {
	if !d.Reach(p, to.Addr) {
		return
	}
	w, near := p.World, d.Near(false)
	if to.Device != nil {
		to.Mood = to.Device.mood(r.Port)
	}
	s := frame.Segment{SrcPort: r.Source, DstPort: r.Port, Seq: r.Seq, Flags: frame.SYN, Window: r.Window}
	switch {
	case r.FIN:
		s.Flags = frame.FIN
	case r.ACK:
		s.Flags, s.Ack = frame.ACK, r.Seq
	}
	if r.MSS {
		var buf [4]byte
		s.Options = options(buf[:0], "M", 1460, 0, 0, 0)
	}
	n := frame.Net{Src: near.Addr, Dst: to.Addr, TTL: near.TTL, ID: uint16(p.Uint32()), MayFrag: true}
	p.emit(w.frame.TCP(link(near, to), n, s, zeros[:r.Size]))
	if to.Mood == Answers && !r.FIN && !r.ACK || to.Mood == Refuses {
		p.After(to.Delay, func(p *Proc) { d.answerRaw(p, to, r) })
	}
}

// SendIP sends a datagram of any protocol past d's kernel; nothing answers.
func (d *Device) SendIP(p *Proc, to End, proto uint8, body []byte) {
	if d.Reach(p, to.Addr) {
		near := d.Near(to.Addr.Is6())
		p.emit(p.World.frame.IP(link(near, to), d.net(near, to), proto, body))
	}
}

// Forge sends a SYN from an address that is not d's; answers go elsewhere.
func (d *Device) Forge(p *Proc, source netip.Addr, to End, r Raw) {
	if !d.Reach(p, to.Addr) {
		return
	}
	near := d.Near(false)
	n := frame.Net{Src: source, Dst: to.Addr, TTL: near.TTL, ID: uint16(p.Uint32()), MayFrag: true}
	s := frame.Segment{SrcPort: r.Source, DstPort: r.Port, Seq: r.Seq, Flags: frame.SYN, Window: r.Window}
	p.emit(p.World.frame.TCP(link(near, to), n, s, nil))
}

// Backscatter is from's answer to a SYN that d never sent: somebody forges d's
// address. A SYN-ACK is reset by d's kernel, a RST ends there.
func (d *Device) Backscatter(p *Proc, from End, r Raw) {
	d.Reach(p, from.Addr)
	d.answerRaw(p, from, r)
}

func (d *Device) answerRaw(p *Proc, to End, r Raw) {
	w, near := p.World, d.Near(false)
	if _, out := w.cut(p.now); out && to.Device == nil {
		return
	}
	n := frame.Net{Src: to.Addr, Dst: near.Addr, TTL: to.TTL}
	back := frame.Segment{SrcPort: r.Port, DstPort: r.Source, Ack: r.Seq + 1, Flags: frame.RST | frame.ACK}
	if to.Mood == Refuses {
		p.emit(w.frame.TCP(link(to, near), n, back, nil))
		return
	}
	var buf [4]byte
	back.Seq, back.Flags, back.Window = p.Uint32(), frame.SYN|frame.ACK, 5840
	back.Options = options(buf[:0], "M", 1460, 0, 0, 0)
	p.emit(w.frame.TCP(link(to, near), n, back, nil))
	p.Sleep(d.Delay)
	reset := frame.Segment{SrcPort: r.Source, DstPort: r.Port, Seq: r.Seq + 1, Flags: frame.RST}
	p.emit(w.frame.TCP(link(near, to), frame.Net{Src: near.Addr, Dst: to.Addr, TTL: near.TTL}, reset, nil))
}
