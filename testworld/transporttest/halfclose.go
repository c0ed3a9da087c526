package transporttest

import (
	"io"
	"slices"

	"github.com/whorl-go/whorl/reactor"
)

func halfClosePromises() []promise {
	return []promise{
		{"HalfClose", halfClose},
		{"HalfCloseBoth", halfCloseBoth},
		{"HalfCloseOfPlain", halfCloseOfPlain},
		{"HalfCloseSendsTheRest", halfCloseSendsTheRest},
		{"HalfCloseWhilePaused", halfCloseWhilePaused},
		{"WriteAfterCloseWrite", writeAfterCloseWrite},
	}
}

// connectHalf is connect for two HalfCloseListeners, and skips the subtest if the transport is
// no HalfCloser.
func (g *rig) connectHalf() {
	g.Helper()
	g.a.half, g.b.half = true, true
	g.connect()
	ability[reactor.HalfCloser](g.a, "HalfCloser")
}

// halfClose: CloseWrite ends our direction, which both hear once; the other goes on (TCP-69,
// TCP-70, TCP-71, DESC-27).
func halfClose(g *rig) {
	g.connectHalf()
	g.a.write(10)
	g.a.closeWrite()
	g.a.closeWrite() // a second call does nothing
	if g.a.saw("write lost") {
		g.Error("TCP-70: told inside CloseWrite")
	}
	g.until("the end of one direction", func() bool { return g.a.saw("write lost") && g.b.saw("read lost") })
	if g.b.got != 10 {
		g.Errorf("TCP-69: %d bytes came before the end, want 10", g.b.got)
	}
	g.b.write(10)
	g.until("data in the other direction", func() bool { return g.a.got == 10 })
	g.b.close()
	g.until("the end of the other direction", func() bool { return g.b.lost() && g.a.saw("read lost") })
	g.lostFor(g.b, reactor.ErrClosed)
	g.moment()
	if g.a.lost() {
		g.Errorf("TCP-71: lost for %v, and Close was not called", g.a.err)
	}
	g.a.close()
	g.bothLost()
	g.lostFor(g.a, reactor.ErrClosed) // TCP-73
	if want := []string{"made", "write lost", "data", "read lost", "lost"}; !slices.Equal(g.a.events, want) {
		g.Errorf("PROTO-1: a saw %q, want %q", g.a.events, want)
	}
}

// halfCloseBoth: when both directions have ended, Close ends the connection (TCP-73).
func halfCloseBoth(g *rig) {
	g.connectHalf()
	g.a.closeWrite()
	g.b.closeWrite()
	g.until("both directions' end", func() bool {
		return g.a.saw("write lost") && g.a.saw("read lost") && g.b.saw("write lost") && g.b.saw("read lost")
	})
	g.moment()
	if g.a.lost() || g.b.lost() {
		g.Errorf("TCP-71: lost for %v and %v, and Close was not called", g.a.err, g.b.err)
	}
	g.a.close()
	g.b.close()
	g.bothLost()
	g.lostFor(g.a, reactor.ErrClosed)
	g.lostFor(g.b, reactor.ErrClosed)
}

// halfCloseOfPlain: a protocol that is no HalfCloseListener loses all of the connection when
// the peer ends its direction (TCP-72, DESC-28), and nothing by ending its own.
func halfCloseOfPlain(g *rig) {
	g.connect()
	g.a.closeWrite()
	g.until("the loss of b", g.b.lost)
	g.lostFor(g.b, io.EOF)
	g.until("the loss of a", g.a.lost)
	g.lostFor(g.a, io.EOF)
}

// halfCloseSendsTheRest: CloseWrite waits for the buffer (TCP-69, DESC-27).
func halfCloseSendsTheRest(g *rig) {
	g.connectHalf()
	g.b.pause()
	g.a.write(g.link.Much)
	g.a.closeWrite()
	g.moment()
	if g.a.saw("write lost") && !g.link.Deep && !g.link.Gathers {
		g.Error("TCP-69: told before all was sent")
	}
	g.b.resume()
	g.until("the end of one direction", func() bool { return g.a.saw("write lost") && g.b.saw("read lost") })
	if g.b.got != g.a.sent {
		g.Errorf("TCP-69: %d bytes came of %d", g.b.got, g.a.sent)
	}
}

// halfCloseWhilePaused: the end of the peer's direction comes behind what was not read yet
// (TCP-66).
func halfCloseWhilePaused(g *rig) {
	g.connectHalf()
	g.b.pause()
	g.a.write(10)
	g.a.closeWrite()
	g.moment()
	if g.b.got != 0 || g.b.saw("read lost") {
		g.Errorf("TCP-66: %q, though paused", g.b.events)
	}
	g.b.resume()
	g.until("the end of one direction", func() bool { return g.b.saw("read lost") })
	if g.b.got != 10 {
		g.Errorf("TCP-66: %d bytes came before the end, want 10", g.b.got)
	}
}

// writeAfterCloseWrite: it takes nothing, before the half-close has happened as after it
// (TCP-58, DESC-3).
func writeAfterCloseWrite(g *rig) {
	g.connectHalf()
	g.b.pause()
	g.a.write(g.link.Much)
	g.a.closeWrite()
	g.a.refuses("after CloseWrite (TCP-58)", reactor.ErrWriteClosed)
	g.moment()
	g.a.refuses("later after CloseWrite (TCP-58)", reactor.ErrWriteClosed)
	g.b.resume()
	g.until("the end of one direction", func() bool { return g.a.saw("write lost") && g.b.saw("read lost") })
	g.a.refuses("after the half-close (TCP-58)", reactor.ErrWriteClosed)
	if g.b.got != g.a.sent {
		g.Errorf("TCP-58: %d bytes came of %d", g.b.got, g.a.sent)
	}
	g.a.close()
	g.a.refuses("after Close (TCP-57)", reactor.ErrClosed)
}
