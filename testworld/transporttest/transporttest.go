// Package transporttest holds the contract of a transport as a suite. Every
// transport passes it, whatever is below: sockets, TLS, pipes.
//
// The suite uses nothing but package reactor. The caller connects two protocols by the
// transport under test, as often as it is asked to, and says how things go on.
// Capabilities are found with reactor.As; a subtest about one that is missing is
// skipped, with its name. Facts of the transport are fields of [Link].
//
//	for name, w := range testworld.Chunked() {
//		t.Run(name, func(t *testing.T) {
//			transporttest.Run(t, func(t *testing.T, c reactor.Config, a, b reactor.Protocol) transporttest.Link {
//				r := w.New(t, c)
//				...
//				return transporttest.Link{Until: func(done func() bool) { t.Helper(); testworld.Until(t, done, r) }}
//			})
//		})
//	}
//
// A stream may be cut in any way: run the suite for every way there is.
package transporttest

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Pair connects a and b by the transport under test: each is the protocol of one end.
// It may return before they are connected. Their reactors are made with c, which notes
// panics, and must not be in Run; they belong to the caller. A dial that fails with a
// *reactor.PanicError is no failure: the suite lets a ConnectionMade panic.
//
// Most subtests end a and look at what b sees. Run the suite twice, with the roles
// exchanged, if the ends are not alike.
type Pair func(t *testing.T, c reactor.Config, a, b reactor.Protocol) Link

// Link is a connection that Pair has made, and the facts of its transport. The zero
// value of a fact is what holds for TCP.
type Link struct {
	// Until lets things go on until done, which is called on the loop's goroutine, and
	// fails the test if that takes too long.
	Until func(done func() bool)
	// Much is a number of bytes. If so many are written at once, and the peer reads
	// none, then more than the high-water mark stays buffered; and so it does with an
	// eighth of it when there is no more room below. Zero: 8 MiB.
	Much int
	// Deep: given time, what is below takes all of Much though the peer reads nothing,
	// as sockets do that are only made to take it in small pieces.
	Deep bool
	// Moment is how long the suite looks for what must not come, by the reactor's
	// clock. Zero: 3 ms.
	Moment time.Duration

	// NoReset: the peer of Abort cannot tell it from Close, as with pipes.
	NoReset bool
	// NoAddresses: the local address of one end is not the remote one of the other.
	NoAddresses bool
	// Gathers: writes are gathered above the buffer that the marks are about. A
	// producer may be paused as late as when the callback has returned, or in the next
	// turn, instead of inside the Write (PROD-4).
	Gathers bool
}

const (
	defaultMuch   = 8 << 20
	defaultMoment = 3 * time.Millisecond
)

// Run tests a transport, one promise a subtest, one after the other.
func Run(t *testing.T, pair Pair) {
	shared := new(pattern)
	for _, group := range [][]promise{writePromises(), readPromises(), closePromises(), abortPromises(),
		halfClosePromises(), producerPromises(), panicPromises(), switchPromises(), retirePromises()} {
		for _, p := range group {
			t.Run(p.name, func(t *testing.T) {
				g := newRig(t, pair, shared)
				p.test(g)
				g.finish()
			})
		}
	}
}

// promise is one subtest.
type promise struct {
	name string
	test func(*rig)
}

// rig is one connection under test, and what was seen of it.
type rig struct {
	*testing.T
	pair   Pair
	data   *pattern
	link   Link
	a, b   *end
	all    []*end
	panics []*reactor.PanicError
	want   int // panics
}

func newRig(t *testing.T, pair Pair, data *pattern) *rig {
	g := &rig{T: t, pair: pair, data: data}
	g.a, g.b = g.end("a"), g.end("b")
	return g
}

// end is a protocol that is not connected yet.
func (g *rig) end(name string) *end {
	e := &end{g: g, name: name}
	g.all = append(g.all, e)
	return e
}

// start connects a and b, and does not wait.
func (g *rig) start() {
	g.Helper()
	c := reactor.Config{Panicked: func(e *reactor.PanicError) { g.panics = append(g.panics, e) }}
	g.link = g.pair(g.T, c, g.a.protocol(), g.b.protocol())
	if g.link.Much == 0 {
		g.link.Much = defaultMuch
	}
	if g.link.Moment == 0 {
		g.link.Moment = defaultMoment
	}
}

// connect connects a and b, and waits until a byte has gone each way. So nothing of how
// connections are made is still to come.
func (g *rig) connect() {
	g.Helper()
	g.a.warmUp, g.b.warmUp = true, true
	g.start()
	g.until("the first byte", func() bool { return !g.a.warmUp && !g.b.warmUp })
}

// until goes on until done.
func (g *rig) until(what string, done func() bool) {
	g.Helper()
	came := false
	defer func() {
		if !came {
			for _, e := range g.all {
				g.Logf("%s: %v, %d bytes sent, %d received, lost for %v", e.name, e.events, e.sent, e.got, e.err)
			}
			g.Errorf("%s did not come", what)
		}
	}()
	g.link.Until(done)
	came = true
}

// moment goes on for as long as the suite looks for what must not come.
func (g *rig) moment() {
	g.Helper()
	over := false
	g.a.t.Reactor().CallLater(g.link.Moment, func() { over = true })
	g.until("a moment", func() bool { return over })
}

// bothLost waits until both ends are lost.
func (g *rig) bothLost() {
	g.Helper()
	g.until("the loss of both ends", func() bool { return g.a.lost() && g.b.lost() })
}

// finish ends what has not ended, and checks what must hold of every connection.
func (g *rig) finish() {
	g.Helper()
	if g.Failed() {
		return
	}
	ends := func(do func(e *end)) {
		for _, e := range g.all {
			if e.t != nil && !e.taken {
				do(e)
			}
		}
	}
	ends(func(e *end) {
		if !e.lost() {
			e.abort()
		}
	})
	g.until("the loss at the end", func() bool {
		all := true
		ends(func(e *end) { all = all && e.lost() })
		return all
	})
	ends((*end).afterLoss)
	if g.a.t != nil {
		g.moment() // end.enter fails if anything still comes (TCP-62)
	}
	if len(g.panics) != g.want {
		g.Errorf("X-3: %d panics were told, want %d: %v", len(g.panics), g.want, g.panics)
	}
}

// lostFor checks what an end was lost for.
func (g *rig) lostFor(e *end, want error) {
	g.Helper()
	if e.err != want {
		g.Errorf("%s was lost for %v, want %v", e.name, e.err, want)
	}
}

// broken checks that an end has noticed that its peer did not end well.
func (g *rig) broken(e *end) {
	g.Helper()
	clean := e.err == io.EOF
	if !clean && !errors.Is(e.err, reactor.ErrLost) || clean && !g.link.NoReset {
		g.Errorf("%s was lost for %v, want an error that is ErrLost", e.name, e.err)
	}
}

// ability is a capability of e's transport; the subtest is skipped if there is none.
func ability[T any](e *end, name string) T {
	e.g.Helper()
	v, ok := reactor.As[T](e.t)
	if !ok {
		e.g.Skipf("the transport is no reactor.%s", name)
	}
	return v
}

// address checks that addresses stay what they are.
func (g *rig) sameAddress(what string, got, want kernel.Addr) {
	g.Helper()
	if got != want {
		g.Errorf("%s is %v, want %v", what, got, want)
	}
}
