package whorl

import (
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// drain lets the connections of a reactor end by themselves for a limited time, and then
// aborts them. It runs before the reactor's own shutdown, which waits for it.
type drain struct {
	r     *reactor.Reactor
	g     *reactor.Group // all loops drain; nil: r alone
	grace time.Duration  // zero: none
	// rest is called with the transport of each connection whose protocol is no Drainer.
	// Nil: these connections go on.
	rest func(reactor.Transport)

	going   *reactor.Drain             // from begin on
	group   atomic.Pointer[groupDrain] // the same of a group
	cut     func()                     // called by cutShort, if set: what waits for something else than connections
	because string                     // why begin must abort what is there at once; "": it need not
	over    bool                       // no connection is left
}

func (d *drain) init(r *reactor.Reactor, grace time.Duration) {
	d.r, d.grace = r, grace
	if grace == 0 {
		d.because = "there is no time for it"
	}
}

// begin starts draining. done is called once no connection is left, in begin if there is none.
func (d *drain) begin(done func()) {
	if d.g != nil {
		d.beginGroup(done)
		return
	}
	if d.r.Stats().Connections == 0 {
		d.over = true
		done()
		return
	}
	d.going = d.r.Drain(reactor.DrainConfig{Ask: d.tell, Limit: d.limit(), Done: func(int) {
		d.over = true
		done()
	}})
	if d.because != "" {
		d.going.Cut(d.because)
	}
}

// limit is the grace as DrainConfig has it.
func (d *drain) limit() time.Duration {
	if d.grace == 0 {
		return -1
	}
	return d.grace
}

// cutShort ends the grace, also before begin.
func (d *drain) cutShort(because string) {
	if d.because = because; d.going != nil {
		d.going.Cut(because)
	}
	if x := d.group.Load(); x != nil {
		x.cut(because)
	}
	if d.cut != nil {
		d.cut()
	}
}

// tell asks a connection to end.
func (d *drain) tell(s *reactor.Stream) {
	if p, ok := reactor.DrainerOf(s); ok {
		p.Drain()
	} else if d.rest != nil {
		d.rest(reactor.Top(s))
	}
}
