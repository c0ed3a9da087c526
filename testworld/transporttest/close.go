package transporttest

import (
	"io"

	"github.com/whorl-go/whorl/reactor"
)

func closePromises() []promise {
	return []promise{
		{"CloseIdle", closeIdle},
		{"CloseInData", closeInData},
		{"CloseSendsTheRest", closeSendsTheRest},
		{"CloseStopsReading", closeStopsReading},
		{"CloseStopsReadingBusy", closeStopsReadingBusy},
		{"CloseBoth", closeBoth},
		{"WriteAfterClose", writeAfterClose},
	}
}

// closeIdle: with nothing to send, Close ends the connection, later, and the peer sees an
// ordinary end (TCP-59, TCP-60, TCP-68, DESC-25). end.enter notices a loss inside the call.
func closeIdle(g *rig) {
	g.connect()
	g.a.close()
	if g.a.lost() {
		g.Error("TCP-60: lost inside Close")
	}
	g.a.close() // a second call does nothing
	g.bothLost()
	g.lostFor(g.a, reactor.ErrClosed)
	g.lostFor(g.b, io.EOF)
}

// closeInData: also in a callback.
func closeInData(g *rig) {
	g.connect()
	g.a.onData = func([]byte) {
		g.a.write(5)
		g.a.close()
		g.a.refuses("after Close (TCP-57)", reactor.ErrClosed)
	}
	g.b.write(1)
	g.bothLost()
	g.lostFor(g.a, reactor.ErrClosed)
	g.lostFor(g.b, io.EOF)
	if g.b.got != 5 {
		g.Errorf("TCP-59: %d bytes came of 5", g.b.got)
	}
}

// closeSendsTheRest: everything that was written is sent before the end (TCP-59, DESC-22).
func closeSendsTheRest(g *rig) {
	g.connect()
	g.b.pause()
	g.a.write(g.link.Much)
	g.a.close()
	g.moment()
	if g.a.lost() && !g.link.Deep {
		g.Errorf("TCP-59: lost for %v with much to be sent", g.a.err)
	}
	g.a.close()
	g.b.resume()
	g.bothLost()
	if g.b.got != g.a.sent {
		g.Errorf("TCP-59: %d bytes came of %d", g.b.got, g.a.sent)
	}
	g.lostFor(g.a, reactor.ErrClosed)
	g.lostFor(g.b, io.EOF)
}

// closeStopsReading: Close stops reading at once; input that has come and is not read does not
// become a reset (TCP-59, DESC-22).
func closeStopsReading(g *rig) {
	g.connect()
	g.a.pause()
	g.b.write(100)
	if s, ok := reactor.As[interface{ Buffered() int }](g.b.t); ok {
		g.until("the sending of what b wrote", func() bool { return s.Buffered() == 0 })
	}
	g.moment() // it has come
	g.a.write(10)
	g.a.close()
	g.bothLost()
	g.lostFor(g.a, reactor.ErrClosed)
	g.lostFor(g.b, io.EOF)
	if g.a.got != 0 || g.b.got != 10 {
		g.Errorf("TCP-59: a got %d bytes, b %d, want none and 10", g.a.got, g.b.got)
	}
}

// closeStopsReadingBusy: also while there is still much to be sent (TCP-59, DESC-22); end.enter
// notices what is delivered.
func closeStopsReadingBusy(g *rig) {
	g.connect()
	g.b.pause()
	g.a.write(g.link.Much)
	g.a.close()
	g.b.write(100)
	g.moment()
	g.b.resume()
	g.bothLost()
	if g.link.Deep {
		return // a may have ended before b wrote, which is then reset
	}
	g.lostFor(g.b, io.EOF)
	if g.b.got != g.a.sent {
		g.Errorf("TCP-59: %d bytes came of %d", g.b.got, g.a.sent)
	}
}

// closeBoth: both at a time.
func closeBoth(g *rig) {
	g.connect()
	g.a.close()
	g.b.close()
	g.bothLost()
	g.lostFor(g.a, reactor.ErrClosed)
	g.lostFor(g.b, reactor.ErrClosed)
}

// writeAfterClose: it takes nothing, though the buffer has not drained (TCP-57, DESC-3).
func writeAfterClose(g *rig) {
	g.connect()
	g.b.pause()
	g.a.write(g.link.Much)
	g.a.close()
	g.a.refuses("after Close (TCP-57)", reactor.ErrClosed)
	g.moment()
	g.a.refuses("later after Close (TCP-57)", reactor.ErrClosed)
	g.b.resume()
	g.bothLost()
	if g.b.got != g.a.sent {
		g.Errorf("TCP-57: %d bytes came of %d", g.b.got, g.a.sent)
	}
}
