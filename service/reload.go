package service

import (
	"errors"
	"slices"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
)

// Reloader is a [Member] that can read its configuration again while it runs.
type Reloader interface {
	// Reload reads the configuration again. It is called while the member runs, and not again before its result has come. If the result fails, the member goes on
	// with what it had. A nil result means that all is done.
	Reload() *deferred.Deferred[None]
}

// Reload has the member read its configuration again, if it runs and is a [Reloader]; a collection does so with its services, one after the other in their order. The
// result fails with an [*Error] for each that has failed, which does not keep the others (SVC-29). Giving it up gives up the reload in progress, and begins no other. A reload during
// another one begins when that is over.
func (s *Service) Reload() *deferred.Deferred[None] {
	m, ok := s.member.(Reloader)
	if !ok || s.state != Running {
		return deferred.Of(s.r, None{})
	}
	if s.reloading {
		d := deferred.New[None](s.r, nil)
		s.reloads = append(s.reloads, d)
		return d
	}
	s.reloading = true
	return deferred.Transform(s.call(m.Reload), func(_ None, err error) *deferred.Deferred[None] {
		s.reloaded()
		return s.outcome("reload", err)
	})
}

// reloaded begins the reloads that wait for the end of one.
func (s *Service) reloaded() {
	waiting := s.reloads
	s.reloads, s.reloading = nil, false
	for _, d := range waiting {
		if _, givenUp := d.Outcome(); !givenUp {
			d.Follow(s.Reload())
		}
	}
}

// Reload has all services reload, in their order.
func (m *members) Reload() *deferred.Deferred[None] {
	return m.reloadFrom(slices.Clone(m.services), nil)
}

// reloadFrom goes on with the next service. It is a loop for those that are done at once.
func (m *members) reloadFrom(left []*Service, failed []error) *deferred.Deferred[None] {
	for i, s := range left {
		d := s.Reload()
		o, ok := d.Outcome()
		if !ok {
			givenUp := false
			noted := noting(d, func() { givenUp = true; d.Cancel() })
			return deferred.Transform(noted, func(_ None, err error) *deferred.Deferred[None] {
				rest := left[i+1:]
				switch {
				case err != nil:
					failed = append(failed, err)
				case givenUp && len(rest) > 0:
					failed = append(failed, reactor.ErrCancelled)
				}
				if givenUp {
					rest = nil
				}
				return m.reloadFrom(rest, failed)
			})
		}
		if o.Err != nil {
			d.Ignore()
			failed = append(failed, o.Err)
		}
	}
	if err := errors.Join(failed...); err != nil {
		return deferred.Failed[None](m.r, err)
	}
	return deferred.Of(m.r, None{})
}
