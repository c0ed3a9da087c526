package reactor

import (
	"runtime"
	"slices"
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

// OnLoop tells whether the caller is in a callback of r, or in what stands in for one, where to wait for the loop would be to wait for
// ever. It costs less than a microsecond on a goroutine that is no loop's, so that a call may ask before it waits. It may be called from any goroutine.
func (r *Reactor) OnLoop() bool {
	if !r.standIns.Load() && !r.belowLoop() {
		return false
	}
	return r.onLoop()
}

// belowLoop tells whether the goroutine is inside asLoop, of any reactor. It compares addresses, and needs no names of functions.
func (r *Reactor) belowLoop() bool {
	var pcs [64]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		if slices.Contains(pcs[:n], r.loopPC) {
			return true
		}
		if n < len(pcs) {
			return false
		}
	}
}

// learn finds the address in asLoop to which what it calls returns.
//
//go:noinline
func (r *Reactor) learn() {
	r.asLoop(func() {
		var pcs [3]uintptr // Callers, this function, asLoop
		runtime.Callers(0, pcs[:])
		r.loopPC = pcs[2]
	})
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
