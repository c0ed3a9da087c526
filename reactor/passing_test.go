package reactor_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// passer is an end that takes descriptors.
type passer struct {
	end
	fds  []int
	onFD func(fd int)
}

func (p *passer) DescriptorReceived(fd int) {
	p.fds = append(p.fds, fd)
	p.events = append(p.events, "descriptor")
	if p.onFD != nil {
		p.onFD(fd)
	}
}

var _ reactor.DescriptorReceiver = (*passer)(nil)

// passing runs body in every world whose kernel has descriptors.
func passing(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	worlds(t, func(t *testing.T, w testworld.World) {
		k := w.Open(t)
		_, ok := kernel.As[kernel.Descriptors](k)
		if k.Close(); !ok {
			t.Skip("no descriptors")
		}
		leaktest.KeepsDescriptors(t)
		body(t, w)
	})
}

// join connects cli to srv over a UNIX socket that passes descriptors.
func join(t *testing.T, r *reactor.Reactor, cli, srv reactor.Protocol, cfg reactor.StreamConfig) {
	t.Helper()
	with := kernel.StreamOptions{Descriptors: true}
	o := &reactor.ListenConfig{StreamConfig: cfg}
	o.StreamOptions = with
	port, err := r.Listen(socketName(t), one(srv), o)
	if err != nil {
		t.Fatal(err)
	}
	d := &reactor.DialConfig{StreamConfig: cfg}
	d.StreamOptions = with
	joined := false
	r.Dial(port.Addr(), one(cli), d, func(_ reactor.Protocol, err error) {
		if joined = true; err != nil {
			t.Error(err)
		}
	})
	until(t, r, func() bool { return joined && r.Stats().Connections == 2 })
	port.StopListening(nil)
}

// number is a descriptor of a port that listens, and its address. The port itself is stopped, so the number
// alone has the socket.
func number(t *testing.T, r *reactor.Reactor) (fd int, at kernel.Addr) {
	t.Helper()
	p, err := r.Listen(loopback, one(new(end)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if fd, err = r.DescriptorOf(p); err != nil {
		t.Fatal(err)
	}
	at = p.Addr()
	stopped := false
	p.StopListening(func(error) { stopped = true })
	until(t, r, func() bool { return stopped })
	return fd, at
}

func closeNumber(t *testing.T, r *reactor.Reactor, fds ...int) {
	t.Helper()
	for _, fd := range fds {
		if err := r.CloseDescriptor(fd); err != nil {
			t.Errorf("CloseDescriptor(%d): %v", fd, err)
		}
	}
}

// listens tells whether anything listens at a.
func listens(t *testing.T, r *reactor.Reactor, a kernel.Addr) bool {
	t.Helper()
	var got error
	over := false
	r.Dial(a, one(new(end)), nil, func(p reactor.Protocol, err error) {
		if over, got = true, err; err == nil {
			p.(*end).s.Abort()
		}
	})
	until(t, r, func() bool { return over })
	if got != nil && !errors.Is(got, kernel.ErrRefused) {
		t.Errorf("dialling %v: %v", a, got)
	}
	return got == nil
}

// A descriptor is duplicated in the call, so that its owner may close it at once (FDP-1). It arrives as another
// number of the same socket (FDP-6), in order (FDP-5), before the bytes of its message (FDP-4).
func TestPassDescriptors(t *testing.T) {
	passing(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var cli, srv passer
		join(t, r, &cli, &srv, reactor.StreamConfig{})
		for _, ends := range [][2]*passer{{&cli, &srv}, {&srv, &cli}} {
			var at []kernel.Addr
			from, to := ends[0], ends[1]
			to.events = nil
			for range 3 {
				fd, a := number(t, r)
				if err := from.s.SendDescriptor(fd); err != nil {
					t.Fatal(err)
				}
				closeNumber(t, r, fd) // FDP-1
				at = append(at, a)
				from.s.Write([]byte("x"))
			}
			until(t, r, func() bool { return len(to.fds) == 3 && len(to.got) == 3 })
			if text := strings.Join(to.events, " "); !strings.HasPrefix(text, "descriptor") {
				t.Errorf("FDP-4: %s", text)
			}
			for i, fd := range to.fds {
				p, err := r.AdoptPort(fd, one(new(end)), nil)
				if err != nil {
					t.Fatalf("FDP-6: %v", err)
				}
				if p.Addr() != at[i] {
					t.Errorf("FDP-5, FDP-6: descriptor %d is of %v, not %v", i, p.Addr(), at[i])
				}
				p.StopListening(nil)
			}
			closeNumber(t, r, to.fds...)
		}
		if err := cli.s.SendDescriptor(-1); !errors.Is(err, kernel.ErrBadDescriptor) {
			t.Errorf("sending -1: %v", err)
		}
		if err := cli.s.SendDescriptor(1 << 20); !errors.Is(err, kernel.ErrBadDescriptor) {
			t.Errorf("sending a number that is not open: %v", err)
		}
	})
}

// The k-th queued descriptor travels with the k-th unsent byte (FDP-2): when k bytes have come, k descriptors
// have, and no more.
func TestDescriptorBytes(t *testing.T) {
	passing(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{ReadBuffer: 1})
		var cli, srv passer
		join(t, r, &cli, &srv, reactor.StreamConfig{})
		fd, _ := number(t, r)
		cli.s.Write([]byte("1"))
		for range 5 {
			if err := cli.s.SendDescriptor(fd); err != nil {
				t.Fatal(err)
			}
		}
		cli.s.Write([]byte("2345678"))
		srv.onData = func([]byte) {
			if want := min(len(srv.got), 5); len(srv.fds) != want {
				t.Errorf("FDP-2: with byte %d, %d descriptors have come", len(srv.got), len(srv.fds))
			}
		}
		until(t, r, func() bool { return len(srv.got) == 8 })
		closeNumber(t, r, append(srv.fds, fd)...)
	})
}

// If the bytes run out while descriptors are queued, the connection ends, and says why (FDP-3): at once, or when
// it was to be closed. What was written before arrives.
func TestDescriptorOverrun(t *testing.T) {
	passing(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		fd, _ := number(t, r)
		for what, act := range map[string]func(s *reactor.Stream){
			"no byte":        func(s *reactor.Stream) { s.SendDescriptor(fd) },
			"a byte too few": func(s *reactor.Stream) { s.Write([]byte("x")); s.SendDescriptor(fd); s.SendDescriptor(fd) },
			"and Close":      func(s *reactor.Stream) { s.SendDescriptor(fd); s.Close() },
			"and CloseWrite": func(s *reactor.Stream) { s.SendDescriptor(fd); s.CloseWrite() },
			"a byte and Close": func(s *reactor.Stream) {
				s.SendDescriptor(fd)
				s.SendDescriptor(fd)
				s.Write([]byte("x"))
				s.Close()
			},
		} {
			var cli, srv passer
			join(t, r, &cli, &srv, reactor.StreamConfig{})
			act(cli.s)
			until(t, r, func() bool { return cli.err != nil && srv.err != nil })
			if !errors.Is(cli.err, reactor.ErrDescriptorOverrun) || !errors.Is(cli.err, reactor.ErrLost) || srv.err != io.EOF {
				t.Errorf("FDP-3: %s: lost with %v and %v", what, cli.err, srv.err)
			}
			if want := strings.Count(what, "a byte"); len(srv.got) != want || len(srv.fds) != want {
				t.Errorf("FDP-3: %s: %d bytes and %d descriptors have come", what, len(srv.got), len(srv.fds))
			}
			if err := cli.s.SendDescriptor(fd); err != reactor.ErrClosed {
				t.Errorf("%s: afterwards: %v", what, err)
			}
			closeNumber(t, r, srv.fds...)
		}
		closeNumber(t, r, fd)
	})
}

// A protocol that takes no descriptors gets the data all the same. They are closed, and a warning says so (FDP-7).
func TestDescriptorsUnwanted(t *testing.T) {
	passing(t, func(t *testing.T, w testworld.World) {
		var log bytes.Buffer
		r := w.New(t, reactor.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		var cli, srv end
		join(t, r, &cli, &srv, reactor.StreamConfig{})
		fd, at := number(t, r)
		cli.s.SendDescriptor(fd)
		cli.s.Write([]byte("hello"))
		closeNumber(t, r, fd)
		until(t, r, func() bool { return string(srv.got) == "hello" })
		if listens(t, r, at) {
			t.Error("FDP-7: the descriptor was not closed")
		}
		if !strings.Contains(log.String(), "level=WARN msg=\"descriptors were closed, because the protocol takes none\"") {
			t.Errorf("FDP-7: the log is %s", log.String())
		}
	})
}

// More than 64 queued descriptors pause a producer, once, and it is resumed when they are sent (FDP-8).
func TestDescriptorsPauseProducer(t *testing.T) {
	passing(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		fd, _ := number(t, r)
		var cli, srv passer
		join(t, r, &cli, &srv, reactor.StreamConfig{})
		var p source
		if err := cli.s.RegisterProducer(&p); err != nil {
			t.Fatal(err)
		}
		for i := range 70 {
			if err := cli.s.SendDescriptor(fd); err != nil {
				t.Fatal(err)
			}
			if paused := p.heard("pause"); paused != (i >= 64) {
				t.Fatalf("FDP-8: with %d queued: paused %v", i+1, paused)
			}
		}
		cli.s.Write(make([]byte, 70))
		until(t, r, func() bool { return p.heard("pause", "resume") && len(srv.fds) == 70 })
		cli.s.UnregisterProducer()
		for range 65 {
			cli.s.SendDescriptor(fd)
		}
		var late source
		if cli.s.RegisterProducer(&late); !late.heard("pause") {
			t.Error("FDP-8: one that is registered later is not paused")
		}
		cli.s.Abort()
		until(t, r, func() bool { return srv.err != nil })
		closeNumber(t, r, append(srv.fds, fd)...)
	})
}

// A protocol that pauses, ends or panics when it gets a descriptor gets no data any more (TCP-64, TCP-77, X-3),
// and the descriptors behind that are delivered later or closed.
func TestDescriptorReceivedActs(t *testing.T) {
	passing(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
		for _, what := range []string{"pause", "pause and resume", "close", "abort", "panic", "switch"} {
			var cli, srv, other passer
			join(t, r, &cli, &srv, reactor.StreamConfig{})
			fd, at := number(t, r)
			srv.onFD = func(int) {
				switch what {
				case "pause":
					srv.s.PauseProducing()
				case "pause and resume":
					srv.s.PauseProducing()
					srv.s.ResumeProducing()
				case "close":
					srv.s.Close()
				case "abort":
					srv.s.Abort()
				case "panic":
					panic("planted")
				case "switch":
					srv.s.SwitchProtocol(&other)
				}
			}
			cli.s.SendDescriptor(fd)
			cli.s.SendDescriptor(fd)
			cli.s.Write([]byte("hello"))
			closeNumber(t, r, fd)
			until(t, r, func() bool { return len(srv.fds) > 0 })
			testworld.Turns(t, r, 5)
			switch what {
			case "pause":
				if len(srv.got) > 0 || len(srv.fds) != 1 {
					t.Errorf("TCP-64: while it has paused, %d bytes and %d descriptors came", len(srv.got), len(srv.fds))
				}
				srv.onFD = nil
				srv.s.ResumeProducing()
				until(t, r, func() bool { return string(srv.got) == "hello" && len(srv.fds) == 2 })
			case "pause and resume":
				until(t, r, func() bool { return string(srv.got) == "hello" && len(srv.fds) == 2 })
			case "switch":
				until(t, r, func() bool { return string(other.got) == "hello" && len(other.fds) == 1 })
			default:
				until(t, r, func() bool { return cli.err != nil && srv.err != nil })
				if len(srv.got) > 0 || len(srv.fds) != 1 {
					t.Errorf("TCP-77: %s: %d bytes and %d descriptors came", what, len(srv.got), len(srv.fds))
				}
			}
			cli.s.Abort()
			until(t, r, func() bool { return cli.err != nil })
			closeNumber(t, r, slices.Concat(srv.fds, other.fds)...)
			if listens(t, r, at) {
				t.Errorf("FDP-7: %s: a descriptor is left", what)
			}
		}
	})
}

// Without Descriptors a stream passes none, and neither does TCP. A port and a stream have numbers as long as they
// live.
func TestPassingUnsupported(t *testing.T) {
	passing(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		fd, _ := number(t, r)
		defer closeNumber(t, r, fd)
		var srv, cli end
		connect(t, r, &srv, &cli)
		if err := cli.s.SendDescriptor(fd); err != kernel.ErrUnsupported {
			t.Errorf("over TCP: %v", err)
		}
		d := &reactor.ListenConfig{}
		d.Descriptors = true
		if _, err := r.Listen(loopback, one(new(end)), d); !errors.Is(err, kernel.ErrInvalidOption) {
			t.Errorf("listening on TCP with Descriptors: %v", err)
		}
		if fd, err := r.DescriptorOf(r); fd != -1 || err != kernel.ErrUnsupported {
			t.Errorf("the number of a reactor: %d, %v", fd, err)
		}
		own, err := r.DescriptorOf(cli.s)
		if err != nil {
			t.Fatal(err)
		}
		closeNumber(t, r, own)
		cli.s.Abort()
		until(t, r, func() bool { return cli.err != nil })
		if fd, err := r.DescriptorOf(cli.s); fd != -1 || err != reactor.ErrClosed {
			t.Errorf("the number of a lost stream: %d, %v", fd, err)
		}
		if err := r.CloseDescriptor(own); !errors.Is(err, kernel.ErrBadDescriptor) {
			t.Errorf("closing a number twice: %v", err)
		}
	})
}

// Thousands of descriptors are passed, and dropped in every way, and none is left open: by protocols that
// close them or take none, by ends at any time, and by the end of the reactor.
func TestDescriptorsLeakNothing(t *testing.T) {
	passing(t, func(t *testing.T, w testworld.World) {
		sent, total := 0, 10_000
		if w.Simulated() || raced {
			total = 1000
		}
		for round := 0; sent < total; round++ {
			r := w.New(t, reactor.Config{ReadBuffer: 1 + round%7, Panicked: func(*reactor.PanicError) {}})
			fd, at := number(t, r)
			var cli, srv passer
			var deaf end
			if round%4 == 0 {
				join(t, r, &cli, &deaf, reactor.StreamConfig{})
			} else {
				join(t, r, &cli, &srv, reactor.StreamConfig{})
			}
			srv.onFD = func(fd int) {
				closeNumber(t, r, fd)
				if len(srv.fds) == 20 && round%5 == 1 {
					panic("planted")
				}
			}
			for i := range 100 {
				if cli.err != nil {
					break
				}
				if cli.s.SendDescriptor(fd) == nil {
					sent++
				}
				if _, err := cli.s.Write(fmt.Appendf(nil, "%*d", 1+i%3, i)); err != nil {
					break
				}
				switch {
				case i == 30 && round%6 == 1:
					cli.s.Abort()
				case i == 40 && round%6 == 2 && srv.s != nil:
					srv.s.Abort()
				case i == 50 && round%6 == 3:
					cli.s.Close()
				case i == 60 && round%6 == 4 && srv.s != nil:
					srv.s.PauseProducing()
				}
				if i%(1+round%9) == 0 {
					testworld.Turns(t, r, 1)
				}
			}
			closeNumber(t, r, fd)
			switch round % 3 {
			case 0:
				r.Close()
				continue
			case 1:
				testworld.Turns(t, r, 10)
			}
			for s := range r.Streams() {
				s.Abort()
			}
			until(t, r, func() bool { return r.Stats().Connections == 0 })
			if listens(t, r, at) {
				t.Fatalf("X-5: round %d: a descriptor is left", round)
			}
		}
	})
}
