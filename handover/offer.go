package handover

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// OfferConfig configures an Offering. All functions are called on the loop's goroutine.
type OfferConfig struct {
	// Sockets returns what is offered. It is called for each successor that comes. Ports that do not listen are left
	// out, and so is what is beyond MaxSockets.
	Sockets func() []Offered
	// Handed is called once, when a successor is ready, the ports that it has taken have stopped accepting here, and the
	// connections of Movers have moved. The program now stops h.Ports, or goes on serving them, and drains:
	// [reactor.Reactor.Drain]. Nil: nothing is called.
	Handed func(h Handed)
	// Failed is called when a successor that had been offered the sockets did not get ready. The program
	// serves on, and the next successor may come. Nil: it is logged only.
	Failed func(err error)
	// Taking is the hand-over by which this program has got its own sockets. Then the Offering takes over the socket at
	// path from the predecessor too, so that it is never closed. Nil: the socket is opened.
	Taking *Taking
	// Timeout is how long a successor may take for each step. Zero: DefaultTimeout; negative: no limit.
	Timeout time.Duration
	// ReadyTimeout is how long it may take to open its places. Zero: DefaultReadyTimeout; negative: no limit.
	ReadyTimeout time.Duration
	// Allowed tells whether a process may come, on systems that tell whose it is. Nil: those of this user and of root.
	Allowed func(kernel.Credentials) bool
	// Logger gets what happens. Nil: nothing is logged.
	Logger *slog.Logger
}

// Offered is a port that is offered, and its name.
type Offered struct {
	// Name is what the successor finds it by, besides its address. At most 1024 bytes; what is longer is cut.
	Name string
	// Port is the [*reactor.Port] or [*reactor.PacketPort].
	Port Port
}

// Port is what a port of either kind has.
type Port interface {
	// Addr is its address, and Requested the one that the program asked for.
	Addr() kernel.Addr
	Requested() kernel.Addr
	// Listening tells whether it is open.
	Listening() bool
	// LeaveSocket ends it without ending its socket.
	LeaveSocket(done func(error))
	// OwnFile makes the file of a UNIX socket this port's.
	OwnFile(holder int)
}

var (
	_ Port = (*reactor.Port)(nil)
	_ Port = (*reactor.PacketPort)(nil)
)

// kindOf is the kind of a port's socket.
func kindOf(p Port) Kind {
	if _, ok := p.(*reactor.PacketPort); ok {
		return Packet
	}
	return Stream
}

// Handed says what has become of the sockets.
type Handed struct {
	// Process is the number of the successor; 0 if the system does not tell.
	Process int
	// Taken are those that the successor serves, and Unknown those for which it has no use.
	Taken, Unknown []Socket
	// Ports are the ports of Unknown, which still accept.
	Ports []Port
	// Moved is how many connections have moved to the successor.
	Moved int
	// Err is why the successor was lost after it was ready. Nil: it was not. The sockets are its all the same.
	Err error
}

// Offering is a program's offer of its sockets to a successor. It is for the loop's goroutine.
type Offering struct {
	r    *reactor.Reactor
	cfg  OfferConfig
	log  *slog.Logger
	port *reactor.Port

	sessions  []*session // all that are connected
	successor *session   // the one that is taking the sockets, or has taken them
	handed    bool       // it is ready
	draining  *reactor.Ticker
	refusals  reactor.LogLimit
	losses    reactor.LogLimit
}

// drainLook is how often an Offering looks whether all connections have ended.
const drainLook = 20 * time.Millisecond

// Offer listens at path, a UNIX socket with mode 0600 and a lock file, and offers the program's sockets to a successor
// that calls [Take] there. An error is that of Listen: it is kernel.ErrLocked if a live process offers there. Offer is
// for the loop's goroutine, or before the reactor runs.
func Offer(r *reactor.Reactor, path string, c OfferConfig) (*Offering, error) {
	fill(&c.Timeout, DefaultTimeout)
	fill(&c.ReadyTimeout, DefaultReadyTimeout)
	if c.Allowed == nil {
		c.Allowed = sameUser
	}
	o := &Offering{r: r, cfg: c, log: logger(c.Logger)}
	cfg := &reactor.ListenConfig{
		StreamConfig: streamConfig(c.Timeout),
		PortLimits:   reactor.PortLimits{MaxConnections: maxSessions, RefuseExcess: true},
	}
	cfg.UNIX = kernel.UNIXOptions{Mode: 0o600, Lock: !kernel.UNIXAddr(path).IsAbstract()}
	if kernel.UNIXAddr(path).IsAbstract() {
		cfg.UNIX = kernel.UNIXOptions{} // such a name has no mode: only Allowed is asked
	}
	cfg.Descriptors = true
	if t := c.Taking; t != nil {
		r.Inherit(t.findControl)
		defer r.Inherit(nil)
	}
	port, err := r.Listen(kernel.UNIXAddr(path), offering{o}, cfg)
	if err != nil {
		return nil, err
	}
	o.port = port
	if t := c.Taking; t != nil {
		port.OwnFile(t.process)
	}
	return o, nil
}

// streamConfig is that of both ends.
func streamConfig(limit time.Duration) reactor.StreamConfig {
	return reactor.StreamConfig{MaxBuffered: 2 * window * (2*MaxState + maxControl), CloseTimeout: limit}
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// Port is the port at which successors come.
func (o *Offering) Port() *reactor.Port { return o.port }

// Stop ends the offer, and gives up a successor that is not ready yet. Of a hand-over that has taken place it ends
// the connection: the successor then hears nothing more of what is drained. done, if not nil, is called once
// when the socket is closed.
func (o *Offering) Stop(done func(error)) {
	for _, s := range slices.Clone(o.sessions) {
		s.fail(ErrGivenUp)
	}
	o.port.StopListening(done)
}

// offering is the factory of the port.
type offering struct{ *Offering }

// BuildProtocol makes a session.
func (f offering) BuildProtocol(kernel.Addr) reactor.Protocol {
	s := &session{o: f.Offering}
	s.init(f.r, s, maxControl, 0)
	return s
}

// LogPrefix is its name in logs.
func (offering) LogPrefix() string { return "handover" }

// tell sends m to all watchers.
func (o *Offering) tell(m message) {
	for _, s := range o.sessions {
		if s.watches {
			s.send(m)
		}
	}
}

// session is the old program's end of a connection: to a successor, or to one that watches.
type session struct {
	link
	o       *Offering
	watches bool
	offered []offeredSocket
	moving  moving
	result  Handed
}

// offeredSocket is a socket and what the successor says of it.
type offeredSocket struct {
	Socket
	port   Port
	answer msg // msgTaken or msgUnknown; 0: none yet
	// resumes is set if the successor has taken it and resumes its connections.
	resumes bool
}

// LogPrefix is its name in logs.
func (s *session) LogPrefix() string { return "handover" }

func (s *session) allowed(c kernel.Credentials) bool { return s.o.cfg.Allowed(c) }

func (s *session) made() error {
	s.o.sessions = append(s.o.sessions, s)
	s.within(StepHello, s.o.cfg.Timeout)
	return nil
}

func (s *session) handle(m *message) error {
	switch {
	case s.step == StepHello && m.kind == msgHello:
		return s.hello(m)
	case s.step == StepReady && (m.kind == msgTaken || m.kind == msgUnknown):
		return s.answer(m)
	case s.step == StepReady && m.kind == msgReady:
		return s.ready()
	case s.step == StepMove && m.kind == msgAccepted:
		return s.accepted(m)
	case s.step == StepMove && m.kind == msgRejected:
		return s.rejected(m)
	}
	return broken("message %d at step %s", m.kind, s.step)
}

// hello answers the first message.
func (s *session) hello(m *message) error {
	switch o := s.o; {
	case m.text != magic:
		return broken("it does not begin with %q", magic)
	case m.number < 1:
		return fmt.Errorf("%w: it speaks %d, this one %d", ErrVersion, m.number, Version)
	case m.role == roleWatcher:
		s.watches = true
		s.within(StepDrain, 0)
	case m.role != roleSuccessor:
		return broken("role %d", m.role)
	case o.successor != nil:
		return ErrBusy
	default:
		o.successor = s
	}
	if s.peer == 0 {
		s.peer = int(m.socket) // the system does not tell
	}
	s.send(message{kind: msgWelcome, number: Version, socket: uint32(os.Getpid())})
	if !s.watches {
		s.o.tell(s.present())
		return s.offer()
	}
	if now := s.o.successor; now != nil {
		s.send(now.present())
	}
	return nil
}

// present tells a watcher which process the successor is.
func (s *session) present() message { return message{kind: msgSuccessor, number: uint32(s.peer)} }

// offer sends all sockets.
func (s *session) offer() error {
	s.offered = append(s.offered, offeredSocket{Socket: Socket{Kind: control, Addr: s.o.port.Addr()}, port: s.o.port})
	for _, one := range s.o.cfg.Sockets() {
		if len(s.offered) == MaxSockets {
			s.o.log.Warn("more sockets than can be handed over", slog.Int("offered", MaxSockets))
			break
		}
		if one.Port.Listening() {
			name := one.Name[:min(len(one.Name), maxName)]
			s.offered = append(s.offered, offeredSocket{Socket: Socket{name, kindOf(one.Port), one.Port.Addr(), one.Port.Requested()}, port: one.Port})
		}
	}
	for i, one := range s.offered {
		fd, err := s.r.DescriptorOf(one.port)
		if err != nil {
			return err
		}
		m := message{kind: msgOffer, number: uint32(i), text: one.Name, what: one.Kind, addr: one.Addr, asked: one.Requested}
		err = s.sendWith(m, fd)
		_ = s.r.CloseDescriptor(fd)
		if err != nil {
			return err
		}
		s.o.tell(m)
	}
	s.send(message{kind: msgOffered})
	s.o.tell(message{kind: msgOffered})
	s.within(StepReady, s.o.cfg.ReadyTimeout)
	return nil
}

// answer notes what the successor says of a socket.
func (s *session) answer(m *message) error {
	if int(m.number) >= len(s.offered) || s.offered[m.number].answer != 0 {
		return broken("an answer about socket %d", m.number)
	}
	one := &s.offered[m.number]
	one.answer, one.resumes = m.kind, m.kind == msgTaken && m.role != 0
	return nil
}

// ready is the point of no return: from here on the successor serves, whatever happens.
func (s *session) ready() error {
	h := &s.result
	h.Process = s.peer
	for i, one := range s.offered {
		if one.answer == 0 {
			return broken("it is ready and has said nothing of socket %d", i)
		}
	}
	s.o.handed = true
	for i, one := range s.offered {
		s.o.tell(message{kind: one.answer, number: uint32(i)})
		switch {
		case one.Kind == control || one.answer == msgTaken:
			one.port.LeaveSocket(nil)
			if one.Kind != control {
				h.Taken = append(h.Taken, one.Socket)
			}
		default:
			h.Unknown, h.Ports = append(h.Unknown, one.Socket), append(h.Ports, one.port)
			s.o.log.Warn("the successor does not know a socket", slog.String("socket", one.String()), slog.Int("process", s.peer))
		}
	}
	s.o.log.Info("handed over", slog.Int("process", s.peer), slog.Int("sockets", len(h.Taken)), slog.Int("unknown", len(h.Unknown)))
	s.send(message{kind: msgStopped})
	s.o.tell(message{kind: msgReady})
	s.move()
	return nil
}

// ended is called when the connection is lost.
func (s *session) ended(err error) {
	o := s.o
	o.sessions = slices.DeleteFunc(o.sessions, func(x *session) bool { return x == s })
	switch {
	case s != o.successor:
		if err != nil && !s.watches && !errors.Is(err, ErrGone) {
			o.refusals.Log(o.r, o.log, slog.LevelWarn, "refused to hand over", slog.Any("err", err))
		}
	case o.handed:
		if err != nil {
			o.log.Warn("the successor no longer listens to this program", slog.Any("err", err))
		}
		s.giveUpMoving(err)
	default:
		o.successor = nil
		o.refusals.Log(o.r, o.log, slog.LevelWarn, "a successor did not get ready; this program serves on", slog.Any("err", err))
		o.tell(message{kind: msgGaveUp, text: err.Error()})
		if o.cfg.Failed != nil {
			o.cfg.Failed(err)
		}
	}
}

// links is how many of the program's connections are those of hand-overs.
func (o *Offering) links() int {
	n := len(o.sessions)
	if t := o.cfg.Taking; t != nil && t.T != nil && !t.gone {
		n++
	}
	return n
}

// drain looks from time to time whether all connections of the program have ended, and then says so.
func (s *session) drain() {
	o := s.o
	s.within(StepDrain, 0)
	if o.draining != nil {
		return
	}
	o.draining = o.r.Every(drainLook, func() {
		if len(o.sessions) > 0 && o.r.Stats().Connections > o.links() {
			return
		}
		o.draining.Stop()
		for _, x := range slices.Clone(o.sessions) {
			x.send(message{kind: msgDone})
			x.finish()
		}
	})
}
