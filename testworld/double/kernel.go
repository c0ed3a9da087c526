package double

import (
	"context"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// Kernel is a simulated kernel that records what its reactor asks for, and with which nobody
// connects unless the test says so. [New] makes one. Its lists are in the order of the calls, and for reading;
// what was refused stands there too, with its error.
type Kernel struct {
	kernel.Kernel
	t testing.TB
	w testworld.World
	r *reactor.Reactor

	// Listens, Dials, Packets, Adoptions and Watches are the calls of the kernel's methods, with their
	// arguments. A dial of a name stands there once for each address that is tried.
	Listens   []*Listen
	Dials     []*Dial
	Packets   []*Packet
	Adoptions []*Adoption
	Watches   []*Watch
	// Names are the host names that were looked up, each once. The first has the address 198.18.0.1, the next 198.18.0.2 and so on.
	Names []string

	sides int // how many sides of pumps there are
}

var (
	_ kernel.Packets = (*Kernel)(nil)
	_ kernel.Adopter = (*Kernel)(nil)
	_ kernel.Watcher = (*Kernel)(nil)
	_ probe.Forcer   = (*Kernel)(nil)
)

// New returns a reactor on a new recording Kernel. A Config without a Resolver has names resolved as [Kernel].Names
// says; the defaults of the rest are those of testworld.New.
func New(t testing.TB, c reactor.Config) (*reactor.Reactor, *Kernel) {
	t.Helper()
	k := newKernel(t)
	if c.Resolver == nil {
		c.Resolver = resolver{k}
	}
	k.r = testworld.New(t, k, c)
	return k.r, k
}

func newKernel(t testing.TB) *Kernel {
	w := testworld.Simulation()
	w.Net().Idle = nil // no goroutine outside has to be waited for, so time may jump
	return &Kernel{Kernel: w.Open(t), t: t, w: w}
}

// Of returns the recording Kernel of r, also below wrappers. It is nil if r has none.
func Of(r *reactor.Reactor) *Kernel {
	k, _ := kernel.As[*Kernel](r.Kernel())
	return k
}

// Unwrap returns the simulated kernel.
func (k *Kernel) Unwrap() kernel.Kernel { return k.Kernel }

// Force implements probe.Forcer. The read buffer is overwritten each time DataReceived has returned, so that a protocol that has
// kept the slice finds garbage. A test that sends one piece would see nothing of that otherwise.
func (k *Kernel) Force(s probe.Site) bool { return s == probe.SiteScribble }

// Arm arms the handle below h.
func (k *Kernel) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	switch x := h.(type) {
	case *dialled:
		return x.arm(token, r)
	case *valve:
		return x.arm(token, r)
	case *watched:
		return x.arm(token, r)
	}
	return k.Kernel.Arm(h, token, r)
}

// Listen is one call of Kernel.Listen.
type Listen struct {
	// Addr and Options are the arguments.
	Addr    kernel.Addr
	Options kernel.ListenOptions
	// Local is the address of the listener. It has the number of the port.
	Local kernel.Addr
	// Err is the result.
	Err error

	k *Kernel
}

// Listen records the call and listens in the simulation, where only [Listen].Connect leads to it. The addresses of the
// host are those of loopback, and the unspecified ones.
func (k *Kernel) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	call := &Listen{Addr: a, k: k}
	if o != nil {
		call.Options = *o
	}
	k.Listens = append(k.Listens, call)
	l, err := k.Kernel.Listen(a, o)
	if call.Err = err; err != nil {
		return nil, err
	}
	call.Local = l.Local()
	return l, nil
}

// Connect connects a client to the port, and returns the client's end. It turns the reactor until the
// connection has been accepted, so the protocol is made then, unless the port lets clients wait. It fails the test if
// nobody listens there any more.
func (l *Listen) Connect() *testworld.Peer {
	l.k.t.Helper()
	p := l.k.w.Peer(l.k.t, reachable(l.Local), l.k.r)
	testworld.Turns(l.k.t, l.k.r, 2)
	return p
}

// Packet is one call of Kernel.ListenPacket.
type Packet struct {
	// Addr and Options are the arguments. Those of a DialPacket have the address that is bound.
	Addr    kernel.Addr
	Options kernel.PacketOptions
	// Local is the address of the socket.
	Local kernel.Addr
	// Err is the result.
	Err error
}

// ListenPacket records the call and opens the socket in the simulation.
func (k *Kernel) ListenPacket(a kernel.Addr, o *kernel.PacketOptions) (kernel.PacketConn, error) {
	call := &Packet{Addr: a}
	if o != nil {
		call.Options = *o
	}
	k.Packets = append(k.Packets, call)
	below, ok := kernel.As[kernel.Packets](k.Kernel)
	if !ok {
		call.Err = kernel.ErrUnsupported
		return nil, call.Err
	}
	c, err := below.ListenPacket(a, o)
	if call.Err = err; err != nil {
		return nil, err
	}
	call.Local = c.Local()
	return c, nil
}

// Advance lets d pass on the clock of r. Delayed calls that are due meanwhile are made, each at its time. r must not be in Run. In a test
// with a real kernel it waits as long.
func Advance(t testing.TB, r *reactor.Reactor, d time.Duration) {
	t.Helper()
	for end := r.Now() + d; r.Now() < end; {
		if err := r.Turn(end - r.Now()); err != nil {
			t.Fatalf("turn: %v", err)
		}
	}
	testworld.Turns(t, r, 1) // what is due now
}

// Run runs r: what CallWhenRunning and the triggers of startup have kept is called, and then r stops. It returns what
// Reactor.Run returns.
func Run(r *reactor.Reactor) error {
	r.CallWhenRunning(func() { _ = r.Stop() })
	return r.Run(context.Background())
}
