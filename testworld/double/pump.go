package double

import (
	"testing"

	"github.com/whorl-go/whorl/reactor"
)

// Pump joins two protocols by a connection in the simulation, with a real stream at each end. What one writes waits in
// front of the other until [Pump].Step delivers it. So a test sees each exchange by itself, and no callback is called inside
// a write. Errors, back-pressure and ends are those of the streams; of the two ends of a connection, the one that
// closes learns it in a turn of its own, and the other from Step.
type Pump struct {
	// Server and Client are the ends. The server's was made first.
	Server, Client *Side
	// Reactor is the loop of both.
	Reactor *reactor.Reactor

	t testing.TB
}

// Side is one end of a [Pump].
type Side struct {
	// Stream is the transport of the protocol.
	Stream *reactor.Stream
	// Number is the side's own: no other side of pumps on its reactor has it.
	Number int

	v *valve
}

// FlushRounds is how many rounds [Pump].Flush makes at most.
const FlushRounds = 1000

// Connect joins the two protocols, and delivers what each has written in ConnectionMade, and the answers to that. Nil and the
// zero value of o are the defaults of streams. To have nothing delivered, use [Join].
func Connect(t testing.TB, server, client reactor.Protocol, o *reactor.StreamConfig) *Pump {
	t.Helper()
	p := Join(t, server, client, o)
	p.Flush()
	return p
}

// Join joins the two protocols. Both ConnectionMade have been called when it returns, the server's first, and nothing
// was delivered.
func Join(t testing.TB, server, client reactor.Protocol, o *reactor.StreamConfig) *Pump {
	t.Helper()
	r, _ := New(t, reactor.Config{})
	return JoinOn(t, r, server, client, o)
}

// JoinOn is Join on a reactor of [New]. Several pumps may be on one.
func JoinOn(t testing.TB, r *reactor.Reactor, server, client reactor.Protocol, o *reactor.StreamConfig) *Pump {
	t.Helper()
	k := Of(r)
	if k == nil {
		t.Fatalf("a pump needs a reactor of double.New")
	}
	a, b, err := k.pair()
	if err != nil {
		t.Fatalf("making a connection: %v", err)
	}
	p := &Pump{Reactor: r, t: t}
	p.Server = p.attach(k, a, server, o)
	p.Client = p.attach(k, b, client, o)
	return p
}

func (p *Pump) attach(k *Kernel, v *valve, proto reactor.Protocol, o *reactor.StreamConfig) *Side {
	p.t.Helper()
	s, err := p.Reactor.Attach(v, proto, o)
	if err != nil {
		p.t.Fatalf("attaching %T: %v", proto, err)
	}
	k.sides++
	return &Side{Stream: s, Number: k.sides, v: v}
}

// Pending is how many bytes wait to be delivered to this side. Bytes that are still buffered by the other side's stream do
// not count; Step sends those first.
func (s *Side) Pending() int { return s.v.waiting() }

// Write writes to the other side.
func (s *Side) Write(b []byte) (int, error) { return s.Stream.Write(b) }

// Step delivers, in both directions, what waits now, and not what is written meanwhile. If nothing of that moves, because nothing
// waits or nobody reads, it delivers an end: a close, a half-close or a reset. So the last bytes come before ConnectionLost. It returns whether anything has moved. Step is not for callbacks.
func (p *Pump) Step() bool {
	p.t.Helper()
	p.settle() // what was written outside of callbacks is sent
	a, b := p.Server.v, p.Client.v
	toServer, toClient := a.waiting(), b.waiting()
	before := p.moved()
	p.open(toServer, toClient, false)
	p.settle()
	if p.moved() == before {
		p.open(toServer, toClient, true)
		p.settle()
	}
	p.open(0, 0, false)
	return p.moved() != before
}

// Flush makes steps until nothing moves any more. It fails the test after FlushRounds.
func (p *Pump) Flush() {
	p.t.Helper()
	for range FlushRounds {
		if !p.Step() {
			return
		}
	}
	p.t.Fatalf("the two sides still talk after %d rounds", FlushRounds)
}

func (p *Pump) open(toServer, toClient int, end bool) {
	p.t.Helper()
	for _, s := range []struct {
		v *valve
		n int
	}{{p.Server.v, toServer}, {p.Client.v, toClient}} {
		if err := s.v.open(s.n, end); err != nil {
			p.t.Fatalf("arming: %v", err)
		}
	}
}

// progress is all that a step changes.
type progress struct{ read, wrote, ends int }

func (p *Pump) moved() (now progress) {
	for _, v := range []*valve{p.Server.v, p.Client.v} {
		now.read += v.read
		if v.ended {
			now.ends++
		}
	}
	return now
}

// quiet is how many turns in which nothing moves show that nothing will. What a callback asks for is done in the next turn at the
// latest.
const quiet = 3

// settle turns the reactor until nothing moves between the streams and their sockets.
func (p *Pump) settle() {
	p.t.Helper()
	for still := 0; still < quiet; still++ {
		before := p.all()
		if err := p.Reactor.Turn(0); err != nil {
			p.t.Fatalf("turn: %v", err)
		}
		if p.all() != before {
			still = 0
		}
	}
}

func (p *Pump) all() progress {
	now := p.moved()
	now.wrote = p.Server.v.wrote + p.Client.v.wrote
	return now
}
