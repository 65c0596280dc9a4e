package world

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
)

// tape keeps the times of all frames.
type tape struct {
	at   []cordon.Time
	fail error
}

func (s *tape) Packet(at cordon.Time, _ []byte) error {
	s.at = append(s.at, at)
	return s.fail
}

func TestTurnsComeInTimeOrder(t *testing.T) {
	w := New(1, 0, 100*time.Second, &tape{})
	var got []string
	say := func(p *Proc, what string) { got = append(got, what+" at "+time.Duration(p.Now()).String()) }
	w.Go("slow", 0, func(p *Proc) {
		say(p, "slow")
		p.After(5*time.Second, func(p *Proc) { say(p, "child") })
		p.Sleep(10 * time.Second)
		say(p, "slow")
	})
	w.Go("fast", 3*time.Second, func(p *Proc) {
		for range 3 {
			say(p, "fast")
			p.Sleep(3 * time.Second)
		}
	})
	if err := w.Run(); err != nil {
		t.Fatal(err)
	}
	want := []string{"slow at 0s", "fast at 3s", "child at 5s", "fast at 6s", "fast at 9s", "slow at 10s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// An endless behaviour is a loop on Sleep; it ends with the play, or with the
// sink's first error.
func TestEndlessProcessesEnd(t *testing.T) {
	full := errors.New("full")
	for _, fail := range []error{nil, full} {
		sink := &tape{fail: fail}
		w := New(1, 0, 10*time.Second, sink)
		ended := 0
		for _, name := range []string{"one", "two"} {
			d := w.Add(name, "", Linux, false)
			w.Go(name, 0, func(p *Proc) {
				for p.Sleep(time.Second) {
					d.announce(p)
				}
				ended++
			})
		}
		if err := w.Run(); !errors.Is(err, fail) {
			t.Errorf("error %v, want %v", err, fail)
		}
		want := 18 // nine whole seconds each
		if fail != nil {
			want = 1
		}
		if ended != 2 || len(sink.at) != want {
			t.Errorf("%d of 2 processes ended, %d frames, want %d", ended, len(sink.at), want)
		}
		if !slices.IsSorted(sink.at) {
			t.Errorf("out of order: %v", sink.at)
		}
	}
}

// A device's chance does not depend on who else is there.
func TestDevicesAreIndependent(t *testing.T) {
	alone := New(5, 0, time.Second, &tape{})
	crowd := New(5, 0, time.Second, &tape{})
	crowd.Add("other", "", Apple, true)
	a, b := alone.Add("camera", "44:19:b6", Embedded, true), crowd.Add("camera", "44:19:b6", Embedded, true)
	if a.MAC != b.MAC || a.Addr6 != b.Addr6 {
		t.Errorf("%v %v alone, %v %v in company", a.MAC, a.Addr6, b.MAC, b.Addr6)
	}
	if a.MAC.String()[:8] != "44:19:b6" || a.MAC.Randomised() || !crowd.Home.Devices[0].MAC.Randomised() {
		t.Errorf("MACs %v and %v: want the maker's and a randomised one", a.MAC, crowd.Home.Devices[0].MAC)
	}
}

func TestDialRetries(t *testing.T) {
	sink := &tape{}
	w := New(1, 0, time.Minute, sink)
	d := w.Add("laptop", "", Linux, false)
	d.neighbours[w.Home.Router.Addr] = 1 << 62
	var outcome Mood
	w.Go("dial", 0, func(p *Proc) { outcome = d.Try(p, w.Far(w.Net.Stranger(p.Rand, Silent), false), 443, 3).Outcome })
	if err := w.Run(); err != nil {
		t.Fatal(err)
	}
	want := []cordon.Time{0, cordon.Time(second), cordon.Time(3 * second), cordon.Time(7 * second)}
	if diff := cmp.Diff(want, sink.at); diff != "" || outcome != Silent {
		t.Errorf("outcome %v, SYNs at %s", outcome, diff)
	}
}

// Nobody has the address: three questions, no packet to it.
func TestReachGivesUp(t *testing.T) {
	sink := &tape{}
	w := New(1, 0, time.Minute, sink)
	d := w.Add("laptop", "", Linux, false)
	w.Go("reach", 0, func(p *Proc) {
		if d.Reach(p, netip.MustParseAddr("192.168.1.99")) {
			t.Error("a neighbour that is not there was reached")
		}
	})
	if err := w.Run(); err != nil {
		t.Fatal(err)
	}
	if len(sink.at) != neighbourTries {
		t.Errorf("%d frames, want %d questions", len(sink.at), neighbourTries)
	}
}

func TestPublicAddr(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		a := PublicAddr(r)
		if a.IsPrivate() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.As4()[0] >= 224 {
			t.Fatalf("%v is not public", a)
		}
	}
}

func TestNamesHaveAddressesOfTheirOwn(t *testing.T) {
	n := newInternet(rand.New(rand.NewPCG(1, 2)))
	seen := map[netip.Addr]bool{}
	for i := range 600 {
		h := n.Named("host" + time.Duration(i).String() + ".example.com")
		if seen[h.Addr] {
			t.Fatalf("%v twice", h.Addr)
		}
		seen[h.Addr] = true
	}
	if a, b := n.Named("www.example.com"), n.Named6("www.example.com"); a != b || !b.Addr6.IsValid() {
		t.Error("a name is not one host")
	}
}

// A SYN-ACK offers only what both systems know (RFC 7323 §2.2, §3.2).
func TestAnswerOffersWhatBothKnow(t *testing.T) {
	for _, c := range []struct {
		client, peer *System
		want         string
	}{{Linux, Server, "MSTNW"}, {Windows, Server, "MNNSNW"}, {Tiny, Server, "M"}, {Linux, Tiny, "M"}, {Linux, Windows, "MNNSNW"}} {
		if got := c.client.answer(c.peer); got != c.want {
			t.Errorf("%s to %s: %s, want %s", c.client.Name, c.peer.Name, got, c.want)
		}
	}
}
