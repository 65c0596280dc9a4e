package control_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"cordon"
	"cordon/agent/control"
)

// fake is an Agent that remembers what it was asked.
type fake struct {
	mu      sync.Mutex
	asked   []any
	devices []control.Device
	err     error // what every method returns
	hang    bool  // do not answer before ctx is done
}

func (f *fake) take(ctx context.Context, q any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, q)
	if f.hang {
		<-ctx.Done()
		return fmt.Errorf("wait for the pipeline: %w", ctx.Err())
	}
	return f.err
}

func (f *fake) Status(ctx context.Context) (control.Status, error) {
	return control.Status{Version: "test", Mode: "normal", Policy: cordon.PolicyProtect, Started: 5e9,
		InForce: map[cordon.Verb]int{cordon.VerbBlock: 2}}, f.take(ctx, "status")
}

func (f *fake) Devices(ctx context.Context) ([]control.Device, error) {
	return f.devices, f.take(ctx, "devices")
}

func (f *fake) Incidents(ctx context.Context, all bool) ([]control.Incident, error) {
	return nil, f.take(ctx, fmt.Sprint("incidents ", all))
}

func (f *fake) Why(ctx context.Context, device string) (control.Explanation, error) {
	if err := f.take(ctx, "why "+device); err != nil {
		return control.Explanation{}, err
	}
	d, err := control.Find(f.devices, device)
	return control.Explain(d, nil, nil), err
}

func (f *fake) Allow(ctx context.Context, r control.AllowRequest) (control.Outcome, error) {
	return control.Outcome{Notes: []string{"done"}}, f.take(ctx, r)
}

func (f *fake) Quarantine(ctx context.Context, r control.QuarantineRequest) (control.Outcome, error) {
	return control.Outcome{}, f.take(ctx, r)
}

func (f *fake) Release(ctx context.Context, r control.ReleaseRequest) (control.Outcome, error) {
	return control.Outcome{}, f.take(ctx, r)
}

func (f *fake) Ledger(ctx context.Context, n int) ([]control.Sent, error) {
	return []control.Sent{{Report: "1/2", Sort: "device", Text: "camera"}}, f.take(ctx, fmt.Sprint("ledger ", n))
}

func (f *fake) Doctor(ctx context.Context) ([]control.Finding, error) {
	return []control.Finding{{Name: "x", State: control.FindingOK, Text: "y"}}, f.take(ctx, "doctor")
}

var home = []control.Device{
	{ID: "02:00:00:00:00:01", MAC: "02:00:00:00:00:01", Name: "Kitchen camera", State: control.StateOK, Class: "iot",
		Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.10"), netip.MustParseAddr("fd00::10")}},
	{ID: "02:00:00:00:00:02", MAC: "02:00:00:00:00:02", Name: "Kitchen lamp", State: control.StateOK, Class: "iot",
		Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.11")}},
	{ID: "02:00:00:00:00:03", MAC: "02:00:00:00:00:03", Name: "kitchen", State: control.StateOK, Class: "unknown",
		Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.12")}},
	{ID: "192.168.1.13", State: control.StateOK, Class: "unknown", Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.13")}},
	{ID: "02:00:00:00:00:05", MAC: "02:00:00:00:00:05", Name: "doorbell", State: control.StateOK, Class: "unknown"},
	{ID: "02:00:00:00:00:06", MAC: "02:00:00:00:00:06", Name: "doorbell", State: control.StateOK, Class: "unknown"},
}
