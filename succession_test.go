package whorl

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// lockedBuffer is a log that is read while servers write to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A server with the same Handover takes over from one that serves, which drains and ends without an error. A server
// whose places cannot be opened, or that is told to end, leaves it as it is.
func TestServeHandover(t *testing.T) {
	for _, name := range native.Names() {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "whorl")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			path := filepath.Join(dir, "h")
			var log lockedBuffer
			serve := func(places ...string) (at chan net.Addr, ended chan error, stop func()) {
				at, ended = make(chan net.Addr, 1), make(chan error, 1)
				ctx, stop := context.WithCancel(context.Background())
				c := Config{Kernel: name, Handover: path, Signals: []os.Signal{}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
				c.Started = func(_ *reactor.Reactor, open []endpoint.Listener) { at <- open[0].Addr() }
				go func() { ended <- c.Serve(ctx, reactor.Each[polite](), places...) }()
				return at, ended, stop
			}
			at, first, stop := serve(anywhere)
			defer stop()
			a := <-at
			c, err := net.Dial("tcp", a.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, bad, stopBad := serve(anywhere, "unix:/nowhere/x")
			defer stopBad()
			var e *PlaceError
			if err := <-bad; !errors.As(err, &e) || e.Place != "unix:/nowhere/x" || !errors.Is(err, reactor.ErrListen) {
				t.Errorf("a server that cannot serve: %v", err)
			}
			select {
			case err := <-first:
				t.Fatalf("the first server ended with %v:\n%s", err, log.String())
			default:
			}
			at, second, stop2 := serve(anywhere)
			defer stop2()
			if b := <-at; b.String() != a.String() {
				t.Errorf("at %v, not %v", b, a)
			}
			c.SetDeadline(time.Now().Add(30 * time.Second))
			if got, err := io.ReadAll(c); string(got) != "bye" || err != nil {
				t.Errorf("the first server's connection: %q, %v: it was not drained", got, err)
			}
			if err := <-first; err != nil {
				t.Errorf("the first server ended with %v", err)
			}
			again, err := net.Dial("tcp", a.String())
			if err != nil {
				t.Fatal(err)
			}
			again.Close()
			stop2()
			if err := <-second; err != nil {
				t.Errorf("the second server ended with %v", err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket is left: %v", err)
			}
		})
	}
}
