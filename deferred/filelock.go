package deferred

import (
	"fmt"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// FileLock keeps other processes out by a lock file: a symbolic link to the number of the process that holds it (DEF-21). The lock of a process that has
// died is taken over. Files are looked at off the loop. A FileLock is for the loop's goroutine. [NewFileLock] makes one.
type FileLock struct {
	r     *reactor.Reactor
	name  string
	state fileLockState
	file  lockFile        // in state fileHeld
	d     *Deferred[None] // in state fileTrying
	once  bool            // try once
	again reactor.DelayedCall
}

type fileLockState uint8

const (
	fileFree fileLockState = iota
	fileTrying
	fileHeld
)

// FileLockRetry is the time between two tries to take a lock file.
const FileLockRetry = time.Second

var (
	// ErrFileLockBusy: Acquire of a FileLock that is being acquired, or that is held.
	ErrFileLockBusy = kernel.Sentinel("the file lock is in use in this process")
	// ErrFileLockHeld: another process, or another FileLock of this one, holds the file. The text names it.
	ErrFileLockHeld = kernel.Sentinel("another holds the lock file")
	// ErrFileLockFree: Release of a FileLock that is not held.
	ErrFileLockFree = kernel.Sentinel("the file lock is not held")
)

// lockFile is a lock file that was taken.
type lockFile interface{ Release() error }

// NewFileLock makes a lock whose file is name. Nothing is asked of the system yet.
func NewFileLock(r *reactor.Reactor, name string) *FileLock {
	l := &FileLock{r: r, name: name}
	l.again.Init(r, l.try)
	return l
}

// Acquire tries to make the file, now and every second (FileLockRetry) as long as another process, or another FileLock of this one, holds
// it. The result is there when this FileLock holds it. Giving the result up ends the trying; [Deferred.Timeout] limits it.
//
// It fails with ErrFileLockBusy while this FileLock is in use, with errors of the file system, and with kernel.ErrUnsupported where the system has
// no such links.
//
// The holder keeps the file name + ".alive" open and locked, by which its end is noticed also where a number says nothing: in a container a program has the
// same number each time it starts. Without that file, as an earlier version of this package leaves it, a lock with the number of this very process counts as held; if an
// earlier run has left it, remove it.
func (l *FileLock) Acquire() *Deferred[None] { return l.acquire(false) }

// TryAcquire is Acquire that tries once: if another holds the file, it fails with ErrFileLockHeld. It is for a program of which only one may
// run.
func (l *FileLock) TryAcquire() *Deferred[None] { return l.acquire(true) }

func (l *FileLock) acquire(once bool) *Deferred[None] {
	if l.state != fileFree {
		return Failed[None](l.r, fmt.Errorf("lock file %q: %w", l.name, ErrFileLockBusy))
	}
	l.state, l.once = fileTrying, once
	l.d = New(l.r, func(*Deferred[None]) {
		l.again.Cancel()
		l.state, l.d = fileFree, nil
	})
	d := l.d
	l.try()
	return d
}

func (l *FileLock) try() {
	d, name := l.d, l.name
	reactor.InThread(l.r, func() (lockFile, error) { return takeFile(name) }, func(f lockFile, err error) {
		switch {
		case l.d != d: // given up meanwhile
			if err == nil {
				reactor.InThread(l.r, released(f), func(None, error) {})
			}
		case err == nil:
			l.state, l.file, l.d = fileHeld, f, nil
			d.Succeed(None{})
		case isHeld(err) && l.once:
			l.state, l.d = fileFree, nil
			d.Fail(&heldError{err})
		case isHeld(err):
			l.again.Reset(FileLockRetry)
		default:
			l.state, l.d = fileFree, nil
			d.Fail(err)
		}
	})
}

// heldError is ErrFileLockHeld with the text of the cause, which names the file and the holder.
type heldError struct{ error }

func (e *heldError) Unwrap() []error { return []error{ErrFileLockHeld, e.error} }

// Release removes the file. The result comes when that is done; from the call on the FileLock is free. It fails with ErrFileLockFree, or with an error of
// the file system.
func (l *FileLock) Release() *Deferred[None] {
	if l.state != fileHeld {
		return Failed[None](l.r, fmt.Errorf("lock file %q: %w", l.name, ErrFileLockFree))
	}
	f := l.file
	l.state, l.file = fileFree, nil
	return from(l.r, func(done func(None, error)) func() {
		reactor.InThread(l.r, released(f), done)
		return nil
	})
}

// Held tells whether this FileLock holds the file.
func (l *FileLock) Held() bool { return l.state == fileHeld }

func released(f lockFile) func() (None, error) {
	return func() (None, error) { return None{}, f.Release() }
}
