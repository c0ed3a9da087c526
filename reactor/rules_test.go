//go:build unix

package reactor_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// goroutine names the goroutine it is called on.
func goroutine() string {
	buf := make([]byte, 64)
	name, _, _ := bytes.Cut(buf[:runtime.Stack(buf, false)], []byte(" ["))
	return string(name)
}

// every callback comes on the goroutine that called Run.
func TestOneGoroutine(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		on := map[string]string{} // by callback; unlocked: the race detector looks too
		seen := func(what string) func() { return func() { on[what] = goroutine() } }
		var srv, cli halfEnd
		var p source
		p.onPause, p.onResume, p.onStop = seen("pause"), seen("resume"), seen("stop")
		srv.onMade = func() {
			seen("made")()
			srv.s.RegisterProducer(&p)
			srv.s.Write(make([]byte, 8<<20))
		}
		srv.onReadLost = func() { seen("read lost")(); srv.s.UnregisterProducer(); srv.s.RegisterProducer(&p); srv.s.Abort() }
		srv.onLost = func(error) { seen("lost")(); r.CallInThread(func() { r.Stop() }) }
		cli.onData = func([]byte) {
			seen("data")()
			if len(cli.got) == 8<<20 {
				cli.s.CloseWrite()
			}
		}
		cli.onWriteLost = seen("write lost")
		port := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { seen("build")(); return &srv }), nil)
		r.Dial(port.Addr(), one(&cli), nil, func(reactor.Protocol, error) { seen("dialled")() })
		r.CallLater(0, seen("delayed"))
		r.Resolve("127.0.0.1", func([]netip.Addr, error) { seen("resolved")() })
		reactor.InThread(r, func() (string, error) { return goroutine(), nil }, func(off string, _ error) {
			seen("result")()
			if (off == on["result"]) != w.Simulated() {
				t.Error("X-1: work for a thread was done on the loop, or in a simulation on a thread")
			}
		})
		r.CallInThread(func() { r.Post(seen("posted")) })
		r.AddTrigger(reactor.After, reactor.Shutdown, seen("shutdown"))
		ran := make(chan string)
		go func() {
			name := goroutine()
			if err := r.Run(context.Background()); err != nil {
				t.Error(err)
			}
			ran <- name
		}()
		loop := <-ran
		for _, what := range []string{"made", "build", "dialled", "data", "pause", "resume", "stop", "read lost", "write lost",
			"lost", "delayed", "resolved", "result", "posted", "shutdown"} {
			if on[what] != loop {
				t.Errorf("X-1: %s was called on %q, the loop's is %q", what, on[what], loop)
			}
		}
	})
}

// no result is delivered inside the call that asks for it, even if it is known at
// once.
func TestResultsComeLater(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		port := listen(t, r, one(new(end)), nil)
		stopped := listen(t, r, one(new(end)), nil)
		stopped.StopListening(nil)
		testworld.Turns(t, r, 2)
		bad := reactor.DialConfig{StreamConfig: reactor.StreamConfig{LowWater: -1}}
		for name, ask := range map[string]func(done func()){
			"dial":                func(done func()) { r.Dial(port.Addr(), one(new(end)), nil, func(reactor.Protocol, error) { done() }) },
			"dial of nothing":     func(done func()) { r.Dial(kernel.Addr{}, one(new(end)), nil, func(reactor.Protocol, error) { done() }) },
			"dial with bad marks": func(done func()) { r.Dial(port.Addr(), one(new(end)), &bad, func(reactor.Protocol, error) { done() }) },
			"dial refused": func(done func()) {
				r.Dial(stopped.Addr(), one(new(end)), nil, func(reactor.Protocol, error) { done() })
			},
			"dial without protocol":  func(done func()) { r.Dial(port.Addr(), one(nil), nil, func(reactor.Protocol, error) { done() }) },
			"resolve of an address":  func(done func()) { r.Resolve("::1", func([]netip.Addr, error) { done() }) },
			"resolve of nothing":     func(done func()) { r.Resolve("", func([]netip.Addr, error) { done() }) },
			"stop of a stopped port": func(done func()) { stopped.StopListening(func(error) { done() }) },
			"delayed call":           func(done func()) { r.CallLater(-1, done) },
			"post":                   func(done func()) { r.Post(done) },
			"work": func(done func()) {
				reactor.InThread(r, func() (int, error) { return 0, nil }, func(int, error) { done() })
			},
			"dial given up": func(done func()) {
				if err := r.Dial(port.Addr(), one(new(end)), nil, func(reactor.Protocol, error) { done() }).StopConnecting(); err != nil {
					t.Error(err)
				}
			},
		} {
			times, inside := 0, true
			ask(func() {
				times++
				if inside {
					t.Errorf("X-2: %s: told inside the call", name)
				}
			})
			inside = false
			until(t, r, func() bool { return times > 0 })
			testworld.Turns(t, r, 3)
			if times != 1 {
				t.Errorf("X-2: %s: told %d times", name, times)
			}
		}
	})
}

// explosive panics where it is told to.
type explosive struct {
	halfEnd
	at string
}

func (e *explosive) blow(where string) {
	if e.at == where {
		e.at = ""
		panic("boom")
	}
}

// X-3 D12: a panic in a callback costs at most the connection it belongs to.
func TestPanicsAreContained(t *testing.T) {
	for where, lost := range map[string]bool{ // whether the panic is why it is lost
		"build": false, "made": true, "data": true, "read lost": true, "write lost": true, "write lost at once": true,
		"pause": true, "resume": true, "resume at once": true, "stop": false, "lost": false,
	} {
		t.Run(where, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) { testPanic(t, w, where, lost) })
		})
	}
}

func testPanic(t *testing.T, w testworld.World, where string, lost bool) {
	var panics []*reactor.PanicError
	r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { panics = append(panics, e) }})
	var by, by2, cli end
	connect(t, r, &by, &by2)
	victim := &explosive{at: where}
	var p source
	p.onPause = func() { victim.blow("pause") }
	p.onResume = func() { victim.blow("resume"); victim.blow("resume at once") }
	p.onStop = func() { victim.blow("stop") }
	victim.onMade = func() {
		victim.blow("made")
		switch where {
		case "write lost at once":
			victim.s.CloseWrite()
		case "resume at once":
			victim.s.RegisterProducer(&p)
			victim.s.WriteVec([][]byte{make([]byte, 4<<20)})
			// The client is not read yet, so there is more than the socket takes.
		}
	}
	victim.onData = func([]byte) {
		victim.blow("data")
		victim.s.RegisterProducer(&p)
		switch where {
		case "write lost":
			victim.s.UnregisterProducer()
			victim.s.CloseWrite()
		case "pause", "resume":
			victim.s.Write(make([]byte, 8<<20))
		case "lost", "stop":
			victim.s.Abort()
		}
	}
	victim.onReadLost = func() { victim.blow("read lost") }
	victim.onWriteLost = func() { victim.blow("write lost"); victim.blow("write lost at once") }
	victim.onLost = func(error) { victim.blow("lost") }
	port := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { victim.blow("build"); return victim }), nil)
	cli.onMade = func() {
		cli.s.Write([]byte("x"))
		if where == "read lost" {
			cli.s.Close()
		}
	}
	r.Dial(port.Addr(), one(&cli), nil, func(_ reactor.Protocol, err error) {
		if err != nil {
			cli.err = err // the reset was quicker
		}
	})
	until(t, r, func() bool { return len(panics) > 0 && cli.err != nil })
	testworld.Turns(t, r, 3)
	if len(panics) != 1 || panics[0].Value != "boom" || len(panics[0].Stack) == 0 {
		t.Fatalf("X-3: panics %v", panics)
	}
	if lost && victim.err != error(panics[0]) {
		t.Errorf("X-3: lost %v instead of the panic", victim.err)
	}
	if where != "build" && victim.err == nil || where == "build" && len(victim.events) != 0 {
		t.Errorf("X-3: %v", victim.events)
	}
	by2.s.Write([]byte("alive"))
	until(t, r, func() bool { return string(by.got) == "alive" })
	if by.err != nil || !port.Listening() {
		t.Error("X-3 D12: the panic took others with it")
	}
	if r.Stats().Sources != 4 { // two ports and the bystanders
		t.Errorf("X-3: %d sources are left", r.Stats().Sources)
	}
}

// open is the open descriptor numbers below 1000.
func open() map[int]bool {
	all := map[int]bool{}
	for fd := range 1000 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			all[fd] = true
		}
	}
	return all
}

// X-4, DESC-39: what the reactor opens is close-on-exec, and non-blocking if it is a socket.
func TestDescriptorFlags(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		before := open()
		r := w.New(t, reactor.Config{})
		connect(t, r, new(end), new(end))
		sockets := 0
		for fd := range open() {
			if before[fd] {
				continue
			}
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("X-4: descriptor %d is not close-on-exec: %v", fd, err)
			}
			if _, err := unix.Getsockname(fd); err != nil {
				continue
			}
			sockets++
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
				t.Errorf("X-4: socket %d blocks: %v", fd, err)
			}
		}
		if sockets != 3 {
			t.Errorf("X-4: %d sockets; a port and two ends were expected", sockets)
		}
	})
}

// DESC-39: the flags of a foreign descriptor stay as they are.
func TestForeignFlags(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		p, r := newPipe(t), w.New(t, reactor.Config{})
		for _, set := range []bool{true, false} {
			flags := 0
			if set {
				flags = unix.FD_CLOEXEC
			}
			unix.FcntlInt(uintptr(p.r), unix.F_SETFD, flags)
			unix.SetNonblock(p.r, set)
			d := &thing{fd: p.r}
			add(t, r, d, nil)
			testworld.Turns(t, r, 1)
			r.RemoveReader(d)
			got, _ := unix.FcntlInt(uintptr(p.r), unix.F_GETFD, 0)
			mode, err := unix.FcntlInt(uintptr(p.r), unix.F_GETFL, 0)
			if err != nil || got != flags || mode&unix.O_NONBLOCK != 0 != set {
				t.Errorf("DESC-39: flags %#x and %#x, %v; want set: %v", got, mode, err, set)
			}
		}
	})
}

// DESC-37, DESC-38: plain reads and writes of a foreign descriptor.
func TestForeignReadWrite(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		p, k := newPipe(t), w.Open(t)
		defer k.Close()
		in, err := must(kernel.As[kernel.Watcher](k)).Watch(p.r, p.r)
		if err != nil {
			t.Fatal(err)
		}
		out, err := must(kernel.As[kernel.Watcher](k)).Watch(p.w, p.w)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4)
		if n, err := in.Read(buf); n != 0 || err != kernel.ErrAgain {
			t.Errorf("DESC-37: an empty pipe: %d, %v", n, err)
		}
		if n, err := out.Write([]byte("abcdef")); n != 6 || err != nil {
			t.Errorf("DESC-38: %d, %v", n, err)
		}
		if n, err := in.Read(buf); string(buf[:n]) != "abcd" || err != nil {
			t.Errorf("DESC-37: %q, %v", buf[:n], err)
		}
		total, err := 0, error(nil)
		for err == nil {
			var n int
			n, err = out.Write(make([]byte, 64<<10))
			total += n
		}
		if err != kernel.ErrAgain || total == 0 {
			t.Errorf("DESC-38: a full pipe: %v after %d bytes", err, total)
		}
		closeFD(&p.r)
		if n, err := out.Write([]byte("x")); n != 0 || !errors.Is(err, kernel.ErrBroken) || !errors.Is(err, unix.EPIPE) {
			t.Errorf("DESC-38: without a reader: %d, %v", n, err)
		}
		q := newPipe(t)
		in2, err := must(kernel.As[kernel.Watcher](k)).Watch(q.r, q.r)
		if err != nil {
			t.Fatal(err)
		}
		closeFD(&q.w)
		for range 2 {
			if n, err := in2.Read(buf); n != 0 || err != io.EOF {
				t.Errorf("DESC-37: at the end: %d, %v", n, err)
			}
		}
		closeFD(&q.r)
		if n, err := in2.Read(buf); n != 0 || !errors.Is(err, kernel.ErrBadDescriptor) {
			t.Errorf("DESC-37: of a closed descriptor: %d, %v", n, err)
		}
	})
}

// whatever has ended has closed its descriptor, once, and left no timer.
func TestNothingIsLeft(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		if n := w.Net(); n != nil {
			n.SetLatency("localhost", "localhost", time.Microsecond, time.Millisecond) // or nothing would take too long
		}
		r, f := faulty(t, w)
		// It keeps the reserve, which stays until the end. Its address is its own, so that
		// nobody else listens there when it is closed.
		empty, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.2"), 0), one(new(end)), nil)
		if err != nil {
			t.Fatal(err)
		}
		for over := false; !over; {
			empty.StopListening(func(error) { over = true })
			until(t, r, func() bool { return over })
		}
		before, socks := open(), len(f.Closed)
		over := map[string]bool{}
		done := func(what string) func(reactor.Protocol, error) {
			return func(reactor.Protocol, error) { over[what] = true }
		}
		var a, b, c, d end
		port, _ := connect(t, r, &a, &b) // 3 socks, closed
		port2, _ := connect(t, r, &c, &d)
		nobody := listen(t, r, one(nil), nil)
		busy := listen(t, r, reactor.Each[counter](), nil)
		var e end
		e.onLost = func(error) { over["turned away"] = true }
		r.Dial(nobody.Addr(), one(&e), nil, nil)                                              // 3: refused by the factory
		r.Dial(empty.Addr(), one(new(end)), nil, done("refused"))                             // 1: nobody listens
		r.Dial(busy.Addr(), one(new(end)), nil, done("given up")).StopConnecting()            // none
		r.Dial(busy.Addr(), one(new(end)), &reactor.DialConfig{Timeout: 1}, done("too long")) // 1, or none
		until(t, r, func() bool { return len(over) == 4 })
		a.s.Close()
		d.s.Abort()
		until(t, r, func() bool { return a.err != nil && b.err != nil && c.err != nil && d.err != nil })
		until(t, r, func() bool { return busy.Stats().Open == 0 })
		left := 4
		for _, p := range []*reactor.Port{port, port2, nobody, busy} {
			p.StopListening(func(error) { left-- })
		}
		until(t, r, func() bool { return left == 0 })
		testworld.Turns(t, r, 2)
		if n := len(r.DelayedCalls()); n != 0 || r.Stats().Sources != 0 {
			t.Errorf("X-5: %d delayed calls, %d sources are left", n, r.Stats().Sources)
		}
		for fd := range open() {
			if !before[fd] {
				t.Errorf("X-5: descriptor %d is left", fd)
			}
		}
		// Each sock was closed once: two connections of two ends, the one turned
		// away, the one refused, four ports, and maybe the one that took too long.
		if n := len(f.Closed) - socks; n < 11 || n > 13 {
			t.Errorf("X-5: %d socks were closed: %v", n, f.Closed[socks:])
		}
	})
}

// in one turn a busy connection gets one read buffer, so a quiet one is served too.
func TestNobodyStarves(t *testing.T) {
	const limit = 16 << 10
	worlds(t, func(t *testing.T, w testworld.World) {
		r, peer := w.New(t, reactor.Config{ReadBuffer: limit}), w.New(t, reactor.Config{})
		var busy, quiet, busyPeer, quietPeer end
		for srv, cli := range map[*end]*end{&busy: &busyPeer, &quiet: &quietPeer} {
			p := listen(t, r, one(srv), nil)
			peer.Dial(p.Addr(), one(cli), nil, nil)
			testworld.Until(t, func() bool { return srv.s != nil && cli.s != nil }, r, peer)
		}
		busyPeer.s.Write(make([]byte, 4<<20))
		for round := 1; round <= 5; round++ {
			testworld.Turns(t, peer, 20)
			had := len(busy.got)
			quietPeer.s.Write([]byte("x"))
			testworld.Turns(t, peer, 2)
			testworld.Turns(t, r, 1)
			if n := len(busy.got) - had; n != limit || len(quiet.got) != round {
				t.Errorf("X-6: in one turn %d bytes of the busy one, %d of %d messages of the quiet one", n, len(quiet.got), round)
			}
		}
		if r.Stats().Accepted != 2 {
			t.Error("X-6: not both were accepted")
		}
	})
}

// how the stream is cut changes nothing about what arrives, and in which order.
func TestChunksMeanNothing(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var srv, cli halfEnd
		srv.onData = func(p []byte) { srv.s.Write(p) }
		srv.onReadLost = func() { srv.s.Close() }
		cli.onReadLost = func() { cli.s.Close() }
		connect(t, r, &srv, &cli)
		cli.s.Write(counting(3000))
		cli.s.CloseWrite()
		until(t, r, func() bool { return srv.err != nil && cli.err != nil })
		if !bytes.Equal(srv.got, counting(3000)) || !bytes.Equal(cli.got, counting(3000)) {
			t.Errorf("X-7: %d and %d bytes of 3000", len(srv.got), len(cli.got))
		}
		if srv.err != reactor.ErrClosed || cli.err != reactor.ErrClosed {
			t.Errorf("X-7: lost %v and %v", srv.err, cli.err)
		}
	})
}
