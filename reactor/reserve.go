package reactor

import (
	"errors"
	"log/slog"

	"github.com/whorl-go/whorl/kernel"
)

// reserve is the descriptor kept in hand for the day when none are left, shared
// by all ports of a reactor (TCP-22).
type reserve struct {
	r    *Reactor
	k    kernel.Reserver
	held bool
}

func (v *reserve) init(r *Reactor) {
	v.r = r
	v.k = r.caps.reserver
}

// hold takes the reserve if it is not held. Having no descriptor left for it is
// logged and no failure (TCP-23).
func (v *reserve) hold() error {
	if v.k == nil || v.held {
		return nil
	}
	err := v.k.Reserve()
	if errors.Is(err, kernel.ErrTooManyFiles) {
		v.r.log.Warn("no descriptor left to hold in reserve", slog.Any("err", err))
		return nil
	}
	v.held = err == nil
	return err
}

// overflow is what a port does when a client waits and no descriptor is left: it
// gives up the reserve, and with it accepts and closes the clients that wait, so
// that they know and the loop does not spin (TCP-21).
func (p *Port) overflow() {
	v := &p.r.reserve
	v.k.Release()
	v.held = false
	var closed []kernel.Addr // told after the reserve is back: a log may open files (TCP-24)
	var failure error
	for range p.allowance {
		conn, err := p.listener.Accept()
		if err != nil {
			failure = err
			break
		}
		closed = append(closed, conn.Remote())
		conn.Abort()
	}
	err := v.k.Reserve()
	v.held = err == nil
	if err != nil {
		p.r.log.Error("could not take the reserve descriptor back", slog.Any("err", err))
	}
	for _, a := range closed {
		p.stats.Accepted++
		p.stats.Refused++
		p.r.stats.Accepted++
		p.r.stats.Refused++
		p.r.log.Warn("closed a connection for want of descriptors", slog.Any("on", p.addr), slog.Any("peer", a))
	}
	if len(closed) == 0 && failure != kernel.ErrAgain {
		p.pause()
	}
}
