package reactor

import (
	"runtime"
	"strings"
)

// onLoop tells whether the caller is in a callback of r. It is for calls that would wait for
// ever there, and takes a few microseconds.
//
// Two signs are needed. The number of the goroutine tells which reactor is meant, because a
// callback of one may wait for another. The stack tells that a loop is below, because the
// goroutine of a reactor that is turned by hand may wait between two turns. A goroutine that
// stands in for the loop's has another number, and is known by its stack alone.
func (r *Reactor) onLoop() bool {
	return r.goroutine.Load() == goroutineID() && insideLoop() || r.standsIn()
}

// claim notes that the caller's goroutine is the loop's, if none is known: of a reactor that was
// not run, but is turned or closed.
func (r *Reactor) claim() {
	if r.goroutine.Load() == 0 {
		r.goroutine.Store(goroutineID())
	}
}

// goroutineID is the number of the goroutine, as a stack trace shows it.
func goroutineID() uint64 {
	var buf [64]byte
	var id uint64
	for _, c := range buf[len("goroutine "):runtime.Stack(buf[:], false)] {
		if c < '0' || c > '9' {
			break
		}
		id = id*10 + uint64(c-'0')
	}
	return id
}

// insideLoop tells whether the goroutine is inside asLoop.
func insideLoop() bool {
	return inside(func(function string) bool { return strings.HasSuffix(function, "reactor.(*Reactor).asLoop") })
}

// inside tells whether the goroutine is inside a function that is the one.
func inside(is func(function string) bool) bool {
	var pcs [256]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		frames := runtime.CallersFrames(pcs[:n])
		for {
			f, more := frames.Next()
			if is(f.Function) {
				return true
			}
			if !more {
				break
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}
