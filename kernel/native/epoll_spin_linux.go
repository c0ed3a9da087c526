package native

import (
	"syscall"
	"time"
)

const (
	// spinTime is how long a spin takes at most. It is about the processor time that it costs to block and to be woken.
	spinTime = 4 * time.Microsecond
	// maxCredit is the most that successful spins earn, so that four in a row that fail end it.
	maxCredit = 8
	// minPause and maxPause are how many waits without credit are between two spins: the number doubles as long as none is worth it.
	minPause = 64
	maxPause = 1024
)

// spinner decides whether the loop looks again and again for a moment before it blocks. That pays if what it waits for comes soon, and is
// the next question of a lone client on the same machine. To block and to be woken costs more then, and the client waits longer. With
// several clients it does not pay: see found.
//
// A spin that was worth it earns one credit, and another costs two. While there is credit, each wait spins. So a loop
// goes on only if two of three spins are worth it. Without credit it tries one now and then.
type spinner struct {
	credit int
	pause  int           // how many waits without a spin follow the next failure, or 0: minPause
	left   int           // how many of them are left
	until  time.Duration // when the spin that goes on ends
	trial  trial
}

// due tells whether to spin before the next block. read is how many bytes were read so far.
func (s *spinner) due(read uint64) bool {
	switch s.trial.step(read, s.credit > 0) {
	case trialBlocks:
		return false
	case trialSpins:
		return true
	}
	if s.trial.dear {
		return false
	}
	if s.credit > 0 || s.left == 0 {
		return true
	}
	s.left--
	return false
}

// note takes the result of a spin: whether it was worth it.
func (s *spinner) note(worth bool) {
	switch {
	case worth:
		s.credit, s.pause = min(s.credit+1, maxCredit), 0
	case s.credit > 0:
		s.credit = max(s.credit-2, 0)
	}
	if s.credit == 0 {
		s.pause = min(max(2*s.pause, minPause), maxPause)
		s.left = s.pause
	}
}

// spin looks for at most spinTime, if that is due, and returns what it found. It ends without anything when Wake is called. A guess is
// returned at once; if it was wrong, the next call goes on with the same spin.
func (k *epoll) spin(max int, holds bool) (int, syscall.Errno) {
	s := &k.wait.spinner
	goesOn := k.missed()
	if !goesOn && !s.due(k.read) {
		return 0, 0
	}
	now := k.Now()
	if !goesOn {
		s.until = now + spinTime
	}
	for {
		if now < s.until && k.guess(holds) {
			return 1, 0
		}
		got, errno := k.peek(max)
		switch {
		case errno != 0:
			return 0, errno
		case got > 0 || k.waker.state.Load() == woken:
			s.note(k.found(got))
			return got, 0
		}
		if now = k.Now(); now >= s.until {
			s.note(false)
			return 0, 0
		}
	}
}
