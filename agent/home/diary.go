package home

import (
	"context"
	"log/slog"

	"cordon"
)

// Bounds of what a live agent remembers to show: enough for the evidence of every
// open incident of a bad day.
const (
	maxDetections = 256
	maxOver       = 64
)

// Diary is the Sink of a live agent: it logs what is found and remembers the
// newest of it, to be asked for. It is owned by the pipeline's goroutine.
type Diary struct {
	log        *slog.Logger
	detections []*cordon.Detection // oldest first
	over       []*cordon.Incident  // oldest first
}

// Detection remembers a detection with its evidence.
func (d *Diary) Detection(det *cordon.Detection) {
	d.detections = keep(d.detections, det, maxDetections)
	level := slog.LevelInfo
	if det.Level == cordon.Watch {
		level = slog.LevelDebug
	}
	d.log.Log(context.Background(), level, "detected", "kind", det.Kind, "level", det.Level.String(), "id", det.ID)
}

// Shadowed logs a detection of which nothing follows.
func (d *Diary) Shadowed(det *cordon.Detection) {
	d.log.Info("detected under a shadow", "kind", det.Kind, "level", det.Level.String(), "id", det.ID)
}

// Action logs an action that is new. Which device it is, is said for debugging only.
func (d *Diary) Action(a *cordon.Action) {
	d.log.Info("action", "verb", a.Verb, "mode", a.Mode, "id", a.ID, "incident", a.Incident, "until", a.Expires)
	d.log.Debug("action on", "id", a.ID, "entity", a.Entity.String())
}

// Incident remembers an incident that is over.
func (d *Diary) Incident(i *cordon.Incident) {
	d.over = keep(d.over, i, maxOver)
	d.log.Info("incident over", "id", i.ID, "level", i.Level.String())
}

// Device says nothing of a device that left the table.
func (d *Diary) Device(*cordon.Device) {}

// of returns the detections that are remembered of a device since a moment.
func (d *Diary) of(device string, since cordon.Time) (list []*cordon.Detection) {
	for _, det := range d.detections {
		if det.Device.ID == device && det.At >= since {
			list = append(list, det)
		}
	}
	return list
}

// keep appends v and drops the oldest beyond a bound.
func keep[T any](list []T, v T, most int) []T {
	if len(list) == most {
		list = append(list[:0], list[1:]...)
	}
	return append(list, v)
}
