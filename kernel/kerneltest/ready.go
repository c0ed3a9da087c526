package kerneltest

import (
	"errors"
	"io"
	"math"

	"github.com/whorl-go/whorl/kernel"
)

func readyPromises() []promise {
	return []promise{
		{"LevelTriggered", levelTriggered},
		{"EndBehindData", endBehindData},
		{"ArrivalsAfterTheEvent", arrivalsAfterTheEvent},
		{"OnlyWhatIsArmed", onlyWhatIsArmed},
		{"DisarmedIsSilent", disarmedIsSilent},
		{"HangUpIsWhatIsArmed", hangUpIsWhatIsArmed},
		{"OtherToken", otherToken},
		{"AnyToken", anyToken},
		{"MoreThanFit", moreThanFit},
		{"CloseWhileReady", closeWhileReady},
		{"TokenUsedAgain", tokenUsedAgain},
	}
}

// levelTriggered: readiness is reported again until it is used up (FDS-1).
func levelTriggered(g *rig) {
	c, s := g.pair()
	g.quiet(s, kernel.Readable)
	g.send(c, []byte("abc"))
	for range 3 {
		g.becomes(s, kernel.Readable)
	}
	tok := g.arm(s, kernel.Readable)
	for range 3 {
		if ev := g.wait(kernel.Forever); len(ev) != 1 || ev[0].Token != tok {
			g.Fatalf("Wait reported %v", ev)
		}
	}
	g.receive(s, 1)
	g.becomes(s, kernel.Readable)
	g.receive(s, 2)
	g.quiet(s, kernel.Readable)
	for range 3 {
		g.becomes(s, kernel.Writable)
	}
	g.becomes(s, kernel.Writable)
}

// endBehindData: if a read gets all the bytes there are, the end behind them is still
// reported. It does not matter whether the end came before the event or after it (FDS-1).
func endBehindData(g *rig) {
	for _, late := range []bool{false, true} {
		c, s := g.pair()
		g.send(c, []byte("abc"))
		if !late {
			if err := c.CloseWrite(); err != nil {
				g.Fatal(err)
			}
		}
		tok := g.arm(s, kernel.Readable)
		got, ends := 0, 0
		g.until("the end, twice", func(e kernel.Event) {
			if e.Token != tok {
				return
			}
			if late { // after the event, before the read
				late = false
				if err := c.CloseWrite(); err != nil {
					g.Fatal(err)
				}
			}
			n, err := s.Read(make([]byte, 16))
			got += n
			if err == io.EOF {
				ends++
			}
		}, func() bool { return ends == 2 })
		if got != 3 {
			g.Errorf("%d bytes before the end", got)
		}
		g.arm(s, 0)
	}
}

// arrivalsAfterTheEvent: bytes may come between an event and the read. Then they are read
// or reported. Once read they are not reported.
func arrivalsAfterTheEvent(g *rig) {
	c, s := g.pair()
	g.send(c, []byte("a"))
	tok := g.arm(s, kernel.Readable)
	got, sent := 0, 1
	g.until("all bytes", func(e kernel.Event) {
		if e.Token != tok {
			return
		}
		if sent < 100 {
			g.send(c, []byte("b"))
			sent++
		}
		n, err := s.Read(make([]byte, 16))
		if err != nil && err != kernel.ErrAgain {
			g.Fatal(err)
		}
		if got += n; got == sent && sent < 100 {
			g.send(c, []byte("c"))
			sent++
		}
	}, func() bool { return got == 100 })
	g.exactly(g.k.Now() + moment)
}

// onlyWhatIsArmed: what is ready is reported if it is armed, and what is armed if it is ready.
func onlyWhatIsArmed(g *rig) {
	c, s := g.pair()
	g.quiet(s, kernel.Readable) // it is writable
	armed := kernel.Readable | kernel.Writable | kernel.Failed
	reports := func(want kernel.Ready) {
		g.Helper()
		tok := g.arm(s, armed)
		if ev := g.wait(kernel.Forever); len(ev) != 1 || ev[0] != (kernel.Event{Token: tok, Ready: want}) {
			g.Fatalf("armed %v, reported %v, ready is %v", armed, ev, want)
		}
	}
	reports(kernel.Writable)
	g.send(c, []byte("x"))
	g.becomes(s, kernel.Readable)
	reports(kernel.Readable | kernel.Writable)
	for _, r := range []kernel.Ready{kernel.Readable, kernel.Writable, kernel.Readable | kernel.Writable, kernel.Writable} {
		tok := g.arm(s, r)
		if ev := g.wait(kernel.Forever); len(ev) != 1 || ev[0] != (kernel.Event{Token: tok, Ready: r}) {
			g.Fatalf("armed %v, reported %v", r, ev)
		}
	}
}

// disarmedIsSilent: nothing is reported for a disarmed handle, not even failure.
func disarmedIsSilent(g *rig) {
	c, s := g.pair()
	both := kernel.Readable | kernel.Writable
	g.arm(s, both)
	g.wait(kernel.Forever)
	g.arm(s, 0)
	g.arm(s, 0) // twice is nothing
	g.exactly(g.k.Now() + moment)
	g.send(c, []byte("x"))
	g.exactly(g.k.Now() + moment)
	if err := c.Abort(); err != nil {
		g.Fatal(err)
	}
	g.exactly(g.k.Now() + moment)
	g.exactly(g.k.Now() + moment)
	g.becomes(s, both) // it was there all the time

	// A sock that was never armed is silent too.
	c, _ = g.pair()
	c.Abort()
	g.exactly(g.k.Now() + moment)
}

// fill writes to s until it takes no more, and returns how many bytes it took.
func (g *rig) fill(s kernel.Conn) int {
	g.Helper()
	p, total := make([]byte, 1<<20), 0
	for {
		n, err := s.Write(p)
		if err == kernel.ErrAgain {
			// What is on its way to the peer may make room once more.
			tok := g.arm(s, kernel.Writable)
			again := false
			for _, e := range g.wait(g.k.Now() + moment) {
				again = again || e.Token == tok
			}
			g.arm(s, 0)
			if !again {
				return total
			}
			continue
		}
		if err != nil {
			g.Fatalf("Write: %v", err)
		}
		total += n
		if total > 1<<30 {
			g.Fatal("Write takes everything and nobody reads")
		}
	}
}

func hangUpIsWhatIsArmed(g *rig) {
	for _, r := range []kernel.Ready{kernel.Readable, kernel.Writable} {
		c, s := g.pair()
		g.fill(s)
		g.quiet(s, kernel.Readable|kernel.Writable)
		tok := g.arm(s, r)
		if err := c.Abort(); err != nil {
			g.Fatal(err)
		}
		found := false
		g.until("the reset", func(e kernel.Event) { found = found || e.Token == tok && e.Ready == r },
			func() bool { return found })
		g.arm(s, 0)
		var err error
		if r == kernel.Readable {
			_, err = s.Read(make([]byte, 1))
		} else {
			_, err = s.Write([]byte("x"))
		}
		g.isOne("after the reset", err, kernel.ErrReset, kernel.ErrBroken)
	}
}

func otherToken(g *rig) {
	c, s := g.pair()
	for tok := uint32(1); tok < 5; tok++ {
		g.armAs(s, tok, kernel.Writable)
		for range 2 {
			if ev := g.wait(kernel.Forever); len(ev) != 1 || ev[0].Token != tok {
				g.Fatalf("armed as %d, reported %v", tok, ev)
			}
		}
	}
	// Another handle, which is not ready, may have the old token.
	g.armAs(c, 1, kernel.Readable)
	for range 5 {
		if ev := g.wait(kernel.Forever); len(ev) != 1 || ev[0].Token != 4 {
			g.Fatalf("reported %v", ev)
		}
	}
}

func anyToken(g *rig) {
	for _, tok := range []uint32{0, 1, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 - 1, math.MaxUint32} {
		_, s := g.pair()
		g.armAs(s, tok, kernel.Writable)
		if ev := g.wait(kernel.Forever); len(ev) != 1 || ev[0].Token != tok {
			g.Fatalf("armed as %d, reported %v", tok, ev)
		}
		g.armAs(s, tok, 0)
	}
}

// moreThanFit: what does not fit comes in a later Wait (FDS-28). No handle is left out.
func moreThanFit(g *rig) {
	const socks = 12
	l := g.listen(local4(), nil)
	for range socks {
		_, s := g.connect(l, nil)
		g.becomes(s, kernel.Writable)
		g.arm(s, kernel.Writable)
	}
	for _, size := range []int{1, 2, 5, 11, 12, 64} {
		g.ev = make([]kernel.Event, size)
		for range 3 {
			seen := map[uint32]bool{}
			for range 4 * socks / min(size, socks) {
				for _, e := range g.wait(kernel.Forever) {
					seen[e.Token] = true
				}
			}
			if len(seen) != socks {
				g.Fatalf("with room for %d only %d of %d were reported", size, len(seen), socks)
			}
		}
	}
}

// closeWhileReady: Close disarms a handle that is ready. Closing it again is harmless
// (FDS-18).
func closeWhileReady(g *rig) {
	both := kernel.Readable | kernel.Writable
	for _, end := range []func(kernel.Conn) error{kernel.Conn.Close, kernel.Conn.Abort} {
		c, s := g.pair()
		g.send(c, []byte("x"))
		g.becomes(s, kernel.Readable)
		g.arm(s, both)
		g.wait(kernel.Forever)
		if err := end(s); err != nil {
			g.Fatal(err)
		}
		g.gone(s)
		g.exactly(g.k.Now() + moment)
		if err := errors.Join(s.Close(), s.Abort(), s.Close()); err != nil {
			g.Errorf("closed twice: %v", err)
		}
		c.Abort()
	}
	l := g.listen(local4(), nil)
	g.dial(l, nil)
	g.becomes(l, kernel.Readable)
	g.arm(l, kernel.Readable)
	if err := l.Close(); err != nil {
		g.Fatal(err)
	}
	g.gone(l)
	g.exactly(g.k.Now() + moment)
}

// tokenUsedAgain: a new conn has the token of one that was closed, and in most systems
// its descriptor number. It inherits nothing (FDS-18).
func tokenUsedAgain(g *rig) {
	l := g.listen(local4(), nil)
	for range 20 {
		c, s := g.connect(l, nil)
		g.send(c, []byte("x"))
		g.becomes(s, kernel.Readable)
		tok := g.arm(s, kernel.Readable)
		g.wait(kernel.Forever)
		s.Close()
		g.gone(s)
		c.Close()
		_, s = g.connect(l, nil)
		g.armAs(s, tok, kernel.Readable)
		g.exactly(g.k.Now() + moment)
		g.armAs(s, tok, kernel.Writable)
		if ev := g.wait(kernel.Forever); len(ev) != 1 {
			g.Fatalf("reported %v", ev)
		}
		s.Abort()
		g.gone(s)
	}
}
