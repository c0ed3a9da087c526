package main

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// lastWords is how long the program takes at most, at its end, to write what is still to be
// written to standard error.
const lastWords = time.Second

// finish writes the rest of the log to standard error, and then text. If nobody reads standard
// error, it gives up after lastWords.
func (t terminal) finish(text string) {
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	written := make(chan struct{})
	go func() {
		defer close(written)
		if t.log == nil || t.log.Flush(ctx) == nil {
			_, _ = io.WriteString(t.err, text) // there is nowhere else to tell an error
		}
	}()
	select {
	case <-written:
	case <-ctx.Done():
	}
}

// logger makes two logs: one for the program and one for the reactor. The user of
// a small server does not need the reactor's own messages. So the reactor logs
// warnings and errors only, unless the level is debug.
//
// The loop does not wait for standard error, which may be a pipe that nobody reads: the logs go
// through the queue of the terminal.
func (g *globals) logger(t terminal) (program, engine *slog.Logger) {
	level := g.level()
	engineLevel := level
	if level > slog.LevelDebug {
		engineLevel = max(level, slog.LevelWarn)
	}
	return slog.New(g.handler(t, level)), slog.New(g.handler(t, engineLevel))
}

func (g *globals) handler(t terminal, level slog.Level) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(t.err, o)
	if g.LogFormat == "json" {
		h = slog.NewJSONHandler(t.err, o)
	}
	if t.log != nil {
		h = t.log.Handler(h)
	}
	return h
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
