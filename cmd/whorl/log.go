package main

import (
	"io"
	"log/slog"
)

// logger makes the program's log, and a second one for the reactor, which tells
// of more edges than the user of a small server wants to hear: of those below a
// warning only when debugging.
func (g *globals) logger(w io.Writer) (program, engine *slog.Logger) {
	level := g.level()
	engineLevel := level
	if level > slog.LevelDebug {
		engineLevel = max(level, slog.LevelWarn)
	}
	return slog.New(g.handler(w, level)), slog.New(g.handler(w, engineLevel))
}

func (g *globals) handler(w io.Writer, level slog.Level) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if g.LogFormat == "json" {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

func (g *globals) level() slog.Level {
	if g.Quiet {
		return slog.LevelError
	}
	return map[string]slog.Level{
		"debug": slog.LevelDebug,
		"warn":  slog.LevelWarn,
		"error": slog.LevelError,
	}[g.LogLevel]
}
