package coro

import "iter"

// Stack is a function that can stop in its middle and go on later, on a stack of its own. Whoever resumes it waits until it
// suspends itself or ends, so the two never run at a time, and the scheduler has no part in it. It belongs to one goroutine at a
// time, but not always to the same: what begins on one may go on on another, unless one of them is locked to its thread.
//
// It knows no loop. [Coroutine] is what a protocol uses; Stack is below it, and for work that stops where input is missing, such
// as a TLS handshake. The zero Stack has no function; Begin gives it one. It must not be copied afterwards.
type Stack struct {
	next  func() (struct{}, bool) // nil also if Unwind was called
	yield func(struct{}) bool
}

// Begin gives the stack its function, which runs when Resume is called for the first time.
func (k *Stack) Begin(body func()) {
	k.begin(func(yield func(struct{}) bool) {
		if k.next != nil {
			k.yield = yield
			body()
		}
	})
}

// begin is Begin for a function that stores what suspends it in k.yield itself, and is never unwound before its beginning. The function that
// stops the iterator is let go: Unwind needs none, and a coroutine is smaller without it.
func (k *Stack) begin(body func(yield func(struct{}) bool)) { k.next, _ = iter.Pull(body) }

// Begun tells whether Begin was called, and Unwind or Forget not since.
func (k *Stack) Begun() bool { return k.next != nil }

// Resume runs the function until it suspends itself or ends, and tells whether it is still to go on. A panic of the function
// comes out of Resume, and runtime.Goexit in it ends the goroutine of the caller too. After the end it does nothing.
func (k *Stack) Resume() (more bool) {
	_, more = k.next()
	return more
}

// Suspend is called by the function: it stops until Resume. It returns false if the function is to end instead, because Unwind
// was called; then it does not stop any more.
func (k *Stack) Suspend() bool { return k.next != nil && k.yield(struct{}{}) && k.next != nil }

// Unwind has the function end: Suspend returns false in it, and Unwind waits for it to return. One that was never resumed is not
// called. It must not be called inside the function. A panic comes out of it as out of Resume.
func (k *Stack) Unwind() {
	if next := k.next; next != nil {
		k.next = nil
		next()
	}
}

// Forget lets go of the function and its stack, when it has ended.
func (k *Stack) Forget() { *k = Stack{} }

// Reused is a stack for one function after another. A stack that has grown for the first need not grow for the next, which costs a
// twentieth of a TLS handshake. It is used as a [Stack] is, and by the same rules, but for its end: after the function's end Begin gives it
// another, and Unwind ends it. The zero Reused is ready for Begin. It must not be copied.
type Reused struct {
	stack Stack
	body  func()
	ended bool // the function has ended in order, and there is no other yet
}

// Begin gives the stack its function, the first or the next.
func (k *Reused) Begin(body func()) {
	k.body, k.ended = body, false
	if !k.stack.Begun() {
		k.stack.Begin(k.run)
	}
}

func (k *Reused) run() {
	for {
		k.body()
		k.body, k.ended = nil, true
		if !k.stack.Suspend() {
			return
		}
	}
}

// Resume runs the function until it suspends itself or ends, and tells whether it is still to go on.
func (k *Reused) Resume() (more bool) { return k.stack.Resume() && !k.ended }

// Suspend is called by the function: it stops until Resume. It returns false if the function is to end instead.
func (k *Reused) Suspend() bool { return k.stack.Suspend() }

// Free tells whether the stack can be given another function: the last one has ended, and not by a panic or by runtime.Goexit.
func (k *Reused) Free() bool { return k.ended && k.stack.Begun() }

// Unwind has the function end, if there is one, and ends the stack.
func (k *Reused) Unwind() { k.stack.Unwind() }
