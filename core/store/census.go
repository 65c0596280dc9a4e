package store

import (
	"context"
	"fmt"

	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

// Census is how many homes are online.
type Census struct {
	Homes  int            // whose router is connected
	Models map[string]int // of those, in which a device of that model lives
	Agents map[string]int // of those, with that version of the agent
}

// Bounds of a census: routers name models and versions as they like.
const (
	// leastHomes is how many homes a model or a version must have to be counted. No
	// judgement about homes is made of fewer than ten.
	leastHomes = 10
	maxCounted = 10_000 // models, and versions; those of the most homes
)

// Census counts the homes that are online. It looks at every router, and goes through the
// whole index of models: 2 s for a million devices in 50,000 homes, on either database. So
// it is for once a minute.
func (s *Store) Census(ctx context.Context) (Census, error) {
	c := Census{Models: make(map[string]int), Agents: make(map[string]int)}
	err := s.db.Snapshot(ctx, func(tx dialect.Tx) error {
		const online = "routers WHERE online AND site IS NOT NULL"
		homes, err := table.One(ctx, tx, "homes", func(n *int) []any { return []any{column.Number(n)} }, "SELECT COUNT(*) FROM "+online)
		if err != nil {
			return err
		}
		c.Homes = homes
		if err := count(ctx, tx, c.Agents, "SELECT agent, COUNT(*) FROM "+online+" AND agent <> '' GROUP BY agent"); err != nil {
			return fmt.Errorf("versions: %w", err)
		}
		// A home is counted once for all its devices of a model. COALESCE keeps SQLite from
		// the way by site, which reads every device; devices_model has all that is asked.
		if err := count(ctx, tx, c.Models, "SELECT model, COUNT(*) FROM (SELECT DISTINCT model, site FROM devices WHERE model <> '' AND COALESCE(site, '') IN (SELECT site FROM "+
			online+")) AS lives GROUP BY model"); err != nil {
			return fmt.Errorf("models: %w", err)
		}
		return nil
	})
	if err != nil {
		return Census{}, fmt.Errorf("census: %w", dialect.Classify(err))
	}
	return c, nil
}

// count reads a query of names and numbers of homes.
func count(ctx context.Context, tx dialect.Tx, into map[string]int, text string) error {
	type counted struct {
		name  string
		homes int
	}
	found, err := table.All(ctx, tx, func(c *counted) []any { return []any{column.ID(&c.name), column.Number(&c.homes)} },
		text+" HAVING COUNT(*) >= $1 ORDER BY 2 DESC, 1 LIMIT $2", leastHomes, maxCounted)
	for _, c := range found {
		into[c.name] = c.homes
	}
	return err
}
