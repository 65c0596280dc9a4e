package desk

import (
	"context"
	"errors"

	"cordon"
)

// Store keeps the records. It is safe for concurrent use. Its errors wrap
// cordon.ErrNotFound, ErrConflict, ErrInvalid, ErrUnavailable and ErrUnknown; a list
// holds nothing beyond the scope.
type Store interface {
	Accounts
	Routers
	Devices
	Orders
	Records
}

// Accounts keeps customers and what belongs to them. A Put creates at Version 0, else
// the Version must be the stored one; it sets the new one.
type Accounts interface {
	Accounts(ctx context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.Account], error)
	Account(ctx context.Context, id string) (cordon.Account, error)
	PutAccount(ctx context.Context, a *cordon.Account) error
	EraseAccount(ctx context.Context, id string) error
	Sites(ctx context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.Site], error)
	Site(ctx context.Context, id string) (cordon.Site, error)
	PutSite(ctx context.Context, s *cordon.Site) error
	Users(ctx context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.User], error)
	User(ctx context.Context, id string) (cordon.User, error)
	Webhooks(ctx context.Context, account string) ([]cordon.Webhook, error)
	Webhook(ctx context.Context, id string) (cordon.Webhook, error)
	PutWebhook(ctx context.Context, w *cordon.Webhook) error
	DeleteWebhook(ctx context.Context, id string) error
}

// Routers keeps routers.
type Routers interface {
	Routers(ctx context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.Router], error)
	Router(ctx context.Context, id string) (cordon.Router, error)
	RouterOfSite(ctx context.Context, site string) (cordon.Router, error)
	// ImportRouters takes all of a list, or nothing if there are problems or dry is set.
	ImportRouters(ctx context.Context, list []cordon.RouterImport, dry bool) (cordon.ImportResult, error)
	Revoke(ctx context.Context, id, reason string) error
	Reset(ctx context.Context, id string) error
}

// Devices keeps what routers report.
type Devices interface {
	Devices(ctx context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.DeviceRecord], error)
	Device(ctx context.Context, site, id string) (cordon.DeviceRecord, error)
	PutDevice(ctx context.Context, d *cordon.DeviceRecord) error // Said and Room
	Incidents(ctx context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.IncidentRecord], error)
	Incident(ctx context.Context, site, id string) (cordon.IncidentRecord, error)
	CloseIncident(ctx context.Context, site, id string, c cordon.Closing, by, note string, version int64) error
	Detections(ctx context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.DetectionRecord], error)
	Detection(ctx context.Context, site, id string) (cordon.DetectionRecord, error)
	Actions(ctx context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.ActionRecord], error)
}

// Orders keeps what routers should do.
type Orders interface {
	Desired(ctx context.Context, site string) (cordon.Desired, error)
	// ChangeDesired stores the change, one version up, with its line of the record.
	ChangeDesired(ctx context.Context, site string, a cordon.Audit, change func(*cordon.Desired) error) (cordon.Desired, error)
	// Enforced returns what the router of a site last said.
	Enforced(ctx context.Context, site string) (cordon.Enforced, cordon.Time, error)
	Shadows(ctx context.Context) ([]cordon.Shadow, uint64, error)
	ChangeShadows(ctx context.Context, a cordon.Audit, change func([]cordon.Shadow) ([]cordon.Shadow, error)) (uint64, error)
}

// Records keeps who did what, and answers that may be asked for again.
type Records interface {
	Audit(ctx context.Context, a cordon.Audit) error
	Audits(ctx context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.Audit], error)
	// Remember keeps an answer for a day. The first one of a user and key stays.
	Remember(ctx context.Context, user, key string, request [32]byte, answer []byte) error
	Recall(ctx context.Context, user, key string) (request [32]byte, answer []byte, err error)
}

// Line reaches routers. It is safe for concurrent use.
type Line interface {
	// Ask puts a question to a router ("destinations" of a device, "ledger", "status")
	// and returns the JSON that it answered. The error wraps ErrAway or ErrRefused.
	Ask(ctx context.Context, router, what, device string) ([]byte, error)
	// Cut ends the connection of who has that key, and lets it not come back.
	Cut(ctx context.Context, key string) error
	// Desired and Shadows say that there is something new for routers. What gets lost
	// here is sent again later.
	Desired(ctx context.Context, site string)
	Shadows(ctx context.Context, number uint64)
	// Tell tells all instances of core what changed.
	Tell(ctx context.Context, events ...cordon.Event)
}

// Errors of Line.Ask.
var (
	ErrAway = errors.New("router away") // it does not answer
	// ErrRefused means that the router answered that it cannot: the error's text says why.
	ErrRefused = errors.New("router cannot answer")
)
