package reactor_test

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// stampede is a kernel with one client for each wake-up of a listener. The clients are fakes.
type stampede struct {
	kernel.Kernel
	accepted bool
}

func (k *stampede) Unwrap() kernel.Kernel { return k.Kernel }

func (k *stampede) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	l, err := k.Kernel.Listen(a, o)
	return &stampedeListener{l, k}, err
}

func (k *stampede) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	switch x := h.(type) {
	case *stampedeListener:
		h = x.Listener
	case fakeConn:
		return nil
	}
	return k.Kernel.Arm(h, token, r)
}

type stampedeListener struct {
	kernel.Listener
	k *stampede
}

func (l *stampedeListener) Unwrap() kernel.Listener { return l.Listener }

func (l *stampedeListener) Accept() (kernel.Conn, error) {
	if l.k.accepted = !l.k.accepted; !l.k.accepted {
		return nil, kernel.ErrAgain
	}
	return fakeConn{}, nil
}

type fakeConn struct{ kernel.Conn }

func (fakeConn) Abort() error        { return nil }
func (fakeConn) Local() kernel.Addr  { return loopback }
func (fakeConn) Remote() kernel.Addr { return loopback }

// quitter is a protocol that ends its connection at once.
type quitter struct{ reactor.Base }

func (q *quitter) ConnectionMade(t reactor.Transport) { t.Abort() }
func (q *quitter) DataReceived([]byte)                {}

// A connection of a port with limits costs no more allocations than one of a port without.
func TestLimitsAllocs(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var proto quitter
		each := func(o reactor.PortLimits) float64 {
			k := &stampede{Kernel: w.Open(t)}
			r := testworld.New(t, k, reactor.Config{})
			p := listen(t, r, one(&proto), &reactor.ListenConfig{PortLimits: o})
			w.Peer(t, p.Addr()) // it waits all the time
			accept := func() {
				for before := p.Stats().Accepted; p.Stats().Accepted == before; {
					if err := r.Turn(0); err != nil {
						t.Fatal(err)
					}
				}
			}
			accept()
			n := testing.AllocsPerRun(200, accept)
			if s := p.Stats(); s.Open != 0 || s.Refused != 0 || s.Peers != 0 {
				t.Errorf("%+v", s)
			}
			r.Close()
			return n
		}
		without := each(reactor.PortLimits{})
		with := each(reactor.PortLimits{MaxConnections: 1, MaxPerPeer: 1, AcceptRate: 1 << 20})
		if with > without || without == 0 {
			t.Errorf("%v allocations for a connection, and %v with limits", without, with)
		}
		t.Logf("%v allocations for a connection, %v with limits", without, with)
	})
}
