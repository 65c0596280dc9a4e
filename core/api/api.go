// Package api is how people and their programs see and control everything: REST over
// JSON, described by an OpenAPI document that is made from the same table as the
// routes (routes.go).
//
// A request passes package front (ids, bounds, log), auth.Middleware (who is it), the
// gate of its route (gate.go: may he, on whose object, with which reason, was it asked
// before), and a handler, which reads and writes the Store and speaks to routers through
// the Line. What changes comes back as a stream of events from a live.Hub.
package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"cordon/core/api/desk"
	"cordon/core/api/front"
	"cordon/core/api/problem"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Config configures the API. Store, Auth, Line and Events are required.
type Config = desk.Config

// New returns the API. It starts nothing.
func New(cfg Config) (http.Handler, error) {
	d, err := desk.New(cfg)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	describe := register(d, mux)
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, r *http.Request) {
		front.NoteOf(r.Context()).Route = "/openapi.json"
		document, err := describe()
		if err != nil {
			Refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(document)
	})
	return front.Wrap(d.Auth.Middleware(front.Mux(mux)), front.Config{Secure: strings.HasPrefix(d.URL, "https:"),
		Observe: d.Observe, Now: d.Now, Log: d.Log}), nil
}

// register hangs the routes into mux and returns what describes them.
func register(d *desk.Desk, mux *http.ServeMux) func() ([]byte, error) {
	api := humago.New(mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Cordon", Version: "1",
				Description: "What a provider, its customers and their programs see and control. Errors are problem documents (RFC 9457) with a stable code."},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token":   {Type: "http", Scheme: "bearer", Description: "A token from POST /v1/me/tokens."},
					"session": {Type: "apiKey", In: "cookie", Name: "__Host-cordon", Description: "The cookie of POST /v1/session."},
				},
			},
			Security: []map[string][]string{{"token": {}}, {"session": {}}},
		},
		Formats:                      huma.DefaultFormats,
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{transform},
	})
	for i := range routes {
		r := &routes[i]
		r.Add(d, api, operation(d, api, r))
		if r.Upload { // said afterwards: huma would read the body into memory
			api.OpenAPI().Paths[r.Path].Post.RequestBody = upload
		}
	}
	schemas := api.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel") // huma's own, which nobody ever sees
	delete(schemas, "ErrorDetail")
	return sync.OnceValues(func() ([]byte, error) {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetIndent("", "  ")
		if err := e.Encode(api.OpenAPI()); err != nil {
			return nil, fmt.Errorf("describe the API: %w", err)
		}
		return b.Bytes(), nil
	})
}

// operation describes a route.
func operation(d *desk.Desk, api huma.API, r *desk.Route) huma.Operation {
	problems := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem.Problem](), true, "Problem")
	op := huma.Operation{
		OperationID: r.ID, Method: r.Method, Path: r.Path, Summary: r.Text, Tags: []string{r.Tag()},
		DefaultStatus: r.Status, MaxBodyBytes: desk.MaxBody, BodyReadTimeout: desk.BodyWithin,
		Middlewares: huma.Middlewares{d.Gate(r)},
		Responses: map[string]*huma.Response{"default": {Description: "A problem",
			Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problems}}}},
		Extensions: map[string]any{"x-cordon-verb": string(r.Verb)},
	}
	if r.Open {
		op.Security = []map[string][]string{}
	}
	text := &huma.Schema{Type: huma.TypeString, MaxLength: new(200)}
	if r.Replays() {
		op.Parameters = append(op.Parameters, &huma.Param{Name: "Idempotency-Key", In: "header", Schema: text,
			Description: "Any text of your choice. A request that is repeated with it within a day is not done again: it gets the same answer."})
	}
	if r.Looks {
		op.Parameters = append(op.Parameters, &huma.Param{Name: "Cordon-Reason", In: "header", Schema: text,
			Description: "Why one of the provider's people looks at a customer's data: a ticket or a sentence. Needed without an open case."})
	}
	return op
}

// upload is the body of a route that reads it as it comes.
var upload = &huma.RequestBody{Required: true, Description: "docs/reference/api.md describes the columns.",
	Content: map[string]*huma.MediaType{
		"text/csv":         {Schema: &huma.Schema{Type: huma.TypeString}},
		"application/json": {Schema: &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeObject}}},
	}}

// transform makes huma's own errors problems of ours, and says which request it was.
// What huma quotes of the request stays out: it may be a password.
func transform(ctx huma.Context, _ string, v any) (any, error) {
	n := front.NoteOf(ctx.Context())
	switch p := v.(type) {
	case *problem.Problem:
		p.RequestID, n.Err = n.ID, p
	case *huma.ErrorModel:
		q := problem.New(problem.Of(p.Status), p.Detail)
		if p.Status >= 500 {
			q = problem.Wrap(problem.Internal, "", p)
		}
		for _, e := range p.Errors {
			q.With(e.Location, e.Message)
		}
		q.RequestID, n.Err = n.ID, q
		return q, nil
	}
	return v, nil
}

// Refuse answers a request that auth.Middleware lets no further; it is auth.Config's
// Refuse.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	n := front.NoteOf(r.Context())
	p := desk.Problem(err)
	p.RequestID, n.Err = n.ID, p
	p.Write(w)
}
