package store

import (
	"context"
	"fmt"
	"io"
	"slices"

	"cordon"
	"cordon/core/store/dump"
	"cordon/core/store/intake"
	"cordon/core/store/table"
	"cordon/core/store/table/dialect"
)

// Ingest stores reports, at most table.MaxBatch in a transaction, and returns what changed.
// Reports that were stored before are left out, as are those of routers that are unknown,
// not enrolled or without a site (Stats counts both); what comes late never replaces what
// is newer. With an error some of the reports may have been stored, and the events are of
// those: all of them may be given again.
func (s *Store) Ingest(ctx context.Context, reports []cordon.Report) (events []cordon.Event, err error) {
	for chunk := range slices.Chunk(reports, table.MaxBatch) {
		var o intake.Outcome
		err := s.write(ctx, func(tx dialect.Tx) (err error) {
			o, err = intake.Store(ctx, tx, s.now(), chunk)
			return err
		})
		if err != nil {
			return events, fmt.Errorf("ingest %d reports: %w", len(chunk), err)
		}
		s.stored.Add(uint64(o.Stored))
		s.doubled.Add(uint64(o.Doubled))
		s.refused.Add(uint64(o.Refused))
		events = append(events, o.Events...)
	}
	return events, nil
}

// Dump writes everything as it is at one moment, as lines of JSON that Load reads into
// either database. It has everything in it that the database has: keep it as safely.
func (s *Store) Dump(ctx context.Context, w io.Writer) error { return dump.Write(ctx, s.db, w) }

// Load reads what Dump wrote, all or nothing, into a store that has nothing in it yet
// (else cordon.ErrConflict).
func (s *Store) Load(ctx context.Context, r io.Reader) error { return dump.Read(ctx, s.db, r) }
