package kernel

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cordon"
	"cordon/agent/packet"
	"cordon/lab/netns"
)

// TestOffload: segments that offload joins are counted as what goes over the wire,
// handed over or not: as many, and as many bytes, as TCP itself says it sent.
func TestOffload(t *testing.T) {
	h := netns.NewHome(t, netns.HomeConfig{Devices: 1, NoNAT: true})
	s, err := New(Config{Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Router.Do(s.Close) })
	err = h.Router.Do(func() error {
		nic, err := net.InterfaceByName("lan1")
		if err != nil {
			return err
		}
		return s.SetPorts([]cordon.Port{{Name: "lan1", Index: nic.Index, Bridge: "br-lan"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	const size = 4 << 20
	info, from := upload(t, h, size)
	var out cordon.Count
	joined := 0
	for f := (packet.Frame{Data: []byte{0}}); f.Data != nil; {
		if err := s.Next(&f); err != nil {
			t.Fatal(err)
		}
		var p packet.Packet
		if f.Data == nil || p.Parse(&f) != nil || !p.Has(packet.HasTCP) || netip.AddrPortFrom(p.Src, p.SrcPort) != from {
			continue
		}
		out.Packets++
		out.Bytes += uint64(p.IPLen)
		if p.IPLen > 1500 {
			joined++
		}
	}
	err = s.Flows(func(c *packet.FlowCount) {
		if netip.AddrPortFrom(c.Src, c.SrcPort) == from {
			out.Packets += c.Packets
			out.Bytes += c.Bytes
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if joined == 0 {
		t.Error("no joined segment was handed over: nothing is shown")
	}
	const header, options, syn = 40, 12, 20 // timestamps in all, four options in the SYN
	want := cordon.Count{Packets: uint64(info.Segs_out), Bytes: info.Bytes_sent + uint64(info.Segs_out)*(header+options) + syn - options}
	if out != want {
		t.Errorf("%+v, but TCP sent %+v", out, want)
	}
}

// upload sends from a device to the internet, and returns what TCP says of it once
// the other end has closed.
func upload(t *testing.T, h *netns.Home, size int64) (*unix.TCPInfo, netip.AddrPort) {
	t.Helper()
	l, err := h.Internet.Listen("tcp", net.JoinHostPort(netns.InternetIP.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan int64, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- 0
			return
		}
		n, _ := io.Copy(io.Discard, c)
		_ = c.Close()
		got <- n
	}()
	c, err := h.Devices[0].Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buffer := make([]byte, 1<<20)
	for left := size; left > 0; {
		n, err := c.Write(buffer[:min(left, int64(len(buffer)))])
		if err != nil {
			t.Fatal(err)
		}
		left -= int64(n)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n := <-got; n != size {
		t.Fatalf("%d bytes arrived, want %d", n, size)
	}
	_, _ = io.Copy(io.Discard, c) // until the other end's FIN, which is answered
	return infoOf(t, c), c.LocalAddr().(*net.TCPAddr).AddrPort()
}

// infoOf asks until TCP has nothing more to send.
func infoOf(t *testing.T, c net.Conn) (info *unix.TCPInfo) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "TCP to be done", func() bool {
		before := info
		if e := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); e != nil || err != nil {
			t.Fatal(e, err)
		}
		return info.Unacked == 0 && before != nil && before.Segs_out == info.Segs_out
	})
	return info
}
