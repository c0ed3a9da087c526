package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/reactor"
)

type watchCommand struct {
	Dirs []string `arg:"" name:"dir" help:"Directories or files to watch."`
	JSON bool     `name:"json" help:"Write each event as a JSON object on a line."`
	Flat bool     `help:"Watch the directories themselves, and not those below them."`
}

// Help is shown by --help.
func (*watchCommand) Help() string {
	return `Each change in a directory, and in all directories below it, is a line on standard output: what has happened, and the
path. A move within one DIR is one line with both paths. A directory that is made or moved there is watched
too, and what is in it already is written as "create". It ends at SIGINT or SIGTERM, with status 0, and when nothing that it watches
is left, with status 1. Linux has it, by inotify.

    create,isdir photos
    create photos/cat.jpg
    move photos/cat.jpg -> photos/tom.jpg
    closewrite photos/tom.jpg
    overflow photos

Paths are written as they are, but in quotes, with escapes, if they have quotes, characters that cannot be seen, such as those that turn the
direction of writing, or bytes that are not UTF-8. With --json an event is such as {"events":["create"],"dir":true,"path":"photos"}; "old" is where it was before a move, "scanned"
means that it was found in a list, and "pathBytes" has the bytes of a path, in base64, if they are not UTF-8.

If standard output is not read, events wait in the system's queue. When that is full they are lost: the line "overflow" says so, and then
everything that is there is written again as "create".

Examples:

    whorl watch src
    whorl watch --json /etc /srv | jq .path
    whorl watch --flat /tmp | grep --line-buffered ^create`
}

// Run watches.
func (c *watchCommand) Run(g *globals, t terminal) error {
	if slices.Contains(c.Dirs, "") {
		return usage(errors.New(`a DIR is empty: the working directory is "."`))
	}
	r, err := g.open(t, reactor.StopSignals()...)
	if err != nil {
		return err
	}
	log, _ := g.logger(t)
	outliveReaders()
	w := &watcher{r: r, json: c.JSON, log: log, left: make(map[*device.Watch]struct{})}
	w.out = &output{r: r, to: t.out, failed: w.outputFailed}
	w.n, err = device.NewNotifier(r, device.NotifierConfig{Lost: w.lost})
	if err != nil {
		r.Close()
		return err
	}
	w.out.source = w.n
	for _, dir := range c.Dirs {
		cfg := device.WatchConfig{Recursive: !c.Flat, Ready: func() { log.Info("watching " + dir) }}
		watch, err := w.n.Add(dir, cfg, w.event)
		if err != nil {
			r.Close()
			return err
		}
		if c.Flat {
			log.Info("watching " + dir)
		}
		w.left[watch] = struct{}{} // a path that is named twice has one
	}
	r.AddWaitTrigger(reactor.Shutdown, func(done func()) {
		ended := false
		end := func() {
			if !ended {
				ended = true
				done()
			}
		}
		w.n.Close()
		w.out.close(end)
		r.CallLater(lastWords, end) // nobody reads
	})
	if err := r.Run(context.Background()); err != nil {
		return err
	}
	return w.err
}

// watcher writes events.
type watcher struct {
	r    *reactor.Reactor
	n    *device.Notifier
	out  *output
	json bool
	log  *slog.Logger
	left map[*device.Watch]struct{}
	err  error

	failures reactor.LogLimit
}

// fail ends the program because of err.
func (w *watcher) fail(err error) {
	if w.err == nil {
		w.err = err
	}
	_ = w.r.Stop() // it may have been told to already
}

func (w *watcher) lost(err error) {
	if !errors.Is(err, reactor.ErrClosed) && !errors.Is(err, reactor.ErrStopped) {
		w.fail(err)
	}
}

func (w *watcher) outputFailed(err error) {
	if errors.Is(err, syscall.EPIPE) {
		w.fail(errQuiet)
		return
	}
	w.fail(fmt.Errorf("standard output: %w", bare(err)))
}

func (w *watcher) event(e device.Event) {
	if e.Err != nil {
		w.failures.Log(w.r, w.log, slog.LevelWarn, "a directory cannot be watched", slog.String("path", e.Path), slog.Any("err", e.Err))
		return
	}
	w.out.write(w.line(e))
	if ends := device.DeleteSelf | device.Unmount | device.Ignored | device.MoveSelf; e.Mask&ends == 0 || e.Path != e.Watch.Path() {
		return
	}
	// The watch is over when this function has returned.
	w.r.Post(func() {
		if _, counted := w.left[e.Watch]; e.Watch.Active() || !counted {
			return
		}
		if delete(w.left, e.Watch); len(w.left) == 0 {
			w.fail(fmt.Errorf("%s: nothing is left to watch", e.Path))
		}
	})
}

// line is e as the output has it.
func (w *watcher) line(e device.Event) []byte {
	names := strings.Split((e.Mask &^ device.IsDir).String(), "|")
	if e.Mask&device.Moved == device.Moved {
		names = []string{"move"}
	}
	dir := e.Mask&device.IsDir != 0
	if !w.json {
		if dir {
			names = append(names, "isdir")
		}
		line := strings.Join(names, ",") + " "
		if e.Old != "" {
			line += shown(e.Old) + " -> "
		}
		return []byte(line + shown(e.Path) + "\n")
	}
	line, _ := json.Marshal(struct { // it has nothing that cannot be JSON
		Events  []string `json:"events"`
		Dir     bool     `json:"dir,omitempty"`
		Scanned bool     `json:"scanned,omitempty"`
		Path    string   `json:"path"`
		Old     string   `json:"old,omitempty"`
		PathRaw []byte   `json:"pathBytes,omitempty"`
		OldRaw  []byte   `json:"oldBytes,omitempty"`
	}{names, dir, e.Scanned, e.Path, e.Old, raw(e.Path), raw(e.Old)})
	return append(line, '\n')
}

// raw is a path of which UTF-8 would lose bytes, or nil.
func raw(path string) []byte {
	if utf8.ValidString(path) {
		return nil
	}
	return []byte(path)
}

// shown is a path on a line. What cannot be seen is escaped: a name must not look like another, or change the terminal.
func shown(path string) string {
	odd := func(c rune) bool { return c == utf8.RuneError || c == '"' || !strconv.IsPrint(c) }
	if strings.ContainsFunc(path, odd) || strings.Contains(path, " -> ") {
		return strconv.Quote(path)
	}
	return path
}
