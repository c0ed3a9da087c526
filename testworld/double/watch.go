package double

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// Watch is one call of Kernel.Watch, which Reactor.AddReader and AddWriter cause. The numbers are those of nothing: the
// descriptor is ready when the test says so.
type Watch struct {
	// In and Out are the descriptors.
	In, Out int
	// Closed tells that the reactor watches them no more.
	Closed bool

	k     *Kernel
	token uint32
	armed kernel.Ready
	ready kernel.Ready
}

// Watch records the call, and returns a conn that is never ready by itself.
func (k *Kernel) Watch(in, out int) (kernel.Conn, error) {
	if in < 0 || out < 0 {
		return nil, &kernel.SysError{Op: kernel.OpWatch, Kind: kernel.ErrBadDescriptor}
	}
	w := &Watch{In: in, Out: out, k: k}
	k.Watches = append(k.Watches, w)
	return &watched{w}, nil
}

// Ready has the reactor told of r in its next turn, once, as far as it waits for it.
func (w *Watch) Ready(r kernel.Ready) { w.ready |= r }

// Wait tells what Ready has said of watches, and otherwise waits in the simulation.
func (k *Kernel) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	n := 0
	for _, w := range k.Watches {
		if r := w.ready & w.armed; r != 0 && !w.Closed && n < len(ev)-1 {
			w.ready = 0
			ev[n] = kernel.Event{Token: w.token, Ready: r}
			n++
		}
	}
	if n > 0 {
		until = 0
	}
	m, err := k.Kernel.Wait(ev[n:], until)
	return n + m, err
}

// watched is the conn of a Watch.
type watched struct{ w *Watch }

func (c *watched) arm(token uint32, r kernel.Ready) error {
	c.w.token, c.w.armed = token, r
	return nil
}

// Close forgets the descriptors.
func (c *watched) Close() error {
	c.w.Closed = true
	return nil
}

func (c *watched) Abort() error              { return c.Close() }
func (c *watched) Local() kernel.Addr        { return kernel.Addr{} }
func (c *watched) Remote() kernel.Addr       { return kernel.Addr{} }
func (c *watched) Connected() error          { return nil }
func (c *watched) CloseWrite() error         { return nil }
func (c *watched) Read([]byte) (int, error)  { return 0, kernel.ErrAgain }
func (c *watched) Write([]byte) (int, error) { return 0, kernel.ErrAgain }
