package service_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
)

// A stop that gives up a start fails with what the undoing of that start could not stop.
func TestStopStartingFails(t *testing.T) {
	r := simulated(t, reactor.Config{})
	j := &journal{r: r}
	c, inner := service.NewCollection(r, "c"), service.NewCollection(r, "inner")
	c.Add(&inner.Service)
	inner.Add(service.Named(r, "a", &part{j: j, name: "a", stop: errTest, stopIn: s}))
	inner.Add(service.Named(r, "b", &part{j: j, name: "b", startIn: s}))
	for range 2 {
		c.Start().Ignore()
		first, second := c.Stop(), c.Stop()
		until(t, r, func() bool { return failure(first) != errPending && failure(second) != errPending })
		for _, d := range []*deferred.Deferred[service.None]{first, second} {
			var e *service.Error
			if err := failure(d); !errors.As(err, &e) || e.Error() != "service c/inner/a: stop: test" || errors.Is(err, reactor.ErrCancelled) {
				t.Error("the stop of a service has failed:", err)
			}
		}
		j.want(t, "stopped while starting", "start a", "start b", "stop a", "stop a done")
	}
	bound := service.Named(r, "bound", &lowPart{part{j: j, name: "bound", startIn: s, stop: errTest}})
	bound.Start().Ignore()
	d := bound.Stop()
	until(t, r, func() bool { return failure(d) != errPending })
	if err := failure(d); !errors.Is(err, errTest) || bound.State() != service.Stopped {
		t.Error("a privileged part that could not be stopped:", err)
	}
}

// SVC-35: a program that is told to end while it starts fails if a service has failed to stop.
func TestProgramToldToEndFails(t *testing.T) {
	p, n := host(t, service.MainConfig{}, map[time.Duration]os.Signal{s: syscall.SIGTERM},
		&part{name: "a", stop: errTest}, &part{name: "b", startIn: time.Hour})
	_ = n.Run(time.Minute)
	if !errors.Is(p.Err(), errTest) {
		t.Error("SVC-35:", p.Err())
	}
}

// optional is a member that starts whatever becomes of what it waits for.
type optional struct{ part }

func (p *optional) Start() *deferred.Deferred[service.None] {
	return p.part.Start().Catch(func(error) (service.None, error) { return service.None{}, nil })
}

// A start that was given up starts nothing more, also if the member that was starting has started nevertheless.
func TestStopStartingGoesNoFurther(t *testing.T) {
	r := simulated(t, reactor.Config{})
	j := &journal{r: r}
	c := service.NewCollection(r, "c")
	c.Add(service.Named(r, "a", &optional{part{j: j, name: "a", startIn: s}}))
	c.Add(service.Named(r, "b", &part{j: j, name: "b", startIn: 2 * time.Hour}))
	start := c.Start()
	stop := c.Stop()
	until(t, r, func() bool { return failure(stop) != errPending })
	j.want(t, "stopped while starting", "start a", "stop a")
	if !errors.Is(failure(start), reactor.ErrCancelled) || failure(stop) != nil || c.State() != service.Stopped {
		t.Error(failure(start), failure(stop), c.State())
	}
	begun := r.Now()
	start = c.StartWithin(s / 2)
	until(t, r, func() bool { return failure(start) != errPending })
	j.want(t, "a limit", "start a", "stop a")
	if took := r.Now() - begun; !errors.Is(failure(start), service.ErrStartLimit) || took > s || c.State() != service.Stopped {
		t.Error(failure(start), "after", took, c.State())
	}
}

// lowOptional is a privileged part that starts whatever becomes of what it waits for.
type lowOptional struct{ lowPart }

func (p *lowOptional) StartPrivileged() *deferred.Deferred[service.None] {
	return p.lowPart.StartPrivileged().Catch(func(error) (service.None, error) { return service.None{}, nil })
}

// The rest of a service is not started if the start was given up while its privileged part was starting.
func TestStopBindingGoesNoFurther(t *testing.T) {
	r := simulated(t, reactor.Config{})
	j := &journal{r: r}
	x := service.Named(r, "x", &lowOptional{lowPart{part{j: j, name: "x", bindIn: s, startIn: time.Hour}}})
	start := x.Start()
	stop := x.Stop()
	until(t, r, func() bool { return failure(stop) != errPending })
	j.want(t, "stopped while starting", "bind x", "stop x")
	if !errors.Is(failure(start), reactor.ErrCancelled) || failure(stop) != nil || x.State() != service.Stopped {
		t.Error(failure(start), failure(stop), x.State())
	}
}

// A stop that is given up while a start is being undone gives up the undoing.
func TestStopStartingIsGivenUp(t *testing.T) {
	r := simulated(t, reactor.Config{})
	j := &journal{r: r}
	c, inner := service.NewCollection(r, "c"), service.NewCollection(r, "inner")
	c.StopLimit, inner.StopLimit = s, -1
	inner.Add(service.Named(r, "never", &part{j: j, name: "never", stopIn: time.Hour}))
	inner.Add(service.Named(r, "b", &part{j: j, name: "b", startIn: time.Minute}))
	c.Start()
	c.Add(&inner.Service).Ignore()
	begun := r.Now()
	d := c.Stop()
	until(t, r, func() bool { return failure(d) != errPending })
	if took := r.Now() - begun; !errors.Is(failure(d), service.ErrStopLimit) || took.Round(time.Millisecond) != s || inner.State() != service.Stopped {
		t.Error("a stop limit:", failure(d), "after", took, inner.State())
	}
	// SVC-28: another signal ends what the program waits for.
	p, n := host(t, service.MainConfig{}, map[time.Duration]os.Signal{s: syscall.SIGTERM, 3 * s: syscall.SIGTERM},
		&part{name: "a", stopIn: time.Hour}, &part{name: "b", startIn: time.Hour})
	ended := time.Duration(0)
	p.Reactor().AddTrigger(reactor.After, reactor.Shutdown, func() { ended = n.Now() })
	_ = n.Run(time.Minute)
	if ended.Round(s/2) != 3*s || p.Err() == nil || !strings.Contains(p.Err().Error(), "service app/a: stop: ") {
		t.Errorf("SVC-28: ended after %v with %v", ended, p.Err())
	}
}

// A pool whose connections have not ended within the limit has not stopped in order.
func TestPoolStopLimit(t *testing.T) {
	w, p := newPool(t, service.PoolConfig{Size: 2})
	w.listen()
	c := service.NewCollection(w.cli.Reactor, "c")
	c.StopLimit = 2 * s
	c.Add(service.Named(w.cli.Reactor, "pool", p))
	var stop *deferred.Deferred[service.None]
	w.run(20*s, map[time.Duration]func(){
		0: func() { c.Start() },
		1 * s: func() {
			w.n.Partition("srv", "cli")
			p.Clients()[0].Connected().(*silent).T.Write(make([]byte, 8<<20)) // more than the kernel takes
			stop = c.Stop()
		},
	})
	if !errors.Is(failure(stop), service.ErrStopLimit) || w.cli.Reactor.Stats().Connections != 0 {
		t.Error(failure(stop), w.cli.Reactor.Stats().Connections)
	}
}

// SVC-14: a periodic call that is in progress at the end of the limit has not stopped in order.
func TestPeriodicStopLimit(t *testing.T) {
	r := simulated(t, reactor.Config{})
	c := service.NewCollection(r, "c")
	c.StopLimit = s
	p := service.NewPeriodic(r, s, func(int) *deferred.Deferred[service.None] { return deferred.Sleep(r, time.Hour) })
	c.Add(service.Named(r, "p", p))
	c.Start()
	d := c.Stop()
	until(t, r, func() bool { return failure(d) != errPending })
	if !errors.Is(failure(d), service.ErrStopLimit) {
		t.Error("SVC-14:", failure(d), p.Loop().Busy())
	}
}

// SVC-29: a reload that is given up begins no other.
func TestReloadGivenUp(t *testing.T) {
	r := simulated(t, reactor.Config{})
	j := &journal{r: r}
	c := service.NewCollection(r, "c")
	for _, name := range []string{"a", "b"} {
		c.Add(service.Named(r, name, &reloading{part: part{j: j, name: name}, reloadIn: s}))
	}
	c.Start()
	d := c.Reload()
	d.Cancel()
	until(t, r, func() bool { return failure(d) != errPending })
	j.want(t, "SVC-29", "start a", "start b", "reload a")
	if !errors.Is(failure(d), reactor.ErrCancelled) {
		t.Error("SVC-29:", failure(d))
	}
}

// Who gives up a start that is being undone, because it has failed or was given up before, does not give up the undoing.
func TestUndoingGoesOn(t *testing.T) {
	r := simulated(t, reactor.Config{})
	for name, c := range map[string]struct {
		limit, stop time.Duration
		b           part
		want        error
	}{
		"failed, then stopped":  {limit: -1, stop: 2 * s, b: part{startIn: s, start: errTest}, want: errTest},
		"failed, then too long": {limit: 2 * s, b: part{startIn: s, start: errTest}, want: errTest},
		"limit, then stopped":   {limit: s, stop: 2 * s, b: part{startIn: time.Hour}, want: service.ErrStartLimit},
	} {
		j := &journal{r: r}
		outer, inner := service.NewCollection(r, "outer"), service.NewCollection(r, "inner")
		outer.Add(&inner.Service)
		c.b.j, c.b.name = j, "b"
		inner.Add(service.Named(r, "a", &part{j: j, name: "a", stopIn: 4 * s}))
		inner.Add(service.Named(r, "b", &c.b))
		start, stop := outer.StartWithin(c.limit), deferred.Of(r, service.None{})
		if c.stop > 0 {
			clock := newBeat(r)
			clock.pass(t, c.stop)
			stop = outer.Stop()
		}
		until(t, r, func() bool { return failure(start) != errPending && failure(stop) != errPending })
		if !slices.Contains(j.said, "stop a done") || !errors.Is(failure(start), c.want) || failure(stop) != nil || outer.State() != service.Stopped {
			t.Errorf("%s: %q, %v, %v", name, j.said, failure(start), failure(stop))
		}
	}
}

// A privileged part that could not be started, or stopped again, is told to the stop that has come meanwhile.
func TestStopBindingFails(t *testing.T) {
	r := simulated(t, reactor.Config{})
	j := &journal{r: r}
	c := service.NewCollection(r, "c")
	c.Add(service.Named(r, "a", &lowPart{part{j: j, name: "a", stop: errTest, stopIn: s}}))
	c.Add(service.Named(r, "b", &lowPart{part{j: j, name: "b", bindIn: time.Hour}}))
	c.StartPrivileged().Ignore()
	d := c.Stop()
	until(t, r, func() bool { return failure(d) != errPending })
	if !errors.Is(failure(d), errTest) {
		t.Error(failure(d))
	}
	c.StopLimit = -1
	c.StartPrivileged().Ignore()
	d = c.Stop()
	d.Cancel()
	if !errors.Is(failure(d), reactor.ErrCancelled) {
		t.Error("given up:", failure(d))
	}
	until(t, r, func() bool { return r.Stats().Pending == 0 })
}
