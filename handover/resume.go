package handover

import (
	"log/slog"
	"slices"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// arrived is a connection that has come, and that the old program has not given up yet. Nobody touches its socket.
type arrived struct {
	number uint32
	fd     int
	port   *reactor.Port
	proto  reactor.Protocol
	peer   kernel.Addr
	unsent []byte
}

// arrive makes the protocol of a connection, and says whether it could.
func (t *Taking) arrive(m *message) error {
	if len(t.pending) == window {
		return broken("more than %d connections at a time", window)
	}
	if int(m.socket) >= len(t.all) {
		return broken("a connection of socket %d", m.socket)
	}
	port, ok := t.all[m.socket].port.(*reactor.Port)
	if !ok {
		return broken("a connection of socket %d", m.socket)
	}
	if t.stops {
		t.send(message{kind: msgRejected, number: m.number, text: "the successor takes no more"})
		return nil
	}
	a := &arrived{number: m.number, fd: m.fd, port: port, peer: m.addr, unsent: m.unsent}
	proto, err := resume(a.port, m.state, m.addr)
	if err != nil {
		t.losses.Log(t.r, t.log, slog.LevelWarn, "cannot take a connection", slog.String("peer", m.addr.String()), slog.Any("err", err))
		t.send(message{kind: msgRejected, number: m.number, text: err.Error()})
		return nil
	}
	if t.state == takingOver {
		return nil // by a Stop in Resume: it stays with the old program
	}
	a.proto, m.fd = proto, -1
	t.pending = append(t.pending, a)
	t.send(message{kind: msgAccepted, number: m.number})
	return nil
}

// adopt serves a connection, which is now this program's alone.
func (t *Taking) adopt(number uint32) error {
	i := slices.IndexFunc(t.pending, func(a *arrived) bool { return a.number == number })
	if i < 0 {
		return broken("connection %d is gone", number)
	}
	a := t.pending[i]
	t.pending = slices.Delete(t.pending, i, i+1)
	_, err := t.r.AdoptConnection(a.fd, reactor.One(a.proto), &reactor.AdoptConfig{Port: a.port, Unsent: a.unsent})
	_ = t.r.CloseDescriptor(a.fd) // if the adoption has failed, this ends the connection
	defer t.stopIfIdle()
	if err != nil {
		t.losses.Log(t.r, t.log, slog.LevelWarn, "lost a connection of the predecessor", slog.String("peer", a.peer.String()), slog.Any("err", err))
		return nil
	}
	t.resumed++
	return nil
}
