package handover

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// TakeConfig configures a Taking. All functions are called on the loop's goroutine, never inside Take.
type TakeConfig struct {
	// Offered is called once when all sockets have come. The program opens its places by [reactor.Reactor.Listen], which finds
	// them by their addresses, or by [Taking.Listen], which finds them by name. Then it calls Ready, or GiveUp. It
	// may do so later, within the ReadyTimeout of the old program. It must not be nil.
	Offered func(t *Taking)
	// Failed is called once if nothing can be taken: before Offered, or before Ready, or if the old program says that
	// it serves on though Ready was called. Then the program closes what it has opened. err is an [*Error]. It is
	// ErrNobody if no program offers its sockets at the path. Descriptors that were not used are closed by then. It must not be nil.
	Failed func(err error)
	// Stopped is called once after Ready, unless Failed is: the old program has stopped accepting. If err is not nil it
	// has died, hangs, or is lost. Now an [Offering] for the next successor can be made. Nil: nothing is called.
	Stopped func(t *Taking, err error)
	// Done is called once after Stopped: with nil when the old program has drained, with an error if it is lost before
	// that. Nil: nothing is called.
	Done func(err error)
	// Timeout is how long the old program may take for each step. Draining has no limit here. Zero: DefaultTimeout;
	// negative: no limit.
	Timeout time.Duration
	// Allowed tells whether the old program's process may be there, on systems that tell whose it is. Nil: one of this user or
	// of root.
	Allowed func(kernel.Credentials) bool
	// Logger gets what happens. Nil: nothing is logged.
	Logger *slog.Logger
}

// Taking is a successor's end of a hand-over. It is for the loop's goroutine.
type Taking struct {
	link
	cfg     TakeConfig
	log     *slog.Logger
	process int // of the old program, as it calls itself
	all     []inherited
	state   takingState
	pending []*arrived
	resumed int
	stops   bool // Stop was called
	losses  reactor.LogLimit
}

type takingState uint8

const (
	takingOffers  takingState = iota // sockets come
	takingOpens                      // Offered was called, and Ready not
	takingReady                      // Ready was called
	takingStopped                    // the old program has stopped accepting, or has died
	takingOver                       // Failed or Done was called
)

// inherited is a socket that was offered.
type inherited struct {
	Socket
	fd   int  // -1: it was used, or closed
	port Port // that has it; nil: none
}

// served tells whether a port of this program has the socket.
func (one *inherited) served() bool { return one.port != nil && one.port.Listening() }

// resumes tells whether connections of the socket can be made again here.
func (one *inherited) resumes() bool {
	p, ok := one.port.(*reactor.Port)
	if ok {
		_, ok = reactor.FactoryAs[Resumer](p.Factory())
	}
	return ok
}

// Take asks the program that offers its sockets at path for them. c says how it goes on. Take is for the loop's
// goroutine, or before the reactor runs.
func Take(r *reactor.Reactor, path string, c TakeConfig) *Taking {
	fill(&c.Timeout, DefaultTimeout)
	if c.Allowed == nil {
		c.Allowed = sameUser
	}
	t := &Taking{cfg: c, log: logger(c.Logger)}
	t.init(r, t, 2*MaxState+maxControl, MaxSockets)
	connect(r, path, t, c.Timeout, func(err error) { t.ended(&Error{Step: StepConnect, Err: err}) })
	return t
}

// connect connects p to the program that offers at path.
func connect(r *reactor.Reactor, path string, p reactor.Protocol, limit time.Duration, failed func(error)) {
	cfg := &reactor.DialConfig{StreamConfig: streamConfig(limit), Timeout: limit}
	cfg.Descriptors = true
	r.Dial(kernel.UNIXAddr(path), reactor.One(p), cfg, func(_ reactor.Protocol, err error) {
		switch {
		case err == nil:
			return
		case errors.Is(err, kernel.ErrRefused), errors.Is(err, fs.ErrNotExist):
			err = fmt.Errorf("%w: %w", ErrNobody, err)
		}
		failed(err)
	})
}

// LogPrefix is its name in logs.
func (t *Taking) LogPrefix() string { return "handover" }

// Process is the number of the old program's process, as it says.
func (t *Taking) Process() int { return t.process }

// Sockets are those that were offered, in their order.
func (t *Taking) Sockets() []Socket {
	var all []Socket
	for _, one := range t.all {
		if one.Kind != control {
			all = append(all, one.Socket)
		}
	}
	return all
}

// Unused are those of Sockets that no port has taken so far.
func (t *Taking) Unused() []Socket {
	var all []Socket
	for _, one := range t.all {
		if one.Kind != control && !one.served() {
			all = append(all, one.Socket)
		}
	}
	return all
}

func (t *Taking) allowed(c kernel.Credentials) bool { return t.cfg.Allowed(c) }

func (t *Taking) made() error {
	t.within(StepHello, t.cfg.Timeout)
	t.send(message{kind: msgHello, role: roleSuccessor, text: magic, number: Version, socket: uint32(os.Getpid())})
	return nil
}

func (t *Taking) handle(m *message) error {
	switch {
	case t.step == StepHello && m.kind == msgWelcome:
		if m.number < 1 || m.number > Version {
			return fmt.Errorf("%w: it speaks %d, this one %d", ErrVersion, m.number, Version)
		}
		t.process = int(m.socket)
		t.within(StepOffer, t.cfg.Timeout)
		return nil
	case t.step == StepOffer && m.kind == msgOffer:
		return t.socket(m)
	case t.step == StepOffer && m.kind == msgOffered:
		t.within(StepReady, 0) // this program's own turn
		t.state = takingOpens
		t.r.Inherit(t.find)
		t.cfg.Offered(t)
		return nil
	case t.step == StepStop && m.kind == msgStopped:
		t.within(StepMove, t.cfg.Timeout)
		t.stopped(nil)
		return nil
	case t.step == StepMove && m.kind == msgConnection:
		t.within(StepMove, t.cfg.Timeout)
		return t.arrive(m)
	case t.step == StepMove && m.kind == msgGo:
		t.within(StepMove, t.cfg.Timeout)
		return t.adopt(m.number)
	case t.step == StepMove && m.kind == msgMoved:
		t.within(StepDrain, 0)
		t.log.Info("the predecessor drains", slog.Int("process", t.process), slog.Int("moved", t.resumed), slog.Int("connections", int(m.socket)))
		return nil
	case t.step == StepDrain && m.kind == msgDone:
		t.finish()
		return nil
	}
	return broken("message %d at step %s", m.kind, t.step)
}

// socket keeps a socket that is offered.
func (t *Taking) socket(m *message) error {
	if int(m.number) != len(t.all) || len(t.all) == MaxSockets {
		return broken("socket %d after %d", m.number, len(t.all))
	}
	t.all = append(t.all, inherited{Socket: Socket{m.text, m.what, m.addr, m.asked}, fd: m.fd})
	m.fd = -1
	return nil
}

// find is for [reactor.Reactor.Inherit]: it finds the socket of a port by the address that the program asks for. The address
// that the predecessor has asked for goes first, so that port 0 finds the port that the system chose then.
func (t *Taking) find(a kernel.Addr) *reactor.Inherited {
	kind := Stream
	if a.Net == kernel.UDP || a.Net == kernel.UNIXDatagram {
		kind = Packet
	}
	is := func(by func(*inherited) kernel.Addr) int {
		return slices.IndexFunc(t.all, func(one inherited) bool { return one.Kind == kind && one.fd >= 0 && by(&one) == a })
	}
	i := is(func(one *inherited) kernel.Addr { return one.Requested })
	if i < 0 {
		i = is(func(one *inherited) kernel.Addr { return one.Addr })
	}
	return t.use(i)
}

// findControl finds the socket of the hand-over itself.
func (t *Taking) findControl(kernel.Addr) *reactor.Inherited {
	return t.use(slices.IndexFunc(t.all, func(one inherited) bool { return one.Kind == control && one.fd >= 0 }))
}

// use gives a socket to a port that opens. i is its index; -1 means none.
func (t *Taking) use(i int) *reactor.Inherited {
	if i < 0 {
		return nil
	}
	one := &t.all[i]
	fd := one.fd
	one.fd = -1
	return &reactor.Inherited{FD: fd, Opened: func(port any) { t.all[i].port, _ = port.(Port) }}
}

// Listen makes a port of a socket of that name, as [reactor.Reactor.AdoptPort] does: it is for sockets that were adopted by
// the predecessor too, and so have no address that was asked for. If there are several, it takes the first that is
// not used. ok is false if there is none.
func (t *Taking) Listen(name string, f reactor.Factory, o *reactor.ListenConfig) (p *reactor.Port, ok bool, err error) {
	i := slices.IndexFunc(t.all, func(one inherited) bool { return one.Kind == Stream && one.Name == name && one.fd >= 0 })
	if i < 0 {
		return nil, false, nil
	}
	in := t.use(i)
	defer t.r.CloseDescriptor(in.FD)
	if p, err = t.r.AdoptPort(in.FD, f, o); err == nil {
		in.Opened(p)
	}
	return p, true, err
}

// Ready says that the program accepts on all sockets of which a port is open. The old program stops accepting on these. What
// is Unused stays with it, and is named in the log of both. Ready is called once, after Offered; otherwise it does nothing.
func (t *Taking) Ready() {
	if t.state != takingOpens || t.err != nil || t.gone {
		return
	}
	t.r.Inherit(nil)
	t.state = takingReady
	for i := range t.all {
		one := &t.all[i]
		m := message{kind: msgUnknown, number: uint32(i)}
		if one.served() || one.Kind == control {
			m.kind = msgTaken
			if one.resumes() {
				m.role = 1
			}
		} else {
			t.log.Warn("nobody here knows a socket of the predecessor", slog.String("socket", one.String()), slog.Int("process", t.process))
		}
		t.send(m)
	}
	t.closeUnused(false)
	t.send(message{kind: msgReady})
	t.within(StepStop, t.cfg.Timeout)
}

// GiveUp ends the hand-over because this program cannot serve. The old program serves on, and its log has err. Failed is
// called later. After Ready it does nothing.
func (t *Taking) GiveUp(err error) {
	if t.state < takingReady {
		t.r.Inherit(nil)
		t.fail(fmt.Errorf("%w: %w", ErrGivenUp, err))
	}
}

// Stop ends the listening to an old program that drains: Done is not called. While connections of it still come, no more of them are taken, and they stay with
// it; those that this program has accepted are served. Before Stopped it does nothing; see GiveUp.
func (t *Taking) Stop() {
	if t.state == takingStopped {
		t.stops = true
		t.stopIfIdle()
	}
}

// stopIfIdle ends the connection to the old program after Stop, unless a connection of a client is under way.
func (t *Taking) stopIfIdle() {
	if t.stops && len(t.pending) == 0 && t.state == takingStopped {
		t.state = takingOver
		t.finish() // after the loss of the old program, of which Stopped tells too, this has been done
	}
}

// closeUnused closes the descriptors that nobody has used, and with that of the hand-over's own socket if all is true.
func (t *Taking) closeUnused(all bool) {
	for i := range t.all {
		if one := &t.all[i]; one.fd >= 0 && (all || one.Kind != control) {
			_ = t.r.CloseDescriptor(one.fd)
			one.fd = -1
		}
	}
}

// stopped is called when this program alone serves.
func (t *Taking) stopped(err error) {
	t.state = takingStopped
	for _, one := range t.all {
		if one.port != nil && one.Kind != control {
			one.port.OwnFile(t.process)
		}
	}
	if t.cfg.Stopped != nil {
		t.cfg.Stopped(t, err)
	}
}

// ended is called when the connection is lost. The old program is dead, or has said why it ends.
func (t *Taking) ended(err error) {
	for _, a := range t.pending {
		_ = t.r.CloseDescriptor(a.fd)
		t.losses.Log(t.r, t.log, slog.LevelWarn, "a connection was lost between the two programs", slog.String("peer", a.peer.String()))
	}
	t.pending = nil
	if t.state == takingReady && !errors.Is(err, ErrRefused) {
		t.stopped(err) // it is dead or hangs. Should it live, both serve, which harms nobody.
	}
	switch state := t.state; {
	case state == takingOver:
	case state == takingStopped:
		t.state = takingOver
		if t.cfg.Done != nil && !t.stops {
			t.cfg.Done(err)
		}
	default:
		t.state = takingOver
		t.r.Inherit(nil)
		t.closeUnused(true)
		t.cfg.Failed(err)
	}
}
