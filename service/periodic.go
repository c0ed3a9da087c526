package service

import (
	"errors"
	"log/slog"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
)

// Periodic repeats a call while it runs: first at its start, and then each interval, as a [LoopingCall] does (SVC-14). A call that fails is logged and ends the
// repetition, until the next start. It is a [Member], and for the goroutine of its reactor's loop. [NewPeriodic] makes one.
type Periodic struct {
	r        *reactor.Reactor
	interval time.Duration
	calls    *LoopingCall
	end      *deferred.Deferred[None]
}

// NewPeriodic makes a service that calls fn each interval. fn and the interval are those of [NewLoopingCall] and [LoopingCall.Start].
func NewPeriodic(r *reactor.Reactor, interval time.Duration, fn func(count int) *deferred.Deferred[None]) *Periodic {
	return &Periodic{r: r, interval: interval, calls: NewLoopingCall(r, fn)}
}

// Start makes the first call.
func (p *Periodic) Start() *deferred.Deferred[None] {
	end := deferred.New[None](p.r, nil)
	p.end = end // for a Stop in the first call, which is made here
	end.Follow(p.calls.Start(p.interval, true).Catch(func(err error) (None, error) {
		switch {
		case !errors.Is(err, reactor.ErrCancelled):
			p.r.Logger().Error("a call that is repeated has failed, and is not repeated any more", slog.Any("err", err))
		case p.calls.Busy(): // Stop was given up, and the call goes on
			return None{}, err
		}
		return None{}, nil
	}))
	return nil
}

// Stop ends the repetition. The result comes when the call in progress is done, and succeeds even if that fails (SVC-14). If it is given up, that call is not
// waited for, and it fails with reactor.ErrCancelled.
func (p *Periodic) Stop() *deferred.Deferred[None] {
	if p.calls.Running() {
		p.calls.Stop()
	}
	return own(p.end)
}

// Loop is the looping call, which tells whether a call is in progress, and whose interval can be changed.
func (p *Periodic) Loop() *LoopingCall { return p.calls }
