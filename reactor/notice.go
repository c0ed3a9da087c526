package reactor

import "github.com/whorl-go/whorl/kernel"

// NoticeListener hears of the readiness of a handle that has no bytes, such as a child of
// [kernel.Spawner]. Its methods are called on the loop's goroutine.
type NoticeListener interface {
	// NoticeCame is called in each turn in which the handle is Readable, until Stop.
	NoticeCame()
	// NoticeLost is called once, as the last call, if the notice ends otherwise than by Stop. err is ErrStopped if the reactor
	// ends, a [*PanicError] after a panic of NoticeCame, or why the handle could not be armed. The handle is open still, and belongs to the
	// listener.
	NoticeLost(err error)
	// LogPrefix names the listener in the log.
	LogPrefixer
}

// Notice is a handle that a [NoticeListener] listens to.
type Notice struct {
	r        *Reactor
	handle   kernel.Handle
	listener NoticeListener
	token    uint32
	over     bool
}

// Await has l hear when h, a handle of the reactor's kernel, is Readable. h stays the caller's, who may not arm it meanwhile, and
// calls Stop before closing it. Only if a callback ends the loop's goroutine, the reactor closes h. Await is for the loop's
// goroutine, as are the methods of a Notice.
//
// An error is an [*OpError]. Its cause is ErrStopped if the reactor is ending or stopped, or an error of the kernel.
func (r *Reactor) Await(h kernel.Handle, l NoticeListener) (*Notice, error) {
	if r.is(lifeEnding) || r.is(lifeStopped) {
		return nil, &OpError{Op: "watch", Err: ErrStopped}
	}
	n := &Notice{r: r, handle: h, listener: l}
	n.token = r.assignToken(n)
	if err := r.k.Arm(h, n.token, kernel.Readable); err != nil {
		n.over = true
		r.releaseToken(n.token)
		return nil, &OpError{Op: "watch", Err: err}
	}
	return n, nil
}

// Stop ends the notice. l is not called any more. A second call does nothing.
func (n *Notice) Stop() {
	if n.over {
		return
	}
	n.over = true
	_ = n.r.k.Arm(n.handle, n.token, 0) // an error means that it is closed already
	n.r.releaseToken(n.token)
}

// Pause has NoticeCame called no more until Resume. NoticeLost may be called meanwhile. After the end it does nothing.
func (n *Notice) Pause() {
	if !n.over {
		_ = n.r.k.Arm(n.handle, n.token, 0) // an error means that it is closed already
	}
}

// Resume ends a Pause. If the handle cannot be armed again, NoticeLost is called inside Resume. After the end it does nothing.
func (n *Notice) Resume() {
	if n.over {
		return
	}
	if err := n.r.k.Arm(n.handle, n.token, kernel.Readable); err != nil {
		n.end(&OpError{Op: "watch", Err: err})
	}
}

// end is Stop with a reason that the listener hears.
func (n *Notice) end(reason error) {
	if !n.over {
		n.Stop()
		_ = n.r.guard(n.listener, func() { n.listener.NoticeLost(reason) })
	}
}

func (n *Notice) ready(kernel.Ready) { n.listener.NoticeCame() }

func (n *Notice) touched() {} // never touched

func (n *Notice) panicked(e *PanicError) { n.end(e) }

func (n *Notice) shutdown() { n.end(ErrStopped) }

func (n *Notice) drop() { n.handle.Close() }

func (n *Notice) logName() string { return LogPrefixOf(n.listener) }
