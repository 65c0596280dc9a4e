package store

import (
	"cordon"
	"cordon/core/store/dialect"
)

// SetBudget changes how many rows a list looks at, so that few records are many.
func (s *Store) SetBudget(n int) { s.budget = n }

// Tx reads, for tests of what is in the database.
func (s *Store) Tx() dialect.Tx { return s.db.Read() }

// OpenAt opens a store with an older schema.
var OpenAt = openAt

// Asked is a statement that a list would run.
type Asked struct {
	Text string
	Args []any
}

// Statements returns the statements that a list runs for a page in the middle.
func Statements(name string, scope cordon.Scope, q cordon.Query) ([]Asked, error) {
	switch name {
	case "accounts":
		return statements(&accountList, scope, q)
	case "sites":
		return statements(&siteList, scope, q)
	case "routers":
		return statements(&routerList, scope, q)
	case "devices":
		return statements(&deviceList, scope, q)
	case "incidents":
		return statements(&incidentList, scope, q)
	case "detections":
		return statements(&detectionList, scope, q)
	case "actions":
		return statements(&actionList, scope, q)
	case "audits":
		return statements(&auditList, scope, q)
	}
	return statements(&userList, scope, q)
}

func statements[T any](l *list[T], scope cordon.Scope, q cordon.Query) (out []Asked, err error) {
	scans, err := l.scans(scope, q)
	for i := range scans {
		var zero T
		after := scans[i].values(&zero)
		for _, drive := range scans[i].drives {
			p := l.piece(&scans[i], drive, after, nil, defaultBudget, 51)
			out = append(out, Asked{p.text.String(), p.args})
			if len(scans[i].rest) > 0 {
				f := l.far(&scans[i], drive, after, defaultBudget)
				out = append(out, Asked{f.text.String(), f.args})
			}
		}
	}
	return out, err
}
