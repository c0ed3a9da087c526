package service

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
)

const (
	// DefaultStartLimit is the limit of StartWithin, unless another one is given.
	DefaultStartLimit = time.Minute
	// DefaultStopLimit is the StopLimit of a [Collection] that has none.
	DefaultStopLimit = 30 * time.Second
)

// Collection is a service of services. It starts them in the order in which they were added, and stops them in the reverse order. It is for the
// goroutine of its reactor's loop. [NewCollection] makes one.
type Collection struct {
	Service
	// StopLimit is how long the services have to stop, by the reactor's clock. After that they are given up, and the stop fails with ErrStopLimit for
	// each of them. Zero: DefaultStopLimit; negative: no limit. A collection inside another one has the limits of both.
	StopLimit time.Duration

	services []*Service
	names    map[string]*Service
	at       int // in a start: the next service to start
}

// NewCollection makes an empty collection, which does not run. name may be empty.
func NewCollection(r *reactor.Reactor, name string) *Collection {
	c := &Collection{names: make(map[string]*Service)}
	c.init(r, (*members)(c))
	c.name = name
	return c
}

// Add gives s the parent c (SVC-3). If s has another parent, it is first removed from that, which stops it if it runs. If c runs, s is started at once,
// and the result comes when that is done (SVC-9); otherwise it is there. A result that fails means that s was not started; it is in the collection
// nevertheless, unless the error is ErrDuplicate. Then nothing has changed (SVC-4).
//
// Add panics if s belongs to another reactor, or has c in it.
func (c *Collection) Add(s *Service) *deferred.Deferred[None] {
	for p := &c.Service; ; p = &p.parent.Service {
		if p == s {
			panic("service: a collection is added to itself, or to one inside it")
		}
		if p.parent == nil {
			break
		}
	}
	switch {
	case s.r != c.r:
		panic("service: a service is added to a collection of another reactor")
	case s.parent == c:
		return deferred.Of(c.r, None{})
	case s.name != "" && c.names[s.name] != nil:
		return s.outcome("add to "+c.Path(), ErrDuplicate)
	}
	removed := deferred.Of(c.r, None{})
	if s.parent != nil {
		removed = s.parent.Remove(s)
	}
	s.parent = c
	c.services = append(c.services, s)
	if s.name != "" {
		c.names[s.name] = s
	}
	if c.state != Running { // one that is starting comes to s
		return removed
	}
	return deferred.Chain(removed, func(None) *deferred.Deferred[None] {
		if s.parent != c || c.state != Running {
			return deferred.Of(c.r, None{})
		}
		return s.ensure()
	})
}

// Remove takes s out of the collection. s has no parent then. If it runs or starts, it is stopped, and the result is that of the stop (SVC-6). The result fails with
// ErrNoService if s is not there.
func (c *Collection) Remove(s *Service) *deferred.Deferred[None] {
	i := slices.Index(c.services, s)
	if i < 0 {
		return c.outcome("remove", fmt.Errorf("%s: %w", s.Path(), ErrNoService))
	}
	c.services = slices.Delete(c.services, i, i+1)
	if i < c.at {
		c.at--
	}
	if s.name != "" {
		delete(c.names, s.name)
	}
	s.parent = nil
	return s.Stop()
}

// Get returns the service of that name, or ErrNoService (SVC-5).
func (c *Collection) Get(name string) (*Service, error) {
	s := c.names[name]
	if s == nil {
		return nil, fmt.Errorf("service %s: %q: %w", c.Path(), name, ErrNoService)
	}
	return s, nil
}

// Services returns the services in the order in which they were added (SVC-5). The slice is the caller's.
func (c *Collection) Services() []*Service { return slices.Clone(c.services) }

// StartWithin is Start with a limit, by the reactor's clock. After that the start is given up and undone, and the result fails with ErrStartLimit and the name of the service that was
// starting. Zero: DefaultStartLimit; negative: no limit.
func (c *Collection) StartWithin(limit time.Duration) *deferred.Deferred[None] {
	return within(c.Start(), limit)
}

// within is d with the limit of StartWithin.
func within(d *deferred.Deferred[None], limit time.Duration) *deferred.Deferred[None] {
	if limit == 0 {
		limit = DefaultStartLimit
	}
	if _, ok := d.Outcome(); ok || limit < 0 {
		return d
	}
	return d.TimeoutFunc(limit, func(v None, err error) (None, error) {
		if errors.Is(err, reactor.ErrCancelled) {
			err = fmt.Errorf("%w: more than %v: %w", ErrStartLimit, limit, err)
		}
		return v, err
	})
}

// members is a collection as the member of its own service.
type members Collection

// StartPrivileged starts the privileged parts of all services, in their order (SVC-7).
func (m *members) StartPrivileged() *deferred.Deferred[None] {
	return m.each((*Service).StartPrivileged)
}

// Start starts all services, in their order (SVC-7). If one fails, those that were started are stopped again (SVC-10).
func (m *members) Start() *deferred.Deferred[None] { return m.each((*Service).ensure) }

// each calls start of one service after the other, each when the one before has started. If one fails, all are stopped.
func (m *members) each(start func(*Service) *deferred.Deferred[None]) *deferred.Deferred[None] {
	m.at = 0
	return m.eachFrom(start)
}

// eachFrom goes on with the next service. It is a loop for those that start at once. Giving up its result gives up the start in progress, and the result
// comes when what was started is stopped.
func (m *members) eachFrom(start func(*Service) *deferred.Deferred[None]) *deferred.Deferred[None] {
	for m.at < len(m.services) {
		s := m.services[m.at]
		m.at++
		if s.state == Running {
			continue // was started by itself
		}
		d := start(s)
		o, ok := d.Outcome()
		if !ok {
			givenUp := false
			noted := noting(d, func() { givenUp = true; d.Cancel() })
			return deferred.Transform(noted, func(_ None, err error) *deferred.Deferred[None] {
				switch {
				case m.failed(s, err):
					return m.undo(err)
				case givenUp: // s has started nevertheless, or was removed
					return m.undo(reactor.ErrCancelled)
				}
				return m.eachFrom(start)
			})
		}
		if m.failed(s, o.Err) {
			return m.undo(o.Err)
		}
	}
	return deferred.Of(m.r, None{})
}

// noting returns the outcome of d. Each time that it is given up, cancel is called, which may give up d. It waits for d nevertheless.
func noting(d *deferred.Deferred[None], cancel func()) *deferred.Deferred[None] {
	n := deferred.New(d.Reactor(), func(*deferred.Deferred[None]) { cancel() })
	d.Done(func(_ None, err error) {
		if _, there := n.Outcome(); !there {
			n.Give(None{}, err)
		}
	})
	return n.CatchChain(func(error) *deferred.Deferred[None] {
		if _, there := d.Outcome(); !there {
			return noting(d, cancel)
		}
		return own(d)
	})
}

// failed tells whether the start of s has failed. It has not if s was removed meanwhile.
func (m *members) failed(s *Service, err error) bool {
	return err != nil && s.parent == (*Collection)(m)
}

// undo stops what was started. Its result is the failure of the start.
func (m *members) undo(err error) *deferred.Deferred[None] {
	m.at = len(m.services)
	return deferred.Transform(m.undoing(m.Stop()), func(_ None, second error) *deferred.Deferred[None] {
		return deferred.Failed[None](m.r, join(err, second))
	})
}

// Stop stops all services, in the reverse order and all at once (SVC-8). One that fails does not keep the others.
func (m *members) Stop() *deferred.Deferred[None] {
	var ds []*deferred.Deferred[None]
	for _, s := range slices.Backward(slices.Clone(m.services)) {
		if s.state == Stopped && !s.bound && s.binding == nil {
			continue
		}
		ds = append(ds, s.Stop())
	}
	all := deferred.All(m.r, ds...)
	late := false
	if _, ok := all.Outcome(); !ok && m.StopLimit >= 0 {
		limit := m.StopLimit
		if limit == 0 {
			limit = DefaultStopLimit
		}
		all = all.TimeoutFunc(limit, func(v []deferred.Outcome[None], err error) ([]deferred.Outcome[None], error) {
			late = true
			return v, err
		})
	}
	return deferred.Then(all, func(outcomes []deferred.Outcome[None]) (None, error) {
		var errs []error
		for _, o := range outcomes {
			if o.Err != nil {
				errs = append(errs, limited(o.Err, late))
			}
		}
		return None{}, errors.Join(errs...)
	})
}

// limited makes ErrStopLimit of a cancellation by the limit.
func limited(err error, late bool) error {
	if e, ok := errors.AsType[*Error](err); ok && late && errors.Is(err, reactor.ErrCancelled) {
		return &Error{e.Op, e.Path, ErrStopLimit}
	}
	return err
}

// Application is a collection that stops when its reactor does (SVC-11): from its start on, the shutdown of the reactor waits for the stop of its services, as long
// as Config.ShutdownTimeout allows.
type Application struct {
	Collection
	trigger *reactor.Trigger
}

// NewApplication makes an empty application.
func NewApplication(r *reactor.Reactor, name string) *Application {
	a := new(Application)
	a.names = make(map[string]*Service)
	a.init(r, (*members)(&a.Collection))
	a.name = name
	return a
}

// StartWithin is that of a [Collection], for Start of the application.
func (a *Application) StartWithin(limit time.Duration) *deferred.Deferred[None] {
	return within(a.Start(), limit)
}

// Start is that of a [Service]. It also has the shutdown of the reactor wait for Stop.
func (a *Application) Start() *deferred.Deferred[None] {
	if a.trigger == nil {
		a.trigger = a.r.AddWaitTrigger(reactor.Shutdown, func(done func()) {
			a.trigger = nil
			a.Stop().Done(func(_ None, err error) {
				if err != nil {
					a.r.Logger().Error("not all services have stopped in order", "err", err)
				}
				done()
			})
		})
	}
	return a.Service.Start()
}
