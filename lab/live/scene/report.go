package scene

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"time"

	"cordon/lab/live"
)

// Left returns how long after the attack's first packet reached the router its
// last one left it; 0 if none did.
func (r *Report) Left() time.Duration {
	if len(r.LAN) == 0 || len(r.WAN) == 0 {
		return 0
	}
	return r.WAN[len(r.WAN)-1].At.Sub(r.LAN[0].At)
}

// early is how long before the first packet the first second begins, so that
// bursts a second apart fall into the middle of one, however late they are.
const early = 100 * time.Millisecond

// Seconds returns how many packets of the attack reached the router and left it
// in each second. The first begins a little before the first packet.
func (r *Report) Seconds() (reached, left []int) {
	count := func(arrivals []live.Arrival) (n []int) {
		for _, a := range arrivals {
			second := max(0, int((a.At.Sub(r.LAN[0].At)+early)/time.Second))
			if second >= len(n) {
				n = slices.Grow(n, second+1-len(n))[:second+1]
			}
			n[second]++
		}
		return n
	}
	if len(r.LAN) == 0 {
		return nil, nil
	}
	return count(r.LAN), count(r.WAN)
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	out := bufio.NewWriter(w)
	if r.Attack != "none" {
		fmt.Fprintf(out, "%s: %d packets sent, %d reached the router, %d left it, the last %.1f ms after the first came\n",
			r.Attack, r.Sent.Packets, len(r.LAN), len(r.WAN), float64(r.Left())/1e6)
		reached, left := r.Seconds()
		fmt.Fprintf(out, "  second by second: reached %v\n                    left    %v\n", reached, left)
	}
	if r.Attack == "bot" {
		fmt.Fprintf(out, "bot: fetched %d bytes, called home %d times, %d keep-alives arrived, %d of %d logins reached the victim\n",
			r.Bot.Fetched, r.Bot.Calls, r.Alive, r.Tried, len(live.Logins))
	}
	state := "whole"
	if !r.Got.Whole() {
		state = "NOT whole"
	}
	if r.Broken != nil {
		state = r.Broken.Error()
	}
	fmt.Fprintf(out, "neighbour's download: %d bytes, %s, longest pause %v\n", r.Got.Received, state, r.Got.Longest.Round(time.Millisecond))
	fmt.Fprintf(out, "neighbour's call: lost %d of %d up, %d of %d down, longest pause %v\n", r.Call.Up.Lost(), r.Call.Up.Sent,
		r.Call.Down.Lost(), r.Call.Down.Sent, max(r.Call.Up.Longest, r.Call.Down.Longest).Round(time.Millisecond))
	return out.Flush()
}
