package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"cordon/internal/cli"
	"cordon/internal/term"
)

const routersHelp = `
  import FILE      load a list of routers, CSV or JSON ("-": standard input)
  list             list routers
  export           write routers as CSV
  revoke SERIAL…   take nothing of these routers any more, within seconds
  reset SERIAL…    let these routers enrol once more, after a factory reset

An import takes all of a list or nothing of it, and doing it again changes nothing;
docs/enrolment.md describes the columns. Orders go to the core that runs; if none
does, they take effect when it starts.

exit status:
  0  done
  1  it could not be done, or a list has problems and nothing of it was taken
  2  called wrongly, or the configuration is wrong
`

// maxList is the longest list that core takes, in bytes (core/provision).
const maxList = 64 << 20

// fleet is what the subcommands of routers share.
type fleet struct {
	*settings
	stdin          io.Reader
	stdout, stderr io.Writer

	preview, asJSON, online   bool
	format, why               string
	serial, state, area, site string
	limit                     int
}

func routersCommand(stdin io.Reader, stdout, stderr io.Writer) cli.Command {
	return cli.Command{Name: "routers", Args: "import|list|export|revoke|reset …", Short: "load a list of routers, list them, revoke or reset them", Long: routersHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			f := &fleet{settings: declare(fs), stdin: stdin, stdout: stdout, stderr: stderr}
			fs.BoolVar(&f.preview, "preview", false, "import: change nothing, only say what would happen")
			fs.StringVar(&f.format, "format", "", "import: `csv` or json, if the file's name does not end so")
			fs.BoolVar(&f.asJSON, "json", false, "list, import: print JSON")
			fs.BoolVar(&f.online, "online", false, "list: only routers that are connected")
			fs.StringVar(&f.serial, "serial", "", "list, export: routers whose serial begins with `TEXT`")
			fs.StringVar(&f.state, "state", "", "list, export: routers in a `STATE`: expected, enrolled, reset, revoked")
			fs.StringVar(&f.area, "area", "", "list, export: routers of an access `AREA`")
			fs.IntVar(&f.limit, "limit", 100, "list: at most `N` routers; 0: all")
			fs.StringVar(&f.why, "reason", "", "revoke: why, for the record")
			return f.run
		}}
}

// run runs the subcommand that args begin with.
func (f *fleet) run(ctx context.Context, args []string) (err error) {
	if len(args) == 0 {
		return cli.Usage("routers needs one of import, list, export, revoke, reset")
	}
	verb, rest := args[0], args[1:]
	do, known := map[string]func(context.Context, *local, []string) error{
		"import": f.load, "list": f.list, "export": f.export, "revoke": f.revoke, "reset": f.reset,
	}[verb]
	switch {
	case !known:
		return cli.Usage("routers cannot %q: want import, list, export, revoke or reset", verb)
	case verb == "import" && len(rest) != 1:
		return cli.Usage("routers import needs one file")
	case (verb == "revoke" || verb == "reset") && len(rest) == 0:
		return cli.Usage("routers %s needs a serial", verb)
	case (verb == "list" || verb == "export") && len(rest) > 0:
		return cli.Usage("routers %s takes no argument %q", verb, rest[0])
	}
	cfg, err := f.settings.load()
	if err != nil {
		return &cli.Exit{Status: exitUsage, Err: err}
	}
	l, err := connect(ctx, cfg, f.stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	return do(ctx, l, rest)
}

// imported is what core says of a list.
type imported struct {
	Applied  bool `json:"applied"`
	Rows     int  `json:"rows"`
	Created  int  `json:"created"`
	Updated  int  `json:"updated"`
	Same     int  `json:"unchanged"`
	Problems []struct {
		Line int    `json:"line"`
		What string `json:"what"`
		Why  string `json:"why"`
	} `json:"problems"`
	Omitted int `json:"omitted"`
}

// load imports a list.
func (f *fleet) load(ctx context.Context, l *local, args []string) error {
	kind, err := f.kind(args[0])
	if err != nil {
		return err
	}
	data, err := f.read(args[0])
	if err != nil {
		return err
	}
	query := url.Values{}
	if f.preview {
		query.Set("dry_run", "true")
	}
	var r imported
	if err := l.do(ctx, http.MethodPost, "/v1/routers/import", query, kind, bytes.NewReader(data), &r); err != nil {
		return err
	}
	if f.asJSON {
		err = encode(f.stdout, r)
	} else {
		err = f.say(&r)
	}
	if err == nil && len(r.Problems) > 0 {
		return &cli.Exit{Status: 1}
	}
	return err
}

// kind returns the media type of a list.
func (f *fleet) kind(path string) (string, error) {
	format := f.format
	if format == "" {
		format = strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")
	}
	switch format {
	case "csv", "txt", "":
		return "text/csv", nil
	case "json", "jsonl", "ndjson":
		return "application/json", nil
	}
	return "", cli.Usage("%s is neither .csv nor .json: say --format csv or --format json", path)
}

// read reads a list as a whole, bounded.
func (f *fleet) read(path string) ([]byte, error) {
	in := f.stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("list: %w", err)
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxList+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("list: %w", err)
	case len(data) > maxList:
		return nil, fmt.Errorf("list: longer than %d MB: make several of it", maxList>>20)
	}
	return data, nil
}

// say tells a person what an import did.
func (f *fleet) say(r *imported) error {
	w := new(bytes.Buffer)
	for _, p := range r.Problems {
		fmt.Fprintf(w, "line %d, %s: %s\n", p.Line, term.Escape(p.What), term.Escape(p.Why))
	}
	if r.Omitted > 0 {
		fmt.Fprintf(w, "and %d problems more\n", r.Omitted)
	}
	done := "would be "
	switch {
	case len(r.Problems) > 0:
		fmt.Fprintf(w, "Nothing was changed: mend these lines first.\n")
	case r.Applied:
		done = ""
	}
	fmt.Fprintf(w, "%d routers: %d %screated, %d %supdated, %d unchanged\n", r.Rows, r.Created, done, r.Updated, done, r.Same)
	_, err := w.WriteTo(f.stdout)
	return err
}

// router is what is shown of a router.
type router struct {
	ID      string    `json:"id"`
	Serial  string    `json:"serial"`
	Model   string    `json:"model"`
	Area    string    `json:"area"`
	State   string    `json:"state"`
	Online  bool      `json:"online"`
	Seen    time.Time `json:"seen"`
	Agent   string    `json:"agent"`
	Account string    `json:"account"`
	Site    string    `json:"site"`
}

// filter is which routers are wanted.
func (f *fleet) filter() url.Values {
	q := url.Values{}
	for key, value := range map[string]string{"serial": f.serial, "state": f.state, "area": f.area} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.online {
		q.Set("online", "true")
	}
	return q
}

// pageSize is how many routers are asked for at once.
const pageSize = 500

// each calls do with routers, page by page, at most limit; 0: all.
func (f *fleet) each(ctx context.Context, l *local, query url.Values, limit int, do func(json.RawMessage) error) (more bool, err error) {
	query.Set("limit", fmt.Sprint(pageSize))
	for n := 0; ; {
		var page struct {
			Items []json.RawMessage `json:"items"`
			Next  string            `json:"next"`
		}
		if err := l.get(ctx, "/v1/routers", query, &page); err != nil {
			return false, err
		}
		for _, item := range page.Items {
			if n++; limit > 0 && n > limit {
				return true, nil
			}
			if err := do(item); err != nil {
				return false, err
			}
		}
		if page.Next == "" {
			return false, nil
		}
		query.Set("cursor", page.Next)
	}
}

// list lists routers.
func (f *fleet) list(ctx context.Context, l *local, _ []string) error {
	if f.asJSON { // one object a line
		_, err := f.each(ctx, l, f.filter(), f.limit, func(item json.RawMessage) error {
			_, err := fmt.Fprintf(f.stdout, "%s\n", item)
			return err
		})
		return err
	}
	w := tabwriter.NewWriter(f.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SERIAL\tSTATE\tCONNECTED\tLAST SEEN\tMODEL\tAREA\tAGENT")
	shown := 0
	more, err := f.each(ctx, l, f.filter(), f.limit, func(item json.RawMessage) error {
		var r router
		if err := json.Unmarshal(item, &r); err != nil {
			return err
		}
		shown++
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", term.Cut(r.Serial, 40), r.State, yes(r.Online), seen(r.Seen),
			dash(term.Cut(r.Model, 30)), dash(term.Cut(r.Area, 20)), dash(term.Cut(r.Agent, 20)))
		return err
	})
	if err = errors.Join(err, w.Flush()); err != nil {
		return err
	}
	switch {
	case more:
		fmt.Fprintf(f.stderr, "The first %d are shown; --limit 0 shows all.\n", shown)
	case shown == 0:
		fmt.Fprintln(f.stderr, "No such router. 'cordon-core routers import FILE' loads a list.")
	}
	return nil
}

// export writes routers as CSV.
func (f *fleet) export(ctx context.Context, l *local, _ []string) error {
	return l.stream(ctx, "/v1/routers/export", f.filter(), f.stdout)
}

// named finds the router with a serial.
func (f *fleet) named(ctx context.Context, l *local, serial string) (found router, err error) {
	_, err = f.each(ctx, l, url.Values{"serial": {serial}}, 0, func(item json.RawMessage) error {
		var r router
		if err := json.Unmarshal(item, &r); err != nil {
			return err
		}
		if r.Serial == serial {
			found = r
		}
		return nil
	})
	if err == nil && found.ID == "" {
		err = fmt.Errorf("no router has the serial %s: 'cordon-core routers list' shows those that there are", term.Escape(serial))
	}
	return found, err
}

// revoke takes routers out of service.
func (f *fleet) revoke(ctx context.Context, l *local, serials []string) error {
	if f.why == "" {
		return cli.Usage("routers revoke needs --reason, for the record: such as \"stolen\"")
	}
	return f.order(ctx, l, serials, "revoke", map[string]string{"reason": f.why}, "is revoked: nothing is taken of it any more")
}

// reset lets routers enrol once more.
func (f *fleet) reset(ctx context.Context, l *local, serials []string) error {
	return f.order(ctx, l, serials, "reset", struct{}{}, "may enrol once more")
}

// order does something with each of some routers. One that cannot be found stops no
// other.
func (f *fleet) order(ctx context.Context, l *local, serials []string, verb string, body any, done string) error {
	var wrong []error
	for _, serial := range serials {
		r, err := f.named(ctx, l, serial)
		if err == nil {
			err = l.post(ctx, "/v1/routers/"+url.PathEscape(r.ID)+"/"+verb, body, nil)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", term.Escape(serial), err))
			continue
		}
		fmt.Fprintf(f.stdout, "%s %s.\n", term.Escape(serial), done)
	}
	return errors.Join(wrong...)
}

// encode prints a value as JSON.
func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// seen says when something was seen, in the machine's time zone.
func seen(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04")
}
