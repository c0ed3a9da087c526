package main

import (
	"container/list"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

const (
	// sessionIdle is --idle of datagrams unless it is given.
	sessionIdle = 2 * time.Minute
	// sessionQuiet is the Quiet of the tool.
	sessionQuiet = 10 * time.Second
	// sessionWaiting is how many bytes of datagrams a session keeps until it has a socket, with waitingOverhead for each.
	sessionWaiting  = 64 << 10
	waitingOverhead = 64
)

var errCrowded = errors.New("another client needed the room: --sessions is how many there may be")

// PacketForwarder passes datagrams on to another place. Each client address has a session: a socket of its own, so
// that answers find their way back. A session ends when nothing has passed for Idle. When there are Most sessions, the one that has
// been silent longest gives way to a new client, if it has been silent for Quiet; otherwise the new client's datagram is
// dropped. So a flood of new addresses does not end the sessions that are in use.
type PacketForwarder struct {
	To   endpoint.PacketClient
	Name string // of To, for the log
	Log  *slog.Logger
	Idle time.Duration // zero or negative: never
	Most int
	// Quiet is how long a session must have been silent to give way to a new one.
	Quiet time.Duration
	// Access has a line for each session. Nil: nothing is written.
	Access *accessLog

	packetBase
	sessions map[kernel.Addr]*session
	recent   list.List        // the session that was used last is the first
	made     int              // sockets
	unables  reactor.LogLimit // clients can cause as many as they like
	crowded  reactor.LogLimit
}

// StartProtocol has room for sessions.
func (f *PacketForwarder) StartProtocol(t reactor.PacketTransport) {
	f.t, f.sessions = t, make(map[kernel.Addr]*session)
}

// TakesTrains is true: they are passed on as they are.
func (*PacketForwarder) TakesTrains() bool { return true }

// PacketsReceived passes ps on, those of one client together.
func (f *PacketForwarder) PacketsReceived(ps []kernel.Packet) {
	for len(ps) > 0 {
		n, client := 1, ps[0].Peer
		for n < len(ps) && ps[n].Peer == client {
			n++
		}
		s := f.sessions[client]
		if s == nil {
			s = f.begin(client)
		}
		if s != nil {
			s.local = ps[n-1].Local
			s.pass(ps[:n])
		}
		ps = ps[n:]
	}
}

// StopProtocol ends all sessions.
func (f *PacketForwarder) StopProtocol(err error) {
	for f.recent.Len() > 0 {
		f.recent.Front().Value.(*session).end(err)
	}
}

// begin makes a session for a client, or returns nil if there is no room.
func (f *PacketForwarder) begin(client kernel.Addr) *session {
	r := f.t.Reactor()
	if len(f.sessions) >= f.Most {
		oldest := f.recent.Back().Value.(*session)
		if r.Now()-oldest.used < f.Quiet {
			f.crowded.Log(r, f.Log, slog.LevelWarn, "no room for a new client of datagrams: say --sessions",
				slog.Int("sessions", len(f.sessions)), slog.String("peer", client.String()))
			return nil
		}
		oldest.end(errCrowded)
	}
	s := &session{f: f, client: client, began: r.Now()}
	s.idle.Init(r, func() { s.end(reactor.ErrIdle) })
	s.place = f.recent.PushFront(s)
	f.sessions[client] = s
	s.connect()
	return s
}

// placeOf is where socket n sends to. A UNIX socket that is to get answers has a path of its own.
func (f *PacketForwarder) placeOf(n int) endpoint.PacketClient {
	u, ok := f.To.(*std.UNIXGramClient)
	if !ok || u.Bind == "" {
		return f.To
	}
	own := *u
	own.Bind = fmt.Sprintf("%s.%d", u.Bind, n)
	return &own
}

// session is a client, and the socket by which its datagrams are passed on.
type session struct {
	f       *PacketForwarder
	client  kernel.Addr
	local   netip.Addr              // to which the client sends
	t       reactor.PacketTransport // nil while connecting
	cancel  func()
	tries   int // paths that somebody had
	waiting [][]byte
	kept    int // their bytes, with the overhead
	place   *list.Element
	idle    reactor.DelayedCall
	used    time.Duration
	began   time.Duration
	in, out uint64 // bytes from the client, and to it
	over    bool
}

// touch notes that the session is in use.
func (s *session) touch() {
	s.used = s.f.t.Reactor().Now()
	s.f.recent.MoveToFront(s.place)
	if s.f.Idle > 0 {
		s.idle.Reset(s.f.Idle)
	}
}

// pass sends ps on, or keeps them until there is a socket.
func (s *session) pass(ps []kernel.Packet) {
	s.touch()
	for i := range ps {
		s.in += uint64(len(ps[i].Data))
		ps[i].Peer, ps[i].Local = kernel.Addr{}, netip.Addr{}
	}
	if s.t != nil {
		sendAll(s.t, ps)
		return
	}
	for i := range ps {
		for _, p := range ps[i].AppendDatagrams(nil) {
			if s.kept+len(p.Data)+waitingOverhead <= sessionWaiting {
				s.kept += len(p.Data) + waitingOverhead
				s.waiting = append(s.waiting, append([]byte(nil), p.Data...))
			}
		}
	}
}

// StartProtocol sends what the client has sent so far.
func (s *session) StartProtocol(t reactor.PacketTransport) {
	s.t = t
	for _, p := range s.waiting {
		_ = t.Write(p)
	}
	s.waiting = nil
}

// connect opens the socket of the session.
func (s *session) connect() {
	f := s.f
	f.made++
	s.cancel = f.placeOf(f.made).ConnectPacket(f.t.Reactor(), s, s.connected)
}

// connected takes the result of connecting. If somebody has the path that the session was to bind, such as a forwarder that is
// being replaced, or one that was killed has left its file, the next path is tried.
func (s *session) connected(_ *reactor.PacketPort, err error) {
	s.cancel = nil
	if _, ok := s.f.To.(*std.UNIXGramClient); ok && errors.Is(err, kernel.ErrAddrInUse) && !s.over && s.tries < 2*s.f.Most {
		s.tries++
		s.connect()
		return
	}
	if err != nil && !s.over {
		s.unable(err)
		s.end(err)
	}
}

// DatagramReceived is not called.
func (*session) DatagramReceived([]byte, kernel.Addr) {}

// TakesTrains is true.
func (*session) TakesTrains() bool { return true }

// PacketsReceived sends answers to the client, from the address to which that has sent.
func (s *session) PacketsReceived(ps []kernel.Packet) {
	if s.over {
		return
	}
	s.touch()
	for i := range ps {
		s.out += uint64(len(ps[i].Data))
		ps[i].Peer, ps[i].Local = s.client, s.local
	}
	if !nameless(s.client) {
		sendAll(s.f.t, ps)
	}
}

// DatagramRefused logs that nobody is there. The session stays: somebody may come.
func (s *session) DatagramRefused(_ []byte, _ kernel.Addr, err error) { s.unable(err) }

// SendFailed logs that a datagram was not sent.
func (s *session) SendFailed(_ []byte, _ kernel.Addr, err error) { s.unable(err) }

func (s *session) unable(err error) {
	s.f.unables.Log(s.f.t.Reactor(), s.f.Log, slog.LevelWarn, "cannot pass a datagram on", slog.String("to", s.f.Name),
		slog.String("peer", s.client.String()), slog.Any("err", err))
}

// StopProtocol ends a session whose socket has failed.
func (s *session) StopProtocol(err error) { s.end(err) }

// end ends the session, the first time.
func (s *session) end(reason error) {
	if s.over {
		return
	}
	s.over = true
	s.idle.Cancel()
	delete(s.f.sessions, s.client)
	s.f.recent.Remove(s.place)
	backend := s.f.Name
	if s.t != nil {
		backend = s.t.Remote().String()
		s.t.StopListening(nil)
	}
	if cancel := s.cancel; cancel != nil {
		s.cancel = nil
		cancel()
	}
	s.f.Access.sessionEnded(s, backend, reason)
}
