package store

import (
	"cordon"
	"cordon/core/store/people"
	"cordon/core/store/table"
	"cordon/core/store/table/dialect"
)

// SetBudget changes how many rows a list looks at, so that few records are many.
func (s *Store) SetBudget(n int) { s.budget, s.persons.Budget = n, n }

// Tx reads, for tests of what is in the database.
func (s *Store) Tx() dialect.Tx { return s.db.Read() }

// OpenAt opens a store with an older schema.
var OpenAt = openAt

// Statements returns the statements that a list runs for a page in the middle.
func Statements(name string, scope cordon.Scope, q cordon.Query) ([]*table.Statement, error) {
	switch name {
	case "accounts":
		return accountList.Statements(scope, q)
	case "sites":
		return siteList.Statements(scope, q)
	case "routers":
		return routerList.Statements(scope, q)
	case "devices":
		return deviceList.Statements(scope, q)
	case "incidents":
		return incidentList.Statements(scope, q)
	case "detections":
		return detectionList.Statements(scope, q)
	case "actions":
		return actionList.Statements(scope, q)
	case "audits":
		return auditList.Statements(scope, q)
	}
	return people.Statements(scope, q)
}
