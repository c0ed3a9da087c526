//go:build unix

package reactor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// The tests in this file are named after defects of other event loops. Each of
// them holds on every kernel here.

// noFiles is what accept says when no descriptor is left.
func noFiles() error { return native.SysError("accept", syscall.EMFILE) }

// D1: if no descriptor is left, neither the loop nor any connection ends.
func TestD1AcceptWithoutDescriptors(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		var srv, cli, late end
		protos := []reactor.Protocol{&srv, &late}
		port := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			p := protos[0]
			protos = protos[1:]
			return p
		}), nil)
		r.Dial(port.Addr(), one(&cli), nil, nil)
		until(t, r, func() bool { return srv.s != nil && cli.s != nil })
		failures := 1
		f.Accept = func() error {
			if failures--; failures < 0 {
				return nil
			}
			return noFiles()
		}
		// The reserve makes room to turn this one away.
		var turned, accepted end
		r.Dial(port.Addr(), one(&turned), nil, func(_ reactor.Protocol, err error) { turned.err = err })
		until(t, r, func() bool { return turned.err != nil })
		if s := port.Stats(); s.Refused != 1 || s.Failed != 1 || s.Open != 1 {
			t.Errorf("D1: %+v", s)
		}
		r.Dial(port.Addr(), one(&accepted), nil, nil)
		until(t, r, func() bool { return late.s != nil && accepted.s != nil })
		cli.s.Write([]byte("alive"))
		until(t, r, func() bool { return string(srv.got) == "alive" })
		if srv.err != nil || cli.err != nil || !port.Listening() {
			t.Errorf("D1: lost %v and %v", srv.err, cli.err)
		}
	})
}

// starveRoom is how many descriptors childStarve has to spare.
const starveRoom = 6

// D1, for real: a process at its limit.
func TestD1RealLimit(t *testing.T) {
	nativeWorlds(t, "rlimits, and processes of their own", func(t *testing.T, w testworld.World) {
		c := startChild(t, "starve "+w.Name())
		defer c.stop(t)
		addr := c.hear(t, "addr")
		ping := func(conn net.Conn) error {
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := conn.Write([]byte("ping")); err != nil {
				return err
			}
			_, err := io.ReadFull(conn, make([]byte, 4))
			return err
		}
		var good []net.Conn
		refused := 0
		for range 4 * starveRoom {
			conn, err := net.Dial("tcp", addr)
			if err == nil {
				defer conn.Close()
				err = ping(conn)
			}
			if err == nil {
				good = append(good, conn)
			} else {
				var slow net.Error
				if errors.As(err, &slow) && slow.Timeout() {
					t.Fatal("D1: a client was left waiting instead of turned away")
				}
				refused++
			}
		}
		if len(good) == 0 || refused == 0 || len(good) > starveRoom {
			t.Fatalf("D1: %d accepted, %d refused, room for %d", len(good), refused, starveRoom)
		}
		for i, conn := range good {
			if err := ping(conn); err != nil {
				t.Errorf("D1: connection %d: %v", i, err)
			}
		}
		good[0].Close()
		// There is room again, as soon as the child has noticed.
		for tries := 0; ; tries++ {
			conn, err := net.Dial("tcp", addr)
			if err == nil {
				defer conn.Close()
				if err = ping(conn); err == nil {
					break
				}
			}
			if tries == 1000 {
				t.Fatalf("D1: no connection was accepted afterwards: %v", err)
			}
		}
		c.in.Close()
		var took, turnedAway, turns int
		fmt.Sscan(c.hear(t, "stats"), &took, &turnedAway, &turns)
		// D10: it did not spin.
		if turnedAway < refused || turns > 10000 {
			t.Errorf("D1 D10: %d taken, %d turned away, %d turns", took, turnedAway, turns)
		}
	})
}

// slowly turns srv much and cli little, so that cli reads slowly, until done.
func slowly(t *testing.T, srv, cli *reactor.Reactor, done func() bool) {
	t.Helper()
	testworld.Until(t, func() bool {
		testworld.Turns(t, srv, 3)
		return done()
	}, cli)
}

// D2: everything that was written before Close arrives at a slow reader.
func TestD2WriteThenClose(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		size := bulk(w, 8<<20)
		r, slow := w.New(t, reactor.Config{}), w.New(t, reactor.Config{ReadBuffer: 32 << 10})
		var srv end
		var cli sum
		srv.onMade = func() {
			srv.s.Write(counting(size))
			srv.s.Close()
		}
		port := listen(t, r, one(&srv), nil)
		slow.Dial(port.Addr(), one(&cli), nil, nil)
		slowly(t, r, slow, func() bool { return cli.err != nil })
		if cli.n != size || cli.bad || cli.err != io.EOF || srv.err != reactor.ErrClosed {
			t.Errorf("D2: %d bytes of %d, broken %v, lost %v", cli.n, size, cli.bad, cli.err)
		}
	})
}

// D3: a peer that has sent its request and the end gets the answer, even a late one.
func TestD3AnswerAfterEnd(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var srv, cli halfEnd
		srv.onReadLost = func() {
			r.CallLater(10*time.Millisecond, func() {
				srv.s.Write([]byte("answer"))
				srv.s.Close()
			})
		}
		connect(t, r, &srv, &cli)
		cli.s.Write([]byte("request"))
		cli.s.CloseWrite()
		cli.onReadLost = func() { cli.s.Close() }
		until(t, r, func() bool { return cli.err != nil && srv.err != nil })
		if string(srv.got) != "request" || string(cli.got) != "answer" || srv.err != reactor.ErrClosed {
			t.Errorf("D3: %q was answered by %q, lost %v", srv.got, cli.got, srv.err)
		}
	})
}

// D4: the steps that come after the end of the connections do come after it, and stopping
// takes no time.
func TestD4ShutdownOrder(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		fastest := time.Hour
		for range 10 {
			began := time.Now()
			r := w.New(t, reactor.Config{})
			var srv, cli end
			var order []string
			note := func(what string) func() { return func() { order = append(order, what) } }
			srv.onLost = func(error) { note("lost")() }
			cli.onLost = func(error) { note("lost")() }
			r.AddTrigger(reactor.Before, reactor.Shutdown, note("before"))
			r.AddTrigger(reactor.After, reactor.Shutdown, note("after"))
			port := listen(t, r, one(&srv), nil)
			ready := make(chan struct{})
			r.Dial(port.Addr(), one(&cli), nil, func(reactor.Protocol, error) { close(ready) })
			go func() { <-ready; r.Stop() }()
			if err := r.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			if srv.s == nil {
				order = slices.Insert(order, 1, "lost") // stopped before it was accepted
			}
			if !slices.Equal(order, []string{"before", "lost", "lost", "after"}) {
				t.Errorf("D4: %v", order)
			}
			fastest = min(fastest, time.Since(began))
		}
		// A loop that looks for the end every half second would take that long each time. A busy machine holds up some runs, but not all.
		if fastest > 400*time.Millisecond {
			t.Errorf("D4: the fastest of ten runs took %v", fastest)
		}
	})
}

// D5: output that the socket did not take is sent later, without another write.
func TestD5LargeWrite(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		size := bulk(w, 8<<20)
		r, slow := w.New(t, reactor.Config{}), w.New(t, reactor.Config{ReadBuffer: 32 << 10})
		var srv end
		var cli sum
		port := listen(t, r, one(&srv), nil)
		slow.Dial(port.Addr(), one(&cli), nil, nil)
		testworld.Until(t, func() bool { return srv.s != nil && cli.s != nil }, r, slow)
		if n, err := srv.s.Write(counting(size)); n != size || err != nil {
			t.Errorf("D5: %d, %v", n, err)
		}
		slowly(t, r, slow, func() bool { return cli.n >= size })
		if cli.n != size || cli.bad || srv.s.Buffered() != 0 || srv.err != nil {
			t.Errorf("D5: %d bytes, broken %v, %d left", cli.n, cli.bad, srv.s.Buffered())
		}
	})
}

// D6: no slice is lost when the socket takes only some of many.
func TestD6LargeVectors(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		size := bulk(w, 8<<20)
		r, slow := w.New(t, reactor.Config{}), w.New(t, reactor.Config{ReadBuffer: 32 << 10})
		var srv end
		var cli sum
		port := listen(t, r, one(&srv), nil)
		slow.Dial(port.Addr(), one(&cli), nil, nil)
		testworld.Until(t, func() bool { return srv.s != nil && cli.s != nil }, r, slow)
		bufs := slices.Collect(slices.Chunk(counting(size), (size+63)/64))
		if n, err := srv.s.WriteVec(bufs); n != size || err != nil || len(bufs) != 64 {
			t.Errorf("D6: %d, %v", n, err)
		}
		for _, p := range bufs {
			clear(p) // they are the caller's again
		}
		slowly(t, r, slow, func() bool { return cli.n >= size })
		if cli.n != size || cli.bad || srv.s.Buffered() != 0 {
			t.Errorf("D6: %d bytes, broken %v, %d left", cli.n, cli.bad, srv.s.Buffered())
		}
	})
}

// D7: a large write in ConnectionMade is flushed to its end, and later ones too,
// on both sides.
func TestD7LargeWriteInConnectionMade(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		size := bulk(w, 4<<20)
		r := w.New(t, reactor.Config{})
		var srv, cli sum
		srv.onMade = func() { srv.s.Write(counting(size)) }
		cli.onMade = func() { cli.s.Write(counting(size)) }
		connect(t, r, &srv, &cli)
		until(t, r, func() bool { return srv.n == size && cli.n == size })
		srv.n, cli.n = 0, 0
		srv.s.Write(counting(size))
		cli.s.Write(counting(size))
		until(t, r, func() bool { return srv.n == size && cli.n == size })
		if srv.bad || cli.bad || srv.s.Buffered()+cli.s.Buffered() != 0 {
			t.Error("D7: broken, or something is left")
		}
	})
}

// D8: what arrived with the end while the loop was busy is delivered first.
func TestD8DataBeforeEnd(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		size := bulk(w, 1<<20)
		r, peer := w.New(t, reactor.Config{}), w.New(t, reactor.Config{})
		var srv sum
		var cli end
		port := listen(t, r, one(&srv), nil)
		peer.Dial(port.Addr(), one(&cli), nil, nil)
		testworld.Until(t, func() bool { return srv.s != nil && cli.s != nil }, r, peer)
		cli.s.Write(counting(size))
		cli.s.Close()
		testworld.Turns(t, peer, 100) // and r does not turn: it is busy
		if srv.n != 0 || peer.Stats().Events == 0 {
			t.Fatalf("%d bytes were read already", srv.n)
		}
		slowly(t, peer, r, func() bool { return srv.err != nil })
		if srv.n != size || srv.bad || srv.err != io.EOF {
			t.Errorf("D8: %d bytes of %d, broken %v, lost %v", srv.n, size, srv.bad, srv.err)
		}
	})
}

// D10: an accept that goes on failing does not make the loop spin.
func TestD10AcceptKeepsFailing(t *testing.T) {
	for name, errno := range map[string]syscall.Errno{"EMFILE": syscall.EMFILE, "ENFILE": syscall.ENFILE, "other": syscall.EIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time is waiting
			worlds(t, func(t *testing.T, w testworld.World) {
				log := testworld.NewLog(t)
				if name == "other" {
					log.Expect("could not accept new connection")
				}
				r, f := faultyWith(t, w, reactor.Config{Logger: log.Logger()})
				var srv, cli end
				port := listen(t, r, one(&srv), nil)
				f.Accept = func() error { return native.SysError("accept", errno) }
				r.Dial(port.Addr(), one(&cli), nil, nil)
				over := false
				r.CallLater(120*time.Millisecond, func() { over = true })
				until(t, r, func() bool { return over })
				if n := f.Calls["Accept"]; n < 2 || n > 50 || r.Stats().Turns > 5000 {
					t.Errorf("D10: %d accepts in %d turns", n, r.Stats().Turns)
				}
				f.Accept = nil
				until(t, r, func() bool { return srv.s != nil })
				if port.Stats().Failed == 0 {
					t.Error("D10: nothing was counted as failed")
				}
			})
		})
	}
}

// everything calls each method of a stream that is lost.
func everything(t *testing.T, s *reactor.Stream, accepted bool, r *reactor.Reactor) {
	t.Helper()
	var p source
	calls := map[string]func() bool{
		"Write":       func() bool { n, err := s.Write([]byte("x")); return n == 0 && err == reactor.ErrClosed },
		"WriteVec":    func() bool { n, err := s.WriteVec([][]byte{{1}}); return n == 0 && err == reactor.ErrClosed },
		"WriteShared": func() bool { n, err := s.WriteShared([]byte("x")); return n == 0 && err == reactor.ErrClosed },
		"SendFile": func() bool {
			n, err := s.SendFile(kernel.FileRange{Length: 1})
			return n == 0 && err == reactor.ErrClosed
		},
		"Close":              func() bool { return s.Close() == nil },
		"CloseWrite":         func() bool { return s.CloseWrite() == nil },
		"Abort":              func() bool { s.Abort(); return true },
		"PauseProducing":     func() bool { s.PauseProducing(); return true },
		"ResumeProducing":    func() bool { s.ResumeProducing(); return true },
		"StopProducing":      func() bool { s.StopProducing(); return true },
		"RegisterProducer":   func() bool { return s.RegisterProducer(&p) == nil && p.heard("stop") },
		"UnregisterProducer": func() bool { s.UnregisterProducer(); return true },
		"Producing":          func() bool { return !s.Producing() },
		"StopConsuming":      func() bool { s.StopConsuming(); return true },
		"Buffered":           func() bool { return s.Buffered() == 0 },
		"Local":              func() bool { return s.Local().IP.IsValid() },
		"Remote":             func() bool { return s.Remote().IP.IsValid() },
		"Reactor":            func() bool { return s.Reactor() == r },
		"Protocol":           func() bool { return s.Protocol() == nil },
		"SwitchProtocol":     func() bool { _, err := s.SwitchProtocol(new(end)); return err == reactor.ErrClosed },
		"Retire":             func() bool { return s.Retire() == reactor.Transport(s) },
		"Accepted":           func() bool { return s.Accepted() == accepted },
		"Port":               func() bool { return (s.Port() != nil) == accepted },
		"Detach":             func() bool { fd, _, err := s.Detach(); return fd == -1 && errors.Is(err, reactor.ErrNotDetachable) },
		"Detachable":         func() bool { return errors.Is(s.Detachable(), reactor.ErrNotDetachable) },
		"Config":             func() bool { return s.Config().MaxBuffered == 64<<20 },
		"SetNoDelay":         func() bool { return s.SetNoDelay(true) == reactor.ErrClosed },
		"NoDelay":            func() bool { _, err := s.NoDelay(); return err == reactor.ErrClosed },
		"SetKeepAlive":       func() bool { return s.SetKeepAlive(true) == reactor.ErrClosed },
		"KeepAlive":          func() bool { _, err := s.KeepAlive(); return err == reactor.ErrClosed },
		"SetProbes":          func() bool { return s.SetProbes(kernel.Probes{}) == reactor.ErrClosed },
		"Probes":             func() bool { _, err := s.Probes(); return err == reactor.ErrClosed },
		"SetUserTimeout":     func() bool { return s.SetUserTimeout(1) == reactor.ErrClosed },
		"UserTimeout":        func() bool { _, err := s.UserTimeout(); return err == reactor.ErrClosed },
		"SetSendBuffer":      func() bool { return s.SetSendBuffer(1) == reactor.ErrClosed },
		"SendBuffer":         func() bool { _, err := s.SendBuffer(); return err == reactor.ErrClosed },
		"SetRecvBuffer":      func() bool { return s.SetRecvBuffer(1) == reactor.ErrClosed },
		"RecvBuffer":         func() bool { _, err := s.RecvBuffer(); return err == reactor.ErrClosed },
		"Credentials":        func() bool { _, err := s.Credentials(); return err == reactor.ErrClosed },
		"SendDescriptor":     func() bool { return s.SendDescriptor(0) == reactor.ErrClosed },
		"ReadAside":          func() bool { return s.ReadAside() == nil },
		"Stats":              func() bool { return s.Stats().Buffered == 0 },
		"LogPrefix":          func() bool { return s.LogPrefix() != "" },
		"String":             func() bool { return s.String() != "" },
	}
	typ := reflect.TypeOf(s)
	for i := range typ.NumMethod() {
		name := typ.Method(i).Name
		if calls[name] == nil {
			t.Errorf("D12: this test does not know Stream.%s", name)
		} else if !calls[name]() {
			t.Errorf("D12: Stream.%s after the loss", name)
		}
	}
	testworld.Turns(t, r, 2)
}

// D12: every method of a lost stream can be called without harm.
func TestD12LostStream(t *testing.T) {
	for name, end := range map[string]func(s *reactor.Stream){
		"closed":  func(s *reactor.Stream) { s.Close() },
		"aborted": func(s *reactor.Stream) { s.Abort() },
	} {
		t.Run(name, func(t *testing.T) { worlds(t, func(t *testing.T, w testworld.World) { testLostStream(t, w, end) }) })
	}
}

func testLostStream(t *testing.T, w testworld.World, over func(s *reactor.Stream)) {
	r := w.New(t, reactor.Config{})
	var srv, cli end
	connect(t, r, &srv, &cli)
	local, remote := srv.s.Local(), srv.s.Remote()
	over(cli.s)
	until(t, r, func() bool { return srv.err != nil && cli.err != nil })
	everything(t, srv.s, true, r)
	everything(t, cli.s, false, r)
	if srv.s.Local() != local || srv.s.Remote() != remote || cli.s.Local() != remote || cli.s.Remote() != local {
		t.Errorf("D12: the addresses are %v, %v, %v, %v", srv.s.Local(), srv.s.Remote(), cli.s.Local(), cli.s.Remote())
	}
	if len(srv.events) != 2 || len(cli.events) != 2 {
		t.Errorf("D12: %v and %v", srv.events, cli.events)
	}
}

// D13: a loop with nothing to do does nothing, also beside a busy one.
func TestD13IdleLoop(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r, idle := w.New(t, reactor.Config{}), w.New(t, reactor.Config{})
		other := listen(t, idle, one(new(end)), nil)
		var srv, cli end
		port, _ := connect(t, r, &srv, &cli)
		cli.s.Write([]byte("x"))
		until(t, r, func() bool { return srv.got != nil })
		testworld.Turns(t, r, 2)
		for name, r := range map[string]*reactor.Reactor{"served": r, "idle": idle} {
			events := r.Stats().Events
			testworld.Turns(t, r, 100)
			if n := r.Stats().Events - events; n != 0 {
				t.Errorf("D13: %d events for the %s loop, with nothing to do", n, name)
			}
		}
		if other.Stats().Accepted != 0 || port.Stats().Accepted != 1 {
			t.Error("D13: the wrong port accepted")
		}
	})
}

// D14: an error of a socket that waits for nothing makes one event, and the stream is lost
// (TCP-83). With select, which cannot report it, it makes none, and the next write finds it.
func TestD14ErrorUnheard(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, quiet := range map[string]func(srv, cli *halfEnd) bool{
			"paused": func(srv, _ *halfEnd) bool { srv.s.PauseProducing(); return true },
			"after the peer's end": func(srv, cli *halfEnd) bool {
				cli.s.CloseWrite()
				until(t, srv.s.Reactor(), func() bool { return slices.Contains(srv.events, "read lost") })
				return true
			},
			"reading":        func(*halfEnd, *halfEnd) bool { return false },
			"output waiting": func(srv, _ *halfEnd) bool { srv.s.PauseProducing(); srv.s.Write(counting(8 << 20)); return false },
		} {
			r := w.New(t, reactor.Config{})
			var srv, cli halfEnd
			connect(t, r, &srv, &cli)
			cli.s.PauseProducing()
			wait := quiet(&srv, &cli)
			testworld.Turns(t, r, 2)
			cli.s.Abort()
			until(t, r, func() bool { return cli.err != nil })
			if wait {
				testworld.Turns(t, r, 2)
				events := r.Stats().Events
				testworld.Turns(t, r, 100)
				if n := r.Stats().Events - events; n != 0 || (srv.err != nil) != hearsFailures(r) {
					t.Errorf("D14 TCP-83: %s: %d events, lost %v", name, n, srv.err)
				}
				until(t, r, func() bool { srv.s.Write([]byte("x")); return srv.err != nil })
			}
			until(t, r, func() bool { return srv.err != nil })
			if !errors.Is(srv.err, reactor.ErrLost) || !errors.Is(srv.err, kernel.ErrReset) && !errors.Is(srv.err, kernel.ErrBroken) {
				t.Errorf("D14: %s: lost %v", name, srv.err)
			}
			if bytes.Contains(srv.got, []byte("x")) || strings.Count(strings.Join(srv.events, " "), "lost *") != 1 {
				t.Errorf("D14: %s: %v", name, srv.events)
			}
		}
	})
}
