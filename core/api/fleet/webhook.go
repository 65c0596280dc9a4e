package fleet

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"

	"cordon"
	"cordon/core/api/desk"
	"cordon/core/api/view"
	"cordon/internal/ident"
	"cordon/internal/webhook"
)

// maxWebhooks bounds the webhooks of an account.
const maxWebhooks = 10

// ListWebhooks is GET /v1/accounts/{account}/webhooks.
func ListWebhooks(ctx context.Context, d *desk.Desk, _ *desk.AccountPath) (*desk.List[view.Webhook], error) {
	all, err := d.Store.Webhooks(ctx, desk.CallOf(ctx).Account.ID)
	return desk.Page(cordon.Page[cordon.Webhook]{Items: all}, view.OfWebhook, nil, nil), err
}

// WebhookPath is the path of a webhook.
type WebhookPath struct {
	desk.AccountPath
	Webhook string `path:"webhook" maxLength:"64"`
}

// GetWebhook is GET /v1/accounts/{account}/webhooks/{webhook}.
func GetWebhook(ctx context.Context, d *desk.Desk, _ *WebhookPath) (*desk.Record[view.Webhook], error) {
	w := &desk.CallOf(ctx).Hook
	return desk.Of(view.OfWebhook(w), w.Version), nil
}

type createWebhookInput struct {
	desk.AccountPath
	Body struct {
		URL    string   `json:"url" maxLength:"2000" doc:"https only, and only on the public internet."`
		Events []string `json:"events" minItems:"1" maxItems:"10" nullable:"false" enum:"device,incident,action,router"`
		Level  string   `json:"level,omitempty" enum:"watch,notify,act" default:"notify" doc:"Incidents from this level."`
	}
}

// CreateWebhook is POST /v1/accounts/{account}/webhooks.
func CreateWebhook(ctx context.Context, d *desk.Desk, in *createWebhookInput) (*desk.Record[view.Webhook], error) {
	if err := checkURL(in.Body.URL); err != nil {
		return nil, err
	}
	c := desk.CallOf(ctx)
	have, err := d.Store.Webhooks(ctx, c.Account.ID)
	if err != nil {
		return nil, err
	}
	if len(have) >= maxWebhooks {
		return nil, desk.Invalid("body", "the account has ten webhooks: remove one first")
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	w := cordon.Webhook{ID: ident.New(d.Now()), Account: c.Account.ID, URL: in.Body.URL, Secret: secret, Events: sorts(in.Body.Events),
		Level: desk.Level(in.Body.Level), Created: d.Moment()}
	if err := d.Store.PutWebhook(ctx, &w); err != nil {
		return nil, err
	}
	c.What = "webhook " + w.ID
	v := view.OfWebhook(&w)
	v.Secret = base64.StdEncoding.EncodeToString(secret)
	return desk.Of(v, w.Version), nil
}

func sorts(names []string) []cordon.EventSort {
	var all []cordon.EventSort
	for _, n := range names {
		if !slices.Contains(all, cordon.EventSort(n)) {
			all = append(all, cordon.EventSort(n))
		}
	}
	return all
}

type changeWebhookInput struct {
	WebhookPath
	desk.Match
	Body struct {
		URL    *string  `json:"url,omitempty" maxLength:"2000"`
		Events []string `json:"events,omitempty" minItems:"1" maxItems:"10" nullable:"false" enum:"device,incident,action,router"`
		Level  *string  `json:"level,omitempty" enum:"watch,notify,act"`
	}
}

// ChangeWebhook is PATCH /v1/accounts/{account}/webhooks/{webhook}.
func ChangeWebhook(ctx context.Context, d *desk.Desk, in *changeWebhookInput) (*desk.Record[view.Webhook], error) {
	w, b := desk.CallOf(ctx).Hook, &in.Body
	if err := in.Check(w.Version, false); err != nil {
		return nil, err
	}
	if b.URL != nil {
		if err := checkURL(*b.URL); err != nil {
			return nil, err
		}
		w.URL, w.Failed = *b.URL, 0
	}
	if b.Level != nil {
		w.Level = desk.Level(*b.Level)
	}
	if len(b.Events) > 0 {
		w.Events = sorts(b.Events)
	}
	if err := d.Store.PutWebhook(ctx, &w); err != nil {
		return nil, err
	}
	return desk.Of(view.OfWebhook(&w), w.Version), nil
}

// DeleteWebhook is DELETE /v1/accounts/{account}/webhooks/{webhook}.
func DeleteWebhook(ctx context.Context, d *desk.Desk, _ *WebhookPath) (*desk.None, error) {
	return nil, d.Store.DeleteWebhook(ctx, desk.CallOf(ctx).Hook.ID)
}

// checkURL refuses an address that no webhook can have.
func checkURL(text string) error {
	if err := webhook.Check(text); err != nil {
		return desk.Invalid("body.url", strings.TrimSuffix(err.Error(), ": "+webhook.ErrForbidden.Error()))
	}
	return nil
}
