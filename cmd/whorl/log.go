package main

import (
	"io"
	"log/slog"
)

// logger makes two logs: one for the program and one for the reactor. The user of
// a small server does not need the reactor's own messages. So the reactor logs
// warnings and errors only, unless the level is debug.
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
