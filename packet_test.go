package whorl

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// gram is a protocol of datagrams: an echo, or one that notes answers.
type gram struct {
	t       reactor.PacketTransport
	echo    bool
	got     []string
	stopped error
	onStart func()
	onData  func()
}

func (g *gram) StartProtocol(t reactor.PacketTransport) {
	g.t = t
	if g.onStart != nil {
		g.onStart()
	}
}

func (g *gram) DatagramReceived(p []byte, from kernel.Addr) {
	g.got = append(g.got, string(p))
	if g.echo {
		g.t.WriteTo(p, from)
	}
	if g.onData != nil {
		g.onData()
	}
}

func (g *gram) StopProtocol(err error) { g.stopped = err }

func echoes() reactor.PacketProtocol { return &gram{echo: true} }

const anyGram = "udp:0:interface=127.0.0.1"

// ask sends a datagram to a place of the server and waits for the echo.
func (v *served) ask(i int) {
	v.t.Helper()
	g := new(gram)
	p, err := v.r.DialPacket(v.open[i].Addr(), g, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	p.Write([]byte("hello"))
	v.until(func() bool { return len(g.got) == 1 })
	p.StopListening(nil)
}

// A server has places of connections and of datagrams, each of these with a protocol of its own. The log says where. At
// the end the ports of datagrams stop at once, while connections may go on.
func TestServeDatagrams(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var made []*gram
		c := Config{Datagrams: func() reactor.PacketProtocol {
			made = append(made, &gram{echo: true})
			return made[len(made)-1]
		}}
		v := serve(t, w, c, reactor.Each[echo](), anywhere, anyGram, "udp4:0:127.0.0.1")
		p := v.peer()
		v.ask(1)
		v.ask(2)
		if len(made) != 2 || len(made[0].got) != 1 || len(made[1].got) != 1 {
			t.Errorf("%d protocols for two places", len(made))
		}
		v.has("listening on udp "+v.open[1].Addr().String(), "endpoint="+`"`+anyGram+`"`)
		v.r.Stop()
		v.until(func() bool { return made[0].stopped != nil && made[1].stopped != nil })
		if made[0].stopped != reactor.ErrClosed || v.stopped {
			t.Errorf("stopped with %v while a connection goes on; the server has ended: %v", made[0].stopped, v.stopped)
		}
		v.echoed(p)
		p.Close()
		v.ended()
	})
}

// A server of datagrams alone needs no factory, and its end is not delayed by what cannot be sent.
func TestServeDatagramsAlone(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		v := serve(t, w, Config{Datagrams: echoes, Grace: time.Hour}, nil, anyGram)
		v.ask(0)
		began := v.r.Now()
		v.r.Stop()
		v.ended()
		if took := v.r.Now() - began; took > 5*time.Second {
			t.Errorf("the end has taken %v", took)
		}
		v.has("no longer listening\" connections=0")
	})
}

// What a place of datagrams or of connections lacks is said before anything is opened.
func TestDatagramMistakes(t *testing.T) {
	for _, c := range []struct {
		c     Config
		f     reactor.Factory
		place string
		is    error
		says  string
	}{
		{Config{}, reactor.Each[echo](), anyGram, endpoint.ErrKind, "udp takes datagrams, not connections"},
		{Config{}, reactor.Each[echo](), anyGram, endpoint.ErrKind, "Config.Datagrams makes protocols for datagrams, and is nil"},
		{Config{Datagrams: echoes}, nil, "tcp:0", endpoint.ErrKind, "it takes connections: give a factory"},
		{Config{}, nil, "tcp:0", ErrConfig, "factory is nil"},
		{Config{Datagrams: echoes}, nil, "udp:70000", endpoint.ErrArgument, "out of range"},
		{Config{Datagrams: echoes}, nil, "upd:7", endpoint.ErrUnknownScheme, `did you mean "udp"?`},
		{Config{Datagrams: echoes, Schemes: std.Schemes(nil), Packets: reactor.PacketConfig{MaxQueued: 1}}, nil, anyGram, ErrConfig, "Packets must be zero"},
		{Config{Datagrams: func() reactor.PacketProtocol { return nil }}, nil, anyGram, reactor.ErrNoProtocol, ""},
	} {
		err := c.c.Serve(context.Background(), c.f, c.place)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Serve %s: %v, want %v and %q", c.place, err, c.is, c.says)
		}
		if e, ok := errors.AsType[*PlaceError](err); !ok && c.is != ErrConfig || ok && e.Place != c.place {
			t.Errorf("Serve %s: no PlaceError about it: %v", c.place, err)
		}
		place := strings.NewReplacer("0:interface=127.0.0.1", "127.0.0.1:9", "tcp:0", "tcp:127.0.0.1:9", "70000", "127.0.0.1:70000", "upd:7", "upd:a:7").Replace(c.place)
		err = c.c.Connect(context.Background(), c.f, place)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Connect %s: %v, want %v and %q", place, err, c.is, c.says)
		}
	}
}

// A client of datagrams ends when its protocol stops the port.
func TestConnectDatagrams(t *testing.T) {
	kernels(t, func(t *testing.T, name string) {
		v := start(t, Config{Kernel: name, Datagrams: echoes}, nil, anyGram)
		g := &gram{}
		g.onStart = func() { g.t.Write([]byte("hello")) }
		g.onData = func() { g.t.StopListening(nil) }
		started := 0
		c := Config{Kernel: name, Datagrams: func() reactor.PacketProtocol { return g }, Started: func(_ *reactor.Reactor, open []endpoint.Listener) { started += 1 + len(open) }}
		err := c.Connect(context.Background(), nil, "udp:"+v.open[0].Addr().String())
		if err != nil || len(g.got) != 1 || g.got[0] != "hello" || g.stopped != reactor.ErrClosed || started != 1 {
			t.Errorf("%v; got %q, stopped %v, started %d", err, g.got, g.stopped, started)
		}
		v.cancel()
		if err := <-v.result; err != nil {
			t.Error(err)
		}
	})
}

// It ends in order when it is told to, and says why there is no port.
func TestConnectDatagramsIsTold(t *testing.T) {
	kernels(t, func(t *testing.T, name string) {
		ctx, cancel := context.WithCancel(context.Background())
		g := &gram{onStart: cancel}
		c := Config{Kernel: name, Grace: time.Hour, Datagrams: func() reactor.PacketProtocol { return g }}
		if err := c.Connect(ctx, nil, "udp:127.0.0.1:9"); err != nil || g.stopped != reactor.ErrClosed {
			t.Errorf("%v; stopped %v", err, g.stopped)
		}
		g = &gram{}
		err := c.Connect(context.Background(), nil, "unixgram:"+t.TempDir()+"/none")
		if e, ok := errors.AsType[*PlaceError](err); !ok || !errors.Is(err, reactor.ErrConnect) || !strings.Contains(e.Place, "unixgram:") || g.t != nil {
			t.Errorf("%v", err)
		}
		err = c.Connect(ctx, nil, "udp:127.0.0.1:9")
		if !errors.Is(err, context.Canceled) || g.t != nil {
			t.Errorf("with a context that has ended: %v", err)
		}
	})
}

// gramPath is a name for a UNIX socket at which nothing is.
func gramPath(t *testing.T) kernel.Addr {
	t.Helper()
	dir, err := os.MkdirTemp("", "whorl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return kernel.UNIXDatagramAddr(dir + "/s")
}

// deafAt is a socket at which datagrams wait for ever.
func deafAt(t *testing.T, r *reactor.Reactor) kernel.Addr {
	t.Helper()
	at := gramPath(t)
	port, err := r.ListenPacket(at, &gram{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	port.PauseProducing()
	return at
}

// stuck is a client of datagrams to a deaf socket, in a world, with datagrams in its queue.
func stuck(t *testing.T, w testworld.World, c Config) (x *client, stopped *bool) {
	t.Helper()
	r := w.New(t, reactor.Config{})
	c.Datagrams = func() reactor.PacketProtocol { return new(gram) }
	l := c.loopOn(r)
	t.Cleanup(l.signals.GiveBack)
	x, stopped = &client{loop: l}, new(bool)
	r.AddTrigger(reactor.After, reactor.Shutdown, func() { *stopped = true })
	x.connectPacket(&std.UNIXGramClient{Path: deafAt(t, r).Name}, &c)
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	testworld.Until(t, func() bool { return x.port != nil }, r)
	for range 2000 {
		x.port.Write(make([]byte, 400))
	}
	testworld.Until(t, func() bool { return x.port.Stats().Queued > 0 }, r)
	return x, stopped
}

// A client whose queue is full waits when it is told to end, and a second signal ends the wait.
func TestConnectDatagramsSecondSignal(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		t.Parallel() // most of the time is waiting
		x, stopped := stuck(t, w, Config{Grace: time.Hour})
		x.signals.Caught(syscall.SIGTERM)
		for range 5 {
			x.r.Turn(0)
		}
		if *stopped {
			t.Fatal("it has ended although datagrams wait")
		}
		over := false
		x.r.CallLater(program.SignalTwins, func() { over = true })
		testworld.Until(t, func() bool { return over }, x.r)
		x.signals.Caught(syscall.SIGTERM)
		testworld.Until(t, func() bool { return *stopped }, x.r)
	})
}

// A second signal that comes before the client has heard of the first ends the wait too.
func TestConnectDatagramsHurried(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		x, stopped := stuck(t, w, Config{Grace: time.Hour})
		x.drain.cutShort("a second signal")
		x.r.Stop()
		testworld.Until(t, func() bool { return *stopped }, x.r)
	})
}

// It waits for the grace, and no longer; then the result says that it was cut off.
func TestConnectDatagramsGrace(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const grace = 50 * time.Millisecond
		x, stopped := stuck(t, w, Config{Grace: grace})
		began := x.r.Now()
		x.r.Stop()
		var took time.Duration
		testworld.Until(t, func() bool { took = x.r.Now() - began; return *stopped }, x.r)
		if took < grace || took > 10*time.Second {
			t.Errorf("it has taken %v", took)
		}
		if err := x.result(context.Background(), "place"); !errors.Is(err, reactor.ErrStopped) {
			t.Errorf("the result is %v", err)
		}
	})
}

// What a server could not send is no failure of it: the log has it.
func TestServeDatagramsUnsent(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := &gram{}
		v := serve(t, w, Config{Datagrams: func() reactor.PacketProtocol { return g }}, nil, "unixgram:"+gramPath(t).Name)
		at := deafAt(t, v.r)
		for range 2000 {
			g.t.WriteTo(make([]byte, 400), at)
		}
		v.r.Turn(0)
		began := v.r.Now()
		v.r.Stop()
		v.ended()
		if took := v.r.Now() - began; took > 10*time.Second {
			t.Errorf("the end has taken %v", took)
		}
		v.has("a place of datagrams has not ended in order")
	})
}

// A server whose only place of datagrams has failed ends, and says why. With another place it goes on, and tells of the failure at once, and in its result.
func TestServeDatagramsFail(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, places := range [][]string{{anyGram}, {anyGram, anyGram}, {anywhere, anyGram}} {
			broken := errors.New("the socket is broken")
			f := &testworld.Faults{}
			var made []*gram
			c := Config{Datagrams: func() reactor.PacketProtocol {
				made = append(made, &gram{echo: true})
				return made[len(made)-1]
			}}
			v := serveOn(t, w, func(rc reactor.Config) *reactor.Reactor { return testworld.New(t, f.Wrap(w.Open(t)), rc) }, c, reactor.Each[echo](), places...)
			f.Arm = func(kernel.Ready) error { return broken }
			made[0].t.PauseProducing()
			v.until(func() bool { return made[0].stopped != nil })
			f.Arm = nil
			if len(places) > 1 {
				v.has("a place has failed, and the others go on", `endpoint="`+anyGram+`"`)
				if made := len(made); made > 1 {
					v.ask(1)
				} else {
					v.peer().Close()
				}
				v.r.Stop()
			} else {
				v.has("no place is open any more")
			}
			v.until(func() bool { return v.stopped })
			err := v.result(nil)
			e, ok := errors.AsType[*PlaceError](err)
			if !ok || e.Place != anyGram || !errors.Is(err, broken) || strings.Count(err.Error(), "broken") != 1 {
				t.Errorf("%q: the result is %v", places, err)
			}
			v.lacks("msg=stopped")
		}
	})
}

// A program may stop its places, and open others. The server goes on.
func TestServeStopsItsDatagrams(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := &gram{}
		v := serve(t, w, Config{Datagrams: func() reactor.PacketProtocol { return g }}, nil, anyGram)
		g.t.StopListening(nil)
		v.until(func() bool { return g.stopped != nil })
		testworld.Turns(t, v.r, 3)
		if v.stopped || v.ending {
			t.Error("the server has ended")
		}
		v.r.Stop()
		v.ended()
	})
}
