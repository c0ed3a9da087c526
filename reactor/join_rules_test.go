package reactor_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// PROD-20: the former protocols get nothing but the loss, before Done; what is asked of them
// by other interfaces reaches them.
func TestJoinFormerProtocols(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		u := apart(t, w, w.New(t, reactor.Config{}), &reactor.ListenConfig{})
		var order []string
		for i, in := range u.in {
			in.onLost = func(error) { order = append(order, fmt.Sprint(i)) }
		}
		j, err := reactor.Join(u.in[0].s, u.in[1].s, &reactor.JoinConfig{Done: func(reactor.JoinResult) { order = append(order, "done") }})
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range u.in {
			if p, ok := reactor.ProtocolAs[*end](in.s.Protocol()); !ok || p != in {
				t.Error("PROD-20: the former protocol is not found")
			}
			if name := reactor.LogPrefixOf(in.s.Protocol()); name != "end" {
				t.Errorf("PROD-20: it is called %q in the log", name)
			}
		}
		u.out[0].s.Write([]byte("x"))
		u.until(func() bool { return len(u.out[1].got) == 1 })
		u.out[1].s.Abort()
		u.until(func() bool { return len(order) == 3 })
		sameEvents(t, order, "1", "0", "done")
		sameEvents(t, u.in[0].events, "made", "lost aborted")
		if len(u.in[1].events) != 2 || u.in[1].err == nil || u.in[0].s.Protocol() != nil {
			t.Errorf("PROD-20: %q", u.in[1].events)
		}
		if st := j.Stats(); st.AToB != 1 || st.BToA != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// PROD-20: a former protocol that panics in its ConnectionLost takes nothing else with it.
func TestJoinFormerPanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		u := apart(t, w, r, &reactor.ListenConfig{})
		for _, in := range u.in {
			in.onLost = func(error) { panic("lost it") }
		}
		u.join(reactor.JoinConfig{})
		u.out[0].s.Abort()
		u.until(func() bool { return u.out[1].err != nil })
		u.over()
		if panics != 2 {
			t.Errorf("%d panics", panics)
		}
	})
}

// Rest is sent first, and counts. Join in a callback: the bytes that it was lent are the
// caller's to give on. Paused sides are resumed.
func TestJoinInDataReceived(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		u := apart(t, w, w.New(t, reactor.Config{}), &reactor.ListenConfig{})
		a, b := u.in[0], u.in[1]
		b.s.PauseProducing()
		a.onData = func([]byte) {
			if n := len("CONNECT\n"); len(a.got) >= n {
				u.join(reactor.JoinConfig{RestA: a.got[n:], RestB: []byte("welcome, ")})
			}
		}
		u.out[1].s.Write([]byte("come in"))
		u.out[0].s.Write([]byte("CONNECT\nhello, "))
		u.until(func() bool { return u.j != nil })
		u.out[0].s.Write([]byte("world"))
		u.out[0].s.CloseWrite()
		u.out[1].s.CloseWrite()
		u.until(func() bool { return saw(u.out[0], "read lost")() && saw(u.out[1], "read lost")() })
		if string(u.out[1].got) != "hello, world" || string(u.out[0].got) != "welcome, come in" {
			t.Errorf("got %q and %q", u.out[1].got, u.out[0].got)
		}
		if res := u.over(); res.AToB != 12 || res.BToA != 16 || res.Err != nil {
			t.Errorf("%+v", res)
		}
	})
}

// PROD-16: rest beyond the high-water mark pauses its source at once.
func TestJoinMuchRest(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		u := apart(t, w, r, &reactor.ListenConfig{})
		u.in[0].s.PauseProducing()
		u.out[0].s.Write([]byte("x"))
		testworld.Turns(t, r, 3)
		f.Write = full
		u.join(reactor.JoinConfig{RestA: make([]byte, 70_000)})
		testworld.Turns(t, r, 3)
		if n := u.in[0].s.Stats().In; n != 0 || u.in[1].s.Buffered() != 70_000 {
			t.Errorf("PROD-16: %d bytes were read, %d are held", n, u.in[1].s.Buffered())
		}
		f.Write = nil
		u.until(func() bool { return len(u.out[1].got) == 70_001 })
		u.j.Abort()
		u.over()
	})
}

// A mistake is an ErrCannotJoin or ErrProducerRegistered, and changes nothing.
func TestJoinMistakes(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		u := apart(t, w, w.New(t, reactor.Config{}), &reactor.ListenConfig{})
		v := apart(t, w, w.New(t, reactor.Config{}), &reactor.ListenConfig{})
		a, b := u.in[0].s, u.in[1].s
		a.PauseProducing()
		for name, c := range map[string]struct{ a, b reactor.Transport }{
			"nil":            {nil, b},
			"also nil":       {a, nil},
			"the same":       {a, a},
			"below the same": {a, &shouting{a}},
			"two reactors":   {a, v.in[0].s},
			"no Switcher":    {bare{a}, b},
			"no Producer":    {a, bare{b}},
		} {
			if j, err := reactor.Join(c.a, c.b, nil); j != nil || !errors.Is(err, reactor.ErrCannotJoin) {
				t.Errorf("%s: %v, %v", name, j, err)
			}
		}
		for i := range 2 {
			_ = u.in[i].s.RegisterProducer(still{})
			if _, err := reactor.Join(a, b, nil); !errors.Is(err, reactor.ErrProducerRegistered) {
				t.Errorf("with a producer: %v", err)
			}
			u.in[i].s.UnregisterProducer()
		}
		if a.Protocol() != reactor.Protocol(u.in[0]) || b.Protocol() != reactor.Protocol(u.in[1]) {
			t.Errorf("the protocols are %T and %T", a.Protocol(), b.Protocol())
		}
		u.out[0].s.Write([]byte("still paused"))
		u.out[1].s.Write([]byte("still yours"))
		u.until(func() bool { return len(u.in[1].got) == 11 })
		testworld.Turns(t, u.r, 3)
		if len(u.in[0].got) != 0 {
			t.Error("the paused side was resumed")
		}
		u.join(reactor.JoinConfig{})
		if _, err := reactor.Join(a, b, nil); !errors.Is(err, reactor.ErrProducerRegistered) {
			t.Errorf("joined already: %v", err)
		}
		u.until(func() bool { return len(u.out[1].got) == 12 })
	})
}

// bare has no capabilities.
type bare struct{ t reactor.Transport }

func (b bare) Write(p []byte) (int, error) { return b.t.Write(p) }
func (b bare) Close() error                { return b.t.Close() }
func (b bare) Abort()                      { b.t.Abort() }
func (b bare) Local() kernel.Addr          { return b.t.Local() }
func (b bare) Remote() kernel.Addr         { return b.t.Remote() }
func (b bare) Reactor() *reactor.Reactor   { return b.t.Reactor() }

// A transport that carries another one is not joined.
func TestJoinBelowALayer(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		u := apart(t, w, w.New(t, reactor.Config{}), &reactor.ListenConfig{})
		if _, err := u.in[1].s.SwitchProtocol(&carrier{*u.in[1], u.in[0].s}); err != nil {
			t.Fatal(err)
		}
		if _, err := reactor.Join(u.in[0].s, u.in[1].s, nil); !errors.Is(err, reactor.ErrCannotJoin) {
			t.Error(err)
		}
	})
}

type carrier struct {
	end
	above reactor.Transport
}

func (c *carrier) Above() reactor.Transport { return c.above }

// PROD-20: a side that is ending cannot be joined. Nothing is left of the two: the other side
// is aborted, and one that closes in order still does.
func TestJoinTooLate(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for late := range 2 {
			for _, c := range []struct {
				name string
				end  func(u *junction, in *end, out *halfEnd)
				want error
				last error // with which the late one is lost
			}{
				{"Close", func(_ *junction, in *end, _ *halfEnd) { in.s.Close() }, reactor.ErrClosed, reactor.ErrClosed},
				{"Abort", func(_ *junction, in *end, _ *halfEnd) { in.s.Abort() }, reactor.ErrClosed, reactor.ErrAborted},
				{"lost", func(u *junction, in *end, out *halfEnd) {
					out.s.Abort()
					u.until(func() bool { return in.err != nil })
				}, reactor.ErrClosed, nil},
				{"CloseWrite", func(_ *junction, in *end, _ *halfEnd) { in.s.CloseWrite() }, reactor.ErrWriteClosed, reactor.ErrAborted},
				{"the peer's end", func(u *junction, in *end, out *halfEnd) {
					h := &halfEnd{}
					_, _ = in.s.SwitchProtocol(h)
					h.onReadLost = func() { h.note("heard") }
					h.onLost = in.ConnectionLost
					out.s.CloseWrite()
					u.until(func() bool { return len(h.events) == 2 })
				}, io.EOF, reactor.ErrAborted},
			} {
				u := apart(t, w, w.New(t, reactor.Config{}), &reactor.ListenConfig{})
				in, other := u.in[late], u.in[1-late]
				in.s.Write([]byte("words"))
				c.end(u, in, u.out[late])
				_, err := reactor.Join(u.in[0].s, u.in[1].s, &reactor.JoinConfig{Done: func(reactor.JoinResult) { t.Error("Done was called") }})
				if !errors.Is(err, c.want) || errors.Is(err, reactor.ErrCannotJoin) {
					t.Errorf("%s: %v, want %v", c.name, err, c.want)
				}
				if p := other.s.Protocol(); p != reactor.Protocol(other) {
					t.Errorf("%s: the other protocol is a %T", c.name, p)
				}
				u.until(func() bool { return in.err != nil && other.err != nil })
				if other.err != reactor.ErrAborted || c.last != nil && in.err != c.last {
					t.Errorf("%s: lost with %v and %v", c.name, in.err, other.err)
				}
				for _, o := range u.out {
					o.s.Close()
				}
				u.until(func() bool { return connections(u.r) == 0 })
			}
		}
	})
}

// PROD-20: Close of the pair sends what is held, and waits for nobody.
func TestJoinedClose(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		u := apart(t, w, r, &reactor.ListenConfig{})
		u.join(reactor.JoinConfig{RestA: []byte("to b"), RestB: []byte("to a")})
		f.Write = full
		testworld.Turns(t, r, 2)
		u.j.Close()
		u.j.Close()
		f.Write = nil
		u.until(func() bool { return saw(u.out[0], "read lost")() && saw(u.out[1], "read lost")() })
		if string(u.out[1].got) != "to b" || string(u.out[0].got) != "to a" {
			t.Errorf("PROD-20: %q and %q", u.out[1].got, u.out[0].got)
		}
		if res := u.over(); res.Err != reactor.ErrClosed || res.First != nil || res.ErrA != reactor.ErrClosed || res.ErrB != reactor.ErrClosed {
			t.Errorf("PROD-20: %+v", res)
		}
		u.j.Close()
		u.j.Abort()
	})
}

// PROD-20: Abort resets both.
func TestJoinedAbort(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		u := joined(t, w, reactor.JoinConfig{})
		u.j.Abort()
		if len(u.done) != 0 {
			t.Error("told inside Abort")
		}
		u.until(func() bool { return u.out[0].err != nil && u.out[1].err != nil })
		if res := u.over(); res.Err != reactor.ErrAborted || !isReset(u.out[0].err) || !isReset(u.out[1].err) {
			t.Errorf("PROD-20: %+v, peers lost with %v and %v", res, u.out[0].err, u.out[1].err)
		}
	})
}

// PROD-20: Close of one transport closes both. It does not wait for the other side, though
// that is its producer and may stay silent for ever.
func TestJoinCloseOne(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for i := range 2 {
			u := joined(t, w, reactor.JoinConfig{Idle: -1, HalfClosed: -1})
			u.in[i].s.Write([]byte("bye"))
			u.in[i].s.Close()
			u.until(func() bool { return saw(u.out[0], "read lost")() && saw(u.out[1], "read lost")() })
			if string(u.out[i].got) != "bye" {
				t.Errorf("PROD-20: got %q", u.out[i].got)
			}
			if res := u.over(); res.Err != reactor.ErrClosed || res.ErrA != reactor.ErrClosed || res.ErrB != reactor.ErrClosed {
				t.Errorf("PROD-20: %+v", res)
			}
		}
	})
}

// A transport that takes no more, and does not end by itself, ends the pair: nobody is told
// of the gap otherwise.
func TestJoinRefusedWrite(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		u := apart(t, w, w.New(t, reactor.Config{}), &reactor.ListenConfig{})
		var res []reactor.JoinResult
		_, err := reactor.Join(u.in[0].s, &deaf{u.in[1].s}, &reactor.JoinConfig{Done: func(r reactor.JoinResult) { res = append(res, r) }})
		if err != nil {
			t.Fatal(err)
		}
		u.out[0].s.Write([]byte("x"))
		u.until(func() bool { return len(res) == 1 })
		if res[0].Err != reactor.ErrWriteClosed || res[0].AToB != 0 {
			t.Errorf("%+v", res[0])
		}
	})
}

// deaf takes no writes.
type deaf struct{ reactor.Transport }

func (d *deaf) Unwrap() reactor.Transport { return d.Transport }
func (*deaf) Write([]byte) (int, error)   { return 0, reactor.ErrWriteClosed }
