package service

import (
	"slices"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// The defaults of [PoolConfig].
const (
	DefaultPoolSize = 4
	DefaultWaiting  = 1024
)

// PoolConfig are the options of a [Pool]. Nil and the zero value are the defaults.
type PoolConfig struct {
	// ClientConfig is that of each client. Changed is called for each of them; the pool does not say for which.
	ClientConfig
	// Size is the number of clients. Zero: DefaultPoolSize; negative panics.
	Size int
	// MaxWaiting is how many may wait in Acquire. Zero: DefaultWaiting; negative: nobody.
	MaxWaiting int
}

// Pool keeps several connections to one place, and lends each to one at a time. Each is that of a [Client], which connects again. A Pool is a [Member], and for the
// goroutine of its reactor's loop. [NewPool] makes one.
type Pool struct {
	r          *reactor.Reactor
	clients    []*Client
	idle       []*Client // connected and not lent, the one that has been so longest first
	leases     []*Lease  // by client; nil: not lent
	waiting    []*deferred.Deferred[*Lease]
	maxWaiting int
	gaveUp     error // the last error, after which the policies of all clients have given up; nil: they have not
	calls      int   // of Start and Stop
}

// Lease is a connection that a [Pool] has lent.
type Lease struct {
	p     *Pool
	i     int
	proto reactor.Protocol
	state leaseState
}

type leaseState uint8

const (
	lent leaseState = iota
	released
	lost // while it was lent
)

// NewPool makes a pool of clients that connect to at, with the protocols of f. A nil config is the defaults.
func NewPool(r *reactor.Reactor, at endpoint.Client, f reactor.Factory, config *PoolConfig) *Pool {
	var c PoolConfig
	if config != nil {
		c = *config
	}
	size := orDefault(c.Size, DefaultPoolSize)
	if size < 0 {
		panic("service: a Pool of less than no clients")
	}
	p := &Pool{r: r, maxWaiting: orDefault(c.MaxWaiting, DefaultWaiting), leases: make([]*Lease, size)}
	for i := range size {
		one := c.ClientConfig
		one.Changed = func(s ClientState, err error) {
			defer p.changed(i, err) // also if Changed panics
			if c.Changed != nil {
				c.Changed(s, err)
			}
		}
		p.clients = append(p.clients, NewClient(r, at, f, &one))
	}
	return p
}

// Clients returns the clients. The slice is the caller's. They must not be started or stopped but by the pool.
func (p *Pool) Clients() []*Client { return slices.Clone(p.clients) }

// Idle is how many connections can be lent now.
func (p *Pool) Idle() int { return len(p.idle) }

// Waiting is how many wait in Acquire.
func (p *Pool) Waiting() int { return len(p.waiting) }

// Start starts all clients, and does not wait for their connections. The result is nil.
func (p *Pool) Start() *deferred.Deferred[None] {
	p.gaveUp = nil
	p.calls++
	now := p.calls
	for _, c := range p.clients {
		if p.calls != now {
			break // stopped in Changed
		}
		c.Start()
	}
	return nil
}

// Stop stops all clients, also those whose connections are lent. Whoever waits in Acquire gets reactor.ErrCancelled. The result comes when all connections are
// gone. If it is given up, they are aborted.
func (p *Pool) Stop() *deferred.Deferred[None] {
	p.calls++
	p.gaveUp = nil
	var ds []*deferred.Deferred[None]
	for _, c := range p.clients {
		if d := c.Stop(); d != nil {
			ds = append(ds, d)
		}
	}
	p.fail(reactor.ErrCancelled) // who asks again in the answer finds no client that runs
	return deferred.Then(deferred.All(p.r, ds...), func(outcomes []deferred.Outcome[None]) (None, error) {
		var err error
		for _, o := range outcomes {
			err = join(err, o.Err)
		}
		return None{}, err
	})
}

// Acquire lends a connection: at once, if one is idle, and else when one is, in the order of asking. Who has got it gives it back by [Lease.Release]. A connection that
// is lost is not lent any more, and its client makes another one.
//
// It fails with deferred.ErrTooManyWaiting, with reactor.ErrCancelled when the pool stops or has stopped, and with the last error when the policy of all
// clients gives up or has given up. [deferred.Deferred.Timeout] limits the wait. Giving the result up leaves the queue.
func (p *Pool) Acquire() *deferred.Deferred[*Lease] {
	at := slices.IndexFunc(p.idle, func(c *Client) bool { return c.Connected() != nil }) // another is in its ConnectionLost
	switch {
	case at >= 0:
		c := p.idle[at]
		p.idle = slices.Delete(p.idle, at, at+1)
		return deferred.Of(p.r, p.lend(slices.Index(p.clients, c)))
	case p.calls > 0 && p.stopped():
		return deferred.Failed[*Lease](p.r, orCancelled(p.gaveUp))
	case len(p.waiting) >= p.maxWaiting:
		return deferred.Failed[*Lease](p.r, deferred.ErrTooManyWaiting)
	}
	d := deferred.New(p.r, func(d *deferred.Deferred[*Lease]) {
		if i := slices.Index(p.waiting, d); i >= 0 {
			p.waiting = slices.Delete(p.waiting, i, i+1)
		}
	})
	p.waiting = append(p.waiting, d)
	return d
}

// lend lends the connection of client i.
func (p *Pool) lend(i int) *Lease {
	l := &Lease{p: p, i: i, proto: p.clients[i].Connected()}
	p.leases[i] = l
	return l
}

// changed is called with each new state of client i.
func (p *Pool) changed(i int, err error) {
	c := p.clients[i]
	if c.State() == ClientConnected {
		p.offer(i)
		return
	}
	if l := p.leases[i]; l != nil {
		l.state = lost
		p.leases[i] = nil
	}
	if at := slices.Index(p.idle, c); at >= 0 {
		p.idle = slices.Delete(p.idle, at, at+1)
	}
	if err != nil && p.stopped() {
		p.gaveUp = err
		p.fail(err)
	}
}

// offer lends the connection of client i to who has waited longest, or keeps it.
func (p *Pool) offer(i int) {
	if len(p.waiting) == 0 {
		p.idle = append(p.idle, p.clients[i])
		return
	}
	next := p.waiting[0]
	p.waiting = slices.Delete(p.waiting, 0, 1)
	next.Succeed(p.lend(i))
}

// stopped tells whether no client will connect.
func (p *Pool) stopped() bool {
	return !slices.ContainsFunc(p.clients, func(c *Client) bool {
		return c.State() != ClientStopped && c.State() != ClientClosing
	})
}

// fail ends the waiting of all.
func (p *Pool) fail(err error) {
	waiting := p.waiting
	p.waiting = nil
	for _, d := range waiting {
		if _, given := d.Outcome(); !given {
			d.Fail(err)
		}
	}
}

// Protocol is the protocol of the connection, as the factory has built it.
func (l *Lease) Protocol() reactor.Protocol { return l.proto }

// Lost tells whether the connection was lost, or is being closed, since it was lent and before Release. It holds from ConnectionLost of
// the protocol on, inside of it too.
func (l *Lease) Lost() bool {
	return l.state == lost || l.state == lent && l.p.clients[l.i].Connected() == nil
}

// Release gives the connection back. It goes to who has waited longest, inside the call. After a loss, and the second time, Release does nothing.
func (l *Lease) Release() {
	if l.state != lent {
		return
	}
	l.p.leases[l.i] = nil
	if l.p.clients[l.i].Connected() == nil { // in its ConnectionLost, for instance
		l.state = lost
		return
	}
	l.state = released
	l.p.offer(l.i)
}
