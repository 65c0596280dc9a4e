package home

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"cordon"
	"cordon/agent/control"
)

// maxDestinations bounds an answer.
const maxDestinations = 256

// Destination is a place that a device talked to, as far as the agent remembers: it
// is shown to who asks and kept nowhere else.
type Destination struct {
	Name      string      `json:"name,omitempty"` // by which the device had asked for it; hostile text
	Address   netip.Addr  `json:"address"`
	Port      uint16      `json:"port,omitempty"`
	Protocol  uint8       `json:"protocol"`
	Direction string      `json:"direction"`
	Flows     int         `json:"flows"`
	Answered  bool        `json:"answered"`
	BytesOut  uint64      `json:"bytes_out"`
	BytesIn   uint64      `json:"bytes_in"`
	First     cordon.Time `json:"first"`
	Last      cordon.Time `json:"last"`
}

// Answer answers a live question of core's: "status", "devices", "incidents", "why"
// and "destinations" of a device. It is called by the uplink.
func (v *Provider) Answer(ctx context.Context, what, device string) ([]byte, error) {
	var answer any
	var err error
	if stopped := v.env.Do(ctx, func() {
		switch what {
		case "status":
			answer = v.env.Status()
		case "devices":
			answer = v.Devices()
		case "incidents":
			answer = v.Incidents(true)
		case "why":
			answer, err = v.Why(device)
		case "destinations":
			answer, err = v.destinations(device)
		default:
			err = fmt.Errorf("no question %q: this agent is too old to know it", what)
		}
	}); stopped != nil {
		return nil, stopped
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// destinations returns where a device's flows go, the newest first.
func (h *Household) destinations(device string) ([]Destination, error) {
	view, err := control.Find(h.Devices(), device)
	if err != nil {
		return nil, err
	}
	d := h.Find(view.ID)
	all := []Destination{}
	if d == nil {
		return all, nil
	}
	type key struct {
		peer      netip.Addr
		port      uint16
		proto     uint8
		direction cordon.Direction
	}
	at := make(map[key]int)
	h.Pipeline.Flows.Of(d, func(f *cordon.Flow) {
		k := key{f.Peer, f.Service(), f.Proto, f.Direction}
		i, known := at[k]
		if !known {
			i = len(all)
			at[k] = i
			all = append(all, Destination{Address: f.Peer, Port: f.Service(), Protocol: f.Proto, Direction: f.Direction.String(),
				Name: h.Pipeline.Names.Name(d, f.Peer, h.Pipeline.Now), First: f.Begin})
		}
		t := &all[i]
		t.Flows++
		t.Answered = t.Answered || f.Outcome == cordon.Answered
		t.BytesOut += f.Out.Bytes
		t.BytesIn += f.In.Bytes
		t.First, t.Last = min(t.First, f.Begin), max(t.Last, f.Last)
	})
	slices.SortFunc(all, func(a, b Destination) int { return cmp.Or(cmp.Compare(b.Last, a.Last), a.Address.Compare(b.Address)) })
	all = all[:min(len(all), maxDestinations)]
	for i := range all {
		all[i].First, all[i].Last = h.Pipeline.Wall(all[i].First), h.Pipeline.Wall(all[i].Last)
	}
	return all, nil
}
