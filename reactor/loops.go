package reactor

import "github.com/whorl-go/whorl/kernel"

// Loops is where to listen: a [*Reactor], which is one loop, or a [*Group]. Places of package endpoint take either. It is
// not for other types to implement.
type Loops interface {
	// ListenAt is Listen of the reactor or the group.
	ListenAt(a kernel.Addr, f Factory, o *ListenConfig) (Listening, error)
	// AdoptPortAt is AdoptPort of the reactor or the group.
	AdoptPortAt(fd int, f Factory, o *ListenConfig) (Listening, error)
	// Lead is the reactor itself, or the first loop of the group that lives.
	Lead() *Reactor
	// PostLead posts fn to Lead, and if that loop is lost before it has called fn, to another one of the group.
	PostLead(fn func(r *Reactor))
	// InOne calls fn with the reactor itself, or on one loop of the group, for which it may wait, and returns what fn returns. What there is one
	// of for a place is made in it.
	InOne(fn func(r *Reactor) error) error
	// Len is 1, or how many loops the group has.
	Len() int
}

var (
	_ Loops = (*Reactor)(nil)
	_ Loops = (*Group)(nil)
)

// Listening is a place that is listened on: a [*Port] of one reactor, or a [*GroupPort]. A Port is for the goroutine of its
// loop; a GroupPort is for any goroutine.
type Listening interface {
	// Addr is the address, with the port number that the system chose.
	Addr() kernel.Addr
	// Listening tells whether the place is open.
	Listening() bool
	// Stats returns a copy of the counters.
	Stats() PortStats
	// PauseAccepting and ResumeAccepting are those of a Port.
	PauseAccepting()
	ResumeAccepting()
	// StopListening ends the place, as that of a Port does.
	StopListening(done func(error))
}

var (
	_ Listening = (*Port)(nil)
	_ Listening = (*GroupPort)(nil)
)

// ListenAt is Listen, for [Loops].
func (r *Reactor) ListenAt(a kernel.Addr, f Factory, o *ListenConfig) (Listening, error) {
	p, err := r.Listen(a, f, o)
	if err != nil {
		return nil, err // not a Listening that holds a nil *Port
	}
	return p, nil
}

// AdoptPortAt is AdoptPort, for [Loops].
func (r *Reactor) AdoptPortAt(fd int, f Factory, o *ListenConfig) (Listening, error) {
	p, err := r.AdoptPort(fd, f, o)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Lead is r, for [Loops].
func (r *Reactor) Lead() *Reactor { return r }

// PostLead is Post, for [Loops].
func (r *Reactor) PostLead(fn func(r *Reactor)) {
	mustCall("PostLead", fn != nil)
	post(r, fn)
}

// InOne calls fn, for [Loops].
func (r *Reactor) InOne(fn func(r *Reactor) error) error { return fn(r) }

// Len is 1, for [Loops].
func (r *Reactor) Len() int { return 1 }

// ListenAt is Listen, for [Loops].
func (g *Group) ListenAt(a kernel.Addr, f Factory, o *ListenConfig) (Listening, error) {
	p, err := g.Listen(a, f, o)
	if err != nil {
		return nil, err // not a Listening that holds a nil *GroupPort
	}
	return p, nil
}

// AdoptPortAt is AdoptPort, for [Loops].
func (g *Group) AdoptPortAt(fd int, f Factory, o *ListenConfig) (Listening, error) {
	p, err := g.AdoptPort(fd, f, o)
	if err != nil {
		return nil, err
	}
	return p, nil
}
