package handover_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/handover"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// raw is a program that speaks the protocol as a test says, or does not.
type raw struct {
	reactor.Base
	r    *reactor.Reactor
	dec  frame.Prefixed
	got  []handover.Message
	fds  []int
	made bool
	lost error
	// each, unless nil, is called with each message.
	each func(m handover.Message)
}

func newRaw(r *reactor.Reactor) *raw {
	x := &raw{r: r}
	x.dec.MaxLength = 4 << 20
	return x
}

func (x *raw) ConnectionMade(t reactor.Transport) { x.Base.ConnectionMade(t); x.made = true }

func (x *raw) DescriptorReceived(fd int) { x.fds = append(x.fds, fd) }

func (x *raw) DataReceived(p []byte) {
	for f, err := range frame.All(&x.dec, p) {
		if err != nil {
			panic(err)
		}
		m, err := handover.Decode(f)
		if err != nil {
			panic(err)
		}
		if x.got = append(x.got, m); x.each != nil {
			x.each(m)
		}
	}
}

func (x *raw) ConnectionLost(err error) { x.lost = err; x.closeAll() }

// closeAll closes what has come.
func (x *raw) closeAll() {
	for _, fd := range x.fds {
		x.r.CloseDescriptor(fd)
	}
	x.fds = nil
}

// send sends messages.
func (x *raw) send(all ...handover.Message) {
	for _, m := range all {
		x.T.Write(handover.Encode(m))
	}
}

// count counts the messages of a kind.
func (x *raw) count(kind any) (n int) {
	for _, m := range x.got {
		if any(m.Kind()) == kind {
			n++
		}
	}
	return n
}

// refusal is the reason of the other program, "" if it has said none.
func (x *raw) refusal() string {
	for _, m := range x.got {
		if m.Kind() == handover.MsgRefuse {
			return m.Text()
		}
	}
	return ""
}

// dialRaw connects a raw to an offering.
func dialRaw(r *reactor.Reactor, path string) *raw {
	x := newRaw(r)
	cfg := &reactor.DialConfig{}
	cfg.Descriptors = true
	r.Dial(kernel.UNIXAddr(path), reactor.One(x), cfg, func(_ reactor.Protocol, err error) {
		if err != nil {
			x.lost = err
		}
	})
	return x
}

// A successor that breaks the rules is refused, and told why if it can be. The old program serves on, and the
// next successor gets the sockets.
func TestHostileSuccessor(t *testing.T) {
	hello := handover.Hello(1, 1)
	for _, c := range []struct {
		name string
		want string // what it is told
		act  func(x *raw)
	}{
		{"garbage", "rules", func(x *raw) { x.T.Write([]byte("GET / HTTP/1.1\r\n\r\n")) }},
		{"nothing in a frame", "rules", func(x *raw) { x.T.Write(make([]byte, 4)) }},
		{"no magic", "rules", func(x *raw) { x.send(handover.Plain(handover.MsgHello, 1)) }},
		{"version 0", "version", func(x *raw) { x.send(handover.Hello(1, 0)) }},
		{"unknown role", "rules", func(x *raw) { x.send(handover.Hello(3, 1)) }},
		{"ready first", "rules", func(x *raw) { x.send(handover.Plain(handover.MsgReady)) }},
		{"two hellos", "rules", func(x *raw) { x.send(hello, hello) }},
		{"ready without answers", "rules", func(x *raw) { x.send(hello, handover.Plain(handover.MsgReady)) }},
		{"one answer twice", "rules", func(x *raw) {
			x.send(hello, handover.Plain(handover.MsgTaken, 1), handover.Plain(handover.MsgTaken, 1))
		}},
		{"an answer about nothing", "rules", func(x *raw) { x.send(hello, handover.Plain(handover.MsgTaken, 7)) }},
		{"the other's message", "rules", func(x *raw) { x.send(hello, handover.Plain(handover.MsgStopped)) }},
		{"accepts too early", "rules", func(x *raw) { x.send(hello, handover.Plain(handover.MsgAccepted, 0)) }},
		{"silence", "too long", func(x *raw) {}},
		{"silence after the hello", "too long", func(x *raw) { x.send(hello) }},
		{"a descriptor", "descriptors", func(x *raw) {
			fd, _ := x.r.DescriptorOf(x.T)
			x.T.(interface{ SendDescriptor(int) error }).SendDescriptor(fd)
			x.r.CloseDescriptor(fd)
			x.send(hello)
		}},
		{"gives up", "", func(x *raw) { x.send(hello, handover.Plain(handover.MsgRefuse)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				path := socketPath(t)
				a := newProgram(t, w, "A", path, loopback())
				if strings.HasPrefix(c.name, "silence") {
					a.give.Timeout, a.give.ReadyTimeout = 200*time.Millisecond, 200*time.Millisecond
				}
				a.listen()
				a.offer()
				other := w.New(t, reactor.Config{})
				until := func(done func() bool) { t.Helper(); testworld.Until(t, done, a.r, other) }
				x := dialRaw(other, path)
				until(func() bool { return x.made })
				c.act(x)
				until(func() bool { return x.lost != nil })
				if !strings.Contains(x.refusal(), c.want) {
					t.Errorf("told %q, want %q", x.refusal(), c.want)
				}
				servesOn(t, w, a, other)
			})
		})
	}
}

// servesOn tells whether a serves clients, and hands over to the next successor.
func servesOn(t *testing.T, w testworld.World, a *program, other *reactor.Reactor) {
	t.Helper()
	if a.handed != nil || !a.ports[0].Listening() {
		t.Fatalf("handed over %+v, %v", a.handed, a.ports[0])
	}
	b := newProgram(t, w, "B", a.path, loopback())
	until := func(done func() bool) { t.Helper(); testworld.Until(t, done, a.r, b.r, other) }
	one := call(other, a.ports[0].Addr())
	until(func() bool { return one.made })
	one.T.Write([]byte("x\n"))
	until(func() bool { return one.got.String() == "A:x\n" })
	b.take()
	until(func() bool { return b.stopped || b.failed != nil })
	if b.failed != nil || b.err != nil {
		t.Fatalf("the next successor: %v, %v", b.failed, b.err)
	}
	one.T.Write([]byte("y\n"))
	until(func() bool { return one.got.String() == "A:x\nB:y\n" })
}

// Who may not come is reset and hears nothing. What is logged of it is bounded.
func TestForeignSuccessor(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		path := socketPath(t)
		a := newProgram(t, w, "A", path, loopback())
		foreign := true
		a.give.Allowed = func(kernel.Credentials) bool { return !foreign }
		a.listen()
		a.offer()
		other := w.New(t, reactor.Config{})
		for range 30 {
			x := dialRaw(other, path)
			testworld.Until(t, func() bool { return x.lost != nil }, a.r, other)
			if len(x.got) > 0 {
				t.Fatalf("it was told %v", x.got)
			}
		}
		if n := strings.Count(a.log.String(), "another user"); n != 1 {
			t.Errorf("%d lines about 30 attempts:\n%s", n, a.log.String())
		}
		foreign = false
		servesOn(t, w, a, other)
	})
}

// One successor at a time is served, and eight programs are connected at most.
func TestBusy(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		path := socketPath(t)
		a := newProgram(t, w, "A", path, loopback())
		a.listen()
		a.offer()
		other := w.New(t, reactor.Config{})
		until := func(done func() bool) { t.Helper(); testworld.Until(t, done, a.r, other) }
		var all []*raw
		for range 8 {
			x := dialRaw(other, path)
			until(func() bool { return x.made && a.r.Stats().Connections > len(all) })
			all = append(all, x)
		}
		ninth := dialRaw(other, path)
		until(func() bool { return ninth.lost != nil })
		all[0].send(handover.Hello(1, 1))
		until(func() bool { return all[0].count(handover.MsgOffered) == 1 })
		b := newProgram(t, w, "B", path, loopback())
		all[7].T.Close()
		testworld.Until(t, func() bool { return a.r.Stats().Connections == 7 }, a.r, other)
		b.take()
		testworld.Until(t, func() bool { return b.failed != nil }, a.r, b.r, other)
		if !errors.Is(b.failed, handover.ErrBusy) || !errors.Is(b.failed, handover.ErrRefused) {
			t.Errorf("failed with %v", b.failed)
		}
		for _, x := range all {
			x.T.Abort()
		}
		until(func() bool { return a.r.Stats().Connections == 0 })
		servesOn(t, w, a, other)
	})
}
