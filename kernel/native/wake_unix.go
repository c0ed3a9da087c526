//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The states of a waker: what the loop is doing, as far as Wake must know.
const (
	running  uint32 = iota // outside Wait, or looking without blocking
	sleeping               // about to block, or blocked
	woken                  // Wake was called since the loop last returned from Wait
	shut                   // closed
)

// waker ends a sleep from another goroutine (WAKE-1..4). If the loop does not sleep,
// changing the state is enough. So each sleep costs at most one system call.
type waker struct {
	state atomic.Uint32
	mu    sync.Mutex // held during a write and by close: nothing is written to a number used again
	r, w  int        // read and write end; equal for an eventfd
	one   [8]byte    // what is written
	sink  [128]byte  // for what drain reads
}

// wake makes the wait in progress return, or else the next one.
func (w *waker) wake() {
	for {
		s := w.state.Load()
		if s == woken || s == shut {
			return
		}
		if !w.state.CompareAndSwap(s, woken) {
			continue
		}
		if s == sleeping {
			w.write()
		}
		return
	}
}

// write makes the waker's descriptor readable, unless the waker is closed.
func (w *waker) write() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state.Load() == shut {
		return
	}
	for {
		// EAGAIN: enough is in it already (WAKE-3).
		if _, err := unix.Write(w.w, w.one[:]); err != unix.EINTR {
			return
		}
	}
}

// sleep announces that the loop is about to block. If it returns false the loop was woken
// and must not block.
func (w *waker) sleep() bool { return w.state.CompareAndSwap(running, sleeping) }

// endWait ends a wait and tells whether Wake was called.
func (w *waker) endWait() bool {
	return w.state.Load() != running && w.state.Swap(running) == woken
}

// drain empties the descriptor, for the kernels that see its level (WAKE-4).
func (w *waker) drain() {
	for range 64 {
		n, err := unix.Read(w.r, w.sink[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n < len(w.sink) {
			return
		}
	}
}

func (w *waker) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state.Swap(shut) == shut {
		return
	}
	unix.Close(w.r)
	if w.w != w.r {
		unix.Close(w.w)
	}
}
