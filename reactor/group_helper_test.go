package reactor_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// groupSizes are the sizes of groups for which tests run.
var groupSizes = []int{1, 2, 5}

// running is a group that runs beside the test.
type running struct {
	*reactor.Group
	t     *testing.T
	ended chan error
}

// newGroup makes a group of n loops in w.
func newGroup(t *testing.T, w testworld.World, n int, c reactor.GroupConfig) *running {
	t.Helper()
	c.Loops = n
	if c.Kernel == nil {
		c.Kernel = func(int, int) (kernel.Kernel, error) { return w.Open(t), nil }
	}
	if w.Simulated() && c.StopTimeout == 0 {
		c.StopTimeout = -1 // its time jumps as soon as one loop waits
	}
	if c.Reactor.Logger == nil {
		c.Reactor.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Reactor.Panicked == nil {
		c.Reactor.Panicked = func(e *reactor.PanicError) { t.Errorf("%v\n%s", e, e.Stack) }
	}
	g, err := reactor.NewGroup(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return &running{Group: g, t: t, ended: make(chan error, 1)}
}

// run runs the group until the end of the test, or stop.
func (g *running) run() {
	go func() { g.ended <- g.Run(context.Background()) }()
	g.t.Cleanup(func() {
		_ = g.Stop()
		select {
		case <-g.Done():
		case <-time.After(testworld.Limit):
			g.t.Error("the group does not end")
		}
	})
	for !g.Running() {
		time.Sleep(time.Millisecond)
	}
	if err := g.Each(func(*reactor.Reactor) error { return nil }); err != nil {
		g.t.Fatal(err)
	}
}

// stop stops the group and returns what Run returns.
func (g *running) stop() error {
	g.t.Helper()
	_ = g.Stop()
	return g.result()
}

func (g *running) result() error {
	g.t.Helper()
	return recv(g.t, g.ended)
}

// recv is the next of c.
func recv[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(testworld.Limit):
		t.Fatal("nothing came of it")
	}
	return v
}

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(testworld.Limit); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// groups runs body on every kernel, with groups of each size.
func groups(t *testing.T, body func(t *testing.T, w testworld.World, n int)) {
	t.Helper()
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, n := range groupSizes {
			t.Run(string(rune('0'+n)), func(t *testing.T) { body(t, w, n) })
		}
	})
}

// greeter is a server's protocol that sends the index of its loop, and echoes.
type greeter struct {
	reactor.Base
	f *greeters
	r *reactor.Reactor
}

// greeters is its factory, for several loops.
type greeters struct {
	mu              sync.Mutex
	started, ended  int
	made, lost      int
	wrong           string
	startErr, enErr error
}

func (f *greeters) StartFactory() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started++
	return f.startErr
}

func (f *greeters) StopFactory() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended++
	return f.enErr
}

func (f *greeters) BuildProtocol(kernel.Addr) reactor.Protocol { return &greeter{f: f} }

func (f *greeters) counts() (started, ended, made, lost int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.started, f.ended, f.made, f.lost
}

func (g *greeter) ConnectionMade(t reactor.Transport) {
	g.Base.ConnectionMade(t)
	g.r = t.Reactor()
	g.f.mu.Lock()
	g.f.made++
	g.f.mu.Unlock()
	g.check("ConnectionMade")
	g.T.Write([]byte{byte('0' + g.r.Index())})
}

// check notes a callback that comes on another loop than the first (GROUP-3).
func (g *greeter) check(what string) {
	if !reactor.OnLoop(g.r) || g.T.Reactor() != g.r {
		g.f.mu.Lock()
		g.f.wrong = what
		g.f.mu.Unlock()
	}
}

func (g *greeter) DataReceived(p []byte) {
	g.check("DataReceived")
	g.T.Write(p)
}

func (g *greeter) ConnectionLost(error) {
	g.check("ConnectionLost")
	g.f.mu.Lock()
	g.f.lost++
	g.f.mu.Unlock()
}

// caller is a client, on a loop of the test's own.
type caller struct {
	reactor.Base
	mu   sync.Mutex
	got  []byte
	err  error
	made bool
}

func (c *caller) ConnectionMade(t reactor.Transport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Base.ConnectionMade(t)
	c.made = true
}

func (c *caller) DataReceived(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, p...)
}

func (c *caller) ConnectionLost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *caller) received() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.got)
}

func (c *caller) lost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// clients is a loop of its own for the clients of a test.
type clients struct {
	t *testing.T
	r *reactor.Reactor
}

func newClients(t *testing.T, w testworld.World) *clients {
	t.Helper()
	r := w.New(t, reactor.Config{})
	ended := make(chan error, 1)
	go func() { ended <- r.Run(context.Background()) }()
	t.Cleanup(func() { _ = r.Stop(); <-ended })
	for !r.Running() {
		time.Sleep(time.Millisecond)
	}
	return &clients{t: t, r: r}
}

// dial connects a client, and returns it when it has heard from the server, or was lost.
func (x *clients) dial(a kernel.Addr) *caller {
	x.t.Helper()
	c := x.start(a)
	eventually(x.t, "the server greets", func() bool { return c.received() != "" || c.lost() != nil })
	return c
}

// start connects a client.
func (x *clients) start(a kernel.Addr) *caller {
	c := new(caller)
	x.r.Post(func() {
		x.r.Dial(a, reactor.One(c), &reactor.DialConfig{Timeout: -1}, func(_ reactor.Protocol, err error) {
			if err != nil {
				c.ConnectionLost(err)
			}
		})
	})
	return c
}

// say writes to the server, and waits for its echo.
func (x *clients) say(c *caller, text string) {
	x.t.Helper()
	before := len(c.received())
	x.r.Post(func() { c.T.Write([]byte(text)) })
	eventually(x.t, "the echo", func() bool { return len(c.received()) >= before+len(text) })
	if got := c.received()[before:]; got != text {
		x.t.Fatalf("got %q, want %q", got, text)
	}
}

func (x *clients) close(c *caller) {
	x.t.Helper()
	x.r.Post(func() { c.T.Close() })
	eventually(x.t, "the end", func() bool { return c.lost() != nil })
}

// failing is a kernel whose Wait fails when it is told to.
type failing struct {
	kernel.Kernel
	mu     sync.Mutex
	err    error
	panics bool
}

var errBroken = errors.New("the kernel is broken")

func (k *failing) Unwrap() kernel.Kernel { return k.Kernel }

func (k *failing) fail() {
	k.mu.Lock()
	k.err = errBroken
	k.mu.Unlock()
	k.Wake()
}

// panic has Wait panic, outside of every callback, as a defect of the loop itself would.
func (k *failing) panic() {
	k.mu.Lock()
	k.panics = true
	k.mu.Unlock()
	k.Wake()
}

func (k *failing) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	k.mu.Lock()
	err, panics := k.err, k.panics
	k.mu.Unlock()
	if panics {
		panic("a defect")
	}
	if err != nil {
		return 0, err
	}
	return k.Kernel.Wait(ev, until)
}

// failings are kernels that fail when they are told to, by the loop that has them.
type failings struct {
	mu  sync.Mutex
	all map[int]*failing
}

func (x *failings) kernels(t *testing.T, w testworld.World) func(int, int) (kernel.Kernel, error) {
	return func(i, _ int) (kernel.Kernel, error) {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.all == nil {
			x.all = map[int]*failing{}
		}
		x.all[i] = &failing{Kernel: w.Open(t)}
		return x.all[i], nil
	}
}

func (x *failings) of(loop int) *failing {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.all[loop]
}
