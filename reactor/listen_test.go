package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// journal is a slog.Handler that keeps each record as a line, level first.
type journal struct {
	lines []string
	heard func(line string)
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j *journal) WithGroup(string) slog.Handler            { return j }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	j.lines = append(j.lines, line)
	if j.heard != nil {
		j.heard(line)
	}
	return nil
}

// with is the lines that contain all of parts.
func (j *journal) with(parts ...string) []string {
	var found []string
	for _, l := range j.lines {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(l, p) }) {
			found = append(found, l)
		}
	}
	return found
}

// service is a server's factory that notes what happens to it.
type service struct {
	events   []string
	ends     []*end // what was built
	build    func(peer kernel.Addr) reactor.Protocol
	onStart  func()
	startErr error
	stopErr  error
}

func (f *service) StartFactory() error {
	f.events = append(f.events, "start")
	if f.onStart != nil {
		f.onStart()
	}
	return f.startErr
}

func (f *service) StopFactory() error {
	f.events = append(f.events, "stop")
	return f.stopErr
}

func (f *service) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	f.events = append(f.events, "build")
	if f.build != nil {
		return f.build(peer)
	}
	e := new(end)
	f.ends = append(f.ends, e)
	return e
}

// refuses tells whether nobody listens at a.
func refuses(t *testing.T, w testworld.World, a kernel.Addr) bool {
	t.Helper()
	p, err := w.Connect(t, a)
	if err == nil {
		p.Close()
	}
	return errors.Is(err, kernel.ErrRefused)
}

// sameEvents fails the test unless got is want.
func sameEvents(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// stopped stops p and turns r until it is.
func stopped(t *testing.T, p *reactor.Port) {
	t.Helper()
	done := false
	p.StopListening(func(err error) {
		done = true
		if err != nil {
			t.Errorf("StopListening: %v", err)
		}
	})
	until(t, p.Reactor(), func() bool { return done })
}

// needIPv6 skips the test on a machine without ::1.
func needIPv6(t *testing.T, w testworld.World) {
	t.Helper()
	if w.Simulated() {
		return
	}
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 loopback here: %v", err)
	}
	l.Close()
}

func TestListenBindsAtOnce(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		f := &service{}
		p := listen(t, r, f, nil)
		// TCP-1: bound when Listen returns, at a port that Addr tells.
		if a := p.Addr(); a.Port() == 0 || a.IP.Addr() != loopback.IP.Addr() || a.Net != kernel.TCP {
			t.Errorf("listening at %v", a)
		}
		w.Peer(t, p.Addr()) // no turn was made yet
		until(t, r, func() bool { return len(f.ends) == 1 })
	})
}

// Sixty clients are more than Twisted's backlog of 50 would hold (TCP-1).
func TestListenBacklogIsTheSystems(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		f := &service{}
		p := listen(t, r, f, nil)
		for range 60 {
			w.Peer(t, p.Addr())
		}
		until(t, r, func() bool { return len(f.ends) == 60 })
	})
}

// backlogs notes what Listen is told.
type backlogs struct {
	kernel.Kernel
	asked []int
}

func (k *backlogs) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	k.asked = append(k.asked, o.Backlog)
	return k.Kernel.Listen(a, o)
}

// TCP-1: a configured backlog reaches the system, also when listening again.
func TestListenBacklog(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := &backlogs{Kernel: w.Open(t)}
		r := testworld.New(t, k, reactor.Config{})
		p := listen(t, r, &service{}, &reactor.ListenConfig{ListenOptions: kernel.ListenOptions{Backlog: 7}})
		stopped(t, p)
		if err := p.StartListening(); err != nil {
			t.Fatal(err)
		}
		listen(t, r, &service{}, nil)
		if !slices.Equal(k.asked, []int{7, 7, 0}) {
			t.Errorf("backlogs %v", k.asked)
		}
	})
}

// TCP-2: the IPv4 zero address is any IPv4 address, and IPv4 only. Another process may have the
// port's number in IPv6, so that it is not free there; then another number is tried.
func TestListenFamilies(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for tries := 0; ; tries++ {
			p, err := r.Listen(kernel.TCPAddr(netip.IPv4Unspecified(), 0), &service{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if a := p.Addr(); a.IP.Addr() != netip.IPv4Unspecified() || a.Port() == 0 {
				t.Errorf("listening at %v", a)
			}
			for _, ip := range addresses(w) {
				w.Peer(t, kernel.TCPAddr(ip, p.Addr().Port()))
			}
			six := kernel.TCPAddr(netip.IPv6Loopback(), p.Addr().Port())
			alone := refuses(t, w, six)
			_, err = r.Listen(six, &service{}, nil)
			if errors.Is(err, kernel.ErrAddrInUse) && tries < 20 {
				continue
			}
			if !alone || errors.Is(err, kernel.ErrAddrInUse) {
				t.Errorf("the IPv4 zero address listens on IPv6 too: refused %v, %v", alone, err)
			}
			return
		}
	})
}

// addresses are IPv4 addresses of the machine.
func addresses(w testworld.World) []netip.Addr {
	all := []netip.Addr{loopback.IP.Addr()}
	switch {
	case w.Simulated():
		all = append(all, w.Net().Host("localhost").Addr(0).IP.Addr())
	case runtime.GOOS == "linux":
		all = append(all, netip.MustParseAddr("127.0.0.2"))
	}
	return all
}

func TestListenIPv6(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		needIPv6(t, w)
		r := w.New(t, reactor.Config{})
		f := &service{}
		p, err := r.Listen(kernel.TCPAddr(netip.IPv6Loopback(), 0), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		// TCP-2: a literal chooses the family.
		if a := p.Addr(); a.IP.Addr() != netip.IPv6Loopback() || a.Port() == 0 {
			t.Errorf("listening at %v", a)
		}
		var peer kernel.Addr
		f.build = func(a kernel.Addr) reactor.Protocol { peer = a; return new(end) }
		cli := new(end)
		r.Dial(p.Addr(), one(cli), nil, nil)
		until(t, r, func() bool { return cli.s != nil && peer.Port() != 0 })
		if cli.s.Remote() != p.Addr() || cli.s.Local() != peer || !peer.IP.Addr().Is6() {
			t.Errorf("%v to %v, seen as %v", cli.s.Local(), cli.s.Remote(), peer)
		}
	})
}

// TCP-6: "::" is IPv6 only, so both families can use one port number. Another process may
// have that number in IPv4; then another number is tried.
func TestListenIPv6AnyIsIPv6Only(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		needIPv6(t, w)
		r := w.New(t, reactor.Config{})
		for tries := 0; ; tries++ {
			six, err := r.Listen(kernel.TCPAddr(netip.IPv6Unspecified(), 0), &service{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			four := kernel.TCPAddr(loopback.IP.Addr(), six.Addr().Port())
			alone := refuses(t, w, four)
			_, err = r.Listen(kernel.TCPAddr(netip.IPv4Unspecified(), four.Port()), &service{}, nil)
			if errors.Is(err, kernel.ErrAddrInUse) && tries < 20 {
				continue
			}
			if err != nil {
				t.Fatalf("both families at one port number: %v", err)
			}
			if !alone {
				t.Errorf("an IPv4 client reached %v", six.Addr())
			}
			w.Peer(t, four)
			return
		}
	})
}

// TCP-3: the address can be used again at once, even if a connection to it is in
// TIME_WAIT. TCP-8: the done function of StopListening can already use it.
func TestListenAgainAtOnce(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv, cli := new(end), new(end)
		srv.onMade = func() { srv.s.Close() } // who ends first keeps the address
		p, _ := connect(t, r, srv, cli)
		until(t, r, func() bool { return srv.err != nil && cli.err != nil })
		var again *reactor.Port
		p.StopListening(func(error) {
			var err error
			if again, err = r.Listen(p.Addr(), &service{}, nil); err != nil {
				t.Fatal(err)
			}
		})
		until(t, r, func() bool { return again != nil })
		w.Peer(t, again.Addr())
	})
}

// TCP-4: a bind that fails leaves nothing behind.
func TestListenAddressInUse(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		taken := listen(t, r, &service{}, nil)
		fds, sources := leaktest.Descriptors(), r.Stats().Sources
		f := &service{}
		p, err := r.Listen(taken.Addr(), f, nil)
		if p != nil || !errors.Is(err, reactor.ErrListen) || !errors.Is(err, kernel.ErrAddrInUse) {
			t.Fatalf("%v, %v", p, err)
		}
		op, ok := errors.AsType[*reactor.OpError](err)
		if !ok || op.Op != "listen" || op.Local != taken.Addr() || op.Err == nil {
			t.Errorf("%#v", err)
		}
		sameEvents(t, f.events) // never started
		if n := leaktest.Descriptors(); n != fds {
			t.Errorf("%d descriptors, %d before", n, fds)
		}
		if n := r.Stats().Sources; n != sources {
			t.Errorf("%d sources, %d before", n, sources)
		}
	})
}

// TCP-5: failures of other steps than bind are the same kind of error.
func TestListenFailsElsewhere(t *testing.T) {
	broken := fmt.Errorf("socket: %w", kernel.ErrTooManyFiles)
	worlds(t, func(t *testing.T, w testworld.World) {
		faults := &testworld.Faults{}
		r := testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{})
		f := &service{}
		check := func(what string, want error) {
			t.Helper()
			p, err := r.Listen(loopback, f, nil)
			op, ok := errors.AsType[*reactor.OpError](err)
			if p != nil || !ok || op.Local != loopback || !errors.Is(err, reactor.ErrListen) || !errors.Is(err, want) {
				t.Errorf("%s: %v, %v", what, p, err)
			}
			if n := r.Stats().Sources; n != 0 {
				t.Errorf("%s: %d sources left", what, n)
			}
		}
		noDevice := errors.New("no null device")
		faults.Reserve = func() error { return noDevice }
		check("the reserve", noDevice)
		faults.Reserve = nil
		sameEvents(t, faults.Closed)
		faults.Listen = func(kernel.Addr) error { return broken }
		check("listen", broken)
		faults.Listen = nil
		faults.Arm = func(kernel.Ready) error { return broken }
		check("arm", broken)
		sameEvents(t, f.events)
		sameEvents(t, faults.Closed, "close")
		faults.Arm = nil
		f.startErr = errors.New("not today")
		check("StartFactory", f.startErr)
		sameEvents(t, f.events, "start")
		sameEvents(t, faults.Closed, "close", "close")
		f.startErr = nil
		if p, err := r.Listen(loopback, f, nil); err != nil || !p.Listening() {
			t.Errorf("%v, %v", p, err)
		}
	})
}

// TCP-7: bind, arm, the log with the real port, the factory, and in the next turn the first accept,
// although somebody waits already when the factory is started.
func TestListenOrder(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var f service
		log := &journal{heard: func(l string) { f.events = append(f.events, "log") }}
		faults := &testworld.Faults{
			Listen: func(kernel.Addr) error { f.events = append(f.events, "bind"); return nil },
			Arm:    func(kernel.Ready) error { f.events = append(f.events, "arm"); return nil },
			Accept: func() error { f.events = append(f.events, "accept"); return nil },
		}
		r := testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{Logger: slog.New(log)})
		at := nobody(t, r)
		f.events, log.lines = nil, nil
		f.onStart = func() { w.Peer(t, at) }
		p, err := r.Listen(at, &f, nil)
		if err != nil {
			t.Fatal(err)
		}
		sameEvents(t, f.events, "bind", "arm", "log", "log", "start")
		on := fmt.Sprintf("on=127.0.0.1:%d", p.Addr().Port())
		if len(log.with("INFO starting factory=service", on)) != 1 || log.lines[0] != log.with(on)[0] {
			t.Errorf("log %q", log.lines)
		}
		until(t, r, func() bool { return len(f.ends) == 1 })
		sameEvents(t, f.events[:7], "bind", "arm", "log", "log", "start", "accept", "build")
	})
}

// TCP-8: the end comes later, who waits in the queue is served first, and connections go on.
func TestStopListening(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		f := &service{}
		p := listen(t, r, f, nil)
		first := w.Peer(t, p.Addr())
		until(t, r, func() bool { return len(f.ends) == 1 })
		waiting := w.Peer(t, p.Addr()) // the system's, not yet the port's
		done := 0
		p.StopListening(func(err error) {
			done++
			f.events = append(f.events, "done")
			if err != nil || p.Listening() || !refuses(t, w, p.Addr()) {
				t.Errorf("%v, listening %v", err, p.Listening())
			}
		})
		if done != 0 || p.Listening() {
			t.Error("done was called inside, or the port still listens")
		}
		sameEvents(t, f.events, "start", "build")
		until(t, r, func() bool { return done > 0 })
		sameEvents(t, f.events, "start", "build", "build", "stop", "done")
		for i, c := range []*testworld.Peer{first, waiting} {
			c.Write([]byte("still here"))
			until(t, r, func() bool { return string(f.ends[i].got) == "still here" })
			sameEvents(t, f.ends[i].events, "made", "data")
		}
		testworld.Turns(t, r, 3)
		if done != 1 {
			t.Errorf("done was called %d times", done)
		}
	})
}

// TCP-9: every done is called after the same end, even if the port has stopped already.
func TestStopListeningTwice(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		f := &service{}
		p := listen(t, r, f, nil)
		var calls []string
		stop := func(name string) {
			p.StopListening(func(err error) {
				if err != nil {
					t.Error(err)
				}
				calls = append(calls, name)
			})
		}
		p.StopListening(nil)
		stop("a")
		stop("b")
		sameEvents(t, calls)
		until(t, r, func() bool { return len(calls) == 2 })
		stop("c")
		sameEvents(t, calls, "a", "b") // not inside
		until(t, r, func() bool { return len(calls) == 3 })
		sameEvents(t, calls, "a", "b", "c")
		sameEvents(t, f.events, "start", "stop")
		// Also if the port listens again before done is called.
		stop("d")
		if err := p.StartListening(); err != nil {
			t.Fatal(err)
		}
		until(t, r, func() bool { return len(calls) == 4 })
	})
}

// TCP-10: done gets the factory's error, and the port is stopped nevertheless.
func TestStopFactoryFails(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		f := &service{stopErr: errors.New("no end")}
		p := listen(t, r, f, nil)
		var got error
		p.StopListening(func(err error) { got = err })
		until(t, r, func() bool { return got != nil })
		if !errors.Is(got, f.stopErr) || p.Listening() || !refuses(t, w, p.Addr()) {
			t.Errorf("%v, listening %v", got, p.Listening())
		}
		f.stopErr = nil
		if err := p.StartListening(); err != nil {
			t.Fatal(err)
		}
		w.Peer(t, p.Addr())
	})
}

// TCP-11: a stopped port starts again, and so does its factory.
func TestStartListeningAgain(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		f := &service{}
		p := listen(t, r, f, nil)
		if err := p.StartListening(); !errors.Is(err, reactor.ErrAlreadyListening) {
			t.Errorf("starting a port that listens: %v", err)
		}
		stopped(t, p)
		if err := p.StartListening(); err != nil || !p.Listening() {
			t.Fatal(err)
		}
		w.Peer(t, p.Addr())
		until(t, r, func() bool { return len(f.ends) == 1 })
		sameEvents(t, f.events, "start", "stop", "start", "build")
		// The number is the same if it was asked for.
		at := nobody(t, r)
		if p, err := r.Listen(at, &service{}, nil); err != nil || p.Addr() != at {
			t.Fatalf("%v, %v", p, err)
		} else if stopped(t, p); p.StartListening() != nil || p.Addr() != at {
			t.Errorf("TCP-11: it listens at %v again, and was at %v", p.Addr(), at)
		}
	})
}

// TCP-12: the reactor's end is the port's.
func TestListeningUntilTheReactorStops(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		f := &service{}
		p := listen(t, r, f, nil)
		told := false
		r.CallWhenRunning(func() { r.Stop() })
		r.AddTrigger(reactor.After, reactor.Shutdown, func() {
			told = true
			sameEvents(t, f.events, "start", "stop")
		})
		if err := r.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if !told || p.Listening() || !refuses(t, w, p.Addr()) {
			t.Errorf("told %v, listening %v", told, p.Listening())
		}
		if _, err := r.Listen(loopback, f, nil); !errors.Is(err, reactor.ErrStopped) {
			t.Errorf("listening on a stopped reactor: %v", err)
		}
	})
}

// TCP-13: the log names kind and port, TCP-49: the text of a port its number
// while it listens.
func TestPortInText(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		log := &journal{}
		r := w.New(t, reactor.Config{Logger: slog.New(log)})
		p := listen(t, r, &service{}, nil)
		if s := p.String(); s != fmt.Sprintf("<service on %d>", p.Addr().Port()) {
			t.Error(s)
		}
		stopped(t, p)
		if s := p.String(); s != "<service (not listening)>" {
			t.Error(s)
		}
		if closed := fmt.Sprintf("(TCP Port %d Closed) addr=%v", p.Addr().Port(), p.Addr()); len(log.with("INFO", closed)) != 1 {
			t.Errorf("no %q in %q", closed, log.lines)
		}
	})
}

// TCP-14, PROTO-4: a factory starts with its first use and stops with its last.
func TestFactoryOnTwoPorts(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		log := &journal{}
		r := w.New(t, reactor.Config{Logger: slog.New(log)})
		f := &service{}
		a, b := listen(t, r, f, nil), listen(t, r, f, nil)
		sameEvents(t, f.events, "start")
		stopped(t, a)
		stopped(t, a) // an end too many is none
		sameEvents(t, f.events, "start")
		stopped(t, b)
		sameEvents(t, f.events, "start", "stop")
		stopped(t, b)
		sameEvents(t, f.events, "start", "stop")
		if len(log.with("INFO starting factory factory=service")) != 1 || len(log.with("INFO stopping factory factory=service")) != 1 {
			t.Errorf("log %q", log.lines)
		}
	})
}
