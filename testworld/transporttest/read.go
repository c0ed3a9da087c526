package transporttest

import "io"

func readPromises() []promise {
	return []promise{
		{"PauseInMade", pauseInMade},
		{"PauseInData", pauseInData},
		{"PauseTwice", pauseTwice},
		{"PausedEnd", pausedEnd},
		{"PausedGone", pausedGone},
		{"ResumeAfterClose", resumeAfterClose},
	}
}

// pauseInMade: after PauseProducing nothing is delivered, also if it is called in
// ConnectionMade (TCP-64, DESC-31).
func pauseInMade(g *rig) {
	g.b.onMade = g.b.pause
	g.a.onMade = func() { g.a.write(10) }
	g.start()
	g.until("both ends", func() bool { return g.a.t != nil && g.b.t != nil })
	g.moment()
	if g.b.got != 0 {
		g.Errorf("TCP-64: %d bytes came though paused in ConnectionMade", g.b.got)
	}
	g.b.resume()
	g.until("the data", func() bool { return g.b.got == 10 })
}

// pauseInData: nothing is delivered behind the call in which it paused, however much has
// come; after resuming the rest comes, in order (TCP-64, DESC-31).
func pauseInData(g *rig) {
	g.connect()
	b := g.b
	paused, pauses := false, 0
	b.onData = func([]byte) {
		if paused {
			g.Error("TCP-64: delivered though paused")
		}
		b.pause()
		paused = true
		pauses++
	}
	for range 5 {
		g.a.write(g.link.Much / 100)
	}
	for b.got < g.a.sent && !g.Failed() {
		g.until("a pause", func() bool { return paused })
		if pauses < 5 {
			g.moment()
		}
		paused = false
		b.resume()
		if pauses == 5 {
			b.onData = nil // what holds five times holds a thousand times
			g.until("the rest", func() bool { return b.got == g.a.sent })
		}
	}
}

// pauseTwice: pausing and resuming once more is harmless (TCP-65).
func pauseTwice(g *rig) {
	g.connect()
	g.b.resume() // it is not paused
	g.b.pause()
	g.b.pause()
	g.a.write(10)
	g.moment()
	if g.b.got != 0 {
		g.Errorf("TCP-65: %d bytes came after pausing twice", g.b.got)
	}
	g.b.resume()
	g.b.resume()
	g.until("the data", func() bool { return g.b.got == 10 })
	g.b.resume()
	g.b.pause()
	g.b.resume()
	g.b.pause()
	g.a.write(10)
	g.moment()
	if g.b.got != 10 {
		g.Errorf("TCP-65: %d bytes came after pausing, resuming, pausing", g.b.got-10)
	}
	g.b.resume()
	g.until("the data", func() bool { return g.b.got == 20 })
}

// pausedEnd: the peer's end is not noticed while paused; after resuming the data comes
// first, and then the end (TCP-66, DESC-33).
func pausedEnd(g *rig) {
	g.connect()
	g.b.pause()
	g.a.write(10)
	g.a.close()
	g.moment()
	if g.b.lost() || g.b.got != 0 {
		g.Errorf("TCP-66: %d bytes, %v, though paused", g.b.got, g.b.err)
	}
	g.b.resume()
	g.bothLost()
	if g.b.got != 10 {
		g.Errorf("TCP-66: %d bytes came before the end, want 10", g.b.got)
	}
	g.lostFor(g.b, io.EOF)
}

// pausedGone: a paused transport whose peer is gone finds out by writing (TCP-67, DESC-34).
func pausedGone(g *rig) {
	g.connect()
	g.b.pause()
	g.a.abort()
	g.until("the loss of a", g.a.lost)
	g.until("the loss of b", func() bool {
		if !g.b.lost() {
			g.b.t.Write([]byte("x"))
		}
		return g.b.lost()
	})
	if g.b.err == io.EOF && !g.link.NoReset {
		g.Errorf("TCP-67: b was lost for %v", g.b.err)
	}
}

// resumeAfterClose: it does not start reading (TCP-65, DESC-32); end.enter would notice.
func resumeAfterClose(g *rig) {
	g.connect()
	g.b.write(10)
	g.a.pause()
	g.moment() // the data is there
	g.a.close()
	g.a.resume()
	g.bothLost()
	g.lostFor(g.b, io.EOF)
}
