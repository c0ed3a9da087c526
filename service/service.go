package service

import (
	"errors"
	"fmt"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// None is the value of the results of this package: they come, or fail.
type None = deferred.None

// Member is what a [Service] starts and stops. Its methods are called on the loop's goroutine, by turns, beginning with Start. A nil result means that all is
// done. A panic is reported and counts as a failure.
type Member interface {
	// Start begins what the member does. The result comes when others may rely on it. A member whose Start has failed does not run, and Stop
	// is not called, unless its privileged part has been started. If the result is given up, the member ends what it has begun.
	Start() *deferred.Deferred[None]
	// Stop ends what the member does. The result comes when it has ended, and the member can then be started again. If the result is given up, the time for that
	// is over.
	Stop() *deferred.Deferred[None]
}

// Privileged is a [Member] with a part that needs the privileges with which the program was started, such as to listen on port 80.
type Privileged interface {
	// StartPrivileged is called before Start, and before the Start of every other member of the tree. After a success Stop is called some time, even
	// if Start was not.
	StartPrivileged() *deferred.Deferred[None]
}

// State is what a [Service] is doing.
type State uint8

// The states.
const (
	Stopped  State = iota // it does not run, or has not been started; its privileged part may have been
	Starting              // Start was called, and its result is not there
	Running
	Stopping // Stop was called, and its result is not there; or a failed start is being undone
)

// String is "stopped", "starting", "running" or "stopping".
func (s State) String() string { return [...]string{"stopped", "starting", "running", "stopping"}[s] }

var (
	// ErrStarted: Start of a service that is starting or running.
	ErrStarted = kernel.Sentinel("the service was started already")
	// ErrHasParent: SetName of a service that has a parent (SVC-2).
	ErrHasParent = kernel.Sentinel("the service has a parent")
	// ErrDuplicate: a collection has a service of that name (SVC-4).
	ErrDuplicate = kernel.Sentinel("the collection has a service of that name")
	// ErrNoService: a collection has no such service (SVC-5, SVC-6).
	ErrNoService = kernel.Sentinel("no such service")
	// ErrStartLimit: the services of a collection took longer to start, or those of a [Program] to reload, than allowed. It is also kernel.ErrTimeout.
	ErrStartLimit = kernel.Sentinel("the services took too long", kernel.ErrTimeout)
	// ErrStopLimit: a service took longer to stop than its collection allows. It is also kernel.ErrTimeout.
	ErrStopLimit = kernel.Sentinel("stopping took too long", kernel.ErrTimeout)
)

// Error says which service could not be started or stopped.
type Error struct {
	// Op is "start", "stop" or "reload".
	Op string
	// Path is the [Service.Path].
	Path string
	// Err is the cause.
	Err error
}

// Error is "service app/db: start: connection refused".
func (e *Error) Error() string { return fmt.Sprintf("service %s: %s: %v", e.Path, e.Op, e.Err) }

// Unwrap is Err.
func (e *Error) Unwrap() error { return e.Err }

// Service is a place in a tree of services: a member with a name, a parent and a state (SVC-1). It is for the goroutine of its
// reactor's loop. [New] makes one.
type Service struct {
	r         *reactor.Reactor
	member    Member
	name      string
	parent    *Collection
	state     State
	undone    bool // a start in progress was given up by Stop
	bound     bool // the privileged part was started, and the member has not been stopped since
	hurry     bool // the undoing of a start is being given up
	reloading bool // Reload of the member was called, and its result is not there

	binding  *deferred.Deferred[None]   // of StartPrivileged; nil: it is not in progress
	starting *deferred.Deferred[None]   // of Start; nil: the call of the member has not returned
	stopping *deferred.Deferred[None]   // of Stop
	next     *deferred.Deferred[None]   // of a Start in state Stopping
	abort    *deferred.Deferred[None]   // of a Stop inside the call of the member
	reloads  []*deferred.Deferred[None] // wait for the end of a reload
}

// New makes a service without name and parent, which does not run (SVC-1). A nil m does nothing.
func New(r *reactor.Reactor, m Member) *Service {
	s := new(Service)
	s.init(r, m)
	return s
}

func (s *Service) init(r *reactor.Reactor, m Member) {
	if r == nil {
		panic("service: New without a Reactor")
	}
	s.r, s.member = r, m
}

// Named is New with a name.
func Named(r *reactor.Reactor, name string, m Member) *Service {
	s := New(r, m)
	s.name = name
	return s
}

// Name is the name; empty if there is none.
func (s *Service) Name() string { return s.name }

// SetName sets the name, or removes it if it is empty. It fails with ErrHasParent while there is a parent (SVC-2).
func (s *Service) SetName(name string) error {
	if s.parent != nil {
		return fmt.Errorf("service %s: name %q: %w", s.Path(), name, ErrHasParent)
	}
	s.name = name
	return nil
}

// Parent is the collection that has the service; nil if none has.
func (s *Service) Parent() *Collection { return s.parent }

// Path is the name, behind those of the collections around it: "app/db". A service without a name is "?".
func (s *Service) Path() string {
	name := s.name
	if name == "" {
		name = "?"
	}
	if s.parent == nil {
		return name
	}
	return s.parent.Path() + "/" + name
}

// State is what the service is doing.
func (s *Service) State() State { return s.state }

// Running tells whether the state is Running.
func (s *Service) Running() bool { return s.state == Running }

// Reactor is the reactor of the service.
func (s *Service) Reactor() *reactor.Reactor { return s.r }

// StartPrivileged starts the privileged part, if the member is [Privileged] and that part was not started already. Start does so too; a program that drops its privileges
// between the two calls it first.
func (s *Service) StartPrivileged() *deferred.Deferred[None] {
	p, ok := s.member.(Privileged)
	if !ok || s.bound {
		return deferred.Of(s.r, None{})
	}
	if s.binding == nil {
		b := deferred.New[None](s.r, nil)
		s.binding = b
		d := own(b)
		b.Follow(deferred.Transform(s.call(p.StartPrivileged), func(_ None, err error) *deferred.Deferred[None] {
			s.bound, s.binding = err == nil, nil
			return s.outcome("start", err)
		}))
		return d
	}
	return own(s.binding)
}

// Start starts the member, its privileged part first. The result comes when it runs, or fails with an [*Error]. Then nothing of it runs. Giving the result up
// gives up the start.
//
// If the service is stopping, it is started when it has stopped (SVC-23). If it is starting or running, the result fails with ErrStarted.
func (s *Service) Start() *deferred.Deferred[None] {
	switch s.state {
	case Starting, Running:
		return s.outcome("start", ErrStarted)
	case Stopping:
		if s.next == nil {
			s.next = deferred.New(s.r, func(*deferred.Deferred[None]) { s.next = nil })
		}
		return own(s.next)
	}
	return s.begin()
}

// ensure starts s for its collection, unless it was started by itself, and waits for a start in progress.
func (s *Service) ensure() *deferred.Deferred[None] {
	switch {
	case s.state == Running:
		return deferred.Of(s.r, None{})
	case s.state == Starting && s.starting != nil:
		return own(s.starting)
	}
	return s.Start()
}

func (s *Service) begin() *deferred.Deferred[None] {
	s.state, s.starting, s.undone = Starting, nil, false
	both := deferred.Chain(s.StartPrivileged(), func(None) *deferred.Deferred[None] {
		switch {
		case s.undone: // the privileged part was started nevertheless
			return deferred.Failed[None](s.r, reactor.ErrCancelled)
		case s.member == nil:
			return deferred.Of(s.r, None{})
		}
		return s.call(s.member.Start)
	})
	s.starting = deferred.Transform(both, func(_ None, err error) *deferred.Deferred[None] { return s.started(err) })
	d := own(s.starting)
	if a := s.abort; a != nil {
		s.abort = nil
		a.Follow(s.Stop())
	}
	return d
}

// started is called with the outcome of a start. A privileged part whose rest could not be started is ended again.
func (s *Service) started(err error) *deferred.Deferred[None] {
	switch {
	case err == nil:
		s.state = Running
		return deferred.Of(s.r, None{})
	case s.bound:
		return deferred.Transform(s.undoing(s.end()), func(_ None, second error) *deferred.Deferred[None] {
			return s.outcome("start", join(err, second))
		})
	}
	s.state = Stopped
	return s.outcome("start", err)
}

// Stop stops the member. The result comes when it has stopped, and fails with an [*Error] if the member has failed to; the service counts as
// stopped even then. A start in progress is given up, and one that waits for an earlier stop as well. On a service that has stopped, or was
// never started, the result is there at once (SVC-18).
func (s *Service) Stop() *deferred.Deferred[None] {
	switch s.state {
	case Stopped:
		if b := s.binding; b != nil {
			b.Cancel()
			return s.stopUndone(b)
		}
		if !s.bound {
			return deferred.Of(s.r, None{})
		}
	case Starting:
		return s.stopStarting()
	case Stopping:
		if n := s.next; n != nil {
			s.next = nil
			n.Fail(&Error{"start", s.Path(), reactor.ErrCancelled})
		}
		return own(s.stopping)
	}
	return s.end()
}

// stopStarting gives up a start in progress, and stops what has come of it nevertheless.
func (s *Service) stopStarting() *deferred.Deferred[None] {
	if s.starting == nil {
		if s.abort == nil {
			s.abort = deferred.New[None](s.r, nil)
		}
		return own(s.abort)
	}
	d := s.starting
	if !s.undone { // a second time would give up the undoing
		s.undone = true
		d.Cancel()
	}
	return s.stopUndone(d)
}

// stopUndone stops s when d, a start that was given up, is there and has been undone. It fails also with what could not be stopped in that.
func (s *Service) stopUndone(d *deferred.Deferred[None]) *deferred.Deferred[None] {
	return deferred.Transform(d, func(_ None, err error) *deferred.Deferred[None] {
		if _, there := d.Outcome(); !there { // this stop was given up
			return s.stopUndoing(d)
		}
		failed := notStopped(err)
		return deferred.Transform(s.Stop(), func(_ None, second error) *deferred.Deferred[None] {
			return s.outcome("stop", join(failed, second))
		})
	})
}

// stopUndoing gives up the undoing of d, a start. It fails with what has not stopped because of that.
func (s *Service) stopUndoing(d *deferred.Deferred[None]) *deferred.Deferred[None] {
	s.hurry = true
	d.Cancel()
	s.hurry = false
	failed := error(reactor.ErrCancelled)
	if o, there := d.Outcome(); there && notStopped(o.Err) != nil {
		failed = notStopped(o.Err)
	}
	return s.outcome("stop", failed)
}

// undoing returns the outcome of d, a stop that undoes a start of s. Who gives up the start wants just that, so d is given up by stopUndoing alone, of s or of a
// collection around it.
func (s *Service) undoing(d *deferred.Deferred[None]) *deferred.Deferred[None] {
	return noting(d, func() {
		hurry := s.hurry
		for c := s.parent; c != nil; c = c.parent {
			hurry = hurry || c.hurry
		}
		if hurry {
			d.Cancel()
		}
	})
}

// notStopped returns what of err, the failure of a start, says that something could not be stopped again; nil: nothing does.
func notStopped(err error) (failed error) {
	switch e := err.(type) {
	case *Error:
		if e.Op == "stop" {
			return e
		}
		return notStopped(e.Err)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			failed = join(failed, notStopped(one))
		}
	}
	return failed
}

// end calls the member's Stop.
func (s *Service) end() *deferred.Deferred[None] {
	s.state, s.bound = Stopping, false
	stopping := deferred.New[None](s.r, nil)
	s.stopping = stopping // a Stop in the call of the member waits for it, too
	d := own(stopping)
	done := deferred.Of(s.r, None{})
	if s.member != nil {
		done = s.call(s.member.Stop)
	}
	stopping.Follow(deferred.Transform(done, func(_ None, err error) *deferred.Deferred[None] {
		s.state = Stopped
		if n := s.next; n != nil {
			s.next = nil
			n.Follow(s.begin())
		}
		return s.outcome("stop", err)
	}))
	return d
}

// call calls a method of the member.
func (s *Service) call(fn func() *deferred.Deferred[None]) (d *deferred.Deferred[None]) {
	if e := s.r.Guard("service "+s.name, func() { d = fn() }); e != nil {
		return deferred.Failed[None](s.r, e)
	}
	if d == nil {
		return deferred.Of(s.r, None{})
	}
	return d
}

// outcome is a result that is there. An error that names a service stays as it is.
func (s *Service) outcome(op string, err error) *deferred.Deferred[None] {
	if err == nil {
		return deferred.Of(s.r, None{})
	}
	if _, ok := errors.AsType[*Error](err); !ok {
		err = &Error{op, s.Path(), err}
	}
	return deferred.Failed[None](s.r, err)
}

// own returns a result of the caller's own with the outcome of d.
func own(d *deferred.Deferred[None]) *deferred.Deferred[None] {
	o := deferred.New[None](d.Reactor(), nil)
	o.Follow(d)
	return o
}

// join joins two errors. If only one is non-nil, it is returned as it is.
func join(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return errors.Join(a, b)
}

// Func returns a member that calls start and stop, each of which may be nil.
func Func(r *reactor.Reactor, start, stop func() error) Member { return funcs{r, start, stop} }

type funcs struct {
	r           *reactor.Reactor
	start, stop func() error
}

func (f funcs) Start() *deferred.Deferred[None] { return f.call(f.start) }

func (f funcs) Stop() *deferred.Deferred[None] { return f.call(f.stop) }

func (f funcs) call(fn func() error) *deferred.Deferred[None] {
	if fn == nil {
		return nil
	}
	return deferred.Call(f.r, func() (None, error) { return None{}, fn() })
}
