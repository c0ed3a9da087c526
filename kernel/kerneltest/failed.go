package kerneltest

import (
	"io"
	"slices"

	"github.com/whorl-go/whorl/kernel"
)

func failedPromises() []promise {
	return []promise{
		{"FailedByReset", failedByReset},
		{"FailedBehindInput", failedBehindInput},
		{"FailedAfterTheEnd", failedAfterTheEnd},
		{"FailedTold", failedTold},
		{"FailedDial", failedDial},
		{"FailedIsNoEnd", failedIsNoEnd},
		{"FailedIsNotBothEnds", failedIsNotBothEnds},
		{"FailedDisarmed", failedDisarmed},
		{"FailedWithDirections", failedWithDirections},
		{"FailedThenReadable", failedThenReadable},
		{"FailedOfSeveral", failedOfSeveral},
		{"FailedListener", failedListener},
	}
}

// cannotFail tells whether the kernel never reports Failed.
func (g *rig) cannotFail() bool { return kernel.LimitsOf(g.k).NoFailed }

// failed waits until s, which is armed for Failed alone under tok, is reported. On a kernel
// that cannot report that, it checks that nothing is reported.
func (g *rig) failed(tok uint32) {
	g.Helper()
	if g.cannotFail() {
		g.silent()
		return
	}
	found := false
	g.until("Failed", func(e kernel.Event) {
		if e.Token != tok || e.Ready != kernel.Failed {
			g.Fatalf("token %d was reported as %v; want %d as f", e.Token, e.Ready, tok)
		}
		found = true
	}, func() bool { return found })
}

// hasFailed checks that s has failed by a reset, that this is told once, and that Failed is
// not reported afterwards.
func (g *rig) hasFailed(s kernel.Conn) {
	g.Helper()
	err := s.Connected()
	if g.cannotFail() { // then nobody has waited for it
		g.until("the failure", nil, func() bool {
			if err == nil {
				g.wait(g.k.Now() + moment)
				err = s.Connected()
			}
			return err != nil
		})
	}
	g.isSys("Connected", err, kernel.OpWait, kernel.ErrReset)
	for range 2 {
		if err := s.Connected(); err != nil {
			g.Errorf("Connected, again: %v", err)
		}
	}
	g.quiet(s, kernel.Failed)
}

// silent fails if an armed handle is reported within a moment, or Wait returns early.
func (g *rig) silent() {
	g.Helper()
	g.exactly(g.k.Now() + moment)
}

// reads checks that s reads n bytes, and then an end or an error.
func (g *rig) reads(s kernel.Conn, n int) {
	g.Helper()
	if n > 0 {
		g.receive(s, n)
	}
	if m, err := g.read(s, make([]byte, 10)); m != 0 || err == nil {
		g.Errorf("Read after a failure: %d, %v", m, err)
	}
}

// bothEnds calls test with the ends of a connection in both orders.
func (g *rig) bothEnds(test func(c, s kernel.Conn)) {
	g.Helper()
	l := g.listen(local4(), nil)
	for _, swap := range []bool{false, true} {
		c, s := g.connect(l, nil)
		if swap {
			c, s = s, c
		}
		test(c, s)
	}
}

// failedByReset: a conn that waits for nothing else hears of a reset, whether it was dialled
// or accepted.
func failedByReset(g *rig) {
	g.bothEnds(func(c, s kernel.Conn) {
		tok := g.arm(s, kernel.Failed)
		g.silent()
		if err := c.Abort(); err != nil {
			g.Fatal(err)
		}
		g.failed(tok)
		g.arm(s, 0)
		g.failed(g.arm(s, kernel.Failed)) // nobody has asked why
		g.arm(s, 0)
		g.hasFailed(s)
		g.reads(s, 0)
	})
}

// failedBehindInput: unread input is no failure and does not hide one. It is still read
// after Connected has told why.
func failedBehindInput(g *rig) {
	g.bothEnds(func(c, s kernel.Conn) {
		g.send(c, []byte("input"))
		g.becomes(s, kernel.Readable)
		tok := g.arm(s, kernel.Failed)
		g.silent()
		c.Abort()
		g.failed(tok)
		g.arm(s, 0)
		g.hasFailed(s)
		g.reads(s, 5)
	})
}

// failedAfterTheEnd: the peer ends its direction, is half-closed for a while, and resets the
// connection then. That is ErrReset too.
func failedAfterTheEnd(g *rig) {
	g.bothEnds(func(c, s kernel.Conn) {
		if err := c.CloseWrite(); err != nil {
			g.Fatal(err)
		}
		g.ends(s)
		tok := g.arm(s, kernel.Failed)
		g.silent()
		c.Abort()
		g.failed(tok)
		g.arm(s, 0)
		g.hasFailed(s)
		g.ends(s)
	})
}

// failedTold: whoever gets the error first takes it. Nil is all that is left then.
func failedTold(g *rig) {
	g.bothEnds(func(c, s kernel.Conn) {
		if err := s.Connected(); err != nil {
			g.Errorf("Connected of a sound conn: %v", err)
		}
		tok := g.arm(s, kernel.Failed)
		c.Abort()
		g.failed(tok)
		g.arm(s, 0)
		_, err := g.read(s, make([]byte, 1))
		g.isSys("Read", err, kernel.OpRead, kernel.ErrReset)
		if err := s.Connected(); err != nil {
			g.Errorf("Connected after Read has told: %v", err)
		}
		g.quiet(s, kernel.Failed)
	})
}

// failedDial: a dial that fails is Failed, and Connected goes on telling why.
func failedDial(g *rig) {
	l := g.listen(local4(), nil)
	a := l.Local()
	l.Close()
	c, err := g.k.Dial(a, nil)
	if err != nil {
		g.isOne("Dial", err, kernel.ErrRefused)
		return
	}
	keep(g, c)
	g.failed(g.arm(c, kernel.Failed))
	g.arm(c, 0)
	if g.cannotFail() {
		g.becomes(c, kernel.Writable)
	}
	for range 2 {
		g.isSys("Connected", c.Connected(), kernel.OpConnect, kernel.ErrRefused)
	}
	g.quiet(c, kernel.Failed)

	c = g.dial(g.listen(local4(), nil), nil)
	g.arm(c, kernel.Failed)
	g.silent() // one that succeeds is not
	if err := c.Connected(); err != nil {
		g.Error(err)
	}
	g.silent()
}

// failedIsNoEnd: the peer's orderly end is no failure, whether it was there before or comes
// later, and whether there is input before it.
func failedIsNoEnd(g *rig) {
	for _, input := range []string{"", "input"} {
		g.bothEnds(func(c, s kernel.Conn) {
			tok := g.arm(s, kernel.Failed)
			if input != "" {
				g.send(c, []byte(input))
			}
			if err := c.CloseWrite(); err != nil {
				g.Fatal(err)
			}
			g.silent()
			g.armAs(s, tok+50, kernel.Failed) // it is looked at anew
			g.silent()
			g.arm(s, 0)
			g.receive(s, len(input))
			g.ends(s)
			g.quiet(s, kernel.Failed)
			if err := s.Connected(); err != nil {
				g.Errorf("Connected after the end: %v", err)
			}
		})
	}
}

// failedIsNotBothEnds: nor are the ends of both directions, which some systems call a
// hang-up.
func failedIsNotBothEnds(g *rig) {
	for _, armed := range []bool{true, false} {
		for _, closed := range []bool{false, true} {
			c, s := g.pair()
			if armed {
				g.arm(c, kernel.Failed)
				g.arm(s, kernel.Failed)
			}
			c.CloseWrite()
			g.ends(s)
			s.CloseWrite()
			g.ends(c)
			if closed {
				c.Close()
				g.gone(c)
			} else {
				g.orderly(c)
			}
			g.orderly(s)
			if !closed {
				g.becomes(c, kernel.Readable)
			}
			g.becomes(s, kernel.Readable) // directions are reported as ever
		}
	}
}

// orderly arms s, both directions of which have ended, for Failed. Nothing is reported, but
// for one event of a system that cannot tell: then Connected tells.
func (g *rig) orderly(s kernel.Conn) {
	g.Helper()
	g.arm(s, kernel.Failed)
	until, waits, events := g.k.Now()+moment, 0, 0
	for ; g.k.Now() < until; waits++ {
		events += len(g.wait(until))
	}
	if err := s.Connected(); err != nil || events > 1 || waits > 3 {
		g.Fatalf("Connected: %v, after %d waits with %d events", err, waits, events)
	}
}

// failedDisarmed: Failed is not reported unless it is armed.
func failedDisarmed(g *rig) {
	g.bothEnds(func(c, s kernel.Conn) {
		g.arm(s, kernel.Failed)
		g.silent()
		g.arm(s, 0)
		c.Abort()
		g.silent()
		g.failed(g.arm(s, kernel.Failed)) // it was there all the time
		g.arm(s, 0)
		for _, r := range []kernel.Ready{kernel.Readable, kernel.Writable} {
			g.becomes(s, r) // and no more than that: see wait
		}
		g.arm(s, kernel.Failed)
		if err := s.Close(); err != nil {
			g.Error(err)
		}
		g.gone(s)
		g.silent()
	})
}

// failedWithDirections: Failed comes together with the directions that are armed. These alone
// are reported as long as nothing fails.
func failedWithDirections(g *rig) {
	for _, r := range []kernel.Ready{kernel.Readable, kernel.Writable, kernel.Readable | kernel.Writable} {
		g.bothEnds(func(c, s kernel.Conn) {
			g.send(c, []byte("input"))
			g.becomes(s, kernel.Readable) // else Abort may overtake it
			tok := g.arm(s, r|kernel.Failed)
			for range 3 {
				if ev := g.wait(kernel.Forever); len(ev) != 1 || ev[0] != (kernel.Event{Token: tok, Ready: r}) {
					g.Fatalf("armed %v, reported %v", r|kernel.Failed, ev)
				}
			}
			c.Abort()
			want, got := r|kernel.Failed, kernel.Ready(0)
			if g.cannotFail() {
				want = r
			}
			g.until("failure and directions", func(e kernel.Event) { got = e.Ready }, func() bool { return got == want })
			g.arm(s, 0)
			g.hasFailed(s)
			g.reads(s, 5)
		})
	}
}

// failedThenReadable: a conn that was paused reads on, and is paused again.
func failedThenReadable(g *rig) {
	g.bothEnds(func(c, s kernel.Conn) {
		for range 3 {
			tok := g.arm(s, kernel.Failed)
			g.send(c, []byte("abc"))
			g.silent()
			g.armAs(s, tok, kernel.Readable)
			for range 2 {
				if ev := g.wait(kernel.Forever); len(ev) != 1 || ev[0] != (kernel.Event{Token: tok, Ready: kernel.Readable}) {
					g.Fatalf("reported %v", ev)
				}
			}
			g.receive(s, 1)
			g.arm(s, kernel.Failed)
			g.silent()
			g.becomes(s, kernel.Readable)
			g.receive(s, 2)
			g.quiet(s, kernel.Readable|kernel.Failed)
		}
		tok := g.arm(s, kernel.Failed)
		c.Abort()
		g.failed(tok)
		g.arm(s, 0)
		g.becomes(s, kernel.Readable)
		g.hasFailed(s)
	})
}

// failedOfSeveral: of several conns those are reported that have failed, also with little
// room for events.
func failedOfSeveral(g *rig) {
	l := g.listen(local4(), nil)
	want := map[uint32]kernel.Conn{}
	for i := range 12 {
		c, s := g.connect(l, nil)
		tok := g.arm(s, kernel.Failed)
		switch i % 3 {
		case 0:
			want[tok] = s
			c.Abort()
		case 1:
			c.CloseWrite()
		}
	}
	if g.cannotFail() {
		g.silent()
		return
	}
	g.ev = make([]kernel.Event, 2)
	told := map[uint32]bool{}
	g.until("all failures", func(e kernel.Event) {
		s := want[e.Token]
		if s == nil || told[e.Token] {
			g.Fatalf("token %d was reported as %v", e.Token, e.Ready)
		}
		g.isSys("Connected", s.Connected(), kernel.OpWait, kernel.ErrReset)
		told[e.Token] = true
	}, func() bool { return len(told) == len(want) })
	g.silent()
}

// failedListener: a listener takes Failed, alone and with Readable, and has nothing to
// report of it.
func failedListener(g *rig) {
	l := g.listen(local4(), nil)
	g.arm(l, kernel.Failed)
	c := g.dial(l, nil)
	g.becomes(c, kernel.Writable)
	g.silent()
	g.becomes(l, kernel.Readable)
	tok := g.arm(l, kernel.Readable|kernel.Failed)
	if ev := g.wait(kernel.Forever); !slices.Equal(ev, []kernel.Event{{Token: tok, Ready: kernel.Readable}}) {
		g.Fatalf("reported %v", ev)
	}
	s := g.accept(l)
	s.Close()
	if _, err := g.read(c, make([]byte, 1)); err != io.EOF {
		g.Error(err)
	}
}
