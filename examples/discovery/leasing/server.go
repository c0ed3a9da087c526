// Package leasing leases names over UDP. Servers announce themselves to a multicast group. A client finds its server
// there, asks it for the lease of a name, renews that as long as it needs it, and gives it back. Each name belongs to one
// server, and has one holder at a time.
//
// Datagrams are lost, doubled, late and out of order, and hosts crash. These rules keep it right:
//
//   - A client repeats a request until it is answered. All copies have one number. The server answers a copy as
//     it answered the first, and ignores a request that is older than the holder's last one.
//   - A lease counts from when the client made the request, by the client's clock; from when the server granted it, by
//     the server's. So the client's end comes first. The client gives up a tenth of it, because clocks may run at
//     different rates.
//   - A server that starts does not know what it granted before. So it grants nothing for a Term.
//   - A client that starts has another name than before.
package leasing

import (
	"maps"
	"net/netip"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

const (
	// Term is how long a lease lasts.
	Term = 3 * time.Second
	// Beat is how often a server announces itself.
	Beat = time.Second
	// maxGrants is how many leases a server has at a time. Whoever can reach it may ask for as many names as he likes, in the name of
	// as many clients.
	maxGrants = 1 << 14
)

// Group is where servers are announced and looked for.
func Group() kernel.Addr { return kernel.UDPAddr(netip.AddrFrom4([4]byte{239, 255, 77, 1}), 7701) }

// Server leases names.
type Server struct {
	// ID is the server's name: one word (see [Plain]).
	ID string
	// Interface is where the group is heard and spoken to, as in kernel.Group. "": the system chooses.
	Interface string
	// Tap, if set, sees each request before it is handled, and may change it.
	Tap func(m *Message)

	r      *reactor.Reactor
	asked  *reactor.PacketPort // where clients ask
	group  *reactor.PacketPort // where they look for us
	grants map[string]*grant
	opens  time.Duration // from when on it grants leases
}

// grant is a lease, and the last request of its holder.
type grant struct {
	client string
	number uint64
	until  time.Duration
}

// Start opens the server's ports on r. It may be called once.
func (s *Server) Start(r *reactor.Reactor) error {
	s.r, s.grants, s.opens = r, map[string]*grant{}, r.Now()+Term
	var err error
	if s.asked, s.group, err = open(r, s.Interface, &requests{s}, &finds{s}); err != nil {
		return err
	}
	r.Every(Beat, func() {
		s.forget()
		s.announce(Group())
	})
	s.announce(Group())
	return nil
}

// forget forgets the leases that are over: nobody may ever ask for their names again.
func (s *Server) forget() {
	maps.DeleteFunc(s.grants, func(_ string, g *grant) bool { return g.until <= s.r.Now() })
}

// open opens a port to ask at, whose datagrams to the group leave by iface, and one that hears the group.
func open(r *reactor.Reactor, iface string, one, all reactor.PacketProtocol) (asked, group *reactor.PacketPort, err error) {
	any4 := netip.IPv4Unspecified()
	if asked, err = r.ListenPacket(kernel.UDPAddr(any4, 0), one, nil); err != nil {
		return nil, nil, err
	}
	shared := &reactor.PacketConfig{PacketOptions: kernel.PacketOptions{Shared: true}}
	if group, err = r.ListenPacket(kernel.UDPAddr(any4, Group().Port()), all, shared); err == nil {
		err = group.Join(kernel.Group{IP: Group().IP.Addr(), Interface: iface})
	}
	if err == nil {
		var m kernel.Multicast
		if m, err = asked.Multicast(); err == nil {
			err = m.SetMulticastInterface(iface)
		}
	}
	if err != nil {
		asked.StopListening(nil)
		if group != nil {
			group.StopListening(nil)
		}
	}
	return asked, group, err
}

// announce tells to where the server is.
func (s *Server) announce(to kernel.Addr) { send(s.asked, &Message{Kind: Here, Server: s.ID}, to) }

// send sends m. A datagram that cannot be sent is as good as one that is lost.
func send(t reactor.PacketTransport, m *Message, to kernel.Addr) {
	_ = t.WriteTo([]byte(m.String()), to)
}

// finds hears the group.
type finds struct{ s *Server }

func (f *finds) StartProtocol(reactor.PacketTransport) {}
func (f *finds) StopProtocol(error)                    {}

func (f *finds) DatagramReceived(p []byte, from kernel.Addr) {
	if m, ok := Parse(p); ok && m.Kind == Find && m.Server == f.s.ID {
		f.s.announce(from)
	}
}

// requests gets the requests.
type requests struct{ s *Server }

func (q *requests) StartProtocol(reactor.PacketTransport) {}
func (q *requests) StopProtocol(error)                    {}

func (q *requests) DatagramReceived(p []byte, from kernel.Addr) {
	m, ok := Parse(p)
	if !ok || m.Server != q.s.ID || !Plain(m.Client) || !Plain(m.Name) {
		return
	}
	if q.s.Tap != nil {
		q.s.Tap(&m)
	}
	if q.s.handle(&m) {
		send(q.s.asked, &m, from)
	}
}

// handle carries m out, and turns it into the answer. It returns false if there is none.
func (s *Server) handle(m *Message) bool {
	now := s.r.Now()
	g := s.grants[m.Name]
	if g != nil && g.until <= now {
		delete(s.grants, m.Name)
		g = nil
	}
	mine := g != nil && g.client == m.Client
	if mine && m.Number < g.number {
		s.r.Sometimes("an old request comes late", true)
		return false
	}
	kind := m.Kind
	m.Kind, m.Span = Freed, 0
	switch {
	case kind == Release:
		if mine {
			delete(s.grants, m.Name)
		}
	case kind == Renew && !mine: // it has lost the lease
	case kind != Ask && kind != Renew:
		return false
	case now < s.opens:
		m.Kind, m.Span = Taken, s.opens-now
	case g != nil && !mine:
		m.Kind, m.Span = Taken, g.until-now
	case g == nil && len(s.grants) >= maxGrants:
		m.Kind, m.Span = Taken, Term // by then there is room, or the answer is the same
	default:
		s.grant(g, m, now)
	}
	return true
}

// grant gives m's client the name, or has it keep it. A request that has come before changes nothing.
func (s *Server) grant(g *grant, m *Message, now time.Duration) {
	if g == nil {
		g = &grant{client: m.Client}
		s.grants[m.Name] = g
	}
	if m.Number > g.number {
		g.number, g.until = m.Number, now+Term
	} else {
		s.r.Sometimes("a request comes twice", true)
	}
	m.Kind, m.Span = Held, Term
}

// Holder is the client that has the name, by the server's clock; "" if nobody has.
func (s *Server) Holder(name string) string {
	if g := s.grants[name]; g != nil && g.until > s.r.Now() {
		return g.client
	}
	return ""
}

// Opens is when the server begins to grant leases, by its clock.
func (s *Server) Opens() time.Duration { return s.opens }
