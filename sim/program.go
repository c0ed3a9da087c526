package sim

import (
	"os"
	"slices"
	"syscall"

	"github.com/whorl-go/whorl/reactor"
)

// Start gives the host its program: a function that is called on the host's reactor, in the
// host's next turn, and again in the first turn after each Kill and each Restart. The
// reactor is Running by then; functions stored by CallWhenRunning and functions posted
// earlier were called before. On a crashed host the program is called after Restart.
//
// A program keeps what must outlive a crash, as a disk does, in variables outside of the
// function, and makes everything else anew. A second Start replaces the program: the new one
// is called, and what the old one left on the reactor stays. Nil is no program.
func (h *Host) Start(program func(h *Host)) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	h.program = program
	h.starting = program != nil
	h.touch()
}

// begin starts the reactor in the host's first turn, and has the program called in this
// turn. It returns false if a function that it called has ended this program or host.
func (h *Host) begin() bool {
	r, k := h.Reactor, h.k
	if !h.begun {
		h.begun = true
		// It fails only if it was started already.
		_ = r.Start()
	}
	if h.k != k || k.ended {
		return false
	}
	if program := h.program; h.starting {
		h.starting = false
		r.Post(func() { program(h) })
	}
	return true
}

// GracefulRestart ends the host's program in order, as a deployment does, and starts it again:
// it calls Stop of the reactor. When that has ended, after the triggers of its shutdown, Kernel
// and Reactor are replaced, and the program given to Start is called again. Nothing of the old
// program may be in use by then: that is [RuleLeft]. It does nothing on a host whose reactor has
// not begun, has ended, or is being restarted. Kill, Crash and Restart override it.
func (h *Host) GracefulRestart() { h.gracefulRestart(nil) }

// gracefulRestart calls then when the program is to start again. It returns false, and
// calls nothing, if it does nothing.
func (h *Host) gracefulRestart(then func()) bool {
	n := h.n
	n.mu.Lock()
	if !h.driven() || !h.begun || h.stopping || h.proc != nil {
		n.mu.Unlock()
		return false
	}
	n.noteHost(OpStop, h)
	h.stopping = true
	if then != nil {
		h.renewed = append(h.renewed, then)
	}
	h.touch()
	r := h.Reactor
	n.mu.Unlock()
	_ = r.Stop() // it fails if the program has called it, which is as good
	return true
}

// renew replaces a program that has stopped in order.
func (h *Host) renew(k *simKernel) {
	n := h.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if !h.stopping || h.k != k || !k.ended {
		return
	}
	h.leftovers()
	k.vanish(false)
	h.boot()
}

// Pause stops the host's program until Resume, as SIGSTOP does: nothing of it is called. Its
// kernel goes on: it accepts connections until the backlog is full, and data until buffers
// are full, and answers. Its clock goes on too. In a callback of the host itself, the turn
// in progress still ends. A second Pause does nothing. Kill, Crash and Restart end a pause.
// Kernels from Net.Kernel are not paused.
func (h *Host) Pause() {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	if h.up && !h.paused {
		h.n.noteHost(OpPause, h)
		h.paused = true
	}
}

// Resume ends a Pause. Delayed calls that became due meanwhile are made now, in their order.
// Signals that came meanwhile are delivered in this call, in their order.
func (h *Host) Resume() {
	h.n.mu.Lock()
	if !h.paused {
		h.n.mu.Unlock()
		return
	}
	h.n.noteHost(OpResume, h)
	h.paused = false
	signals := h.signals
	h.signals = nil
	h.n.mu.Unlock()
	for _, sig := range signals {
		h.signal(sig, nil)
	}
}

// Paused tells whether the host is paused.
func (h *Host) Paused() bool {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	return h.paused
}

// Signal delivers a signal to the host's program, if that has asked for it: the function given
// to Notify is called in this call, or in Resume if the host is paused. On "localhost" the
// signal also goes to kernels from Net.Kernel, in the order of opening, paused or not.
func (h *Host) Signal(sig os.Signal) {
	h.n.mu.Lock()
	others := slices.Clone(h.alone)
	h.n.mu.Unlock()
	h.signal(sig, others)
}

func (h *Host) signal(sig os.Signal, others []*simKernel) {
	h.n.mu.Lock()
	var fns []func(os.Signal)
	if s, ok := sig.(syscall.Signal); ok && h.proc != nil {
		fns = h.proc.send(s)
	} else if h.paused {
		h.signals = append(h.signals, sig)
	} else {
		fns = h.k.takers(sig, fns)
		h.touch()
	}
	for _, k := range others {
		fns = k.takers(sig, fns)
	}
	h.n.mu.Unlock()
	for _, fn := range fns {
		fn(sig)
	}
}

// takers appends to fns the functions to call at sig.
func (k *simKernel) takers(sig os.Signal, fns []func(os.Signal)) []func(os.Signal) {
	for _, w := range k.signals {
		if slices.Contains(w.sigs, sig) {
			fns = append(fns, w.fn)
		}
	}
	return fns
}

// endsRun is told of a panic in a callback. In a turn it keeps the first one for turnHost, so that the reactor goes
// on in order: a panic that passes through its loop would be taken for the end of the loop's goroutine.
func (n *Net) endsRun(e *reactor.PanicError) {
	switch {
	case !n.inTurn:
		panic(e)
	case n.panicked == nil:
		n.panicked = e
	}
}

// boot gives the host a new kernel and reactor. It gives up the lock meanwhile, because Wrap
// may use the Net.
func (h *Host) boot() {
	n := h.n
	h.k = n.newKernel(h, false)
	h.begun, h.starting = false, h.program != nil
	h.paused, h.signals = false, nil
	h.stopping, h.busy = false, 0
	for _, fn := range h.renewed {
		n.order++
		n.schedule(n.now, n.order, event{what: call, fn: fn})
	}
	h.renewed = nil
	k := h.k
	n.mu.Unlock()
	defer n.mu.Lock()
	h.Kernel = k
	if n.Wrap != nil {
		h.Kernel = n.Wrap(h, k)
	}
	c := n.Config
	if c.Resolver == nil {
		c.Resolver = n
	}
	if c.Panicked == nil {
		c.Panicked = n.endsRun
	}
	h.Reactor = reactor.New(h.Kernel, c)
}
