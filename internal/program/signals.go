package program

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Signals end a program: the first in order, the next at once. All but GiveBack is for the goroutine of the loop. Take makes one.
type Signals struct {
	// Stop asks the program to end. It fails if the program is ending already.
	Stop func() error
	// Hurry is called when a signal comes while the program ends. because says which.
	Hurry func(because string)
	// After calls a function when a time has passed: on the loop's clock, unless UseSystemClock was called.
	After func(time.Duration, func())
	// Release gives the signals that end the program their default action back. It may be called again.
	Release func()
	// Last is when the last signal that counted came.
	Last time.Duration

	r      atomic.Pointer[reactor.Reactor] // the loop of the program
	n      kernel.Signals                  // nil: no signals are taken
	sigs   []os.Signal
	log    *slog.Logger
	caught int             // signals so far, those that count
	until  context.Context // of Until; nil: there is none
	heard  bool            // the loop knows that it has ended
	ended  time.Duration   // when it has, by the loop's clock
	others []func()        // as Release, for the other signals
}

// SignalTwins is the time in which a second signal counts as the first. A program often gets one
// order twice: a terminal sends Ctrl-C to every process in the foreground, and a parent that has
// got it too, such as a service manager's wrapper, passes it on.
const SignalTwins = 300 * time.Millisecond

// Take takes sigs, and SIGPIPE. Until r runs, signals wait. Without sigs, or a kernel that has signals, none are taken.
func Take(r *reactor.Reactor, log *slog.Logger, sigs []os.Signal, stop func() error, hurry func(because string)) *Signals {
	s := &Signals{log: log, sigs: sigs, Stop: stop, Hurry: hurry, Release: func() {}}
	s.r.Store(r)
	s.After = func(d time.Duration, f func()) { r.CallLater(d, f) }
	n, ok := kernel.As[kernel.Signals](r.Kernel())
	if !ok || len(sigs) == 0 {
		return s
	}
	s.n = n
	s.Release = n.Notify(func(sig os.Signal) {
		s.r.Load().Post(func() { s.Caught(sig) })
	}, sigs...)
	if !s.ends(syscall.SIGPIPE) {
		// Go ends a program that writes to standard output or standard error when nobody can
		// read that any more, unless the program takes SIGPIPE. A log is no reason to end.
		s.others = append(s.others, n.Notify(func(os.Signal) {}, syscall.SIGPIPE))
	}
	return s
}

// UseSystemClock has After use the system's clock: a program must be ended by a signal also if a callback blocks its loop.
func (s *Signals) UseSystemClock() {
	s.After = func(d time.Duration, f func()) { time.AfterFunc(d, f) }
}

// Until notes that the end of ctx ends the program too. A signal that comes with it is the same order: signal.NotifyContext ends a context by a signal that
// is taken here as well. Until is called before the loop runs, and stop when it has ended.
func (s *Signals) Until(ctx context.Context) (stop func() bool) {
	s.until = ctx
	return context.AfterFunc(ctx, func() {
		r := s.r.Load()
		r.Post(func() { s.heard, s.ended = true, r.Now() })
	})
}

// byContext tells whether the context of Until has ended just now. Its end may be known before the loop hears of it.
func (s *Signals) byContext(now time.Duration) bool {
	return s.until != nil && s.until.Err() != nil && (!s.heard || now-s.ended < SignalTwins)
}

// Follow has the signals that end the program told to r from now on, because the loop of the program is lost. It is called on the goroutine of r.
func (s *Signals) Follow(r *reactor.Reactor) {
	if s.r.Swap(r) != r && s.caught > 0 {
		s.Last = r.Now() // the clocks of two loops have origins of their own
	}
}

func (s *Signals) ends(sig os.Signal) bool { return slices.Contains(s.sigs, sig) }

// OnHangup has fn called on the loop for SIGHUP, unless that ends the program, or no signals are taken.
func (s *Signals) OnHangup(fn func(sig os.Signal)) {
	if s.n == nil || s.ends(syscall.SIGHUP) {
		return
	}
	r := s.r.Load()
	s.others = append(s.others, s.n.Notify(func(sig os.Signal) {
		r.Post(func() { fn(sig) })
	}, syscall.SIGHUP))
}

// Caught ends the program in order, or at once if it is ending already. Then signals get
// their default action back, but not before a twin of this one would have come.
func (s *Signals) Caught(sig os.Signal) {
	now := s.r.Load().Now()
	if s.caught > 0 && now-s.Last < SignalTwins {
		s.log.Info("caught a signal again, which counts as the one before", slog.String("signal", sig.String()))
		return
	}
	s.caught++
	s.Last = now
	s.log.Info("caught a signal", slog.String("signal", sig.String()))
	if s.Stop() == nil || s.caught == 1 && s.byContext(now) {
		return
	}
	because := "a second signal"
	if s.caught == 1 {
		because = "a signal" // something else has stopped it
	}
	s.Hurry(because)
	s.After(SignalTwins, s.Release)
}

// End gives the signals back when the loop has ended. If a twin of the last one that counted may still come, all of
// them are taken until it cannot: it would end the program with the status of a signal, although it
// has ended in order.
func (s *Signals) End() {
	if left := SignalTwins - (s.r.Load().Now() - s.Last); s.caught > 0 && left > 0 {
		s.After(left, s.GiveBack)
	} else {
		s.GiveBack()
	}
}

// GiveBack gives all signals their default action back. It may be called on any goroutine.
func (s *Signals) GiveBack() {
	s.Release()
	for _, stop := range s.others {
		stop()
	}
}
