package native

import (
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// loneLoop is a kernel that guesses about s, whose peer is c.
type loneLoop struct {
	*epoll
	t    *testing.T
	c, s *conn
}

const loneToken = 1

// newLoneLoop asks and answers until the loop would guess, if it may.
func newLoneLoop(t *testing.T, allowed bool) *loneLoop {
	t.Helper()
	k := testEpoll(t, WaitHold)
	k.Guess(allowed)
	_, c, s := testPair(t, k)
	l := &loneLoop{k, t, c, s}
	l.arm(s, loneToken, kernel.Readable)
	l.converse()
	return l
}

// converse asks and answers until the loop guesses, and the next look is as far away as it can be.
func (l *loneLoop) converse() {
	l.t.Helper()
	for range 2 * guessAfter {
		l.epoll.wait.spinner.credit = maxCredit
		l.write("x")
		if ev := l.wait(time.Second); len(ev) != 1 || ev[0].Token != loneToken {
			l.t.Fatalf("events %v", ev)
		}
		l.read("x", nil)
	}
	l.epoll.wait.guesser.tries = 0
}

func (l *loneLoop) arm(h kernel.Handle, token uint32, r kernel.Ready) {
	l.t.Helper()
	if err := l.Arm(h, token, r); err != nil {
		l.t.Fatal(err)
	}
}

func (l *loneLoop) write(s string) {
	l.t.Helper()
	if n, err := l.c.Write([]byte(s)); n != len(s) || err != nil {
		l.t.Fatal(n, err)
	}
}

func (l *loneLoop) read(want string, wantErr error) {
	l.t.Helper()
	p := make([]byte, 64)
	if n, err := l.s.Read(p); string(p[:n]) != want || err != wantErr {
		l.t.Fatalf("read %q, %v, want %q, %v", p[:n], err, want, wantErr)
	}
}

// wait makes one wait of a loop that keeps its P.
func (l *loneLoop) wait(limit time.Duration) []kernel.Event {
	l.t.Helper()
	l.epoll.wait.mode, l.epoll.wait.adaptive = WaitHold, 0
	ev := make([]kernel.Event, 8)
	n, err := l.Wait(ev, l.Now()+limit)
	if err != nil {
		l.t.Fatal(err)
	}
	return ev[:n]
}

// guessesWrong waits until the loop guesses, which is wrong.
func (l *loneLoop) guessesWrong() {
	l.t.Helper()
	for range 100 {
		if ev := l.wait(time.Millisecond); len(ev) == 1 && l.guessed && ev[0] == (kernel.Event{Token: loneToken, Ready: kernel.Readable}) {
			return
		}
		l.epoll.wait.spinner.credit = maxCredit
	}
	l.t.Fatalf("no guess in 100 waits: %+v, gave %d", l.epoll.wait.guesser, l.gave)
}

// TestGuess: a loop that one socket alone keeps busy reports it without a look. The read tells, whatever there is.
func TestGuess(t *testing.T) {
	l := newLoneLoop(t, true)
	l.guessesWrong()
	l.read("", kernel.ErrAgain)
	l.guessesWrong()
	l.write("late")
	l.read("late", nil)

	right := 0
	for range 64 {
		l.write("x")
		if ev := l.wait(time.Second); len(ev) != 1 {
			t.Fatalf("events %v", ev)
		}
		if l.guessed {
			right++
		}
		l.read("x", nil)
	}
	if right < 32 || right > 64-64/lookEvery {
		t.Errorf("%d of 64 events were guesses", right)
	}

	l.converse()
	// Neither a wrong guess nor a time that has come ends the guesses.
	l.guessesWrong()
	l.read("", kernel.ErrAgain)
	l.evs[0].Pad = ofTimer
	l.found(1)
	l.evs[1], l.evs[2].Pad = unix.EpollEvent{Events: unix.EPOLLIN, Pad: l.s.fd}, ofWake
	l.found(3)
	for range 2 * lookEvery {
		l.write("x")
		l.wait(time.Second)
		l.read("x", nil)
	}
	if n := l.epoll.wait.guesser.streak; n < guessAfter {
		t.Errorf("the guesses have ended: %d", n)
	}

	l.converse()
	l.guessesWrong()
	l.c.Close()
	l.read("", io.EOF)
}

// TestGuessEnds: a loop that guesses blocks after a moment without input, and finds what comes then, also if nobody tries to read.
func TestGuessEnds(t *testing.T) {
	for name, reads := range map[string]bool{"read": true, "not read": false} {
		t.Run(name, func(t *testing.T) {
			l := newLoneLoop(t, true)
			l.guessesWrong()
			for n := 0; len(l.wait(time.Millisecond)) > 0; n++ {
				if reads {
					l.read("", kernel.ErrAgain)
				}
				if n == 1000 { // in spinTime
					t.Fatal("it guesses for ever")
				}
			}
			l.write("y")
			for range 3 { // what is not read stays ready
				if ev := l.wait(time.Second); len(ev) != 1 || ev[0].Token != loneToken {
					t.Fatalf("events %v", ev)
				}
			}
			l.read("y", nil)
		})
	}
}

// TestGuessForOthers: another socket is found within lookEvery waits, though the first has input each time.
func TestGuessForOthers(t *testing.T) {
	l := newLoneLoop(t, true)
	_, c, s := testPair(t, l.epoll)
	l.arm(s, 2, kernel.Readable)
	if _, err := c.Write([]byte("z")); err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		l.write("x")
		ev := l.wait(time.Second)
		if len(ev) == 2 {
			break
		}
		if len(ev) != 1 || ev[0].Token != loneToken || n == lookEvery {
			t.Fatalf("events %v in wait %d", ev, n)
		}
		l.read("x", nil)
	}
	// From now on each look may find both.
	for range 2 * guessAfter {
		l.read("x", nil)
		l.write("x")
		if l.wait(time.Second); l.guessed {
			t.Fatal("a guess, though two sockets are busy")
		}
	}
}

// TestNoGuess: nothing is reported that is not ready unless guesses are allowed, the loop keeps its P, and the socket is armed for reading alone.
func TestNoGuess(t *testing.T) {
	for name, c := range map[string]struct {
		forbidden bool
		change    func(*loneLoop)
		want      kernel.Ready
	}{
		"not allowed": {forbidden: true, change: func(l *loneLoop) {}},
		"no longer":   {change: func(l *loneLoop) { l.Guess(false) }},
		"disarmed":    {change: func(l *loneLoop) { l.arm(l.s, loneToken, 0) }},
		"closed":      {change: func(l *loneLoop) { l.s.Close() }},
		"both":        {change: func(l *loneLoop) { l.arm(l.s, loneToken, both) }, want: kernel.Writable},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoneLoop(t, !c.forbidden)
			c.change(l)
			for range 2 * lookEvery {
				l.epoll.wait.spinner.credit = maxCredit
				for _, ev := range l.wait(time.Millisecond) {
					if ev.Ready != c.want {
						t.Fatalf("event %v", ev)
					}
				}
			}
		})
	}
	t.Run("nobody reads", func(t *testing.T) {
		l := newLoneLoop(t, true)
		l.write("x")
		looked := false
		for range 4 * guessAfter {
			l.epoll.wait.spinner.credit = maxCredit
			if l.wait(time.Second); l.guessed && looked {
				t.Fatal("a guess, though what was found before was not read")
			}
			looked = !l.guessed
		}
	})
	t.Run("without its P", func(t *testing.T) {
		l := newLoneLoop(t, true)
		for range 2 * lookEvery {
			l.epoll.wait.spinner.credit = maxCredit
			if got, errno := l.spin(8, false); got != 0 || errno != 0 {
				t.Fatal(got, errno)
			}
		}
	})
}

// TestGuessDatagrams: datagrams that come together are all delivered, in order, though a guess takes one at a time (UDP-10).
func TestGuessDatagrams(t *testing.T) {
	k := testEpoll(t, WaitHold)
	k.Guess(true)
	c, s := udpAt(t, k, here4), udpAt(t, k, here4)
	l := &loneLoop{epoll: k, t: t}
	l.arm(s, loneToken, kernel.Readable)
	var got []kernel.Packet
	guesses := 0
	next := func() {
		t.Helper()
		for len(l.wait(time.Second)) == 0 {
		}
		if l.guessed {
			guesses++
		}
		ps, err := s.ReadPackets()
		if l.guessed && len(ps) > 1 {
			t.Errorf("a guess has read %d datagrams", len(ps))
		}
		if (len(ps) == 1) != (l.gave == s.fd) {
			t.Errorf("%d datagrams were read, and the next is awaited: %v", len(ps), l.gave == s.fd)
		}
		if err != nil && err != kernel.ErrAgain {
			t.Fatal(err)
		}
		for _, p := range ps {
			p.Data = append([]byte(nil), p.Data...)
			got = append(got, p)
		}
		_, _ = s.ReadPackets() // as a port does, until there are none
	}
	for i := range 4 * guessAfter {
		l.epoll.wait.spinner.credit = maxCredit
		sends(t, c, run(s.Local(), 1, 10+i))
		next()
	}
	if guesses == 0 {
		t.Fatal("no guess")
	}
	got, guesses = nil, 0
	want := run(s.Local(), 20, 100)
	for i := range want {
		want[i].Data = append(want[i].Data, make([]byte, i)...) // so that they are not put together
	}
	l.epoll.wait.guesser.tries = 0
	sends(t, c, want)
	for len(got) < len(want) {
		next()
	}
	same(t, got, want)
	if guesses == 0 {
		t.Error("no guess while twenty datagrams waited")
	}
}
