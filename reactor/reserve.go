package reactor

import (
	"errors"
	"log/slog"

	"github.com/whorl-go/whorl/kernel"
)

// reserve is a spare descriptor, shared by all ports of a reactor. When none is left, it is
// closed, so that a waiting connection can be accepted and closed (TCP-22).
type reserve struct {
	r    *Reactor
	k    kernel.Reserver
	held bool
	lost LogLimit // it cannot be taken
}

func (v *reserve) init(r *Reactor) {
	v.r = r
	v.k = r.caps.reserver
}

// hold takes the reserve if it is not held. If no descriptor is left for it, hold logs that
// and returns nil (TCP-23).
func (v *reserve) hold() error {
	if v.k == nil || v.held {
		return nil
	}
	err := v.k.Reserve()
	if errors.Is(err, kernel.ErrTooManyFiles) {
		v.lost.Log(v.r, v.r.log, slog.LevelWarn, "no descriptor left to hold in reserve", slog.Any("err", err))
		return nil
	}
	v.held = err == nil
	return err
}

// overflow is called when a client waits and no descriptor is left. It gives up the reserve,
// accepts and closes the clients that wait, and takes the reserve back. So the clients
// learn of it, and the loop does not spin (TCP-21). Each is counted, and the log is told at a
// limited rate.
func (p *Port) overflow() {
	defer p.shortage()()
	v := &p.r.reserve
	v.k.Release()
	v.held = false
	var closed []kernel.Addr // logged when the reserve is back, because a log may open files (TCP-24)
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
		v.lost.Log(p.r, p.r.log, slog.LevelError, "could not take the reserve descriptor back", slog.Any("err", err))
	}
	for _, a := range closed {
		p.stats.Accepted++
		p.stats.Refused++
		p.r.stats.Accepted++
		p.r.stats.Refused++
		p.refusalLog.Log(p.r, p.r.log, slog.LevelWarn, "closed a connection for want of descriptors",
			slog.Any("on", p.addr), slog.Any("peer", a))
	}
	switch {
	case len(closed) > 0:
		p.failures = 0
	case failure != kernel.ErrAgain:
		p.logFailure(failure)
		p.pause()
	}
}
