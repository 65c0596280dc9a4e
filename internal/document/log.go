package document

import (
	"io"
	"log/slog"
)

// Level is how much is logged, as in log/slog.
type Level string

// Format is how lines are logged.
type Format string

// The levels and formats.
const (
	LevelDebug Level = "debug" // with MAC addresses and names
	LevelInfo  Level = "info"
	LevelWarn  Level = "warn"
	LevelError Level = "error"

	FormatText Format = "text"
	FormatJSON Format = "json"
)

// ALevel and AFormat are the rules of a level and of a format.
type (
	ALevel  struct{}
	AFormat struct{}
)

// Read reads a level.
func (ALevel) Read(s string) (Level, error) {
	return OneOf(s, LevelDebug, LevelInfo, LevelWarn, LevelError)
}

// Read reads a format.
func (AFormat) Read(s string) (Format, error) { return OneOf(s, FormatText, FormatJSON) }

// Log is how a program logs.
type Log struct {
	Level  Level
	Format Format
}

// Logger returns a log that is written to w.
func (l Log) Logger(w io.Writer) *slog.Logger {
	levels := map[Level]slog.Level{LevelDebug: slog.LevelDebug, LevelInfo: slog.LevelInfo, LevelWarn: slog.LevelWarn, LevelError: slog.LevelError}
	o := &slog.HandlerOptions{Level: levels[l.Level]}
	if l.Format == FormatJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
