package netconn_test

import (
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// dying has the first loop of g stand still, and returns what ends its goroutine.
func dying(t *testing.T, g *reactor.Group) (die func()) {
	t.Helper()
	held, hold := make(chan struct{}), make(chan struct{})
	g.Lead().Post(func() {
		close(held)
		<-hold
		runtime.Goexit()
	})
	<-held
	return func() { close(hold) }
}

// wrapped is a place around the port of a group, which a Listener can use on the group's first loop only.
type wrapped struct{ reactor.Listening }

// eachGroup runs a test with groups on every native kernel, and with Listeners at their ports, and at places around them.
func eachGroup(t *testing.T, test func(t *testing.T, g *reactor.Group, listen func(*netconn.ListenConfig) *netconn.Listener)) {
	for name, w := range testworld.Native() {
		for _, around := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/around=", around), func(t *testing.T) {
				g := runningGroup(t, w)
				test(t, g, func(o *netconn.ListenConfig) *netconn.Listener {
					t.Helper()
					l, err := netconn.ListenAt(g, o, func(f reactor.Factory) (netconn.Place, error) {
						p, err := g.ListenAt(loopback(), f, nil)
						if around && err == nil {
							return wrapped{p}, nil
						}
						return p, err
					})
					if err != nil {
						t.Fatal(err)
					}
					return l
				})
			})
		}
	}
}

// NETCONN-7: Close frees the address though the first loop of the group dies meanwhile.
func TestCloseWhileLoopDies(t *testing.T) {
	eachGroup(t, func(t *testing.T, g *reactor.Group, listen func(*netconn.ListenConfig) *netconn.Listener) {
		l := listen(nil)
		die := dying(t, g)
		closed := make(chan error, 1)
		go func() { closed <- l.Close() }()
		until(t, func() bool { return netconn.Ended(l) }) // it waits for that loop, or is about to
		die()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			_ = c.Close()
			t.Error("it listens still")
		}
	})
}

// NETCONN-8: when the first loop of a group dies while the port pauses, the others go on as soon as there is room.
func TestResumeWhileLoopDies(t *testing.T) {
	eachGroup(t, func(t *testing.T, g *reactor.Group, listen func(*netconn.ListenConfig) *netconn.Listener) {
		l := listen(&netconn.ListenConfig{Backlog: 2})
		for range 12 {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		until(t, func() bool { return netconn.Paused(l) })
		die := dying(t, g)
		for range 2 { // now there is room, and the loop that stands still is to say so
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		die()
		for range 3 { // more than those that were there
			accepted := make(chan net.Conn, 1)
			go func() {
				if c, err := l.Accept(); err == nil {
					accepted <- c
				}
			}()
			until(t, func() bool {
				if c, err := net.Dial("tcp", l.Addr().String()); err == nil { // the dead loop may have it in its queue
					_ = c.Close()
				}
				return len(accepted) > 0
			})
			_ = (<-accepted).Close()
		}
		_ = l.Close()
	})
}

// Waiting does not count what was lost with the goroutine of its loop (CORE-49).
func TestWaitingOnDeadLoop(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			log := testworld.NewLog(t)
			log.Expect("the loop's goroutine ends inside a callback")
			r := w.New(t, reactor.Config{Logger: log.Logger()})
			testworld.Beside(t, r)
			l, err := reactor.Ask(r, func() (*netconn.IdleListener, error) { return netconn.ListenIdle(r, loopback(), nil) })
			if err != nil {
				t.Fatal(err)
			}
			c, err := netconn.Dial(t.Context(), r, "tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			until(t, func() bool { return l.Waiting() == 1 })
			r.Post(runtime.Goexit)
			<-r.Done()
			if n := l.Waiting(); n != 0 {
				t.Errorf("%d connections wait on a loop that is dead", n)
			}
		})
	}
}

// NETCONN-6: nothing is left behind of a Conn that is closed before it has a transport. If it gets one after all, that is closed.
func TestCloseBeforeConnected(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			p := listen(t, r, overTCP, netconn.ListenConfig{})
			c, _ := reactor.Ask(r, func() (*netconn.Conn, error) { return netconn.New(r, nil), nil })
			open, _ := reactor.Ask(r, func() (*netconn.Conn, error) { return netconn.New(r, nil), nil })
			_ = c.SetReadDeadline(time.Now().Add(time.Hour))
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			kept := func() int {
				n, _ := reactor.Ask(r, func() (int, error) { return netconn.Kept(open), nil })
				return n
			}
			until(t, func() bool { return kept() == 1 })
			a := p.l.Place().Addr()
			r.Post(func() { r.Dial(a, reactor.One(c.Protocol()), nil, nil) })
			server, err := p.l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			_ = server.SetReadDeadline(time.Now().Add(testworld.Limit))
			if n, err := server.Read(make([]byte, 1)); n != 0 || isTimeout(err) {
				t.Errorf("%d bytes and %v came instead of the end", n, err)
			}
			_ = server.Close()
			until(t, func() bool { return kept() == 1 })
		})
	}
}

// NETCONN-6: a Drain of the reactor ends Conns in order and at once.
func TestReactorDrain(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			client, server := listen(t, r, overTCP, netconn.ListenConfig{}).connect(t)
			read := begin(server.Read, make([]byte, 1))
			blocks(t, server, false)
			done := make(chan int, 1)
			r.Post(func() {
				r.Drain(reactor.DrainConfig{Limit: time.Hour, Done: func(aborted int) { done <- aborted }})
			})
			select {
			case n := <-done:
				if n != 0 {
					t.Errorf("%d connections were reset", n)
				}
			case <-time.After(testworld.Limit):
				t.Fatal("an idle Conn holds the drain up")
			}
			if got := <-read; got.err == nil {
				t.Errorf("Read has %d bytes", got.n)
			}
			_ = client
		})
	}
}
