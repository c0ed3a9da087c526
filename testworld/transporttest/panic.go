package transporttest

import (
	"errors"

	"github.com/whorl-go/whorl/reactor"
)

func panicPromises() []promise {
	return []promise{
		{"PanicInMade", panicInMade},
		{"PanicInData", panicInData},
		{"PanicAfterAbort", panicAfterAbort},
		{"PanicInReadLost", panicInReadLost},
		{"PanicInWriteLost", panicInWriteLost},
		{"PanicInPause", panicInPause},
		{"PanicInResume", panicInResume},
		{"PanicInLost", panicInLost},
	}
}

// mishap is what the suite panics with.
type mishap struct{ where string }

func (m mishap) Error() string { return "mishap in " + m.where }

// panicked checks that e was lost for its panic, that it was told once, and that the peer has
// noticed.
func (g *rig) panicked(e, peer *end, where string) {
	g.Helper()
	g.want = 1
	g.until("the loss of "+e.name, e.lost)
	var told *reactor.PanicError
	if !errors.As(e.err, &told) || told.Value != (mishap{where}) {
		g.Errorf("X-3: %s was lost for %v, want the panic", e.name, e.err)
	}
	g.until("the loss of "+peer.name, func() bool {
		if peer.t != nil && peer.saw("read lost") && !peer.closed {
			_, err := peer.t.Write([]byte("x")) // it reads no more, and finds out by writing (TCP-67)
			if g.link.NoReset && errors.Is(err, reactor.ErrWriteClosed) {
				peer.close() // both directions have ended, in order as far as it can tell
			}
		}
		return peer.t == nil || peer.lost()
	})
	if peer.lost() && !peer.closed {
		g.broken(peer)
	}
}

// panicInMade: in the end that is made last, for the other may not be made at all.
func panicInMade(g *rig) {
	var last, first *end
	made := func(e, other *end) func() {
		return func() {
			if other.t != nil {
				last, first = e, other
				panic(mishap{"made"})
			}
		}
	}
	g.a.onMade, g.b.onMade = made(g.a, g.b), made(g.b, g.a)
	g.start()
	g.until("both ends", func() bool { return last != nil })
	g.panicked(last, first, "made")
}

func panicInData(g *rig) {
	g.connect()
	g.a.onData = func([]byte) { panic(mishap{"data"}) }
	g.b.write(10)
	g.panicked(g.a, g.b, "data")
}

// panicAfterAbort: the panic is the reason, though Abort came first (TCP-81).
func panicAfterAbort(g *rig) {
	g.connect()
	g.a.onData = func([]byte) {
		g.a.abort()
		panic(mishap{"data, after Abort"})
	}
	g.b.write(10)
	g.panicked(g.a, g.b, "data, after Abort")
}

// TCP-74, as the next.
func panicInReadLost(g *rig) {
	g.connectHalf()
	g.a.onReadLost = func() { panic(mishap{"read lost"}) }
	g.b.closeWrite()
	g.panicked(g.a, g.b, "read lost")
}

func panicInWriteLost(g *rig) {
	g.connectHalf()
	g.a.onWriteLost = func() { panic(mishap{"write lost"}) }
	g.b.onReadLost = nil
	g.a.closeWrite()
	g.panicked(g.a, g.b, "write lost")
}

// panicInPause: it goes through Write to whoever called it, and what was written is sent all the
// same (PROD-12).
func panicInPause(g *rig) {
	g.connect()
	if g.link.Gathers {
		g.Skip("a producer may be paused after the Write")
	}
	g.b.pause()
	p := &producer{e: g.a, onPause: func() { panic(mishap{"pause"}) }}
	p.start()
	var caught any
	for range 16 {
		func() {
			defer func() { caught = recover() }()
			g.a.write(g.link.Much / 8)
		}()
		if caught != nil {
			break
		}
	}
	if caught != (mishap{"pause"}) || p.pauses != 1 {
		g.Errorf("PROD-12: the caller of Write caught %v, the producer was paused %d times", caught, p.pauses)
	}
	g.b.resume()
	g.until("all that was written", func() bool { return g.b.got == g.a.sent })
	g.a.unregister()
}

// panicInResume: it ends the connection, and the producer is stopped (PROD-12, PROD-6).
func panicInResume(g *rig) {
	g.connect()
	g.b.pause()
	p := &producer{e: g.a, piece: g.link.Much / 4, left: 12}
	p.onResume = func() { panic(mishap{"resume"}) }
	p.start()
	g.until("a pause of the producer", func() bool { return p.pauses > 0 })
	g.b.resume()
	g.panicked(g.a, g.b, "resume")
	if p.stops != 1 {
		g.Errorf("PROD-6: stopped %d times", p.stops)
	}
}

// panicInLost: the connection has ended as it would have.
func panicInLost(g *rig) {
	g.connect()
	g.a.onLost = func() { panic(mishap{"lost"}) }
	g.want = 1
	g.a.close()
	g.bothLost()
	g.lostFor(g.a, reactor.ErrClosed)
}
