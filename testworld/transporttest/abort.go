package transporttest

import "github.com/whorl-go/whorl/reactor"

func abortPromises() []promise {
	return []promise{
		{"Abort", abort},
		{"AbortInData", abortInData},
		{"AbortDropsInput", abortDropsInput},
		{"AbortFull", abortFull},
		{"AbortAfterClose", abortAfterClose},
	}
}

// abort: our side is told ErrAborted, later, and the peer sees a reset (TCP-77, TCP-82,
// DESC-29). end.enter notices a loss inside the call, and whatever else comes.
func abort(g *rig) {
	g.connect()
	g.a.abort()
	if g.a.lost() {
		g.Error("TCP-77: lost inside Abort")
	}
	g.a.abort() // TCP-78: harmless, as Close
	g.a.do("Close", func() { g.a.t.Close() })
	g.a.refuses("after Abort (TCP-78)", reactor.ErrClosed)
	g.bothLost()
	g.lostFor(g.a, reactor.ErrAborted)
	g.broken(g.b)
}

// abortInData: nothing is delivered behind it, and what was written is dropped (TCP-77).
func abortInData(g *rig) {
	g.connect()
	g.a.onData = func([]byte) {
		g.a.write(5)
		g.a.abort()
	}
	for range 5 {
		g.b.write(g.link.Much / 100)
	}
	g.bothLost()
	g.lostFor(g.a, reactor.ErrAborted)
	g.broken(g.b)
	if g.b.got != 0 {
		g.Errorf("TCP-77: %d bytes came that were written before Abort in the same callback", g.b.got)
	}
}

// abortDropsInput: what has come is not delivered any more (TCP-77).
func abortDropsInput(g *rig) {
	g.connect()
	g.a.pause()
	g.b.write(10)
	g.moment()
	g.a.abort()
	g.a.resume()
	g.bothLost()
	g.lostFor(g.a, reactor.ErrAborted)
	g.broken(g.b)
}

// abortFull: Abort works although the peer does not read, and drops what is buffered
// (TCP-77, TCP-79).
func abortFull(g *rig) {
	g.connect()
	g.b.pause()
	g.a.write(g.link.Much)
	if !g.link.Deep {
		g.moment()
	}
	g.a.abort()
	g.until("the loss of a", g.a.lost)
	g.lostFor(g.a, reactor.ErrAborted)
	g.b.resume()
	g.until("the loss of b", g.b.lost)
	g.broken(g.b)
	if g.b.got >= g.a.sent {
		g.Errorf("TCP-77: all of %d bytes came", g.b.got)
	}
}

// abortAfterClose: Abort cuts short a Close that waits (TCP-78).
func abortAfterClose(g *rig) {
	g.connect()
	g.b.pause()
	g.a.write(g.link.Much)
	g.a.close()
	if !g.link.Deep {
		g.moment()
	}
	g.a.abort()
	g.until("the loss of a", g.a.lost)
	g.lostFor(g.a, reactor.ErrAborted)
	g.b.resume()
	g.until("the loss of b", g.b.lost)
	g.broken(g.b)
}
