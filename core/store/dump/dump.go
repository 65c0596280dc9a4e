// Package dump writes everything that a database has as lines of JSON, and reads it into
// either database. Package store is its only caller.
package dump

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/dialect"
)

// dumped is every table but those that are leftOut, with what orders its rows. Those that
// others refer to come first.
var dumped = []struct{ table, order string }{
	{"accounts", "id"}, {"sites", "id"}, {"routers", "id"}, {"heard", "router, enrolled, boot"}, {"devices", "site, id"},
	{"incidents", "site, id"}, {"incident_kinds", "k_site, k_id, kind"}, {"detections", "site, id"}, {"actions", "site, id"}, {"desired", "site"}, {"shadows", "id"},
	{"numbers", "name"}, {"summaries", "day, source, device"}, {"peppers", "month"}, {"users", "id"},
	{"grants", "usr, token, role, account, site"}, {"passkeys", "id"}, {"sessions", "hash"}, {"tokens", "id"},
	{"audits", "id"}, {"answers", "usr, idem"}, {"webhooks", "id"},
}

// leftOut is what no dump has: the schema's own version, which the first line says, and
// failed logins, which count for minutes.
var leftOut = []string{"failures", "goose_db_version"}

// head is the first line of a dump.
type head struct {
	Format string `json:"format"` // dumpFormat
	Schema int64  `json:"schema"`
}

// part is each other line: the columns of a table before its rows, then one row a line,
// and at the end the number of all rows.
type part struct {
	Table   string   `json:"table,omitempty"`
	Columns []string `json:"columns,omitempty"`
	Row     []any    `json:"row,omitempty"`
	Rows    *int64   `json:"rows,omitempty"`
}

const dumpFormat = "cordon-core dump 1"

// blob is how bytes are written, which JSON has no words for.
type blob struct {
	Bytes string `json:"bytes"` // base64
}

// Write writes everything as it is at one moment, the same lines for the same records on
// either database.
func Write(ctx context.Context, db *dialect.DB, w io.Writer) error {
	version, err := db.Version(ctx)
	if err != nil {
		return fmt.Errorf("dump: %w", dialect.Classify(err))
	}
	out := bufio.NewWriterSize(w, 1<<16)
	to := json.NewEncoder(out)
	to.SetEscapeHTML(false)
	var rows int64
	err = db.Snapshot(ctx, func(tx dialect.Tx) error {
		if err := to.Encode(head{dumpFormat, version}); err != nil {
			return err
		}
		for _, d := range dumped {
			n, err := dumpTable(ctx, tx, d.table, d.order, to)
			if err != nil {
				return fmt.Errorf("%s: %w", d.table, err)
			}
			rows += n
		}
		return nil
	})
	if err == nil {
		err = errors.Join(to.Encode(part{Rows: &rows}), out.Flush())
	}
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	return nil
}

func dumpTable(ctx context.Context, tx dialect.Tx, table, order string, to *json.Encoder) (n int64, err error) {
	rows, err := tx.Query(ctx, "SELECT * FROM "+table+" ORDER BY "+order)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return 0, err
	}
	columns, values, into := make([]string, len(types)), make([]any, len(types)), make([]any, len(types))
	for i, t := range types {
		columns[i], into[i] = t.Name(), &values[i]
	}
	if err := to.Encode(part{Table: table, Columns: columns}); err != nil {
		return 0, err
	}
	for ; rows.Next(); n++ {
		if err := rows.Scan(into...); err != nil {
			return n, err
		}
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				values[i] = blob{base64.StdEncoding.EncodeToString(b)}
			} else if v, ok := v.(int64); ok && strings.HasPrefix(strings.ToUpper(types[i].DatabaseTypeName()), "BOOL") {
				values[i] = v != 0
			}
		}
		if err := to.Encode(part{Row: values}); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

// maxDumpLine bounds a line of a dump, in bytes.
const maxDumpLine = 64 << 20

// Read reads what Write wrote, all or nothing, into a database that has nothing in it yet
// (else cordon.ErrConflict).
func Read(ctx context.Context, db *dialect.DB, r io.Reader) error {
	version, err := db.Version(ctx)
	if err != nil {
		return fmt.Errorf("load: %w", dialect.Classify(err))
	}
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 1<<16), maxDumpLine)
	var h head
	if !in.Scan() || json.Unmarshal(in.Bytes(), &h) != nil || h.Format != dumpFormat {
		return fmt.Errorf("load: this is no dump: %w", cordon.ErrInvalid)
	}
	if h.Schema != version {
		return fmt.Errorf("load: dump of schema %d, this release has %d: load it with the release that wrote it, then let this one migrate: %w", h.Schema, version, cordon.ErrInvalid)
	}
	if err := db.WriteLong(ctx, func(tx dialect.Tx) error { return load(ctx, tx, in) }); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return nil
}

func load(ctx context.Context, tx dialect.Tx, in *bufio.Scanner) error {
	for _, name := range []string{"accounts", "users", "audits"} {
		found, err := table.All(ctx, tx, func(n *int) []any { return []any{n} }, "SELECT 1 FROM "+name+" LIMIT 1")
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return fmt.Errorf("there are %s already: %w", name, cordon.ErrConflict)
		}
	}
	if _, err := table.Exec(ctx, tx, "DELETE FROM numbers"); err != nil {
		return err
	}
	var rows [][]any
	var now part // the table
	var n int64
	flush := func() error {
		if len(rows) == 0 {
			return nil
		}
		err := table.Values(ctx, tx, "INSERT INTO "+now.Table+" ("+strings.Join(now.Columns, ", ")+") VALUES ", table.Row(len(now.Columns)), rows, "", nil)
		rows = rows[:0]
		return err
	}
	for in.Scan() {
		p, err := readPart(in.Bytes())
		if err != nil {
			return err
		}
		switch {
		case p.Rows != nil:
			if *p.Rows != n {
				return fmt.Errorf("dump has %d rows and says %d: %w", n, *p.Rows, cordon.ErrInvalid)
			}
			return flush()
		case p.Table != "":
			if err := flush(); err != nil {
				return err
			}
			now = p
		case len(p.Row) != len(now.Columns) || now.Table == "":
			return fmt.Errorf("row of %d values for %d columns: %w", len(p.Row), len(now.Columns), cordon.ErrInvalid)
		default:
			n++
			if rows = append(rows, p.Row); len(rows) >= table.MaxBatch {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return fmt.Errorf("dump has no end: %w", cordon.ErrInvalid)
}

// readPart reads a line of a dump. Names of tables and columns become SQL, so they are
// looked at closely.
func readPart(text []byte) (p part, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&p); err != nil {
		return p, fmt.Errorf("line of a dump: %w: %w", cordon.ErrInvalid, err)
	}
	known := func(d struct{ table, order string }) bool { return d.table == p.Table }
	if p.Table != "" && !slices.ContainsFunc(dumped, known) {
		return p, fmt.Errorf("table %q: %w", p.Table, cordon.ErrInvalid)
	}
	for _, c := range p.Columns {
		if strings.Trim(c, "abcdefghijklmnopqrstuvwxyz_") != "" || c == "" {
			return p, fmt.Errorf("column %q: %w", c, cordon.ErrInvalid)
		}
	}
	for i, v := range p.Row {
		switch v := v.(type) {
		case json.Number:
			if p.Row[i], err = v.Int64(); err != nil {
				return p, fmt.Errorf("number %s: %w", v, cordon.ErrInvalid)
			}
		case map[string]any:
			s, _ := v["bytes"].(string)
			b, err := base64.StdEncoding.DecodeString(s)
			if err != nil {
				return p, fmt.Errorf("bytes: %w", cordon.ErrInvalid)
			}
			p.Row[i] = b
		}
	}
	return p, nil
}
