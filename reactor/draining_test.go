package reactor_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// company is n servers' ends, each connected to a client's.
func company(t *testing.T, r *reactor.Reactor, n int) (port *reactor.Port, srv, cli []*end) {
	t.Helper()
	port = listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
		srv = append(srv, new(end))
		return srv[len(srv)-1]
	}), nil)
	for range n {
		e := new(end)
		cli = append(cli, e)
		r.Dial(port.Addr(), one(e), nil, nil)
	}
	until(t, r, func() bool { return r.Stats().Connections == 2*n })
	return port, srv, cli
}

// Drain asks every connection once, those that are made meanwhile too, and is done when none
// is left.
func TestDrain(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		port, srv, cli := company(t, r, 20)
		asked := map[*reactor.Stream]int{}
		aborted, calls := -1, 0
		r.Drain(reactor.DrainConfig{
			Ask: func(s *reactor.Stream) {
				if asked[s]++; s != srv[0].s && s != cli[0].s {
					s.Write([]byte("bye"))
					s.Close()
				}
			},
			Done: func(n int) { aborted = n; calls++ },
		})
		if len(asked) != 0 {
			t.Error("Ask was called inside Drain")
		}
		late := new(end)
		r.Dial(port.Addr(), one(late), nil, nil)
		until(t, r, func() bool { return late.err != nil })
		srv[0].s.Close()
		until(t, r, func() bool { return calls > 0 })
		for range 10 {
			r.Turn(0)
		}
		if aborted != 0 || calls != 1 || r.Stats().Connections != 0 {
			t.Errorf("%d aborted, done %d times, %d connections are left", aborted, calls, r.Stats().Connections)
		}
		if len(asked) != 42 {
			t.Errorf("%d connections were asked", len(asked))
		}
		for _, n := range asked {
			if n != 1 {
				t.Errorf("one was asked %d times", n)
			}
		}
		for _, e := range cli {
			if e.err == nil {
				t.Error("one was not lost")
			}
		}
	})
}

// What has not ended when the limit is over is aborted. One that panics when it is asked ends
// with the panic.
func TestDrainLimit(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r, pass := timed(t, w, new(testworld.Faults), reactor.Config{Panicked: func(*reactor.PanicError) {}})
		_, srv, cli := company(t, r, 3)
		limit := unhurried(w, 50*time.Millisecond)
		began, aborted := r.Now(), -1
		d := r.Drain(reactor.DrainConfig{Limit: limit, Done: func(n int) { aborted = n }, Ask: func(s *reactor.Stream) {
			if s == srv[0].s {
				panic("not now")
			}
		}})
		until(t, r, func() bool { return d.Left() == 4 })
		var e *reactor.PanicError
		if !errors.As(srv[0].err, &e) || r.Now()-began > limit {
			t.Errorf("the one that panicked was lost with %v after %v", srv[0].err, r.Now()-began)
		}
		if !w.Simulated() {
			pass(limit)
		}
		until(t, r, func() bool { return aborted >= 0 })
		if took := r.Now() - began; took < limit || w.Simulated() && took > limit+10*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if aborted != 4 || srv[1].err != reactor.ErrAborted && cli[1].err != reactor.ErrAborted {
			t.Errorf("%d aborted; the ends of one were lost with %v and %v", aborted, srv[1].err, cli[1].err)
		}
		d.Cut("too late") // does nothing
	})
}

// PerSecond spreads the asking over time.
func TestDrainRate(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		company(t, r, 25)
		began, done := r.Now(), false
		var at []time.Duration
		r.Drain(reactor.DrainConfig{PerSecond: 10, Limit: -1, Done: func(int) { done = true }, Ask: func(s *reactor.Stream) {
			at = append(at, r.Now()-began)
		}})
		untilAlone(t, r, func() bool { return len(at) == 50 })
		for i, when := range at {
			if due := time.Duration(i) * 100 * time.Millisecond; when < due-10*time.Millisecond || when > due+20*time.Millisecond {
				t.Fatalf("number %d was asked after %v, not %v", i, when, due)
			}
		}
		// Nobody has ended, and there is no limit.
		end := r.Now() + time.Hour
		for r.Now() < end {
			r.Turn(end - r.Now())
		}
		if done {
			t.Error("it is done though connections are left")
		}
	})
}

// Without connections it is done in a later turn, and by default connections are closed.
func TestDrainDefaults(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		calls := 0
		done := func(n int) { calls++ }
		r.Drain(reactor.DrainConfig{Done: done})
		if calls != 0 {
			t.Error("Done was called inside Drain")
		}
		until(t, r, func() bool { return calls == 1 })
		_, srv, _ := company(t, r, 1)
		r.Drain(reactor.DrainConfig{Done: done})
		r.Drain(reactor.DrainConfig{})
		until(t, r, func() bool { return calls == 2 })
		if err := srv[0].err; err != reactor.ErrClosed && err.Error() != "EOF" {
			t.Errorf("lost with %v", err)
		}
	})
}

// A reactor that stops ends a Drain with its connections.
func TestDrainAndStop(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		company(t, r, 2)
		calls := 0
		r.Drain(reactor.DrainConfig{Ask: func(*reactor.Stream) {}, Done: func(int) { calls++ }})
		r.Close()
		if calls != 1 {
			t.Errorf("done %d times", calls)
		}
	})
}

// drainer ends its connection when it is asked to, with a word.
type drainer struct {
	end
	asked int
	stays bool // it does not end yet
}

func (d *drainer) Drain() {
	if d.asked++; d.stays {
		return
	}
	d.s.Write([]byte("bye"))
	d.s.Close()
}

// Without Ask, a protocol that is a Drainer is asked, also through a wrapper, and any other is closed.
func TestDrainAsksDrainers(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		d, other := new(drainer), new(end)
		servers := []reactor.Protocol{cloaked{d}, other}
		port := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			p := servers[0]
			servers = servers[1:]
			return p
		}), nil)
		first := w.Peer(t, port.Addr(), r)
		until(t, r, func() bool { return d.s != nil })
		second := w.Peer(t, port.Addr(), r)
		until(t, r, func() bool { return other.s != nil })
		aborted := -1
		r.Drain(reactor.DrainConfig{Limit: -1, Done: func(n int) { aborted = n }})
		until(t, r, func() bool { return aborted == 0 })
		if got, err := first.Rest(); string(got) != "bye" || err != io.EOF || d.asked != 1 {
			t.Errorf("the Drainer was asked %d times, its peer got %q and %v", d.asked, got, err)
		}
		if got, err := second.Rest(); len(got) != 0 || err != io.EOF {
			t.Errorf("the peer of the other one got %q and %v", got, err)
		}
	})
}

// A Drainer is asked once for each Drain.
func TestDrainTwice(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		d := &drainer{stays: true}
		port := listen(t, r, one(d), nil)
		w.Peer(t, port.Addr(), r)
		until(t, r, func() bool { return d.s != nil })
		done := 0
		for range 2 {
			r.Drain(reactor.DrainConfig{Limit: -1, Done: func(int) { done++ }})
		}
		testworld.Turns(t, r, 5)
		if d.asked != 2 || done != 0 {
			t.Errorf("asked %d times, %d are done", d.asked, done)
		}
		d.s.Close()
		until(t, r, func() bool { return done == 2 })
	})
}

// veil is a layer whose transport has no method Protocol.
type veil struct {
	reactor.Base
	app reactor.Protocol
}

// thin is the transport above a veil.
type thin struct{ reactor.Transport }

func (v *veil) ConnectionMade(t reactor.Transport) {
	v.Base.ConnectionMade(t)
	v.app.ConnectionMade(t)
}
func (v *veil) DataReceived(p []byte)    { v.app.DataReceived(p) }
func (v *veil) Above() reactor.Transport { return thin{v.T} }
func (v *veil) Unwrap() reactor.Protocol { return v.app }

// A Drainer is found above a layer whose transport does not tell its protocol.
func TestDrainAsksDrainersAboveLayers(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		d := new(drainer)
		port := listen(t, r, one(&veil{app: d}), nil)
		p := w.Peer(t, port.Addr(), r)
		until(t, r, func() bool { return d.s != nil })
		aborted := -1
		r.Drain(reactor.DrainConfig{Limit: -1, Done: func(n int) { aborted = n }})
		until(t, r, func() bool { return aborted == 0 })
		if got, err := p.Rest(); string(got) != "bye" || err != io.EOF || d.asked != 1 {
			t.Errorf("the Drainer was asked %d times, its peer got %q and %v", d.asked, got, err)
		}
	})
}

// PROD-20: a joined pair is closed, and its former protocols are not asked.
func TestDrainClosesJoinedPairs(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		a, b := new(drainer), new(drainer)
		servers := []reactor.Protocol{a, b}
		port := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			p := servers[0]
			servers = servers[1:]
			return p
		}), nil)
		var peers []*testworld.Peer
		for _, d := range []*drainer{a, b} {
			peers = append(peers, w.Peer(t, port.Addr(), r))
			until(t, r, func() bool { return d.s != nil })
		}
		if _, err := reactor.Join(a.s, b.s, nil); err != nil {
			t.Fatal(err)
		}
		aborted := -1
		r.Drain(reactor.DrainConfig{Limit: -1, Done: func(n int) { aborted = n }})
		until(t, r, func() bool { return aborted == 0 })
		for i, d := range []*drainer{a, b} {
			if got, err := peers[i].Rest(); d.asked != 0 || d.err != reactor.ErrClosed || len(got) != 0 || err != io.EOF {
				t.Errorf("asked %d times, lost with %v; the peer got %q and %v", d.asked, d.err, got, err)
			}
		}
	})
}

// cloaked is a wrapper that has no methods of its own but Unwrap.
type cloaked struct{ reactor.Protocol }

func (w cloaked) Unwrap() reactor.Protocol { return w.Protocol }
