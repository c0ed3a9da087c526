package service_test

import (
	"context"
	"log/slog"
)

// records are those of a logger, as texts.
type records struct{ all []string }

func (l *records) logger() *slog.Logger                     { return slog.New(l) }
func (l *records) Enabled(context.Context, slog.Level) bool { return true }
func (l *records) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *records) WithGroup(string) slog.Handler            { return l }
func (l *records) Handle(_ context.Context, rec slog.Record) error {
	text := rec.Message
	rec.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	l.all = append(l.all, text)
	return nil
}
