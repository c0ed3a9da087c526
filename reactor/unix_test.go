package reactor_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/testworld/transporttest"
)

// socketName is a path at which nothing is.
func socketName(t *testing.T) kernel.Addr {
	t.Helper()
	dir, err := os.MkdirTemp("", "whorl") // t.TempDir has the test's name, and a path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return kernel.UNIXAddr(filepath.Join(dir, "s"))
}

// A stream over a UNIX socket holds the contract of a transport, however it is cut.
func TestUNIXContract(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		w = w.Crowded()
		t.Parallel() // some of the time is waiting
		transporttest.Run(t, func(t *testing.T, c reactor.Config, a, b reactor.Protocol) transporttest.Link {
			link := transporttest.Link{Moment: time.Millisecond, NoReset: true, NoAddresses: true}
			var marks reactor.StreamConfig
			if w.Chunk() > 0 {
				link.Much, link.Deep = bulk(w, 0)/2, !w.Simulated()
				marks = reactor.StreamConfig{HighWater: 100, LowWater: 20}
			}
			c.ReadBuffer = 32 << 10
			r := w.New(t, c)
			link.Until = func(done func() bool) { t.Helper(); testworld.Until(t, done, r) }
			port, err := r.Listen(socketName(t), one(b), &reactor.ListenConfig{StreamConfig: marks})
			if err != nil {
				t.Fatal(err)
			}
			r.Dial(port.Addr(), one(a), &reactor.DialConfig{StreamConfig: marks}, func(_ reactor.Protocol, err error) {
				if _, panicked := errors.AsType[*reactor.PanicError](err); err != nil && !panicked {
					t.Errorf("dial: %v", err)
				}
			})
			return link
		})
	})
}

// Both ends of a connection know the path; what is asked of TCP alone is told so. The listener's
// end leaves the connection alone and takes the path away, and then done is called (UNIX-5,
// UNIX-6, UNIX-14).
func TestUNIXPort(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var log bytes.Buffer
		r := w.New(t, reactor.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		at, got := socketName(t), kernel.Addr{}
		var srv, cli end
		f := &lifeFactory{build: func(a kernel.Addr) reactor.Protocol { got = a; return &srv }}
		p, err := r.Listen(at, f, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := r.Dial(at, one(&cli), nil, nil)
		until(t, r, func() bool { return srv.s != nil && cli.s != nil })
		none := kernel.UNIXAddr("")
		if p.Addr() != at || c.Destination() != at || cli.s.Remote() != at || cli.s.Local() != none || srv.s.Local() != at || srv.s.Remote() != none || got != none {
			t.Errorf("UNIX-5, UNIX-14: port %v, destination %v, %v to %v, %v from %v, built for %v",
				p.Addr(), c.Destination(), cli.s.Local(), cli.s.Remote(), srv.s.Local(), srv.s.Remote(), got)
		}
		quoted := fmt.Sprintf("%q", at.Name)
		if !strings.HasSuffix(p.String(), " on "+quoted+">") || !strings.Contains(srv.s.String(), quoted) {
			t.Errorf("UNIX-5: %v, %v", p, srv.s)
		}
		if err := srv.s.SetNoDelay(true); !errors.Is(err, kernel.ErrUnsupported) {
			t.Errorf("NoDelay: %v", err)
		}
		if a, err := srv.s.Credentials(); err != nil {
			t.Error(err)
		} else if b, err := cli.s.Credentials(); err != nil || a.PID == 0 || a.UID != b.UID {
			t.Errorf("credentials %+v and %+v, %v", a, b, err)
		}
		stopped := false
		p.StopListening(func(err error) {
			stopped = err == nil
			if q, err := r.Listen(at, one(new(end)), nil); err != nil {
				t.Errorf("UNIX-6: when done is called, the path is not free: %v", err)
			} else {
				q.StopListening(nil)
			}
		})
		until(t, r, func() bool { return stopped })
		if f.stopped != 1 {
			t.Errorf("the factory was stopped %d times", f.stopped)
		}
		cli.s.Write([]byte("still here"))
		until(t, r, func() bool { return string(srv.got) == "still here" })
		if text := strings.ReplaceAll(log.String(), `\`, ""); !strings.Contains(text, `(UNIX Port `+quoted+` Closed)`) {
			t.Errorf("UNIX-5: the log is %s", log.String())
		}
	})
}

// lifeFactory counts its starts and stops.
type lifeFactory struct {
	build            func(kernel.Addr) reactor.Protocol
	started, stopped int
}

func (f *lifeFactory) BuildProtocol(a kernel.Addr) reactor.Protocol { return f.build(a) }
func (f *lifeFactory) StartFactory() error                          { f.started++; return nil }
func (f *lifeFactory) StopFactory() error                           { f.stopped++; return nil }

// A path in use, and one that cannot be made, fail with ErrListen, and the factory is not in use
// (UNIX-3, UNIX-4).
func TestUNIXListenFails(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		at := socketName(t)
		if _, err := r.Listen(at, one(new(end)), nil); err != nil {
			t.Fatal(err)
		}
		for what, a := range map[string]kernel.Addr{
			"in use": at, "too long": kernel.UNIXAddr(strings.Repeat("x", 200)), "no name": kernel.UNIXAddr(""),
		} {
			f := &lifeFactory{}
			_, err := r.Listen(a, f, nil)
			if !errors.Is(err, reactor.ErrListen) || f.started != f.stopped {
				t.Errorf("UNIX-3, UNIX-4: %s: %v; started %d times, stopped %d", what, err, f.started, f.stopped)
			}
		}
		_, err := r.Listen(at, one(new(end)), nil)
		if !errors.Is(err, kernel.ErrAddrInUse) || !strings.Contains(err.Error(), at.Name) {
			t.Errorf("UNIX-3: %v", err)
		}
	})
}

// A dial of what is not there, of where nobody listens, and one that must see a lock file, fails
// with its cause (UNIX-11, UNIX-12, UNIX-13).
func TestUNIXDialFails(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		at, bound := socketName(t), socketName(t)
		var srv, cli end
		if _, err := r.Listen(at, one(&srv), nil); err != nil {
			t.Fatal(err)
		}
		cfg := &reactor.DialConfig{}
		cfg.Bind = bound
		r.Dial(at, one(&cli), cfg, nil)
		until(t, r, func() bool { return srv.s != nil })
		check := &reactor.DialConfig{}
		check.CheckLock = true
		for what, c := range map[string]struct {
			a    kernel.Addr
			cfg  *reactor.DialConfig
			want error
		}{
			"UNIX-12: nothing there":  {socketName(t), nil, fs.ErrNotExist},
			"UNIX-12: nobody listens": {bound, nil, kernel.ErrRefused},
			"UNIX-13: no lock":        {at, check, kernel.ErrNotLocked},
			"a name that is too long": {kernel.UNIXAddr(strings.Repeat("x", 200)), nil, kernel.ErrInvalidAddr},
			"a name that is taken":    {at, cfg, kernel.ErrAddrInUse},
		} {
			f := &lifeFactory{build: func(kernel.Addr) reactor.Protocol { return new(end) }}
			var err error
			r.Dial(c.a, f, c.cfg, func(_ reactor.Protocol, e error) { err = e })
			until(t, r, func() bool { return err != nil })
			var op *reactor.OpError
			if !errors.Is(err, c.want) || !errors.Is(err, reactor.ErrConnect) || !errors.As(err, &op) || op.Remote != c.a {
				t.Errorf("%s: %v", what, err)
			}
			if testworld.Turns(t, r, 2); f.started != 1 || f.stopped != 1 {
				t.Errorf("UNIX-11: %s: the factory was started %d times, stopped %d", what, f.started, f.stopped)
			}
		}
	})
}

// A dial waits for room in the queue of a listener that does not accept, as long as
// DialConfig.Timeout says, and no longer than the reactor runs (UNIX-11).
func TestUNIXQueueFull(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		f := &testworld.Faults{}
		full := true
		f.Dial = func(kernel.Addr) error {
			if full {
				return kernel.ErrAgain
			}
			return nil
		}
		r := testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{})
		at := socketName(t)
		if _, err := r.Listen(at, one(new(end)), nil); err != nil {
			t.Fatal(err)
		}
		dial := func(timeout time.Duration) (result *error, c *reactor.Connector) {
			result = new(error)
			*result = kernel.ErrAgain
			c = r.Dial(at, one(new(end)), &reactor.DialConfig{Timeout: timeout}, func(_ reactor.Protocol, err error) { *result = err })
			return result, c
		}
		err, _ := dial(30 * time.Millisecond)
		until(t, r, func() bool { return *err != kernel.ErrAgain })
		if n := f.Calls["Dial"]; !errors.Is(*err, reactor.ErrConnectTimeout) || n < 1 || n > 4 {
			t.Errorf("UNIX-11: after %d attempts: %v", n, *err)
		}
		given, c := dial(0)
		waiting, _ := dial(0)
		until(t, r, func() bool { return f.Calls["Dial"] > 5 })
		c.StopConnecting()
		until(t, r, func() bool { return *given != kernel.ErrAgain })
		if !errors.Is(*given, reactor.ErrCancelled) {
			t.Errorf("given up: %v", *given)
		}
		full = false
		until(t, r, func() bool { return *waiting != kernel.ErrAgain })
		if *waiting != nil {
			t.Errorf("when there is room: %v", *waiting)
		}
		full = true
		last, _ := dial(-1)
		testworld.Turns(t, r, 3)
		r.Close()
		if !errors.Is(*last, reactor.ErrStopped) {
			t.Errorf("when the reactor is closed: %v", *last)
		}
	})
}

// Unread input does not make the end a reset, and what a peer still sends after our Close does
// not destroy our last words.
func TestUNIXEnds(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for what, over := range map[string]func(e *end){
			"closed": func(e *end) { e.s.Close() },
			"paused": func(e *end) { e.s.PauseProducing(); e.s.Close() },
		} {
			var srv end
			port, err := r.Listen(socketName(t), one(&srv), nil)
			if err != nil {
				t.Fatal(err)
			}
			p := w.Peer(t, port.Addr(), r)
			until(t, r, func() bool { return srv.s != nil })
			srv.s.PauseProducing()
			p.Send("unread")
			testworld.Turns(t, r, 3)
			srv.s.Write([]byte("answer"))
			over(&srv)
			until(t, r, func() bool { return srv.err != nil })
			p.Send("more") // the end has not come here yet
			if got, err := p.Rest(); string(got) != "answer" || err != io.EOF || srv.err != reactor.ErrClosed {
				t.Errorf("%s: the peer got %q, then %v; lost with %v", what, got, err, srv.err)
			}
		}
	})
}

// A client that has bound a name can dial from it again in its ConnectionLost, though the conn
// lingers then.
func TestUNIXBindAgain(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		at := socketName(t)
		// A halfEnd does not end by itself, so the client lingers.
		if _, err := r.Listen(at, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return new(halfEnd) }), nil); err != nil {
			t.Fatal(err)
		}
		cfg := &reactor.DialConfig{}
		cfg.Bind = socketName(t)
		var first, second end
		var err error
		dialled := false
		first.onLost = func(error) {
			r.Dial(at, one(&second), cfg, func(_ reactor.Protocol, e error) { dialled, err = true, e })
		}
		r.Dial(at, one(&first), cfg, nil)
		until(t, r, func() bool { return first.s != nil })
		first.s.Write([]byte("x"))
		first.s.Close()
		until(t, r, func() bool { return dialled })
		if err != nil || second.s.Local() != cfg.Bind {
			t.Errorf("dialling again: %v", err)
		}
	})
}
