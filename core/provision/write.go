package provision

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"cordon"
)

// Writer writes a list of routers as CSV, for spreadsheets too: what a router or a
// customer put into a field is never a formula there.
type Writer struct{ w *csv.Writer }

// NewWriter writes the first line.
func NewWriter(w io.Writer) (*Writer, error) {
	out := &Writer{csv.NewWriter(w)}
	return out, out.w.Write([]string{"serial", "id", "state", "online", "account_id", "site_id", "area", "model", "agent",
		"policy", "mode", "seen", "enrolled"})
}

// Write writes a router.
func (w *Writer) Write(r *cordon.Router) error {
	record := []string{r.Serial, r.ID, string(r.State), strconv.FormatBool(r.Online), r.Account, r.Site, r.Area, r.Model,
		r.Agent, string(r.Health.Policy), r.Health.Mode, moment(r.Seen), moment(r.Enrolled)}
	for i, s := range record {
		record[i] = inert(s)
	}
	return w.w.Write(record)
}

// Flush writes what is left.
func (w *Writer) Flush() error {
	w.w.Flush()
	return w.w.Error()
}

// inert returns s so that no spreadsheet takes it for a formula: an apostrophe stands
// in front of what could begin one (OWASP, "CSV Injection").
func inert(s string) string {
	if trimmed := strings.TrimLeft(s, " \u00a0"); trimmed != "" && strings.ContainsRune("=+-@\t\r\n|%＝＋－＠", []rune(trimmed)[0]) {
		return "'" + s
	}
	return s
}

func moment(t cordon.Time) string {
	if t == 0 {
		return ""
	}
	return t.String()
}
