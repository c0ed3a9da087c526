package sim_test

import (
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// A program that is killed, or whose host crashes, leaves its socket file. The next one can listen
// there if the file has a lock (UNIX-9, UNIX-10), and not without (UNIX-3). An abstract name is free
// at once (UNIX-2).
func TestUNIXLeftBehind(t *testing.T) {
	for what, end := range map[string]func(h *sim.Host){
		"killed":  func(h *sim.Host) { h.Kill() },
		"crashed": func(h *sim.Host) { h.Crash(); h.Restart() },
	} {
		for seed := range uint64(20) {
			n := sim.New(seed)
			h := n.Host("a")
			locked := &reactor.ListenConfig{}
			locked.UNIX.Lock = true
			listen := func(name string, cfg *reactor.ListenConfig) error {
				_, err := h.Reactor.Listen(kernel.UNIXAddr(name), reactor.One(new(sender)), cfg)
				return err
			}
			var first, again, plain, taken, abstract, lost error
			c := &lossy{lost: &lost}
			n.At(0, func() {
				first = errors.Join(listen("/run/locked", locked), listen("/run/plain", nil), listen("/run/left", nil), listen("@abstract", nil))
				again = listen("/run/locked", locked)
				h.Reactor.Dial(kernel.UNIXAddr("/run/plain"), reactor.One(c), nil, nil)
			})
			n.At(time.Second, func() { end(h) })
			n.At(2*time.Second, func() {
				plain = listen("/run/plain", nil)
				first = errors.Join(first, listen("/run/left", locked))
				taken = listen("/run/left", locked)
				abstract = listen("@abstract", nil)
				first = errors.Join(first, listen("/run/locked", locked))
			})
			var refused error
			n.At(3*time.Second, func() {
				h.Reactor.Dial(kernel.UNIXAddr("/run/plain"), reactor.One(new(sender)), nil, func(_ reactor.Protocol, err error) { refused = err })
			})
			if err := n.Run(5 * time.Second); err != nil {
				t.Fatal(err)
			}
			switch {
			case first != nil, abstract != nil:
				t.Errorf("UNIX-10, UNIX-2: %s: %v, %v", what, first, abstract)
			case !errors.Is(again, kernel.ErrLocked), !errors.Is(taken, kernel.ErrLocked):
				t.Errorf("UNIX-9: %s: %v, %v", what, again, taken)
			case !errors.Is(plain, kernel.ErrAddrInUse), !errors.Is(refused, kernel.ErrRefused):
				t.Errorf("UNIX-3, UNIX-12: %s: listening %v, dialling %v", what, plain, refused)
			}
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// lossy notes why it was lost.
type lossy struct {
	reactor.Base
	got  string
	lost *error
}

func (l *lossy) DataReceived(p []byte)    { l.got += string(p) }
func (l *lossy) ConnectionLost(err error) { *l.lost = err }

// Neither faults of the network nor its latency touch a UNIX socket: what is sent is there.
func TestUNIXNoNetwork(t *testing.T) {
	n := sim.New(1)
	h := n.Host("a")
	n.SetDrop("a", "a", 1)
	n.SetLatency("a", "a", time.Hour, time.Hour)
	var lost error
	srv, cli := &lossy{lost: &lost}, new(sender)
	n.At(0, func() {
		h.Reactor.Listen(kernel.UNIXAddr("/run/s"), reactor.One(srv), nil)
		h.Reactor.Dial(kernel.UNIXAddr("/run/s"), reactor.One(cli), nil, nil)
	})
	n.At(time.Second, func() { cli.T.Write([]byte("hello")); cli.T.Close() })
	if err := n.Run(2 * time.Second); err != nil {
		t.Fatal(err)
	}
	if srv.got != "hello" || lost != io.EOF {
		t.Errorf("got %q, lost with %v", srv.got, lost)
	}
	n.Close()
}

// opened fails the test for an error.
func opened[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// All ways to write a path are one name. A file whose name begins with '@' is no abstract name.
func TestUNIXPathsAreCleaned(t *testing.T) {
	k := sim.New(1).Host("a").Kernel
	listen, dial := opened[kernel.Listener](t), opened[kernel.Conn](t)
	abstract := listen(k.Listen(kernel.UNIXAddr("@x"), nil))
	file := listen(k.Listen(kernel.UNIXAddr("./@x"), nil))
	listen(k.Listen(kernel.UNIXAddr("run//./x"), nil))
	if _, err := k.Listen(kernel.UNIXAddr("./run/y/../x"), nil); !errors.Is(err, kernel.ErrAddrInUse) {
		t.Errorf("the same path, written otherwise: %v", err)
	}
	if _, err := k.Listen(kernel.UNIXAddr("@./x"), nil); err != nil {
		t.Errorf("another abstract name: %v", err)
	}
	c := dial(k.Dial(kernel.UNIXAddr(".//run/x"), &kernel.DialOptions{Bind: kernel.UNIXAddr("./c")}))
	if c.Local() != kernel.UNIXAddr("./c") || c.Remote() != kernel.UNIXAddr(".//run/x") {
		t.Errorf("names are not as they were given: %v to %v", c.Local(), c.Remote())
	}
	if _, err := k.Dial(kernel.UNIXAddr("run/x"), &kernel.DialOptions{Bind: kernel.UNIXAddr("c")}); !errors.Is(err, kernel.ErrAddrInUse) {
		t.Errorf("a name in use, written otherwise: %v", err)
	}
	dial(k.Dial(kernel.UNIXAddr("././@x"), nil))
	if _, err := file.Accept(); err != nil {
		t.Errorf("./@x: %v", err)
	}
	if _, err := abstract.Accept(); err != kernel.ErrAgain {
		t.Errorf("@x: %v", err)
	}
}

// Unbind takes a client's own name away and leaves the connection, and the names of others.
func TestUNIXUnbind(t *testing.T) {
	k := sim.New(1).Host("a").Kernel
	listen, dial := opened[kernel.Listener](t), opened[kernel.Conn](t)
	unbind := func(c kernel.Conn) { c.(interface{ Unbind() }).Unbind() }
	at, mine, abstract := kernel.UNIXAddr("s"), kernel.UNIXAddr("c"), kernel.UNIXAddr("@c")
	l := listen(k.Listen(at, nil))
	c := dial(k.Dial(at, &kernel.DialOptions{Bind: mine}))
	s := dial(l.Accept())
	unbind(c)
	unbind(s) // has no name of its own
	if c.Local() != mine {
		t.Errorf("Local is %v", c.Local())
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	listen(k.Listen(mine, nil))
	unbind(c)
	c.Close()
	unbind(c)
	dial(k.Dial(mine, nil)) // the successor has kept its name
	dial(k.Dial(at, nil))
	a := dial(k.Dial(at, &kernel.DialOptions{Bind: abstract}))
	unbind(a)
	if _, err := k.Listen(abstract, nil); !errors.Is(err, kernel.ErrAddrInUse) {
		t.Errorf("an abstract name goes with its socket alone: %v", err)
	}
}

// Without a descriptor nothing is asked and nothing changed, as Linux opens the socket first.
func TestUNIXWithoutDescriptor(t *testing.T) {
	n := sim.New(1)
	h := n.Host("a")
	locked := &kernel.ListenOptions{UNIX: kernel.UNIXOptions{Lock: true}}
	at := kernel.UNIXAddr("s")
	opened[kernel.Listener](t)(h.Kernel.Listen(at, locked))
	h.Kill()
	n.Options.Descriptors = 1
	l := opened[kernel.Listener](t)(h.Kernel.Listen(h.Addr(1), nil)) // takes it
	_, listening := h.Kernel.Listen(at, locked)
	_, dialling := h.Kernel.Dial(kernel.UNIXAddr("nothing"), nil)
	_, checked := h.Kernel.Dial(at, &kernel.DialOptions{CheckLock: true})
	for _, err := range []error{listening, dialling, checked} {
		if !errors.Is(err, kernel.ErrTooManyFiles) {
			t.Errorf("without a descriptor: %v", err)
		}
	}
	l.Close()
	if _, err := h.Kernel.Listen(at, nil); !errors.Is(err, kernel.ErrAddrInUse) {
		t.Errorf("the file that was left: %v", err)
	}
	for range 3 { // a failure gives its descriptor back
		if _, err := h.Kernel.Dial(at, nil); !errors.Is(err, kernel.ErrRefused) {
			t.Error(err)
		}
	}
	opened[kernel.Listener](t)(h.Kernel.Listen(at, locked))
}

// What waits at a UNIX socket is bounded by the writer's SendBuffer alone. An accepted socket has that
// of its listener.
func TestUNIXSendBuffer(t *testing.T) {
	n := sim.New(1)
	n.Options.RecvBuffer, n.Options.SendBuffer = 5, 300
	k := n.Host("a").Kernel
	at := kernel.UNIXAddr("s")
	l := opened[kernel.Listener](t)(k.Listen(at, &kernel.ListenOptions{StreamOptions: kernel.StreamOptions{SendBuffer: 200}}))
	c := opened[kernel.Conn](t)(k.Dial(at, nil))
	s := opened[kernel.Conn](t)(l.Accept())
	if m, err := c.Write(make([]byte, 1000)); m != 300 {
		t.Errorf("the client: %d, %v", m, err)
	}
	if m, err := s.Write(make([]byte, 1000)); m != 200 {
		t.Errorf("the accepted end: %d, %v", m, err)
	}
}

// The end of a killed program is that of its sockets: an end for the peers whose bytes it has read, a
// reset for the others, and for a client that it has not accepted.
func TestUNIXPeerIsKilled(t *testing.T) {
	n := sim.New(1)
	h := n.Host("localhost")
	at := kernel.UNIXAddr("s")
	l := opened[kernel.Listener](t)(h.Kernel.Listen(at, nil))
	other := n.Kernel()
	dial := func() kernel.Conn { return opened[kernel.Conn](t)(other.Dial(at, nil)) }
	clean, unread, waiting := dial(), dial(), dial()
	opened[kernel.Conn](t)(l.Accept())
	opened[kernel.Conn](t)(l.Accept())
	unread.Write([]byte("x"))
	h.Kill()
	read := func(c kernel.Conn) error { _, err := c.Read(make([]byte, 1)); return err }
	if err := read(clean); err != io.EOF {
		t.Errorf("nothing was unread: %v", err)
	}
	if err := read(unread); !errors.Is(err, kernel.ErrReset) {
		t.Errorf("something was unread: %v", err)
	}
	if err := read(waiting); !errors.Is(err, kernel.ErrReset) {
		t.Errorf("not accepted: %v", err)
	}
}

// rally sends back what comes, so many times.
type rally struct {
	reactor.Base
	left *int
}

func (r *rally) DataReceived(p []byte) {
	if *r.left--; *r.left >= 0 {
		r.T.Write(p)
	}
}

// No time passes on a UNIX socket. So a long exchange at one moment is a livelock, unless MaxTurns
// leaves room for it.
func TestUNIXExchangeTakesTurns(t *testing.T) {
	for maxTurns, want := range map[int]error{200: sim.ErrLivelock, 2000: nil} {
		n := sim.New(1)
		n.MaxTurns = maxTurns
		h, left := n.Host("a"), 500
		srv, cli := &rally{left: &left}, &rally{left: &left}
		n.At(time.Second, func() {
			h.Reactor.Listen(kernel.UNIXAddr("s"), reactor.One(srv), nil)
			h.Reactor.Dial(kernel.UNIXAddr("s"), reactor.One(cli), nil, func(reactor.Protocol, error) { cli.T.Write([]byte("x")) })
		})
		if err := n.RunUntil(func() bool { return left < 0 }, time.Minute); !errors.Is(err, want) {
			t.Errorf("MaxTurns is %d: %v, %d left", maxTurns, err, left)
		}
		if now := n.Now(); now > 2*time.Second {
			t.Errorf("the exchange took until %v", now)
		}
	}
}

// A Backlog without end has room at a UNIX listener too, where one connection more may wait.
func TestUNIXBacklogWithoutEnd(t *testing.T) {
	n := sim.New(1)
	n.Options.Backlog = math.MaxInt
	h := n.Host("a")
	if _, err := h.Reactor.Listen(kernel.UNIXAddr("/run/s"), echoes(), nil); err != nil {
		t.Fatal(err)
	}
	p := new(recorder)
	h.Reactor.Dial(kernel.UNIXAddr("/run/s"), reactor.One(p), nil, nil)
	must(t, n, func() bool { return p.T != nil })
}
