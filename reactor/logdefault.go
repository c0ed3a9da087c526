package reactor

import (
	"context"
	"log/slog"
)

// errorsToDefault is the log of a reactor without a Logger: slog.Default(), of which it uses
// only what tells of a mistake. A panic must not vanish because nobody has thought of the log.
type errorsToDefault struct{}

func (errorsToDefault) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelError && slog.Default().Enabled(ctx, l)
}

func (errorsToDefault) Handle(ctx context.Context, x slog.Record) error {
	return slog.Default().Handler().Handle(ctx, x)
}

func (h errorsToDefault) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h errorsToDefault) WithGroup(string) slog.Handler      { return h }
