package service_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
	"github.com/whorl-go/whorl/sim"
)

// journal is what members of a test do, in order.
type journal struct {
	r    *reactor.Reactor
	said []string
}

// part is a member that says what is done with it.
type part struct {
	j                       *journal
	name                    string
	bind, start, stop       error         // how its methods end
	bindIn, startIn, stopIn time.Duration // after which time; 0: at once
	runs                    bool
}

func (p *part) later(what string, d time.Duration, err error) *deferred.Deferred[service.None] {
	p.j.said = append(p.j.said, what+" "+p.name)
	if d == 0 {
		return deferred.Call(p.j.r, func() (service.None, error) { return service.None{}, err })
	}
	return deferred.Later(p.j.r, d, func() (service.None, error) {
		p.j.said = append(p.j.said, what+" "+p.name+" done")
		return service.None{}, err
	})
}

func (p *part) Start() *deferred.Deferred[service.None] {
	return deferred.Then(p.later("start", p.startIn, p.start), func(service.None) (service.None, error) {
		p.runs = true
		return service.None{}, nil
	})
}

func (p *part) Stop() *deferred.Deferred[service.None] {
	p.runs = false
	return p.later("stop", p.stopIn, p.stop)
}

// lowPart has a privileged part too.
type lowPart struct{ part }

func (p *lowPart) StartPrivileged() *deferred.Deferred[service.None] {
	return p.later("bind", p.bindIn, p.bind)
}

func (j *journal) want(t *testing.T, what string, want ...string) {
	t.Helper()
	if !slices.Equal(j.said, want) {
		t.Errorf("%s:\n%q, want\n%q", what, j.said, want)
	}
	j.said = nil
}

// SVC-1: a service has a name, a parent and a state. Start and stop change the state and nothing else.
func TestService(t *testing.T) {
	r := simulated(t, reactor.Config{})
	s := service.New(r, nil)
	if s.Name() != "" || s.Parent() != nil || s.Running() || s.State() != service.Stopped {
		t.Errorf("SVC-1: %q, %v, %v", s.Name(), s.Parent(), s.State())
	}
	if d := s.Start(); failure(d) != nil || !s.Running() || s.Name() != "" || s.Parent() != nil {
		t.Errorf("SVC-1: %v, %v", failure(d), s.State())
	}
	if d := s.Start(); !errors.Is(failure(d), service.ErrStarted) || !s.Running() {
		t.Errorf("started twice: %v", failure(d))
	}
	if d := s.Stop(); failure(d) != nil || s.Running() || s.State() != service.Stopped {
		t.Errorf("SVC-1: %v, %v", failure(d), s.State())
	}
	// SVC-2: the name cannot be changed once there is a parent.
	c := service.NewCollection(r, "c")
	if err := s.SetName("a"); err != nil || s.Name() != "a" {
		t.Error("SVC-2:", err)
	}
	c.Add(s)
	if err := s.SetName("b"); !errors.Is(err, service.ErrHasParent) || s.Name() != "a" {
		t.Error("SVC-2:", err)
	}
	if s.Path() != "c/a" || s.Parent() != c {
		t.Errorf("%q, %v", s.Path(), s.Parent())
	}
	c.Remove(s)
	if err := s.SetName("b"); err != nil || s.Parent() != nil { // SVC-6
		t.Error("SVC-2, SVC-6: removed:", err)
	}
}

// SVC-3, SVC-4, SVC-5, SVC-6: a collection has its services by name and in order, refuses a second one of a name, and a service has one parent.
func TestCollection(t *testing.T) {
	r := simulated(t, reactor.Config{})
	c, other := service.NewCollection(r, "c"), service.NewCollection(r, "other")
	a, b, unnamed := service.Named(r, "a", nil), service.Named(r, "b", nil), service.New(r, nil)
	for _, s := range []*service.Service{b, unnamed, a} {
		if err := failure(c.Add(s)); err != nil || s.Parent() != c {
			t.Error("SVC-3:", err)
		}
	}
	if got := c.Services(); !slices.Equal(got, []*service.Service{b, unnamed, a}) {
		t.Error("SVC-5: the order", got)
	}
	if s, err := c.Get("a"); s != a || err != nil {
		t.Error("SVC-5:", s, err)
	}
	if _, err := c.Get("x"); !errors.Is(err, service.ErrNoService) {
		t.Error("SVC-5:", err)
	}
	second := service.Named(r, "a", nil)
	if err := failure(c.Add(second)); !errors.Is(err, service.ErrDuplicate) || second.Parent() != nil || len(c.Services()) != 3 {
		t.Error("SVC-4:", err)
	}
	other.Add(a)
	if _, err := c.Get("a"); a.Parent() != other || err == nil || len(c.Services()) != 2 {
		t.Error("SVC-3: another parent:", a.Parent(), err)
	}
	if err := failure(c.Remove(a)); !errors.Is(err, service.ErrNoService) || a.Parent() != other {
		t.Error("SVC-6:", err)
	}
	if err := failure(c.Add(second)); err != nil {
		t.Error("the name is free again:", err)
	}
	if failure(c.Add(second)) != nil || len(c.Services()) != 3 {
		t.Error("added twice")
	}
	panics(t, func() { c.Add(&c.Service) })
	c.Add(&other.Service)
	panics(t, func() { other.Add(&c.Service) })
	panics(t, func() { c.Add(service.New(simulated(t, reactor.Config{}), nil)) })
	panics(t, func() { service.New(nil, nil) })
}

// SVC-7, SVC-8: a collection starts its services in order, first the privileged parts, and stops them in the reverse order, all at once.
func TestOrder(t *testing.T) {
	r := simulated(t, reactor.Config{})
	j := &journal{r: r}
	root, inner := service.NewCollection(r, "root"), service.NewCollection(r, "inner")
	root.Add(service.Named(r, "a", &lowPart{part{j: j, name: "a", startIn: time.Second, stopIn: time.Second}}))
	root.Add(&inner.Service)
	inner.Add(service.Named(r, "b", &part{j: j, name: "b", stopIn: 3 * time.Second, stop: errTest}))
	inner.Add(service.Named(r, "c", &lowPart{part{j: j, name: "c", bindIn: time.Second}}))
	root.Add(service.Named(r, "d", &part{j: j, name: "d"}))
	d := root.Start()
	if failure(d) != errPending || root.State() != service.Starting || root.Running() {
		t.Error(root.State())
	}
	until(t, r, func() bool { return failure(d) == nil })
	j.want(t, "SVC-7", "bind a", "bind c", "bind c done", "start a", "start a done", "start b", "start c", "start d")
	if !root.Running() || !inner.Running() {
		t.Error(root.State(), inner.State())
	}
	d = root.Stop()
	if root.Running() || root.State() != service.Stopping {
		t.Error("SVC-8: it counts as stopped from the beginning:", root.State())
	}
	j.want(t, "SVC-8", "stop d", "stop c", "stop b", "stop a")
	again := root.Stop()
	d.Ignore()
	again.Ignore()
	until(t, r, func() bool { return failure(d) != errPending })
	j.want(t, "SVC-8", "stop a done", "stop b done")
	var e *service.Error
	if !errors.Is(failure(d), errTest) || !errors.As(failure(d), &e) || e.Path != "root/inner/b" || e.Op != "stop" || root.State() != service.Stopped || failure(again) == errPending {
		t.Errorf("SVC-8: %v, %v", failure(d), root.State())
	}
	// Again.
	d = root.Start()
	until(t, r, func() bool { return failure(d) == nil })
	j.want(t, "SVC-7: again", "bind a", "bind c", "bind c done", "start a", "start a done", "start b", "start c", "start d")
	// The privileged parts alone, and no start: a stop ends them.
	root.Stop().Ignore()
	until(t, r, func() bool { return root.State() == service.Stopped })
	j.said = nil
	d = root.StartPrivileged()
	until(t, r, func() bool { return failure(d) == nil })
	root.StartPrivileged()
	if root.State() != service.Stopped {
		t.Error(root.State())
	}
	root.Stop()
	until(t, r, func() bool { return root.State() == service.Stopped })
	j.want(t, "privileged parts alone", "bind a", "bind c", "bind c done", "stop c", "stop a", "stop a done")
}

// SVC-9, SVC-6: a service that is added to a collection that runs is started at once, the privileged part first. One that is removed is stopped.
func TestAddRunning(t *testing.T) {
	r := simulated(t, reactor.Config{})
	j := &journal{r: r}
	c, other := service.NewCollection(r, "c"), service.NewCollection(r, "other")
	c.Start()
	other.Start()
	s := service.Named(r, "a", &lowPart{part{j: j, name: "a", stopIn: time.Second}})
	if err := failure(c.Add(s)); err != nil || !s.Running() {
		t.Error("SVC-9:", err)
	}
	j.want(t, "SVC-9", "bind a", "start a")
	moved := other.Add(s)
	if failure(moved) != errPending || s.Parent() != other {
		t.Error(failure(moved))
	}
	until(t, r, func() bool { return failure(moved) == nil })
	j.want(t, "SVC-3: moved", "stop a", "stop a done", "bind a", "start a")
	d := other.Remove(s)
	if failure(d) != errPending || s.Parent() != nil {
		t.Error("SVC-6:", failure(d))
	}
	until(t, r, func() bool { return failure(d) == nil })
	j.want(t, "SVC-6", "stop a", "stop a done")
	bad := service.Named(r, "bad", &part{j: j, name: "bad", start: errTest})
	if err := failure(c.Add(bad)); !errors.Is(err, errTest) || bad.State() != service.Stopped || !c.Running() {
		t.Error("SVC-9:", err)
	}
	// One that is added while the collection starts is started by that; one that is removed then is no failure.
	late := service.NewCollection(r, "late")
	slow := service.Named(r, "slow", &part{j: j, name: "slow", startIn: time.Second})
	late.Add(slow)
	started := late.Start()
	late.Add(service.Named(r, "more", &part{j: j, name: "more"}))
	late.Remove(slow)
	until(t, r, func() bool { return failure(started) != errPending })
	if more, _ := late.Get("more"); failure(started) != nil || !more.Running() || slow.State() != service.Stopped {
		t.Error(failure(started), slow.State())
	}
}

// SVC-10: if a service fails to start, those that were started are stopped again, and the collection does not run.
func TestFailedStart(t *testing.T) {
	r := simulated(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
	j := &journal{r: r}
	c := service.NewCollection(r, "c")
	bad := &lowPart{part{j: j, name: "bad", start: errTest}}
	c.Add(service.Named(r, "a", &lowPart{part{j: j, name: "a", stopIn: time.Second}}))
	c.Add(service.Named(r, "bad", bad))
	c.Add(service.Named(r, "z", &lowPart{part{j: j, name: "z"}}))
	d := c.Start()
	until(t, r, func() bool { return failure(d) != errPending })
	j.want(t, "SVC-10", "bind a", "bind bad", "bind z", "start a", "start bad", "stop bad", "stop z", "stop a", "stop a done")
	var e *service.Error
	if !errors.Is(failure(d), errTest) || !errors.As(failure(d), &e) || e.Error() != "service c/bad: start: test" || c.State() != service.Stopped {
		t.Error("SVC-10:", failure(d), c.State())
	}
	bad.start, bad.bind = nil, errTest
	d = c.Start()
	until(t, r, func() bool { return failure(d) != errPending })
	j.want(t, "SVC-10: a privileged part", "bind a", "bind bad", "stop a", "stop a done")
	for _, s := range c.Services() {
		if s.State() != service.Stopped {
			t.Error("SVC-10:", s.Path(), s.State())
		}
	}
	panicking := service.New(r, service.Func(r, func() error { panic("no") }, nil))
	if _, ok := errors.AsType[*reactor.PanicError](failure(panicking.Start())); !ok || panicking.State() != service.Stopped {
		t.Error(panicking.State())
	}
}

// SVC-7, SVC-9: a collection waits for a service that was started by itself, and is content with one that runs already.
func TestStartedByItself(t *testing.T) {
	r := simulated(t, reactor.Config{})
	j := &journal{r: r}
	c := service.NewCollection(r, "c")
	a, b := service.Named(r, "a", &part{j: j, name: "a", startIn: time.Second}), service.Named(r, "b", &part{j: j, name: "b"})
	c.Add(a)
	c.Add(b)
	one, start := a.Start(), c.Start()
	until(t, r, func() bool { return failure(start) != errPending })
	j.want(t, "SVC-7", "start a", "start a done", "start b")
	if failure(one) != nil || failure(start) != nil || !c.Running() || !a.Running() {
		t.Error("SVC-7:", failure(one), failure(start), c.State(), a.State())
	}
	z := service.Named(r, "z", &part{j: j, name: "z"})
	z.Start()
	if err := failure(c.Add(z)); err != nil || !z.Running() {
		t.Error("SVC-9:", err, z.State())
	}
	c.Remove(a)
	one = a.Start()
	start = c.Add(a)
	until(t, r, func() bool { return failure(start) != errPending })
	if failure(one) != nil || failure(start) != nil || !a.Running() {
		t.Error("SVC-9:", failure(one), failure(start), a.State())
	}
}

// A stop while a collection starts gives up the start, and comes when all is undone. A start while it stops comes after that.
func TestStopStarting(t *testing.T) {
	r := simulated(t, reactor.Config{})
	j := &journal{r: r}
	c := service.NewCollection(r, "c")
	c.Add(service.Named(r, "a", &part{j: j, name: "a", stopIn: time.Second}))
	c.Add(service.Named(r, "b", &part{j: j, name: "b", startIn: time.Second}))
	c.Add(service.Named(r, "z", &part{j: j, name: "z"}))
	start := c.Start()
	stop := c.Stop()
	second := c.Stop()
	if failure(stop) != errPending {
		t.Error(failure(stop))
	}
	until(t, r, func() bool { return failure(stop) != errPending })
	j.want(t, "stopped while starting", "start a", "start b", "stop a", "stop a done")
	if !errors.Is(failure(start), reactor.ErrCancelled) || failure(stop) != nil || failure(second) != nil || c.State() != service.Stopped {
		t.Error(failure(start), failure(stop), c.State())
	}
	c.Start()
	until(t, r, c.Running)
	j.said = nil
	stop = c.Stop()
	again := c.Start()
	third := c.Start()
	until(t, r, func() bool { return failure(again) == nil && failure(third) == nil })
	j.want(t, "started while stopping", "stop z", "stop b", "stop a", "stop a done", "start a", "start b", "start b done", "start z")
	c.Stop()
	again = c.Start()
	stop = c.Stop()
	if !errors.Is(failure(again), reactor.ErrCancelled) {
		t.Error("a start that was given up by a stop:", failure(again))
	}
	until(t, r, func() bool { return failure(stop) == nil })
	if c.State() != service.Stopped {
		t.Error(c.State())
	}
	// A member may stop the tree in its own start.
	root := service.NewCollection(r, "root")
	var stopped *deferred.Deferred[service.None]
	root.Add(service.New(r, service.Func(r, func() error { stopped = root.Stop(); return nil }, nil)))
	root.Start()
	if failure(stopped) != nil || root.State() != service.Stopped {
		t.Error(failure(stopped), root.State())
	}
}

// A collection has a limit for its stop, and names those that have not stopped in time.
func TestStopLimit(t *testing.T) {
	r := simulated(t, reactor.Config{})
	for limit, want := range map[time.Duration]time.Duration{0: service.DefaultStopLimit, time.Second: time.Second} {
		j := &journal{r: r}
		c := service.NewCollection(r, "c")
		c.StopLimit = limit
		c.Add(service.Named(r, "never", &part{j: j, name: "never", stopIn: time.Hour}))
		c.Add(service.Named(r, "soon", &part{j: j, name: "soon", stopIn: time.Millisecond}))
		c.Start()
		at, start := time.Duration(0), r.Now()
		d := c.Stop()
		d.Done(func(service.None, error) { at = r.Now() - start })
		for failure(d) == errPending {
			if err := r.Turn(-1); err != nil {
				t.Fatal(err)
			}
		}
		var e *service.Error
		if !errors.Is(failure(d), service.ErrStopLimit) || !errors.Is(failure(d), kernel.ErrTimeout) || !errors.As(failure(d), &e) || e.Path != "c/never" || at != want || c.State() != service.Stopped {
			t.Errorf("limit %v: %v after %v", limit, failure(d), at)
		}
		if n := r.Stats().Pending; n != 0 {
			t.Errorf("%d timers are left", n)
		}
	}
}

// SVC-11: the shutdown of the reactor waits for the services of an application.
func TestApplication(t *testing.T) {
	log := new(records)
	r := simulated(t, reactor.Config{Logger: log.logger()})
	j := &journal{r: r}
	a := service.NewApplication(r, "app")
	p := &part{j: j, name: "p", stopIn: 5 * time.Second, stop: errTest}
	a.Add(service.Named(r, "p", p))
	r.CallWhenRunning(func() {
		a.Start()
		a.Stop()
		a.Start()
		r.CallLater(7*time.Second, func() { r.Stop() })
	})
	r.AddTrigger(reactor.After, reactor.Shutdown, func() { j.said = append(j.said, "after") })
	if err := r.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	j.want(t, "SVC-11", "start p", "stop p", "stop p done", "start p", "stop p", "stop p done", "after")
	if len(log.all) < 1 || !strings.Contains(strings.Join(log.all, "\n"), "service app/p: stop: test") {
		t.Errorf("%q", log.all)
	}
}

// SVC-7, SVC-8, SVC-10: a tree of 1,000 members starts, fails in the middle and stops in order, for every seed. There are 100 of them, or those that
// WHORL_SEEDS names, such as WHORL_SEEDS=1000, which take seven seconds of a processor.
func TestTreeOfThousand(t *testing.T) {
	first, seeds := uint64(0), uint64(100)
	if s := os.Getenv("WHORL_SEEDS"); s != "" {
		var err error
		if first, seeds, err = sim.ParseSeeds(s); err != nil {
			t.Fatal("WHORL_SEEDS:", err)
		}
	} else if testing.Short() || raced {
		seeds = 20
	}
	const shards = 2
	for shard := range uint64(shards) {
		t.Run(fmt.Sprint("shard", shard), func(t *testing.T) {
			t.Parallel()
			for seed := first + shard; seed < first+seeds && !t.Failed(); seed += shards {
				r := reactor.New(sim.New(seed).Kernel(), reactor.Config{Panicked: func(e *reactor.PanicError) { t.Error(e) }})
				runTree(t, seed, r)
				r.Close()
				if t.Failed() {
					t.Log("seed", seed)
				}
			}
		})
	}
}

// runTree makes a tree of seed and starts it twice. One of the starts fails.
func runTree(t *testing.T, seed uint64, r *reactor.Reactor) {
	const members = 1000
	random := rand.New(rand.NewPCG(seed, 1))
	j := &journal{r: r}
	root := service.NewCollection(r, "root")
	all := []*service.Collection{root}
	var parts []*part
	takes := func() time.Duration {
		if random.IntN(20) > 0 {
			return 0
		}
		return time.Duration(1+random.IntN(1000)) * time.Millisecond
	}
	for i := range members {
		parent := all[random.IntN(len(all))]
		if random.IntN(10) == 0 {
			c := service.NewCollection(r, fmt.Sprint("c", i))
			parent.Add(&c.Service)
			all = append(all, c)
			continue
		}
		p := &part{j: j, name: fmt.Sprint(i), startIn: takes(), stopIn: takes()}
		parts = append(parts, p)
		var m service.Member = p
		if random.IntN(2) == 0 {
			low := &lowPart{*p}
			parts[len(parts)-1], m = &low.part, low
		}
		parent.Add(service.Named(r, p.name, m))
	}
	run := func(d *deferred.Deferred[service.None]) error {
		for failure(d) == errPending {
			if err := r.Turn(-1); err != nil {
				t.Fatal(err)
			}
		}
		return failure(d)
	}
	for _, bad := range []*part{parts[random.IntN(len(parts))], nil} {
		if bad != nil {
			bad.start = errTest
		}
		if err := run(root.Start()); errors.Is(err, errTest) != (bad != nil) || (err == nil) != root.Running() {
			t.Errorf("SVC-10: %v, %v", err, root.State())
		}
		if bad != nil {
			bad.start = nil
		}
		if err := run(root.Stop()); err != nil || root.State() != service.Stopped {
			t.Errorf("SVC-8: %v", err)
		}
		checkOrder(t, j.said, bad)
		j.said = nil
		for _, p := range parts {
			if p.runs {
				t.Errorf("SVC-10: %s still runs", p.name)
			}
		}
	}
	if n := r.Stats().Pending; n != 0 {
		t.Errorf("%d timers are left", n)
	}
}

// checkOrder looks at what the members have said: privileged parts, then starts, then the stops of those that were started, in the reverse order.
func checkOrder(t *testing.T, said []string, bad *part) {
	var started []string
	bound := map[string]bool{}
	begun, stopping := false, 0
	for _, s := range said {
		what, name, _ := strings.Cut(s, " ")
		if strings.HasSuffix(name, " done") {
			continue
		}
		switch what {
		case "bind":
			if begun {
				t.Errorf("SVC-7: %s after the first start", s)
			}
			bound[name] = true
			started = append(started, name)
		case "start":
			if stopping > 0 {
				t.Errorf("SVC-10: %s after the first stop", s)
			}
			begun = true
			if (bad == nil || name != bad.name) && !bound[name] {
				started = append(started, name)
			}
		case "stop":
			stopping++
		}
	}
	if stopping != len(started) {
		t.Errorf("SVC-8, SVC-10: %d stops for %d starts", stopping, len(started))
	}
	if bad != nil {
		return
	}
	var starts, stops []string
	for _, s := range said {
		if name, ok := strings.CutPrefix(s, "start "); ok && !strings.HasSuffix(name, " done") {
			starts = append(starts, name)
		} else if name, ok := strings.CutPrefix(s, "stop "); ok && !strings.HasSuffix(name, " done") {
			stops = append(stops, name)
		}
	}
	slices.Reverse(stops)
	if !slices.Equal(starts, stops) {
		t.Error("SVC-8: the stops are not in the reverse order of the starts")
	}
}

// SVC-17: a Stop inside the Stop of the member waits for the same end, each time.
func TestStopInsideStop(t *testing.T) {
	r := simulated(t, reactor.Config{})
	var s *service.Service
	var inner, work *deferred.Deferred[service.None]
	s = service.New(r, stopFunc(func() *deferred.Deferred[service.None] {
		inner, work = s.Stop(), deferred.New[service.None](r, nil)
		return work
	}))
	for range 2 {
		s.Start()
		outer := s.Stop()
		if inner == nil || failure(inner) != errPending || failure(outer) != errPending || s.State() != service.Stopping {
			t.Fatal("SVC-17: before the end:", s.State())
		}
		if work.Succeed(service.None{}); failure(inner) != nil || failure(outer) != nil || s.State() != service.Stopped {
			t.Error("SVC-17: at the end:", failure(inner), failure(outer), s.State())
		}
	}
}

type stopFunc func() *deferred.Deferred[service.None]

func (stopFunc) Start() *deferred.Deferred[service.None]  { return nil }
func (f stopFunc) Stop() *deferred.Deferred[service.None] { return f() }
