//go:build unix

package whorl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/internal/notifytest"
	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
	"github.com/whorl-go/whorl/testworld"
)

// notifier is a Notifier for m.
func notifier(t *testing.T, m *notifytest.Manager, watchdog time.Duration) *activation.Notifier {
	n := activation.NewNotifier(m.Path, watchdog)
	t.Cleanup(n.Close)
	return n
}

// SVC-30: the service manager hears where a server serves, after Started, that it reloads, and that it stops, with how many connections are left.
func TestServeNotifies(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		m := notifytest.New(t)
		hangups := 0
		c := Config{Grace: time.Hour, Notify: notifier(t, m, 0), Hangup: func(*reactor.Reactor) bool { hangups++; return hangups > 1 }}
		c.Started = func(*reactor.Reactor, []endpoint.Listener) { m.Wants("SVC-30: before Started has returned") }
		v := serve(t, w, c, reactor.Each[echo](), anywhere)
		serving := "READY=1 STATUS=serving tcp " + v.open[0].Addr().String()
		m.Wants("SVC-30", serving)
		for range 2 {
			v.reload(syscall.SIGHUP, c.Hangup)
			said := m.Said()
			if len(said) != 2 || !strings.HasPrefix(said[0], "RELOADING=1 MONOTONIC_USEC=") || said[1] != serving {
				t.Errorf("SVC-30: %q", said)
			}
		}
		p := v.peer()
		v.r.Stop()
		testworld.Turns(t, v.r, 3)
		m.Wants("SVC-30", "STOPPING=1 EXTEND_TIMEOUT_USEC=15000000 STATUS=stopping")
		if left := v.left(); left != "stopping: 1 connections are left" {
			t.Errorf("SVC-32: %q", left)
		}
		p.Close()
		v.ended()
		m.Wants("SVC-30: after the end")
	})
}

// SVC-30: a server whose Started panics serves, and the service manager hears so, also if it has services.
func TestServeNotifiesThatStartedPanics(t *testing.T) {
	services := map[string]func(*service.Collection) error{"no services": nil, "services": func(*service.Collection) error { return nil }}
	for name, services := range services {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				m := notifytest.New(t)
				panics := 0
				c := Config{Notify: notifier(t, m, 0), Services: services, Started: func(*reactor.Reactor, []endpoint.Listener) { panic("started") }}
				c.Reactor.Panicked = func(*reactor.PanicError) { panics++ }
				v := serve(t, w, c, reactor.Each[echo](), anywhere)
				testworld.Turns(t, v.r, 3)
				if said := m.Said(); panics != 1 || len(said) != 1 || !strings.HasPrefix(said[0], "READY=1 STATUS=serving tcp ") {
					t.Errorf("SVC-30: %d panics: %q", panics, said)
				}
			})
		})
	}
}

// SVC-30: a successor whose Started panics serves, so its predecessor hears that it does, and ends.
func TestStartedPanicsAfterHandover(t *testing.T) {
	dir, err := os.MkdirTemp("", "whorl")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c := Config{Handover: filepath.Join(dir, "s"), Signals: []os.Signal{}, Grace: time.Second}
	serve := func(c Config) (started chan string, ended chan error) {
		started, ended = make(chan string, 1), make(chan error, 1)
		c.Started = func(_ *reactor.Reactor, open []endpoint.Listener) {
			started <- open[0].Addr().String()
			if c.Notify != nil {
				panic("started")
			}
		}
		go func() {
			ended <- c.Serve(ctx, reactor.Each[stillness](), "unix:"+filepath.Join(dir, "place"))
		}()
		return started, ended
	}
	started, first := serve(c)
	<-started
	m := notifytest.New(t)
	c.Notify = notifier(t, m, 0)
	started, second := serve(c)
	<-started
	if said, _ := m.Until("READY=1"); !strings.Contains(said, "serving") {
		t.Error(said)
	}
	select {
	case err := <-first:
		if err != nil || ctx.Err() != nil {
			t.Errorf("the predecessor ended: %v, %v", err, ctx.Err())
		}
	case <-time.After(10 * time.Second):
		t.Error("the predecessor serves on")
	}
	cancel()
	if err := <-second; err != nil {
		t.Error(err)
	}
}

// SVC-30: a server whose Started ends the goroutine, as a t.FailNow in it does, does not serve, and the service manager does not hear that it does.
func TestServeNotifiesNothingAfterGoexit(t *testing.T) {
	for name, services := range map[string]func(*service.Collection) error{"no services": nil, "services": func(*service.Collection) error { return nil }} {
		t.Run(name, func(t *testing.T) {
			kernels(t, func(t *testing.T, name string) {
				m := notifytest.New(t)
				c := Config{Kernel: name, Signals: []os.Signal{}, Notify: notifier(t, m, 0), Services: services, Started: func(*reactor.Reactor, []endpoint.Listener) { runtime.Goexit() }}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_ = c.Serve(context.Background(), reactor.Each[echo](), anywhere)
				}()
				<-ended
				for _, said := range m.Said() {
					if strings.Contains(said, "READY=1") {
						t.Errorf("SVC-30: %q", said)
					}
				}
			})
		})
	}
}

// SVC-30: a Hangup that panics ends its reload all the same: it counts as one that does nothing else.
func TestServeNotifiesAfterPanic(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		m := notifytest.New(t)
		panics := 0
		c := Config{Notify: notifier(t, m, 0), Hangup: func(*reactor.Reactor) bool { panic("hangup") }}
		c.Reactor.Panicked = func(*reactor.PanicError) { panics++ }
		v := serve(t, w, c, reactor.Each[echo](), anywhere)
		serving := "READY=1 STATUS=serving tcp " + v.open[0].Addr().String()
		m.Wants("SVC-30", serving)
		v.r.Post(func() { v.reload(syscall.SIGHUP, c.Hangup) })
		testworld.Turns(t, v.r, 2)
		if said := m.Said(); panics != 1 || len(said) != 2 || !strings.HasPrefix(said[0], "RELOADING=1 MONOTONIC_USEC=") || said[1] != serving {
			t.Errorf("SVC-30: %d panics: %q", panics, said)
		}
	})
}

// SVC-30, SVC-31: so does that of a server on several loops, which hears that they live.
func TestServeNotifiesOfLoops(t *testing.T) {
	kernels(t, func(t *testing.T, name string) {
		m := notifytest.New(t)
		v := start(t, Config{Kernel: name, Loops: 3, Notify: notifier(t, m, 100*time.Millisecond)}, reactor.Each[echo](), anywhere, anywhere, anywhere, anywhere, anywhere)
		said, _ := m.Until("READY=1")
		if strings.Count(said, " tcp 127.0.0.1:") != 4 || !strings.HasSuffix(said, ", 1 more") {
			t.Errorf("SVC-30: %q", said)
		}
		for range 3 {
			m.Until("WATCHDOG=1")
		}
		c := v.dial(0)
		echoed(t, c)
		v.cancel()
		m.Until("STOPPING=1 EXTEND_TIMEOUT_USEC=15000000 STATUS=stopping")
		m.Until("WATCHDOG=1")
		c.Close()
		if err := <-v.result; err != nil {
			t.Error(err)
		}
	})
}

// SVC-30, SVC-31: a server that has lost its first loop, and ends therefore, goes on telling the service manager so while its other connections end, and a
// signal still ends it at once.
func TestServeNotifiesWithoutFirstLoop(t *testing.T) {
	kernels(t, func(t *testing.T, name string) {
		m := notifytest.New(t)
		c := Config{Kernel: name, Loops: 2, Grace: time.Hour, Signals: []os.Signal{syscall.SIGUSR2}, Notify: notifier(t, m, 100*time.Millisecond)}
		v := start(t, c, reactor.Each[onLoop](), anywhere)
		m.Until("READY=1")
		for loopOf(t, v.dial(0)) != '1' {
		}
		v.r.Post(runtime.Goexit)
		m.Until("STOPPING=1")
		for range 5 {
			m.Until("WATCHDOG=1")
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-v.result:
			if e, ok := errors.AsType[*reactor.LoopError](err); !ok || e.Loop != 0 {
				t.Errorf("GROUP-9: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the signal does not end it")
		}
	})
}

// A server that cannot open a place tells the service manager why.
func TestServeNotifiesOfFailure(t *testing.T) {
	m := notifytest.New(t)
	err := Config{Notify: notifier(t, m, 0), Signals: []os.Signal{}}.Serve(context.Background(), reactor.Each[echo](), "unix:/nowhere/at/all")
	if err == nil {
		t.Fatal("it serves")
	}
	m.Wants("the failure", "STATUS=failed: "+err.Error())
}

// SVC-34: a server that hands its sockets over names its successor, and says no more; the successor says that it is ready.
func TestServeNotifiesOfSuccessor(t *testing.T) {
	path := t.TempDir() + "/h"
	m, m2 := notifytest.New(t), notifytest.New(t)
	v := start(t, Config{Handover: path, Signals: []os.Signal{}, Notify: notifier(t, m, 0)}, reactor.Each[echo](), anywhere)
	m.Until("READY=1 STATUS=serving tcp ")
	next := start(t, Config{Handover: path, Signals: []os.Signal{}, Notify: notifier(t, m2, 0)}, reactor.Each[echo](), anywhere)
	if err := <-v.result; err != nil {
		t.Error(err)
	}
	m.Wants("SVC-34", fmt.Sprintf("MAINPID=%d READY=1", os.Getpid()))
	m2.Wants("SVC-30", "READY=1 STATUS=serving tcp "+next.open[0].Addr().String())
	next.cancel()
	if err := <-next.result; err != nil {
		t.Error(err)
	}
	m2.Until("STOPPING=1")
}

// lane is a service that notes what is done with it.
type lane struct {
	r            *reactor.Reactor
	said         *[]string
	name         string
	start, stop  error
	takes        time.Duration
	reload       error
	connections  func() int
	stopsForever bool
}

func (l *lane) do(what string, takes time.Duration, err error) *deferred.Deferred[service.None] {
	*l.said = append(*l.said, fmt.Sprint(what, " ", l.name, " ", l.connections()))
	return deferred.Later(l.r, takes, func() (service.None, error) { return service.None{}, err })
}

func (l *lane) Start() *deferred.Deferred[service.None]  { return l.do("start", l.takes, l.start) }
func (l *lane) Reload() *deferred.Deferred[service.None] { return l.do("reload", l.takes, l.reload) }
func (l *lane) Stop() *deferred.Deferred[service.None] {
	if l.stopsForever {
		return deferred.New[service.None](l.r, nil)
	}
	return l.do("stop", l.takes, l.stop)
}

var errLane = errors.New("no way")

// The services of a server start in order before its places are open, and stop in the reverse order when its last connection has ended (SVC-7, SVC-8). SIGHUP has them
// reload (SVC-29).
func TestServeServices(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var said []string
		m := notifytest.New(t)
		var v *served
		connections := func() int { return v.r.Stats().Connections }
		var lanes []*lane
		c := Config{Grace: time.Hour, Notify: notifier(t, m, 0), Services: func(tree *service.Collection) error {
			for _, name := range []string{"a", "b"} {
				l := &lane{r: tree.Reactor(), said: &said, name: name, takes: 5 * time.Millisecond, connections: func() int { return 0 }}
				lanes = append(lanes, l)
				tree.Add(service.Named(tree.Reactor(), name, l))
			}
			return nil
		}}
		v = serve(t, w, c, reactor.Each[echo](), anywhere)
		for _, l := range lanes {
			l.connections = connections
		}
		v.reload(syscall.SIGHUP, nil)
		m.Wants("SVC-30: a reload before it is ready")
		if len(v.open) != 0 {
			t.Error("SVC-7: a place is open before the services have started")
		}
		v.until(func() bool { return len(v.open) == 1 })
		m.Wants("SVC-30", "READY=1 STATUS=serving tcp "+v.open[0].Addr().String())
		p := v.peer()
		lanes[1].reload = errLane
		for range 3 { // the first, and another one after it
			v.reload(syscall.SIGHUP, nil)
		}
		v.reload(syscall.SIGHUP, func(*reactor.Reactor) bool { return true })
		all := m.Said()
		if len(all) != 1 {
			t.Errorf("SVC-30: %q while the services reload", all)
		}
		v.until(func() bool { return strings.Count(v.log.String(), "not all services have reloaded") == 2 })
		if all = append(all, m.Said()...); len(all) != 2 || !strings.HasPrefix(all[0], "RELOADING=1") || !strings.HasPrefix(all[1], "READY=1") {
			t.Errorf("SVC-30: %q", all)
		}
		v.r.Stop()
		testworld.Turns(t, v.r, 3)
		if len(said) != 6 {
			t.Errorf("SVC-8: %q before the connection has ended", said)
		}
		p.Close()
		v.ended()
		if want := []string{"start a 0", "start b 0", "reload a 1", "reload b 1", "reload a 1", "reload b 1", "stop b 0", "stop a 0"}; !slices.Equal(said, want) {
			t.Errorf("SVC-7, SVC-8, SVC-29: %q, want %q", said, want)
		}
	})
}

// A server whose services fail to start opens no place, and has that failure; what has started is stopped (SVC-10). So is one whose place cannot be opened. A failure to
// stop is one, too.
func TestServeServicesFail(t *testing.T) {
	for name, x := range map[string]struct {
		loops int
		b     lane
		build error
		place string
		want  error
		said  []string
	}{
		"start":        {1, lane{start: errLane}, nil, anywhere, errLane, []string{"start a 0", "start b 0", "stop a 0"}},
		"start, loops": {2, lane{start: errLane}, nil, anywhere, errLane, []string{"start a 0", "start b 0", "stop a 0"}},
		"stop":         {1, lane{stop: errLane}, nil, "unix:/nowhere/at/all", errLane, []string{"start a 0", "start b 0", "stop b 0", "stop a 0"}},
		"place":        {1, lane{}, nil, "unix:/nowhere/at/all", reactor.ErrListen, []string{"start a 0", "start b 0", "stop b 0", "stop a 0"}},
		"place, loops": {2, lane{}, nil, "unix:/nowhere/at/all", reactor.ErrListen, []string{"start a 0", "start b 0", "stop b 0", "stop a 0"}},
		"build":        {1, lane{}, errLane, anywhere, errLane, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			c := Config{Loops: x.loops, Signals: []os.Signal{}, Services: func(tree *service.Collection) error {
				if x.build != nil {
					return x.build
				}
				none := func() int { return 0 }
				r := tree.Reactor()
				x.b.r, x.b.said, x.b.name, x.b.connections = r, &said, "b", none
				tree.Add(service.Named(r, "a", &lane{r: r, said: &said, name: "a", connections: none}))
				tree.Add(service.Named(r, "b", &x.b))
				return nil
			}, Started: func(*reactor.Reactor, []endpoint.Listener) { t.Error("SVC-10: it has started") }}
			err := c.Serve(context.Background(), reactor.Each[echo](), x.place)
			if !errors.Is(err, x.want) || !slices.Equal(said, x.said) {
				t.Errorf("SVC-10: %v, %q; want %v, %q", err, said, x.want, x.said)
			}
		})
	}
}

// A second signal ends the wait for services that do not stop (SVC-28), of one loop and of several, also if it comes while connections drain.
func TestServeServicesHurried(t *testing.T) {
	for _, loops := range []int{1, 2} {
		for _, drains := range []bool{false, true} {
			var said []string
			log := new(record)
			v := start(t, Config{Loops: loops, Grace: time.Hour, Logger: log.logger(), Services: func(tree *service.Collection) error {
				r := tree.Reactor()
				tree.Add(service.Named(r, "a", &lane{r: r, said: &said, name: "a", connections: func() int { return 0 }, stopsForever: true}))
				return nil
			}}, reactor.Each[echo](), anywhere)
			if drains {
				echoed(t, v.dial(0))
			}
			began := time.Now()
			v.cancel()
			for !strings.Contains(log.String(), "no longer listening") {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(program.SignalTwins) // a signal within it would count as the end of the context
			if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			err := <-v.result
			if took := time.Since(began); took > 10*time.Second || !errors.Is(err, reactor.ErrCancelled) || !strings.Contains(err.Error(), "service server/a: stop: ") {
				t.Errorf("SVC-28: %d loops, draining %v: %v after %v", loops, drains, err, took)
			}
		}
	}
}
