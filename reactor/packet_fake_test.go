package reactor_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// packetKernel is a simulated kernel whose datagram sockets do what a test says.
type packetKernel struct {
	kernel.Kernel
	socks []*packetSock
	lent  []kernel.Packet
	plain bool // the sockets have no trains
}

// packetSock is such a socket.
type packetSock struct {
	k           *packetKernel
	local, peer kernel.Addr
	inbox       [][]kernel.Packet // a batch each
	readErr     error             // when the inbox is empty; nil: ErrAgain
	sent        []kernel.Packet
	calls       int                       // of WritePackets
	refuse      func(kernel.Packet) error // nil: everything is sent
	room        bool                      // it counts as writable although refuse is set
	connectErr  error
	token       uint32
	armed       kernel.Ready
	closed      bool
	asked       bool // for trains
}

func (k *packetKernel) Unwrap() kernel.Kernel { return k.Kernel }

func (k *packetKernel) ListenPacket(a kernel.Addr, _ *kernel.PacketOptions) (kernel.PacketConn, error) {
	if a.Net == kernel.UDP && a.Port() == 0 {
		a.IP = netip.AddrPortFrom(a.IP.Addr(), uint16(40000+len(k.socks)))
	}
	s := &packetSock{k: k, local: a}
	k.socks = append(k.socks, s)
	if k.plain {
		return plainSock{s, s}, nil
	}
	return s, nil
}

// plainSock is a packetSock that has no trains.
type plainSock struct {
	kernel.PacketConn
	s *packetSock
}

func (k *packetKernel) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	if p, ok := h.(plainSock); ok {
		h = p.s
	}
	if s, ok := h.(*packetSock); ok {
		s.token, s.armed = token, r
		return nil
	}
	return k.Kernel.Arm(h, token, r)
}

func (k *packetKernel) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	n := 0
	for _, s := range k.socks {
		var r kernel.Ready
		if len(s.inbox) > 0 || s.readErr != nil {
			r = kernel.Readable
		}
		if s.refuse == nil || s.room {
			r |= kernel.Writable
		}
		if r &= s.armed; r != 0 && !s.closed {
			ev[n] = kernel.Event{Token: s.token, Ready: r}
			n++
		}
	}
	if n > 0 {
		until = 0
	}
	m, err := k.Kernel.Wait(ev[n:], until)
	return n + m, err
}

func (s *packetSock) ReadPackets() ([]kernel.Packet, error) {
	switch {
	case s.closed:
		return nil, kernel.ErrClosed
	case len(s.inbox) == 0 && s.readErr != nil:
		return nil, s.readErr
	case len(s.inbox) == 0:
		return nil, kernel.ErrAgain
	}
	ps := s.inbox[0]
	s.inbox = s.inbox[1:]
	for _, p := range s.k.lent { // what was lent before is the kernel's again
		for i := range p.Data {
			p.Data[i] = '!'
		}
	}
	lent := make([]kernel.Packet, len(ps))
	for i, p := range ps {
		p.Data = slices.Clone(p.Data)
		lent[i] = p
	}
	s.k.lent = lent
	return lent, nil
}

// ReadTrains gives what a test has put into inbox, as ReadPackets does.
func (s *packetSock) ReadTrains() ([]kernel.Packet, error) {
	s.asked = true
	return s.ReadPackets()
}

func (s *packetSock) WritePackets(ps []kernel.Packet) (int, error) {
	s.calls++
	for i, p := range ps {
		if s.refuse != nil {
			if err := s.refuse(p); err != nil {
				return i, err
			}
		}
		p.Data = slices.Clone(p.Data)
		s.sent = append(s.sent, p)
	}
	return len(ps), nil
}

func (s *packetSock) Connect(a kernel.Addr) error {
	if s.connectErr == nil {
		s.peer = a
	}
	return s.connectErr
}

func (s *packetSock) Close() error {
	s.closed = true
	return nil
}

func (s *packetSock) Local() kernel.Addr  { return s.local }
func (s *packetSock) Remote() kernel.Addr { return s.peer }

// comes puts datagrams into one batch of the inbox.
func (s *packetSock) comes(texts ...string) {
	var ps []kernel.Packet
	for _, text := range texts {
		ps = append(ps, kernel.Packet{Data: []byte(text), Peer: udp(9)})
	}
	s.inbox = append(s.inbox, ps)
}

// texts are the data of all that was sent.
func (s *packetSock) texts() (all []string) {
	for _, p := range s.sent {
		all = append(all, string(p.Data))
	}
	return all
}

// udp is an address of loopback.
func udp(port uint16) kernel.Addr {
	return kernel.UDPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

// gram is a PacketProtocol that notes what it is told.
type gram struct {
	t        reactor.PacketTransport
	got      []string
	from     []kernel.Addr
	failed   []string
	failures []error
	stopped  []error
	started  int
	onStart  func()
	onData   func(p []byte, from kernel.Addr)
}

func (g *gram) StartProtocol(t reactor.PacketTransport) {
	g.t = t
	g.started++
	if g.onStart != nil {
		g.onStart()
	}
}

func (g *gram) DatagramReceived(p []byte, from kernel.Addr) {
	g.got = append(g.got, string(p))
	g.from = append(g.from, from)
	if g.onData != nil {
		g.onData(p, from)
	}
}

func (g *gram) StopProtocol(err error) { g.stopped = append(g.stopped, err) }

func (g *gram) SendFailed(p []byte, to kernel.Addr, err error) {
	g.failed = append(g.failed, string(p)+" to "+to.String())
	g.failures = append(g.failures, err)
}

// scripted is a reactor whose datagram sockets do what the test says, and a port on it.
func scripted(t *testing.T, at kernel.Addr, g reactor.PacketProtocol, c *reactor.PacketConfig) (*reactor.Reactor, *packetSock, *reactor.PacketPort) {
	t.Helper()
	return scriptedBy(t, new(packetKernel), at, g, c)
}

func scriptedBy(t *testing.T, k *packetKernel, at kernel.Addr, g reactor.PacketProtocol, c *reactor.PacketConfig) (*reactor.Reactor, *packetSock, *reactor.PacketPort) {
	t.Helper()
	return scriptedWith(t, k, reactor.Config{Panicked: func(*reactor.PanicError) {}}, at, g, c)
}

func scriptedWith(t *testing.T, k *packetKernel, rc reactor.Config, at kernel.Addr, g reactor.PacketProtocol, c *reactor.PacketConfig) (*reactor.Reactor, *packetSock, *reactor.PacketPort) {
	t.Helper()
	for name, w := range testworld.Worlds() {
		if name != "sim" {
			continue
		}
		k.Kernel = w.Open(t)
		r := reactor.New(k, rc)
		t.Cleanup(func() { r.Close() })
		p, err := r.ListenPacket(at, g, c)
		if err != nil {
			t.Fatal(err)
		}
		return r, k.socks[0], p
	}
	panic("no simulated world")
}

// turns makes n turns that do not wait.
func turns(r *reactor.Reactor, n int) {
	for range n {
		r.Turn(0)
	}
}
