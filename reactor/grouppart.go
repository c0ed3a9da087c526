package reactor

import (
	"log/slog"
	"sync"
	"time"
)

// portPart is what a GroupPort has of a Port: a listener, or only the connections that another loop has accepted for it.
type portPart struct {
	of      *GroupPort
	index   int
	port    *Port
	state   partState // under Group.mu
	listens bool
	hands   bool        // what it accepts goes to the least loaded loop
	again   DelayedCall // tries to listen again
	tries   int         // to listen, that failed; for its loop

	mu     sync.Mutex
	counts PortStats // of port, for other goroutines
}

// partState is the life of a part, from when its loop has begun to open it until its loop has ended.
type partState uint8

const (
	partOpening partState = iota // its loop is about to listen
	partOpen                     // it listens, waits for what another loop accepts, or tries again later
	partClosing                  // StopListening is in progress
	partClosed                   // it serves connections that it has, and takes no more
)

// publish lets other goroutines see the counters of a port of a group.
func (p *Port) publish() {
	if p.part == nil {
		return
	}
	p.part.mu.Lock()
	p.part.counts = p.stats
	p.part.mu.Unlock()
}

// startFactory starts the factory, unless the group has done so.
func (p *Port) startFactory() error {
	if p.part != nil {
		return nil
	}
	return p.r.startFactory(p.factory, useLoop)
}

// stopFactory is the reverse of startFactory.
func (p *Port) stopFactory() error {
	if p.part != nil {
		return nil
	}
	return p.r.stopFactory(p.r.factories, p.factory, useLoop)
}

func (t *portPart) stats() PortStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

// longestRetry is the longest time after which a loop that could not listen tries again.
const longestRetry = 10 * time.Second

// tryAgain has r, which could not listen, attend again later. The reason may pass: a descriptor may be free then, or the address.
func (p *GroupPort) tryAgain(r *Reactor, err error) {
	p.g.mu.Lock()
	part := p.parts[r.member.index]
	p.g.mu.Unlock()
	if part == nil {
		return // the loop was left behind meanwhile
	}
	d := min(acceptPause<<min(part.tries, 10), longestRetry)
	part.tries++
	part.again.Reset(d)
	r.log.Error("a loop does not listen with the others, and tries again", slog.Any("on", p.addr), slog.Duration("in", d), slog.Any("err", err))
}
