package whorl

import (
	"errors"
	"log/slog"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/handover"
	"github.com/whorl-go/whorl/reactor"
)

// succession is what Config.Handover adds to a server: it begins by taking the sockets of its predecessor, and offers them to
// its successor.
type succession struct {
	path     string
	taking   *handover.Taking   // nil: there was no predecessor
	offering *handover.Offering // nil: not yet
}

// succeed begins the server when the loop runs: what a predecessor has is known only then.
func (s *server) succeed(c *Config, f reactor.Factory) {
	s.next.taking = handover.Take(s.r, c.Handover, handover.TakeConfig{
		Offered: func(t *handover.Taking) {
			if s.begin(c, f) {
				t.Ready()
			} else {
				t.GiveUp(s.failed)
			}
		},
		Failed: func(err error) {
			s.next.taking = nil
			switch {
			case s.ending:
			case !errors.Is(err, handover.ErrNobody):
				s.fail(err)
			case s.r.Running():
				s.beginFirst(c, f)
			}
		},
		Stopped: func(t *handover.Taking, err error) {
			attrs := []any{slog.Int("process", t.Process())}
			if err != nil {
				attrs = append(attrs, slog.Any("err", err))
			}
			s.log.Info("took over from a predecessor", attrs...)
			s.offer(t)
		},
		Done: func(err error) {
			if err != nil {
				s.log.Info("the predecessor has not said that it has drained", slog.Any("err", err))
			} else {
				s.log.Info("the predecessor has drained")
			}
		},
		Logger: s.log,
	})
}

// beginFirst begins a server without a predecessor. Its sockets are offered before Started is called.
func (s *server) beginFirst(c *Config, f reactor.Factory) {
	if err := s.listen(f); err != nil {
		s.fail(err)
		return
	}
	if s.offer(nil); s.failed == nil {
		s.started(c)
	}
}

// offer offers the sockets to the next successor.
func (s *server) offer(t *handover.Taking) {
	if s.ending {
		return
	}
	o, err := handover.Offer(s.r, s.next.path, handover.OfferConfig{
		Sockets: s.sockets,
		Handed: func(h handover.Handed) {
			s.notify.Succeed(h.Process)
			_ = s.r.Stop()
		},
		Taking: t,
		Logger: s.log,
	})
	switch {
	case err == nil:
		s.next.offering = o
	case t == nil:
		s.fail(&PlaceError{s.next.path, err})
	default:
		s.log.Error("cannot offer the sockets to a successor", slog.String("path", s.next.path), slog.Any("err", err))
	}
}

// sockets are the ports of all places, each with the description of its place as its name.
func (s *server) sockets() (all []handover.Offered) {
	for i, l := range s.open {
		for _, p := range portsOf(l) {
			all = append(all, handover.Offered{Name: s.at[i].text, Port: p})
		}
	}
	return all
}

// portsOf are the ports of a place, of either kind.
func portsOf(l endpoint.Listener) (all []handover.Port) {
	if p, ok := l.(*reactor.PacketPort); ok {
		return []handover.Port{p}
	}
	for _, p := range endpoint.Ports(l) {
		all = append(all, p)
	}
	return all
}

// fail ends a server that cannot begin. The sockets that it has of a predecessor are left to that: their clients stay
// in the queue.
func (s *server) fail(err error) {
	if s.failed != nil {
		return
	}
	s.failed = err
	if s.next != nil {
		for _, l := range s.open {
			for _, p := range portsOf(l) {
				p.LeaveSocket(nil)
			}
		}
	}
	_ = s.r.Stop()
}

// end is called when the server is told to end.
func (n *succession) end() {
	if n == nil {
		return
	}
	if n.offering != nil && n.offering.Port().Listening() {
		n.offering.Stop(nil)
	}
	if n.taking != nil {
		n.taking.GiveUp(errors.New("it was told to end"))
		n.taking.Stop()
	}
}
