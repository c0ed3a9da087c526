package whorl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// called is a client on a reactor of a world, which the test turns, and the other side.
type called struct {
	*client
	t       *testing.T
	place   string
	stopped bool
	log     *record
}

// call starts a client.
func call(t *testing.T, w testworld.World, c Config, place string, f reactor.Factory) *called {
	t.Helper()
	v := &called{t: t, place: place, log: new(record)}
	c.Logger = v.log.logger()
	c.Reactor.Logger = c.Logger
	to, err := c.schemes().Client(place)
	if err != nil {
		t.Fatal(err)
	}
	v.client = &client{loop: c.loopOn(w.New(t, c.Reactor))}
	t.Cleanup(v.signals.GiveBack)
	v.connect(to, f, c.Started)
	v.r.AddTrigger(reactor.After, reactor.Shutdown, func() { v.stopped = true })
	if err := v.r.Start(); err != nil {
		t.Fatal(err)
	}
	return v
}

// result turns the client to its end and returns what Connect would.
func (v *called) result() error {
	v.t.Helper()
	testworld.Until(v.t, func() bool { return v.stopped }, v.r)
	return v.client.result(context.Background(), v.place)
}

// to is the place where l listens.
func to(l *testworld.Listener) string { return fmt.Sprintf("tcp:127.0.0.1:%d", l.Addr().Port()) }

// reachable starts a client of p and returns it with the other side.
func reachable(t *testing.T, w testworld.World, c Config, p reactor.Protocol) (*called, *testworld.Peer) {
	t.Helper()
	r := w.Listener(t)
	v := call(t, w, c, to(r), reactor.One(p))
	testworld.Until(t, func() bool { return v.state == clientConnected }, v.r)
	return v, r.Accept()
}

// bail is a protocol with a method for everything.
type bail struct {
	echo
	made, lost func()
	got        string
	why        error
}

func (p *bail) ConnectionMade(t reactor.Transport) {
	p.echo.ConnectionMade(t)
	if p.made != nil {
		p.made()
	}
}

func (p *bail) DataReceived(b []byte) { p.got += string(b) }

func (p *bail) ConnectionLost(err error) {
	p.why = err
	if p.lost != nil {
		p.lost()
	}
}

// A connection that either side ends cleanly is the result nil; all others say why, with
// the place.
func TestConnectResults(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, x := range map[string]struct {
			end  func(v *called, p *bail, peer *testworld.Peer)
			want error
		}{
			"the peer ends":   {func(_ *called, _ *bail, peer *testworld.Peer) { peer.Close() }, nil},
			"we close":        {func(v *called, p *bail, _ *testworld.Peer) { v.r.Post(func() { p.T.Close() }) }, nil},
			"we abort":        {func(v *called, p *bail, _ *testworld.Peer) { v.r.Post(func() { p.T.Abort() }) }, reactor.ErrAborted},
			"the peer aborts": {func(_ *called, _ *bail, peer *testworld.Peer) { peer.Abort() }, kernel.ErrReset},
		} {
			t.Run(name, func(t *testing.T) {
				p := new(bail)
				v, peer := reachable(t, w, Config{}, p)
				x.end(v, p, peer)
				err := v.result()
				if !errors.Is(err, x.want) {
					t.Errorf("the result is %v, want %v", err, x.want)
				}
				if e, ok := errors.AsType[*PlaceError](err); x.want != nil && (!ok || e.Place != v.place) {
					t.Errorf("the result %v lacks the place", err)
				}
				if p.why == nil {
					t.Error("the protocol did not hear of the end")
				}
			})
		}
	})
}

// A coroutine whose body fails ends the connection, and its error is the result, not only what followed from it. An error of the connection itself is not
// told twice.
func TestConnectCoroutineFails(t *testing.T) {
	bad := errors.New("the greeting is bad")
	worlds(t, func(t *testing.T, w testworld.World) {
		var panics int
		c := Config{}
		c.Reactor.Panicked = func(*reactor.PanicError) { panics++ }
		for name, x := range map[string]struct {
			body   func(*coro.Session) error
			resets bool // the peer does
			want   []error
			panics bool
		}{
			"aborted": {body: func(*coro.Session) error { return bad }, want: []error{bad, reactor.ErrAborted}},
			"closed":  {body: func(s *coro.Session) error { defer s.Close(); return bad }, want: []error{bad}},
			"fine":    {body: func(s *coro.Session) error { return nil }},
			"after Close": {body: func(s *coro.Session) error {
				s.Close()
				_, err := s.Read(make([]byte, 1))
				return err
			}},
			"panics": {body: func(*coro.Session) error { panic(bad) }, want: []error{reactor.ErrAborted}, panics: true},
			"the peer resets": {body: func(s *coro.Session) error {
				_, err := s.Read(make([]byte, 1))
				return err
			}, resets: true, want: []error{kernel.ErrReset}},
		} {
			l := w.Listener(t)
			v := call(t, w, c, to(l), coro.Factory(x.body))
			if x.resets {
				testworld.Until(t, func() bool { return v.state == clientConnected }, v.r)
				l.Accept().Abort()
			}
			err := v.result()
			for _, want := range x.want {
				if !errors.Is(err, want) {
					t.Errorf("%s: the result is %v, which is not %v", name, err, want)
				}
			}
			if (err == nil) != (x.want == nil) {
				t.Errorf("%s: the result is %v", name, err)
			}
			if _, ok := errors.AsType[*reactor.PanicError](err); ok != x.panics {
				t.Errorf("%s: the result is %v", name, err)
			}
		}
		if panics == 0 {
			t.Error("no panic was reported")
		}
	})
}

// Nobody there, a factory that refuses, and panics are results too.
func TestConnectFails(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var panics int
		c := Config{}
		c.Reactor.Panicked = func(*reactor.PanicError) { panics++ }
		l := w.Listener(t)
		nobody := w.Listener(t)
		nobody.Close()
		bang := func() { panic("bang") }
		for name, x := range map[string]struct {
			place string
			p     reactor.Protocol
			want  error
			panic bool
		}{
			"refused":                 {place: to(nobody), want: kernel.ErrRefused},
			"no protocol":             {place: to(l), want: reactor.ErrNoProtocol},
			"panic in ConnectionMade": {place: to(l), p: &bail{made: bang}, panic: true},
		} {
			v := call(t, w, c, x.place, reactor.One(x.p))
			err := v.result()
			e, ok := errors.AsType[*PlaceError](err)
			_, panicked := errors.AsType[*reactor.PanicError](err)
			if !ok || e.Place != x.place || x.want != nil && !errors.Is(err, x.want) || panicked != x.panic {
				t.Errorf("%s: the result is %v", name, err)
			}
		}
		// A panic in ConnectionLost is no reason to wait for ever, or to forget the end.
		v, peer := reachable(t, w, c, &bail{lost: bang})
		peer.Abort()
		if err := v.result(); !errors.Is(err, kernel.ErrReset) {
			t.Errorf("panic in ConnectionLost: the result is %v", err)
		}
		if panics != 2 {
			t.Errorf("%d panics were reported, want 2", panics)
		}
	})
}

// When it is told to end, a Drainer ends the connection. Any other is closed, and what it
// wrote before is still sent; a peer that never ends is aborted after the grace.
func TestConnectIsDrained(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		v, peer := reachable(t, w, Config{}, new(polite))
		v.r.Stop()
		v.until()
		if got, err := peer.Rest(); string(got) != "bye" || err != io.EOF || v.result() != nil {
			t.Errorf("a drainer: the peer got %q and %v, the result is %v", got, err, v.result())
		}
		p := new(bail)
		v, peer = reachable(t, w, Config{}, p)
		v.r.Post(func() { p.T.Write([]byte("last words")); v.r.Stop() })
		v.until()
		if got, err := peer.Rest(); string(got) != "last words" || err != io.EOF || v.result() != nil {
			t.Errorf("another: the peer got %q and %v, the result is %v", got, err, v.result())
		}
		v, peer = reachable(t, w, Config{Grace: 50 * time.Millisecond}, &polite{onDrain: func() {}})
		v.r.Stop()
		v.until()
		if _, err := peer.Rest(); !errors.Is(err, kernel.ErrReset) || !errors.Is(v.result(), reactor.ErrAborted) {
			t.Errorf("after the grace: the peer saw %v, the result is %v", err, v.result())
		}
	})
}

// until turns the client to its end.
func (v *called) until() { v.result() }

// silent is a resolver that never answers.
type silent struct{ asked func() }

func (s silent) Resolve(*reactor.Reactor, string, func([]netip.Addr, error)) func() {
	s.asked()
	return func() {}
}

// An attempt is given up when it is told to end. The result is an error.
func TestConnectGivesUp(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		asked := false
		c := Config{Reactor: reactor.Config{Resolver: silent{func() { asked = true }}}}
		v := call(t, w, c, "tcp:nobody.example:7", reactor.Each[echo]())
		testworld.Until(t, func() bool { return asked }, v.r)
		v.r.Stop()
		if err := v.result(); !errors.Is(err, reactor.ErrCancelled) || !errors.Is(err, reactor.ErrConnect) {
			t.Errorf("the result is %v", err)
		}
	})
}

// The end of the context tells it to end, and is found in the result if there was no clean
// end.
func TestConnectContext(t *testing.T) {
	boredom := errors.New("boredom")
	kernels(t, func(t *testing.T, name string) {
		ctx, cancel := context.WithCancelCause(context.Background())
		c := Config{Kernel: name, Reactor: reactor.Config{Resolver: silent{func() { cancel(boredom) }}}}
		started := 0
		c.Started = func(r *reactor.Reactor, open []endpoint.Listener) {
			if started++; r == nil || len(open) != 0 {
				t.Errorf("started with %v and %v", r, open)
			}
		}
		err := c.Connect(ctx, reactor.Each[echo](), "tcp:nobody.example:7")
		if !errors.Is(err, boredom) || !errors.Is(err, reactor.ErrCancelled) || started != 1 {
			t.Errorf("while connecting: %v; it was started %d times", err, started)
		}
		if err := c.Connect(ctx, reactor.Each[echo](), "tcp:localhost:7"); !errors.Is(err, boredom) || started != 1 {
			t.Errorf("ended before: %v; it was started %d times", err, started)
		}
	})
}

// Connect runs on every kernel, over TLS too, and ends a connection in order when the
// context ends.
func TestConnect(t *testing.T) {
	kernels(t, func(t *testing.T, name string) {
		file, _ := certificate(t)
		f := &list{all: []reactor.Protocol{new(polite), new(polite)}}
		sides := slices.Clone(f.all)
		v := start(t, Config{Kernel: name}, f, anywhere, "tls:0:"+endpoint.Quote(file)+":interface=127.0.0.1")
		for i, place := range []string{"tcp:127.0.0.1:%d", "tls:localhost:%d:trustRoots=" + endpoint.Quote(file)} {
			place = fmt.Sprintf(place, v.open[i].Addr().Port())
			ctx, cancel := context.WithCancel(context.Background())
			p := &asker{heard: cancel}
			if err := (Config{Kernel: name}).Connect(ctx, reactor.One(p), place); err != nil {
				t.Errorf("%s: %v", place, err)
			}
			if p.got != "hello" || p.why != reactor.ErrClosed {
				t.Errorf("%s: got %q and %v", place, p.got, p.why)
			}
		}
		v.cancel()
		if err := <-v.result; err != nil {
			t.Error(err)
		}
		for i, p := range sides {
			if err := p.(*polite).lost; err != io.EOF {
				t.Errorf("place %d: the server's side ended with %v", i, err)
			}
		}
	})
}

// asker says hello and waits for the echo.
type asker struct {
	bail
	heard func()
}

func (p *asker) ConnectionMade(t reactor.Transport) {
	p.bail.ConnectionMade(t)
	io.WriteString(t, "hello")
}

func (p *asker) DataReceived(b []byte) {
	if p.got += string(b); p.got == "hello" {
		p.heard()
	}
}

// If another protocol takes over and does not call the first, the end is heard all the
// same.
func TestConnectSwitchedProtocol(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		v, peer := reachable(t, w, Config{}, new(bail))
		for s := range v.r.Streams() {
			if _, err := s.SwitchProtocol(new(bail)); err != nil {
				t.Fatal(err)
			}
		}
		peer.Close()
		if err := v.result(); err != nil {
			t.Errorf("the result is %v", err)
		}
	})
}
