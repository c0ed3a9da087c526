package native

import (
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

const (
	// guessAfter is how many looks in a row must have found one socket alone before the loop guesses.
	guessAfter = 16
	// lookEvery: one of so many tries is a look all the same, so that other sockets do not wait longer than that.
	lookEvery = 8
)

// guesser decides whether a spin reports a socket as readable without a look. While one client alone keeps the loop busy, epoll_wait
// tells only what the read would tell as well. Without it the loop makes a system call less for each question, and answers sooner. As long as
// there is no input yet, the read fails with ErrAgain, in about the time of a look.
//
// A guess takes nothing out of the set. So whatever comes meanwhile, to this socket or to another, is found by the next look.
type guesser struct {
	allowed bool  // Guess(true) was called
	asked   bool  // the last spin ended with a guess
	fd      int32 // the socket that a spin found last
	streak  int   // how many looks in a row found the socket alone that gave input last
	tries   int
}

// Guess is described by kernel.Guesser. Guesses are made only while the loop keeps its P.
func (k *epoll) Guess(allowed bool) { k.wait.guesser.allowed = allowed }

// guess puts an event that nobody has looked for into k.evs, if that is due.
func (k *epoll) guess(holds bool) bool {
	g := &k.wait.guesser
	if g.streak < guessAfter || !holds || !g.allowed || k.gave != g.fd {
		return false
	}
	if g.tries++; g.tries%lookEvery == 0 {
		return false
	}
	s := k.ownerOf(g.fd)
	if s == nil || s.armed() != kernel.Readable || s.is(alwaysReady) {
		g.streak = 0
		return false
	}
	g.asked, k.guessed, k.gave = true, true, closedFD
	k.evs[0] = unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s.token), Pad: s.fd}
	return true
}

// missed tells whether the last spin ended with a guess, and its socket gave nothing. One that was right is a spin that found something.
func (k *epoll) missed() bool {
	g := &k.wait.guesser
	if !g.asked {
		return false
	}
	g.asked = false
	if k.gave != g.fd {
		k.gave = g.fd // as before the guess
		return true
	}
	k.wait.spinner.note(true)
	return false
}

// found takes what a look of a spin has found: the first n of k.evs. It tells whether the spin was worth it: the socket that gave input last
// is ready alone. If several are busy, or many datagrams come together, more can be read after a block than after a spin, and that costs less.
func (k *epoll) found(n int) bool {
	g := &k.wait.guesser
	var last *unix.EpollEvent
	sockets := 0
	for i := range n {
		if e := &k.evs[i]; e.Pad >= 0 { // the others are the waker and the timer
			last = e
			sockets++
		}
	}
	if sockets == 0 {
		return true
	}
	lone := sockets == 1 && last.Events == unix.EPOLLIN && last.Pad == k.gave
	g.fd, k.gave = last.Pad, closedFD
	if g.streak++; !lone {
		g.streak = 0
	}
	return lone
}
