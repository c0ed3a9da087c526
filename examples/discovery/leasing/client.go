package leasing

import (
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
)

const (
	// patience is how long a client waits for an answer before it sends the request again.
	patience = 250 * time.Millisecond
	// silent is after how many requests without an answer it looks for the server again.
	silent = 4
	// margin is the part of a lease that a client gives up, because clocks run at different rates.
	margin = Term / 10
	// maxServers is how many servers a client remembers besides those of its leases: everybody can announce as many as he likes.
	maxServers = 64
)

// Client finds servers and has leases.
type Client struct {
	// ID is the client's name: one word (see [Plain]). No other client may ever have it, not even the same program after
	// it was started again.
	ID string
	// Interface is that of Server.
	Interface string
	// Random spreads what clients do over time.
	Random retry.Source

	r       *reactor.Reactor
	asks    *reactor.PacketPort
	hears   *reactor.PacketPort
	servers map[string]kernel.Addr
	leases  []*Lease
	number  uint64
}

// Lease is a client's wish to have a name, and its lease if it has one.
type Lease struct {
	c            *Client
	server, name string
	changed      func(held bool)
	request      Message // not answered yet; its Kind is empty if there is none
	made         time.Duration
	tries        int
	until        time.Duration // by the client's clock
	told         bool          // what changed was told last
	released     bool
	over         bool // the server knows that it is released, or has forgotten it
	timer        reactor.DelayedCall
	expiry       reactor.DelayedCall
}

// Start opens the client's ports on r. It may be called once.
func (c *Client) Start(r *reactor.Reactor) (err error) {
	c.r, c.servers = r, map[string]kernel.Addr{}
	c.asks, c.hears, err = open(r, c.Interface, &hears{c}, &hears{c})
	return err
}

// Lease begins to get the name from that server, and to keep it. changed is called when the client has it, and when it has not any
// more. It may be nil.
func (c *Client) Lease(server, name string, changed func(held bool)) *Lease {
	l := &Lease{c: c, server: server, name: name, changed: changed}
	l.timer.Init(c.r, l.act)
	l.expiry.Init(c.r, l.tell)
	c.leases = append(c.leases, l)
	l.ask(Ask)
	return l
}

// Holds tells whether the client has the name now.
func (l *Lease) Holds() bool { return !l.released && l.c.r.Now() < l.until }

// Release gives the name back. The client does not have it any more when Release returns; the server learns of it
// sooner or later. changed is not called again.
func (l *Lease) Release() {
	if l.released {
		return
	}
	l.released, l.until, l.changed = true, 0, nil
	l.expiry.Cancel()
	l.ask(Release)
}

// Over tells whether the server knows that the name was given back, or must have forgotten who had it.
func (l *Lease) Over() bool { return l.over }

// ask makes a request, and sends it.
func (l *Lease) ask(kind string) {
	c := l.c
	c.number++
	l.request = Message{Kind: kind, Server: l.server, Client: c.ID, Number: c.number, Name: l.name}
	l.made, l.tries = c.r.Now(), 0
	l.act()
}

// act sends the request that is not answered yet, or makes the next one.
func (l *Lease) act() {
	c := l.c
	switch {
	case l.request.Kind == "" && l.Holds():
		l.ask(Renew)
		return
	case l.request.Kind == "":
		l.ask(Ask)
		return
	case l.released && c.r.Now()-l.made > 2*Term:
		l.end() // the lease has run out at the server
		return
	case l.request.Kind != Release && c.r.Now()-l.made > Term/2:
		// An answer would grant too little.
		l.request.Kind = ""
		l.act()
		return
	}
	to, known := c.servers[l.server]
	if l.tries++; l.tries > 1 {
		c.r.Sometimes("a request is repeated", true)
	}
	if !known || l.tries > silent {
		send(c.asks, &Message{Kind: Find, Server: l.server}, Group())
	}
	if known {
		send(c.asks, &l.request, to)
	}
	l.timer.Reset(c.spread(patience))
}

// end forgets a lease that was released.
func (l *Lease) end() {
	l.over = true
	l.timer.Cancel()
	c := l.c
	for i, x := range c.leases {
		if x == l {
			c.leases = append(c.leases[:i], c.leases[i+1:]...)
			break
		}
	}
}

// wants tells whether a lease is of that server.
func (c *Client) wants(server string) bool {
	return slices.ContainsFunc(c.leases, func(l *Lease) bool { return l.server == server })
}

// spread is d, or up to half longer.
func (c *Client) spread(d time.Duration) time.Duration {
	return d + time.Duration(c.Random.Float64()*float64(d)/2)
}

// tell calls changed, if there is something new.
func (l *Lease) tell() {
	holds := l.Holds()
	if holds {
		l.expiry.Reset(l.until - l.c.r.Now())
	} else {
		l.expiry.Cancel()
	}
	if holds != l.told {
		l.told = holds
		if l.changed != nil {
			l.changed(holds)
		}
	}
}

// answered takes the answer to the request that waits for one.
func (l *Lease) answered(m *Message) {
	l.request.Kind = ""
	if l.released {
		l.end()
		return
	}
	next := patience
	switch m.Kind {
	case Held:
		l.until = l.made + m.Span - margin
		next = Term / 3
	case Taken:
		l.c.r.Sometimes("a name is taken", true)
		next = min(max(m.Span, patience), Beat)
	case Freed: // the server was started again, or has waited too long for us
		l.until = 0
	}
	l.timer.Reset(l.c.spread(next))
	l.tell()
}

// hears gets answers and announcements.
type hears struct{ c *Client }

func (h *hears) StartProtocol(reactor.PacketTransport) {}
func (h *hears) StopProtocol(error)                    {}

func (h *hears) DatagramReceived(p []byte, from kernel.Addr) {
	c := h.c
	m, ok := Parse(p)
	switch {
	case !ok:
		return
	case m.Kind == Here:
		was, known := c.servers[m.Server]
		if known && was != from {
			c.r.Sometimes("a server has moved", true)
		}
		if known || len(c.servers) < maxServers || c.wants(m.Server) {
			c.servers[m.Server] = from
		}
		return
	case m.Client != c.ID || m.Kind != Held && m.Kind != Taken && m.Kind != Freed:
		return
	}
	for _, l := range c.leases {
		if l.request.Kind != "" && l.request.Number == m.Number {
			l.answered(&m)
			return
		}
	}
	c.r.Sometimes("an answer comes late or twice", true)
}
