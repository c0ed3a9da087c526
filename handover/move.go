package handover

import (
	"errors"
	"log/slog"
	"slices"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
)

// moving is the part of a session that moves connections, after the successor is ready.
//
// A connection that moves belongs to one program at each moment. The old one detaches it, and touches it no more
// (msgConnection). The successor makes the protocol, and does not touch the socket yet (msgAccepted). Now the old one
// closes its descriptor, and the connection is the successor's (msgGo). Until it has heard msgAccepted, the old program can
// take the connection back. So no byte is read or written twice, whichever program dies.
type moving struct {
	queue []*reactor.Stream // those that have not been asked
	away  []*departed       // those that the successor has not accepted yet, at most window
	next  uint32
	told  bool // Handed was called
}

// departed is a connection between the two programs.
type departed struct {
	number        uint32
	port          *reactor.Port
	fd            int
	peer          kernel.Addr
	state, unsent []byte
}

// move begins to move connections.
func (s *session) move() {
	for c := range s.r.Streams() {
		if c.Port() == nil {
			continue
		}
		if i := s.taken(c.Port()); i < 0 || !s.offered[i].resumes {
			continue
		}
		if _, ok := reactor.ProtocolAs[Mover](c.Protocol()); ok {
			s.moving.queue = append(s.moving.queue, c)
		}
	}
	s.moveSome()
}

// taken is the index of the socket of p, if the successor has taken it; otherwise -1.
func (s *session) taken(p *reactor.Port) int {
	return slices.IndexFunc(s.offered, func(one offeredSocket) bool { return one.port == Port(p) && one.answer == msgTaken })
}

// moveSome sends the next connections, as many as the window permits. If there are none any more, moving is over.
func (s *session) moveSome() {
	m := &s.moving
	s.within(StepMove, s.o.cfg.Timeout)
	for len(m.away) < window && len(m.queue) > 0 && s.err == nil {
		c := m.queue[0]
		m.queue[0], m.queue = nil, m.queue[1:]
		if d := s.depart(c); d != nil {
			m.away = append(m.away, d)
			err := s.sendWith(message{
				kind: msgConnection, number: d.number, socket: uint32(s.taken(d.port)),
				addr: d.peer, state: d.state, unsent: d.unsent,
			}, d.fd)
			if err != nil {
				s.back(d, err)
			}
		}
	}
	if len(m.away) == 0 && len(m.queue) == 0 && s.err == nil {
		s.moved(nil)
	}
}

// depart takes a connection out of the reactor, or returns nil if it stays.
func (s *session) depart(c *reactor.Stream) *departed {
	p, ok := reactor.ProtocolAs[Mover](c.Protocol())
	if !ok || c.Port() == nil || c.Buffered() > MaxState || c.Detachable() != nil {
		return nil // it has ended meanwhile, or is no Mover any more
	}
	d := &departed{number: s.moving.next, port: c.Port(), peer: c.Remote()}
	free, err := s.twoNumbers(c)
	if err != nil {
		s.stays(c, err)
		return nil
	}
	defer free()
	if e := pool.Catch(func() { d.state, err = p.Handover() }); e != nil {
		e.In = reactor.LogPrefixOf(c.Protocol())
		err = e
	}
	if err != nil {
		s.stays(c, err)
		return nil
	}
	if len(d.state) > MaxState || c.Buffered() > MaxState {
		err = errTooLong
	} else {
		free()
		d.fd, d.unsent, err = c.Detach()
	}
	if err != nil {
		s.again(c, d, err)
		return nil
	}
	s.moving.next++
	return d
}

// twoNumbers finds out whether this process can open two descriptors more: one for Detach and one for the message. They are
// held until free is called.
func (s *session) twoNumbers(c *reactor.Stream) (free func(), err error) {
	var held []int
	free = func() {
		for _, fd := range held {
			_ = s.r.CloseDescriptor(fd)
		}
		held = nil
	}
	for range 2 {
		fd, err := s.r.DescriptorOf(c)
		if err != nil {
			free()
			return nil, err
		}
		held = append(held, fd)
	}
	return free, nil
}

// stays logs that c does not move.
func (s *session) stays(c *reactor.Stream, err error) {
	s.o.log.Debug("a connection stays", slog.String("peer", c.Remote().String()), slog.Any("err", err))
}

// again gives a connection that has said its state, and cannot move, a protocol made of that state, as for one that comes back. If
// that cannot be, it is reset.
func (s *session) again(c *reactor.Stream, d *departed, because error) {
	proto, err := resume(d.port, d.state, d.peer)
	if err == nil {
		_, err = c.SwitchProtocol(proto)
	}
	if err == nil {
		if e := pool.Catch(func() { proto.ConnectionMade(c) }); e != nil {
			e.In = reactor.LogPrefixOf(proto)
			err = e
		}
	}
	if err != nil {
		c.Abort()
	}
	s.notMoved(d, because, err)
}

// notMoved logs that a connection was not moved. If err is not nil, it is reset for that reason.
func (s *session) notMoved(d *departed, because, err error) {
	s.o.losses.Log(s.r, s.o.log, slog.LevelWarn, "a connection was not moved", slog.String("peer", d.peer.String()),
		slog.Any("because", because), slog.Bool("ended", err != nil), slog.Any("err", err))
}

var errTooLong = errors.New("its state is longer than MaxState")

// claim takes the connection of that number out of those that are away.
func (s *session) claim(number uint32) *departed {
	for i, d := range s.moving.away {
		if d.number == number {
			s.moving.away = slices.Delete(s.moving.away, i, i+1)
			return d
		}
	}
	return nil
}

// accepted gives a connection to the successor.
func (s *session) accepted(m *message) error {
	d := s.claim(m.number)
	if d == nil {
		return broken("it accepts connection %d", m.number)
	}
	_ = s.r.CloseDescriptor(d.fd)
	s.result.Moved++
	s.send(message{kind: msgGo, number: d.number})
	s.moveSome()
	return nil
}

// rejected takes one back.
func (s *session) rejected(m *message) error {
	d := s.claim(m.number)
	if d == nil {
		return broken("it rejects connection %d", m.number)
	}
	s.back(d, errors.New(m.text))
	s.moveSome()
	return nil
}

// back serves a connection here again. If that cannot be, it is reset.
func (s *session) back(d *departed, because error) {
	s.moving.away = slices.DeleteFunc(s.moving.away, func(x *departed) bool { return x == d })
	proto, err := resume(d.port, d.state, d.peer)
	if err != nil {
		proto = new(resetter)
	}
	cfg := &reactor.AdoptConfig{Port: d.port}
	if err == nil {
		cfg.Unsent = d.unsent
	}
	_, adopted := s.r.AdoptConnection(d.fd, reactor.One(proto), cfg)
	_ = s.r.CloseDescriptor(d.fd)
	s.notMoved(d, because, errors.Join(err, adopted))
}

// resetter resets its connection.
type resetter struct{ reactor.Base }

func (x *resetter) ConnectionMade(t reactor.Transport) { t.Abort() }
func (x *resetter) DataReceived([]byte)                {}

// resume makes the protocol of a connection of p again.
func resume(p *reactor.Port, state []byte, peer kernel.Addr) (proto reactor.Protocol, err error) {
	f, ok := reactor.FactoryAs[Resumer](p.Factory())
	if !ok {
		return nil, errNoResumer
	}
	if e := pool.Catch(func() { proto, err = f.Resume(state, peer) }); e != nil {
		e.In = reactor.LogPrefixOf(p.Factory())
		err = e
	}
	if err == nil && proto == nil {
		err = reactor.ErrNoProtocol
	}
	return proto, err
}

var errNoResumer = errors.New("the factory of the port is no Resumer")

// giveUpMoving is called when the successor is lost. What it has not accepted is served here again.
func (s *session) giveUpMoving(err error) {
	s.moving.queue = nil
	for len(s.moving.away) > 0 {
		s.back(s.moving.away[0], err)
	}
	s.moved(err)
}

// moved ends moving, once, and tells the program. err is why the successor is lost; nil: it is not.
func (s *session) moved(err error) {
	if s.moving.told {
		return
	}
	s.moving.told = true
	s.result.Err = err
	left := max(0, s.r.Stats().Connections-s.o.links())
	if err == nil {
		m := message{kind: msgMoved, number: uint32(s.result.Moved), socket: uint32(left)}
		s.send(m)
		s.o.tell(m)
	}
	s.o.log.Info("draining for a successor", slog.Int("process", s.peer), slog.Int("moved", s.result.Moved), slog.Int("connections", left))
	s.drain()
	if s.o.cfg.Handed != nil {
		s.o.cfg.Handed(s.result)
	}
}
