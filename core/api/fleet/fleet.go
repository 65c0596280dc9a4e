package fleet

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"cordon"
	"cordon/core/api/desk"
	"cordon/core/api/order"
	"cordon/core/api/problem"
	"cordon/core/api/view"
	"cordon/core/provision"
	"cordon/internal/ident"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// RouterFilter is which routers are wanted.
type RouterFilter struct {
	desk.Where
	Serial string `query:"serial" maxLength:"64" doc:"Beginning of the serial number."`
	Model  string `query:"model" maxLength:"200"`
	State  string `query:"state" enum:"expected,enrolled,reset,revoked"`
	Online string `query:"online" enum:"true,false"`
	Agent  string `query:"agent" maxLength:"100" doc:"Version of the agent."`
}

func (f *RouterFilter) query(p desk.Paging) cordon.Query {
	q := desk.Query(p, f.Where, desk.Span{})
	q.Text, q.Model, q.State, q.Agent = f.Serial, f.Model, f.State, f.Agent
	if f.Online != "" {
		q.Online = new(f.Online == "true")
	}
	return q
}

type routersInput struct {
	desk.Paging
	RouterFilter
}

// ListRouters is GET /v1/routers.
func ListRouters(ctx context.Context, d *desk.Desk, in *routersInput) (*desk.List[view.Router], error) {
	q := in.query(in.Paging)
	c := desk.CallOf(ctx)
	scope, err := d.Scope(c, q)
	if err != nil {
		return nil, err
	}
	p, err := d.Store.Routers(ctx, scope, q)
	return desk.Page(p, view.OfRouter, func(r *cordon.Router) bool { return c.Veils(r.Account, r.Site) }, d.Auth.Veil().Router), err
}

// RouterPath is the path of a router.
type RouterPath struct {
	Router string `path:"router" maxLength:"64"`
}

// GetRouter is GET /v1/routers/{router}.
func GetRouter(ctx context.Context, d *desk.Desk, _ *RouterPath) (*desk.Record[view.Router], error) {
	c := desk.CallOf(ctx)
	if c.Veiled {
		d.Auth.Veil().Router(&c.Router)
	}
	return desk.Of(view.OfRouter(&c.Router), c.Router.Version), nil
}

// importResult is what a list did, or would do.
type importResult struct {
	Body struct {
		Applied   bool            `json:"applied" doc:"The list was taken. If not, nothing was changed."`
		Rows      int             `json:"rows" doc:"That the list has."`
		Created   int             `json:"created" doc:"Routers that were added, or would be."`
		Updated   int             `json:"updated"`
		Unchanged int             `json:"unchanged"`
		Problems  []importProblem `json:"problems" nullable:"false"`
		Omitted   int             `json:"omitted" doc:"Problems beyond the first thousand."`
	}
}

type importProblem struct {
	Line int    `json:"line"`
	What string `json:"what" doc:"The field."`
	Why  string `json:"why"`
}

type importInput struct {
	DryRun bool `query:"dry_run" doc:"Change nothing, only say what would happen."`
}

// ImportRouters takes a list: all of it, or nothing while there are problems.
func ImportRouters(ctx context.Context, d *desk.Desk, in *importInput) (*importResult, error) {
	c := desk.CallOf(ctx)
	kind, _, _ := mime.ParseMediaType(c.Request.Header.Get("Content-Type"))
	format, known := map[string]provision.Format{"text/csv": provision.CSV, "application/json": provision.JSON}[kind]
	if !known {
		return nil, problem.New(problem.MediaType, "want Content-Type text/csv or application/json")
	}
	done, err := d.Read()
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := provision.Read(c.Request.Body, format)
	switch {
	case errors.Is(err, provision.ErrFormat):
		return nil, problem.Wrap(problem.Invalid, strings.TrimSuffix(err.Error(), ": "+provision.ErrFormat.Error()), err)
	case err != nil:
		return nil, problem.Wrap(problem.Slow, "the list did not arrive whole", err)
	}
	dry := in.DryRun || len(l.Problems) > 0
	result, err := d.Store.ImportRouters(ctx, l.Routers, dry)
	if err != nil {
		return nil, fmt.Errorf("import %d routers: %w", len(l.Routers), err)
	}
	problems := append(l.Problems, result.Problems...)
	slices.SortStableFunc(problems, func(a, b cordon.ImportProblem) int { return a.Line - b.Line })
	out := &importResult{}
	b := &out.Body
	b.Omitted = l.Omitted + max(0, len(problems)-provision.MaxProblems)
	problems = problems[:min(len(problems), provision.MaxProblems)]
	b.Problems = view.Each(problems, func(p *cordon.ImportProblem) importProblem { return importProblem{p.Line, p.What, p.Why} })
	b.Rows, b.Created, b.Updated, b.Unchanged = l.Rows, result.Created, result.Updated, result.Unchanged
	b.Applied = !dry && len(problems) == 0
	c.What = fmt.Sprintf("%d routers: %d created, %d updated", l.Rows, b.Created, b.Updated)
	c.Written = !b.Applied // nothing happened
	return out, nil
}

// export is an answer that is written as it is read from the store.
type export struct {
	Type        string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        func(huma.Context)
}

// ExportRouters is GET /v1/routers/export.
func ExportRouters(ctx context.Context, d *desk.Desk, in *struct{ RouterFilter }) (*export, error) {
	c := desk.CallOf(ctx)
	q := in.query(desk.Paging{Limit: cordon.MaxLimit})
	scope, err := d.Scope(c, q)
	if err != nil {
		return nil, err
	}
	first, err := d.Store.Routers(ctx, scope, q)
	if err != nil {
		return nil, err
	}
	return &export{"text/csv; charset=utf-8", `attachment; filename="routers.csv"`, func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		if err := write(ctx, d, c, w, scope, q, first); err != nil {
			d.Log.WarnContext(ctx, "export cut off", "err", err)
			panic(http.ErrAbortHandler) // the status went out: only a cut shows that it is not whole
		}
	}}, nil
}

// export writes all pages of routers.
func write(ctx context.Context, d *desk.Desk, c *desk.Call, w http.ResponseWriter, scope cordon.Scope, q cordon.Query, p cordon.Page[cordon.Router]) error {
	out, err := provision.NewWriter(w)
	if err != nil {
		return err
	}
	for {
		for i := range p.Items {
			if r := &p.Items[i]; c.Veils(r.Account, r.Site) {
				d.Auth.Veil().Router(r)
			}
			if err := out.Write(&p.Items[i]); err != nil {
				return err
			}
		}
		if q.Cursor = p.Next; q.Cursor == "" {
			return out.Flush()
		}
		if p, err = d.Store.Routers(ctx, scope, q); err != nil {
			return err
		}
	}
}

type revokeInput struct {
	RouterPath
	Body struct {
		Reason string `json:"reason" minLength:"3" maxLength:"500"`
	}
}

// RevokeRouter is POST /v1/routers/{router}/revoke.
func RevokeRouter(ctx context.Context, d *desk.Desk, in *revokeInput) (*desk.Record[view.Router], error) {
	c := desk.CallOf(ctx)
	if err := d.Store.Revoke(ctx, c.Router.ID, in.Body.Reason); err != nil {
		return nil, err
	}
	return disconnected(ctx, d, c)
}

// disconnected cuts the router of a call off, whose identity counts no more.
func disconnected(ctx context.Context, d *desk.Desk, c *desk.Call) (*desk.Record[view.Router], error) {
	if c.Router.Key != "" {
		if err := d.Line.Cut(ctx, c.Router.Key); err != nil { // core takes nothing of it in any case
			return nil, problem.Wrap(problem.Unsure, "the router is revoked, but its connection could not be ended", err)
		}
	}
	r, err := d.Store.Router(ctx, c.Router.ID)
	if err != nil {
		return nil, err
	}
	d.Line.Tell(ctx, cordon.Event{Sort: cordon.EventRouter, Account: r.Account, Site: r.Site, ID: r.ID, At: d.Moment()})
	return desk.Of(view.OfRouter(&r), r.Version), nil
}

// ResetRouter is POST /v1/routers/{router}/reset.
func ResetRouter(ctx context.Context, d *desk.Desk, _ *RouterPath) (*desk.Record[view.Router], error) {
	c := desk.CallOf(ctx)
	if err := d.Store.Reset(ctx, c.Router.ID); err != nil {
		return nil, err
	}
	return disconnected(ctx, d, c)
}

// ListShadows is GET /v1/shadows.
func ListShadows(ctx context.Context, d *desk.Desk, _ *desk.None) (*desk.List[view.Shadow], error) {
	all, _, err := d.Store.Shadows(ctx)
	return desk.Page(cordon.Page[cordon.Shadow]{Items: all}, view.OfShadow, nil, nil), err
}

type shadowInput struct {
	Body struct {
		Kind    string    `json:"kind" minLength:"1" maxLength:"64" doc:"A kind of detection, or a pattern: scan.*"`
		Model   string    `json:"model,omitempty" maxLength:"200" doc:"Of the device; empty: any."`
		Agent   string    `json:"agent,omitempty" maxLength:"100" doc:"Version of the agent; empty: any."`
		Reason  string    `json:"reason" minLength:"3" maxLength:"500"`
		Expires time.Time `json:"expires,omitzero" doc:"Not there: a day from now. At most 90 days."`
	}
}

// maxShadows bounds the rules in shadow, as agents do (agent/desired).
const maxShadows = 256

// CreateShadow is POST /v1/shadows.
func CreateShadow(ctx context.Context, d *desk.Desk, in *shadowInput) (*desk.Record[view.Shadow], error) {
	c, now := desk.CallOf(ctx), d.Moment()
	l := desk.Lasting{Expires: in.Body.Expires}
	made := cordon.Shadow{ID: c.NewID(d.Now()), Kind: cordon.Kind(in.Body.Kind), Model: in.Body.Model, Agent: in.Body.Agent,
		Reason: in.Body.Reason, By: c.Subject.Name, At: now, Expires: l.Until(now)}
	switch {
	case !slices.ContainsFunc(cordon.Kinds(), func(k cordon.Kind) bool { return k.Match(in.Body.Kind) }):
		return nil, desk.Invalid("body.kind", "no kind of detection fits")
	case made.Expires <= now || made.Expires.Sub(now) > order.MaxLife:
		return nil, desk.Invalid("body.expires", "want a time within 90 days from now")
	}
	c.What = "shadow " + made.ID + " of " + in.Body.Kind
	err := changeShadows(ctx, d, c, in.Body.Reason, func(all []cordon.Shadow) ([]cordon.Shadow, error) {
		all = slices.DeleteFunc(slices.Clone(all), func(x cordon.Shadow) bool { return x.Expires <= now || x.ID == made.ID })
		if len(all) >= maxShadows {
			return nil, desk.Invalid("body", fmt.Sprintf("%d rules are in shadow: lift one first", len(all)))
		}
		return append(all, made), nil
	})
	if err != nil {
		return nil, err
	}
	return desk.Of(view.OfShadow(&made), 1), nil
}

type shadowPath struct {
	Shadow string `path:"shadow" maxLength:"64"`
}

// LiftShadow is DELETE /v1/shadows/{shadow}.
func LiftShadow(ctx context.Context, d *desk.Desk, in *shadowPath) (*desk.None, error) {
	return nil, changeShadows(ctx, d, desk.CallOf(ctx), "", func(all []cordon.Shadow) ([]cordon.Shadow, error) {
		left := slices.DeleteFunc(slices.Clone(all), func(x cordon.Shadow) bool { return x.ID == in.Shadow })
		if len(left) == len(all) {
			return nil, cordon.ErrNotFound
		}
		return left, nil
	})
}

func changeShadows(ctx context.Context, d *desk.Desk, c *desk.Call, reason string, change func([]cordon.Shadow) ([]cordon.Shadow, error)) error {
	number, err := d.Store.ChangeShadows(ctx, d.Change(c, reason), change)
	if err != nil {
		return err
	}
	c.Written = true
	d.Line.Shadows(ctx, number)
	d.Line.Tell(ctx, cordon.Event{Sort: cordon.EventShadow, ID: ident.New(d.Now()), At: d.Moment()})
	return nil
}
