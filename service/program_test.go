package service_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/internal/notifytest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

// served is a program on a reactor that a test turns, and its manager.
type served struct {
	*service.Program
	j       *journal
	m       *notifytest.Manager
	log     *testworld.Log
	stopped bool
}

func serve(t *testing.T, r *reactor.Reactor, c service.MainConfig, parts ...*part) *served {
	t.Helper()
	s := &served{j: &journal{r: r}, m: notifytest.New(t), log: testworld.NewLog(t)}
	c.Name, c.Logger, c.Notify = "app", s.log.Logger(), activation.NewNotifier(s.m.Path, 0)
	t.Cleanup(c.Notify.Close)
	s.Program = service.NewProgram(r, c)
	r.AddTrigger(reactor.After, reactor.Shutdown, func() { s.stopped = true })
	for _, p := range parts {
		p.j = s.j
		s.Add(service.Named(r, p.name, p))
	}
	s.Begin()
	return s
}

// SVC-27, SVC-30: a program starts its services in order when the loop runs, then the manager hears READY, once. When the reactor stops, the manager hears of it, the
// services stop in the reverse order, and the reactor waits for them.
func TestProgram(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			const soon = 20 * time.Millisecond
			s := serve(t, r, service.MainConfig{}, &part{name: "a", stopIn: soon}, &part{name: "b", startIn: soon}, &part{name: "c"})
			s.j.want(t, "SVC-27: before the loop runs")
			if err := r.Start(); err != nil {
				t.Fatal(err)
			}
			s.Begin()
			s.m.Wants("SVC-30: before all have started")
			testworld.Until(t, s.Running, r)
			s.j.want(t, "SVC-27", "start a", "start b", "start b done", "start c")
			s.m.Wants("SVC-30", "READY=1 STATUS=running")
			s.Status("serving 3")
			s.m.Wants("a status of the program", "STATUS=serving 3")
			r.Stop()
			testworld.Until(t, func() bool { return s.stopped }, r)
			s.j.want(t, "SVC-27", "stop c", "stop b", "stop a", "stop a done")
			s.m.Wants("SVC-30", "STOPPING=1 EXTEND_TIMEOUT_USEC=15000000 STATUS=stopping")
			if err := s.Err(); err != nil || service.ExitCode(err) != 0 {
				t.Error("SVC-27, SVC-35:", err)
			}
		})
	}
}

// SVC-27: a start that fails, or takes too long, is undone, and is what the program has failed of.
func TestProgramFails(t *testing.T) {
	for name, c := range map[string]struct {
		bad   part
		build func(s *served)
		limit time.Duration
		want  error
		text  string
		code  int
	}{
		"at once":  {bad: part{start: errTest}, want: errTest, text: "service app/bad: start: test", code: 1},
		"later":    {bad: part{start: errTest, startIn: time.Minute - 1}, want: errTest, text: "service app/bad: start: test", code: 1},
		"status":   {bad: part{start: &service.ExitError{Code: 7, Err: errTest}}, want: errTest, text: "service app/bad: start: test", code: 7},
		"too long": {bad: part{startIn: time.Hour}, want: service.ErrStartLimit, text: "the services took too long: more than 1m0s: service app/bad: start: ", code: 1},
		"limit":    {bad: part{startIn: time.Hour}, limit: time.Second, want: kernel.ErrTimeout, text: "the services took too long: more than 1s: service app/bad: start: ", code: 1},
		"before":   {build: func(s *served) { s.Fail(errTest) }, want: errTest, text: "test", code: 1},
		"no limit": {bad: part{startIn: 5 * time.Hour, start: errTest}, limit: -1, want: errTest, text: "service app/bad: start: test", code: 1},
		"running": {build: func(s *served) {
			s.Reactor().CallLater(time.Hour, func() { s.Fail(&service.ExitError{Code: 3}) })
		}, text: "exit code 3", code: 3},
		"stop": {bad: part{stop: errTest}, build: func(s *served) {
			s.Reactor().CallLater(time.Hour, func() { s.Fail(nil) })
		}, want: errTest, text: "service app/bad: stop: test", code: 1},
		"told to end while it starts": {bad: part{startIn: time.Hour}, build: func(s *served) {
			s.Reactor().CallLater(time.Second, func() { s.Reactor().Stop() })
		}},
	} {
		r := testworld.New(t, sim.New(1).Kernel(), reactor.Config{})
		c.bad.name = "bad"
		a, z := &part{name: "a"}, &part{name: "z"}
		s := serve(t, r, service.MainConfig{StartLimit: c.limit}, a, &c.bad, z)
		if c.build != nil {
			c.build(s)
		}
		err := s.Run(context.Background())
		text := fmt.Sprint(err)
		if c.text == "" {
			c.text = "<nil>"
		}
		if c.want != nil && !errors.Is(err, c.want) || !strings.HasPrefix(text, c.text) || service.ExitCode(err) != c.code {
			t.Errorf("SVC-27, SVC-35: %s: %v, status %d; want %q, status %d", name, err, service.ExitCode(err), c.text, c.code)
		}
		if a.runs || c.bad.runs || z.runs || s.State() != service.Stopped {
			t.Errorf("SVC-27: %s: something runs still", name)
		}
		if c.bad.start != nil && c.bad.startIn == 0 {
			s.m.Wants("SVC-30: "+name, "STOPPING=1 EXTEND_TIMEOUT_USEC=15000000 STATUS=failed: "+c.text)
		}
	}
}

// host is a program on a simulated host, which gets signals at their times.
func host(t *testing.T, c service.MainConfig, signals map[time.Duration]os.Signal, parts ...*part) (*served, *sim.Net) {
	n := sim.New(1)
	t.Cleanup(func() { n.Close() })
	h := n.Host("srv")
	s := serve(t, h.Reactor, c, parts...)
	for at, sig := range signals {
		n.At(at, func() { h.Signal(sig) })
	}
	return s, n
}

// SVC-28: the first signal stops the services in order, one within 300 ms counts as the first, and another one ends what the program waits for.
func TestProgramSignals(t *testing.T) {
	for name, c := range map[string]struct {
		signals map[time.Duration]os.Signal
		stop    error
		ends    time.Duration // after the start
		failed  bool
	}{
		"one":           {map[time.Duration]os.Signal{s: syscall.SIGTERM}, nil, 11 * s, false},
		"twins":         {map[time.Duration]os.Signal{s: os.Interrupt, s + s/5: syscall.SIGTERM}, nil, 11 * s, false},
		"two":           {map[time.Duration]os.Signal{s: os.Interrupt, 3 * s: syscall.SIGTERM}, nil, 3 * s, true},
		"not for it":    {map[time.Duration]os.Signal{s: syscall.SIGALRM, 2 * s: syscall.SIGPIPE, 3 * s: syscall.SIGTERM}, nil, 13 * s, false},
		"while it ends": {map[time.Duration]os.Signal{s: syscall.SIGTERM, 5 * s: syscall.SIGHUP}, nil, 11 * s, false},
	} {
		p, n := host(t, service.MainConfig{}, c.signals, &part{name: "a", stopIn: 10 * s}, &part{name: "b"})
		ended := time.Duration(0)
		p.Reactor().AddTrigger(reactor.After, reactor.Shutdown, func() { ended = n.Now() })
		_ = n.Run(time.Minute)
		if ended.Round(s/2) != c.ends || (p.Err() != nil) != c.failed || c.failed && !strings.Contains(p.Err().Error(), "service app/a: stop: ") {
			t.Errorf("SVC-28: %s: ended after %v with %v, want %v", name, ended, p.Err(), c.ends)
		}
		p.j.want(t, "SVC-28: "+name, append([]string{"start a", "start b", "stop b", "stop a"}, map[bool][]string{false: {"stop a done"}}[c.failed]...)...)
	}
	// Without signals none is taken.
	p, n := host(t, service.MainConfig{Signals: []os.Signal{}}, map[time.Duration]os.Signal{s: syscall.SIGTERM, 2 * s: syscall.SIGHUP}, &part{name: "a"})
	_ = n.Run(time.Minute)
	if !p.Running() || len(p.log.Find("signal")) > 0 {
		t.Error("SVC-28: a signal was taken")
	}
}

// SVC-28: connections that are left when the services have stopped have the grace to end, unless another signal comes.
func TestProgramGrace(t *testing.T) {
	for name, c := range map[string]struct {
		grace   time.Duration
		signals map[time.Duration]os.Signal
		ends    time.Duration
	}{
		"default":  {0, map[time.Duration]os.Signal{s: syscall.SIGTERM}, s + service.DefaultGrace},
		"none":     {-1, map[time.Duration]os.Signal{s: syscall.SIGTERM}, s},
		"minute":   {30 * s, map[time.Duration]os.Signal{s: syscall.SIGTERM}, 31 * s},
		"hurried":  {30 * s, map[time.Duration]os.Signal{s: syscall.SIGTERM, 7 * s: syscall.SIGTERM}, 7 * s},
		"together": {30 * s, map[time.Duration]os.Signal{s: syscall.SIGTERM, s + s/5: os.Interrupt}, 31 * s},
	} {
		p, n := host(t, service.MainConfig{Grace: c.grace}, c.signals)
		r := p.Reactor()
		at := &place{Addr: n.Host("srv").Addr(7)}
		p.Add(service.Named(r, "server", service.NewServer(r, at, reactor.Each[undrained]())))
		n.At(s/2, func() { n.Host("cli").Reactor.Dial(n.Host("srv").Addr(7), reactor.Each[silent](), nil, nil) })
		ended := time.Duration(0)
		r.AddTrigger(reactor.After, reactor.Shutdown, func() { ended = n.Now() })
		_ = n.Run(time.Minute)
		if ended.Round(s/2) != c.ends || p.Err() != nil {
			t.Errorf("SVC-28: %s: ended after %v with %v, want %v", name, ended, p.Err(), c.ends)
		}
		long := slices.ContainsFunc(p.m.Said(), func(m string) bool { return strings.Contains(m, "STATUS=stopping: 1 connections are left") })
		if long != (c.ends > 5*s) {
			t.Errorf("SVC-32: %s: what is left to do was said: %v", name, long)
		}
	}
}

// undrained does not end when it is asked to.
type undrained struct{ silent }

func (*undrained) Drain() {}

// reloading is a part that can reload.
type reloading struct {
	part
	reload   error
	reloadIn time.Duration
}

func (p *reloading) Reload() *deferred.Deferred[service.None] {
	return p.later("reload", p.reloadIn, p.reload)
}

// SVC-29: on SIGHUP those services that can reload do so, one after the other. One that fails does not keep the others, and goes on. A SIGHUP meanwhile is another
// reload after it. SVC-30: the manager hears of it.
func TestProgramReloads(t *testing.T) {
	p, n := host(t, service.MainConfig{StartLimit: 5 * s}, map[time.Duration]os.Signal{
		s / 2:  syscall.SIGHUP, // starting
		10 * s: syscall.SIGHUP, 10*s + s/2: syscall.SIGHUP, 11 * s: syscall.SIGHUP,
		20 * s: syscall.SIGHUP,
		30 * s: syscall.SIGHUP, 30*s + s/2: syscall.SIGTERM,
	})
	r := p.Reactor()
	bad := &reloading{part: part{j: p.j, name: "bad", startIn: s - s/10}, reload: errTest}
	inner := service.NewCollection(r, "inner")
	slow := &reloading{part: part{j: p.j, name: "slow"}, reloadIn: 2 * s}
	for _, m := range []struct {
		to   *service.Collection
		name string
		m    service.Member
	}{{&p.Collection, "bad", bad}, {inner, "slow", slow}, {&p.Collection, "", nil}, {&p.Collection, "plain", &part{j: p.j, name: "plain"}}} {
		if m.name == "" {
			p.Add(&inner.Service)
			continue
		}
		m.to.Add(service.Named(r, m.name, m.m))
	}
	p.log.Expect("not all services have reloaded, and those go on as before err=service app/bad: reload: test")
	n.At(8*s, func() { p.j.said = nil; p.m.Wants("SVC-30", "READY=1 STATUS=running") })
	_ = n.Run(15 * s)
	p.j.want(t, "SVC-29: twice, whatever comes meanwhile", "reload bad", "reload slow", "reload slow done", "reload bad", "reload slow", "reload slow done")
	said := p.m.Said()
	if len(said) != 4 || !strings.HasPrefix(said[0], "RELOADING=1 MONOTONIC_USEC=") || said[1] != "READY=1 STATUS=running" || said[3] != said[1] {
		t.Errorf("SVC-30: %q", said)
	}
	slow.reloadIn = time.Hour // too long
	p.log.Expect("service app/inner/slow: reload: ")
	_ = n.Run(11 * s)
	p.j.want(t, "SVC-29", "reload bad", "reload slow")
	if p.m.Said(); len(p.log.Find("the services took too long: more than 5s")) != 1 || !p.Running() {
		t.Error("SVC-29: a reload that takes too long")
	}
	_ = n.Run(time.Minute)
	if p.Err() != nil || p.State() != service.Stopped || len(p.log.Find("nothing is reloaded, because the program is starting")) != 1 {
		t.Error("SVC-28: told to end while it reloads:", p.Err(), p.State())
	}
	p.j.want(t, "SVC-29", "reload bad", "reload slow", "stop plain", "stop slow", "stop bad")
	if said := p.m.Said(); len(said) != 2 || !strings.HasPrefix(said[1], "STOPPING=1") {
		t.Errorf("SVC-30: %q", said)
	}
}

// A program has a reactor for itself, and a log if nobody gives one.
func TestNewProgram(t *testing.T) {
	log := testworld.NewLog(t)
	r := testworld.New(t, sim.New(1).Kernel(), reactor.Config{Logger: log.Logger()})
	p := service.NewProgram(r, service.MainConfig{StopLimit: s})
	if p.Path() != "program" || p.StopLimit != s {
		t.Error(p.Path(), p.StopLimit)
	}
	r.CallWhenRunning(func() { p.Fail(nil) })
	if err := p.Run(context.Background()); err != nil || len(log.Find("stopping services=0")) != 1 {
		t.Error(err)
	}
	g := testworld.New(t, sim.New(1).Kernel(), reactor.Config{})
	reactor.GroupOf(reactor.GroupConfig{}, g)
	panics(t, func() { service.NewProgram(g, service.MainConfig{Logger: slog.New(slog.DiscardHandler)}) })
}

// SVC-29: only what runs reloads. A collection that is stopped during a reload goes on with no other service.
func TestReload(t *testing.T) {
	r := testworld.New(t, sim.New(1).Kernel(), reactor.Config{})
	j := &journal{r: r}
	c := service.NewCollection(r, "c")
	slow := &reloading{part: part{j: j, name: "slow"}, reloadIn: s}
	c.Add(service.Named(r, "slow", slow))
	c.Add(service.Named(r, "next", &reloading{part: part{j: j, name: "next"}}))
	if err := failure(c.Reload()); err != nil {
		t.Error("SVC-29:", err)
	}
	if err := failure(c.Services()[1].Reload()); err != nil {
		t.Error("SVC-29:", err)
	}
	j.want(t, "SVC-29: it does not run")
	c.Start()
	d := c.Reload()
	c.Stop()
	until(t, r, func() bool { return failure(d) != errPending })
	j.want(t, "SVC-29: stopped meanwhile", "start slow", "start next", "reload slow", "stop next", "stop slow", "reload slow done")
}

// SVC-29: a member is not asked to reload again before it has, whoever asks; who gives that up does not give up the reload of another one.
func TestReloadTwice(t *testing.T) {
	r := testworld.New(t, sim.New(1).Kernel(), reactor.Config{})
	j := &journal{r: r}
	c := service.NewCollection(r, "c")
	one := service.Named(r, "one", &reloading{part: part{j: j, name: "one"}, reloadIn: s})
	c.Add(one)
	c.Start()
	first, given, again := one.Reload(), one.Reload(), c.Reload()
	given.Cancel()
	j.want(t, "SVC-29", "start one", "reload one")
	until(t, r, func() bool { return failure(first) != errPending })
	until(t, r, func() bool { return failure(again) != errPending })
	if failure(first) != nil || failure(again) != nil || failure(given) == nil {
		t.Error("SVC-29:", failure(first), failure(again), failure(given))
	}
	j.want(t, "SVC-29", "reload one done", "reload one", "reload one done")
	last := one.Reload()
	waits := one.Reload()
	c.Stop()
	until(t, r, func() bool { return failure(last) != errPending && failure(waits) != errPending })
	j.want(t, "SVC-29: stopped meanwhile", "reload one", "stop one", "reload one done")
}

// SVC-11: an application that is started within a limit stops with its reactor, too.
func TestApplicationWithin(t *testing.T) {
	r := testworld.New(t, sim.New(1).Kernel(), reactor.Config{})
	j := &journal{r: r}
	a := service.NewApplication(r, "app")
	a.Add(service.Named(r, "p", &part{j: j, name: "p"}))
	r.CallWhenRunning(func() {
		a.StartWithin(0)
		r.Stop()
	})
	if err := r.Run(context.Background()); err != nil {
		t.Error(err)
	}
	j.want(t, "SVC-11", "start p", "stop p")
}
