package reactor_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// A callback that ends the loop's goroutine ends the reactor as a crash ends a program
// (CORE-49): peers see a reset, nothing more is called, and who waits is told.
func TestGoexit(t *testing.T) {
	for _, c := range []struct {
		name string
		exit func(r *reactor.Reactor, in *end)
	}{
		{"data", func(_ *reactor.Reactor, in *end) { in.onData = func([]byte) { runtime.Goexit() } }},
		{"posted", func(r *reactor.Reactor, _ *end) { r.Post(runtime.Goexit) }},
		{"delayed", func(r *reactor.Reactor, _ *end) { r.CallLater(ms, runtime.Goexit) }},
		{"startup", func(r *reactor.Reactor, _ *end) { r.AddTrigger(reactor.After, reactor.Startup, runtime.Goexit) }},
		{"shutdown", func(r *reactor.Reactor, _ *end) {
			r.AddTrigger(reactor.Before, reactor.Shutdown, runtime.Goexit)
			r.Post(func() { r.Stop() })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				var log coreLog
				r, far := w.New(t, reactor.Config{Logger: slog.New(&log)}), w.New(t, reactor.Config{})
				in, out := &end{}, &end{}
				out.onMade = func() { out.s.Write([]byte("x")) }
				in.onLost = func(error) { t.Error("CORE-49: called after the end") }
				p := listen(t, r, one(in), nil)
				far.Dial(p.Addr(), one(out), nil, nil)
				testworld.Until(t, func() bool { return in.s != nil && out.s != nil }, r, far)
				limit := &reactor.LogLimit{}
				for range 3 {
					limit.Log(r, slog.New(&log), slog.LevelInfo, "often")
				}
				c.exit(r, in)
				asked, left := make(chan error, 1), make(chan struct{})
				go func() {
					_, err := reactor.AskLater(r, func(func(int, error)) {})
					asked <- err
				}()
				go func() {
					defer close(left)
					r.Run(context.Background())
				}()
				<-left
				<-r.Done()
				testworld.Until(t, func() bool { return out.err != nil }, far)
				if errors.Is(out.err, io.EOF) || !errors.Is(out.err, reactor.ErrLost) {
					t.Errorf("CORE-49: the peer got %v", out.err)
				}
				if r.Running() || r.Run(context.Background()) != reactor.ErrNotRestartable {
					t.Error("CORE-49: it counts as running")
				}
				if err := <-asked; err != reactor.ErrStopped {
					t.Errorf("CORE-49: asked: %v", err)
				}
				told := slices.DeleteFunc(slices.Clone(log.records), func(r slog.Record) bool { return r.Level < slog.LevelWarn })
				if len(told) != 1 || told[0].Level != slog.LevelError || !strings.Contains(told[0].Message, "Goexit") {
					t.Errorf("CORE-49: logged %v, want one record", told)
				}
				if _, err := r.Kernel().Wait(make([]kernel.Event, 1), 0); err == nil {
					t.Error("CORE-49: the kernel is open")
				}
				if n := log.count(slog.LevelInfo, "often"); n != 2 {
					t.Errorf("X-8: %d records of three, want the first and the last", n)
				}
			})
		})
	}
}

// Work that ends its goroutine has a result too.
func TestGoexitInThread(t *testing.T) {
	nativeWorlds(t, "a simulated kernel does the work itself", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var got error
		reactor.InThread(r, func() (int, error) { runtime.Goexit(); return 0, nil }, func(_ int, err error) { got = err })
		until(t, r, func() bool { return got != nil })
		if got != pool.ErrGoexit {
			t.Errorf("THR-19: %v", got)
		}
	})
}
