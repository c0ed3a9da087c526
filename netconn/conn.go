package netconn

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/internal/linked"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Config configures a Conn. Nil and the zero value are the defaults.
type Config struct {
	// ReadWater is how many bytes may wait for Read before the transport delivers no more, so that the
	// peer has to wait. One delivery of the loop may go beyond it: see reactor.Config.ReadBuffer. The
	// transport goes on when half of it is left. Zero or negative: 64 KiB (NETCONN-3).
	ReadWater int
	// WriteWater is how many bytes Write takes that the transport has not got yet. The transport
	// itself holds as much again as its HighWater says. Then Write waits. Zero or negative: 64 KiB
	// (NETCONN-4).
	WriteWater int
}

const defaultWater = 64 << 10

// complete copies c and fills in the defaults.
func (c *Config) complete() Config {
	var full Config
	if c != nil {
		full = *c
	}
	if full.ReadWater <= 0 {
		full.ReadWater = defaultWater
	}
	if full.WriteWater <= 0 {
		full.WriteWater = defaultWater
	}
	return full
}

// Conn is a transport as a net.Conn. Its methods may be called from any number of goroutines at a
// time, but Read and Write not on the loop's: there, a call that would have to wait panics. The others do not wait.
//
// An error of Read or Write is io.EOF, at the end of the peer's direction, or a *net.OpError whose cause is
// os.ErrDeadlineExceeded, net.ErrClosed after our own Close, reactor.ErrStopped if the reactor has ended, or what
// ConnectionLost was told (NETCONN-6).
type Conn struct {
	hub     *hub // nil until a Listener's connection is made; nobody else has it then
	in      input
	out     output
	queued  atomic.Bool // is in hub.queue
	whole   atomic.Bool // the transport cannot end our direction alone
	virtual bool        // time of the loop passes otherwise than that of the system
	cfg     *Config     // complete
	idle    *idling     // of a Conn of an IdleListener; nil: it is none

	local, remote atomic.Pointer[kernel.Addr] // nil: it is not connected yet

	// For the loop alone.
	t     reactor.Connection    // nil: it is not connected yet, or no longer
	over  bool                  // it is no longer
	shut  bool                  // our direction was ended
	links linked.Links[Conn]    // in hub.live
	made  func(net.Conn, error) // is called once, when it can be used or never will; nil: nobody waits
}

var _ net.Conn = (*Conn)(nil)

// New makes a Conn without a transport. What [Conn.Protocol] returns is given to something that connects
// protocols and calls ConnectionMade, such as Attach or a factory; SwitchProtocol does not call it. Read and
// Write wait until that has been done, or fail with reactor.ErrStopped once the reactor has ended. r is the reactor of the transport. New is for the loop's goroutine, or
// before the reactor runs. Nil and the zero value of o are the defaults.
//
// The transport, or one that it wraps, must be a reactor.Producer and a reactor.Consumer without a producer:
// otherwise nothing would be bounded, and ConnectionMade panics.
func New(r *reactor.Reactor, o *Config) *Conn {
	cfg := o.complete()
	h := hubOf(r)
	select {
	case <-r.Done(): // nobody would end the calls that wait
		c := &Conn{cfg: &cfg, hub: h, over: true}
		c.in.lost(reactor.ErrStopped)
		c.out.lost(reactor.ErrStopped)
		return c
	default:
		return newConn(h, &cfg)
	}
}

func newConn(h *hub, cfg *Config) *Conn {
	c := &Conn{cfg: cfg}
	c.join(h)
	return c
}

// join makes c one of a reactor, on its loop.
func (c *Conn) join(h *hub) {
	c.hub, c.virtual = h, h.virtual
	h.live.Add(c)
}

// Protocol is the end of c on the loop. It is for one transport. Who takes the transport from it by SwitchProtocol calls its ConnectionLost, so that
// the calls that wait end. If the transport was retired, Write fails with reactor.ErrSwitched.
func (c *Conn) Protocol() reactor.Protocol { return (*link)(c) }

// Reactor is the loop of the transport.
func (c *Conn) Reactor() *reactor.Reactor { return c.hub.r }

// Read reads what has arrived, at least one byte, and otherwise waits for it.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(c, p) }

// Write hands all of p to the loop, which sends it. If too much is unsent, it waits. An error that comes later is the
// error of a later call, as with a socket. p belongs to the caller again when Write returns. If it fails, n bytes were taken.
func (c *Conn) Write(p []byte) (n int, err error) {
	if c.idle != nil {
		c.idle.writes()
	}
	return c.out.write(c, p)
}

// Close ends the connection when what was written is sent, as Close of a transport does, and returns at once. Calls that wait
// fail with net.ErrClosed. A second Close does too.
func (c *Conn) Close() error {
	return c.finish(outputClosed)
}

// Abort resets the connection and drops what is unsent, also after Close. In everything else it is like Close.
func (c *Conn) Abort() error { return c.finish(outputReset) }

func (c *Conn) finish(s outputState) error {
	if c.idle != nil {
		if parked, err := c.park(s == outputClosed); parked {
			return err
		}
	}
	c.in.close(c, inputClosed)
	if !c.out.close(s) {
		return c.opError("close", net.ErrClosed)
	}
	c.hub.add(c)
	return nil
}

// CloseWrite ends our direction when what was written is sent. Reading goes on. The peer reads the end of the stream. Where no direction can
// end alone, as on a WebSocket, CloseWrite does nothing, and the error is errors.ErrUnsupported. After the loss of the connection it is the
// reason: what Write has taken may not have arrived. An orderly end of the peer is no loss.
func (c *Conn) CloseWrite() error {
	if c.whole.Load() && !c.isClosed() {
		return c.opError("close", errors.ErrUnsupported)
	}
	if c.out.close(outputShut) {
		c.hub.add(c)
	}
	if c.isClosed() {
		return c.opError("close", net.ErrClosed)
	}
	if err := c.out.loss(); err != nil && err != io.EOF {
		return c.opError("close", err)
	}
	return nil
}

// CloseRead ends reading: Read is io.EOF, and what still comes is dropped. The peer is told nothing.
func (c *Conn) CloseRead() error {
	if !c.in.close(c, inputShut) && c.isClosed() {
		return c.opError("close", net.ErrClosed)
	}
	return nil
}

func (c *Conn) isClosed() bool {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return c.in.state >= inputParked
}

// LocalAddr is our address: a *net.TCPAddr, a *net.UnixAddr, or a kernel.Addr for a transport that package net does not
// have, such as a pipe. It is nil while there is no transport, and if that has no address.
func (c *Conn) LocalAddr() net.Addr { return loaded(&c.local) }

// RemoteAddr is the peer's address, as LocalAddr says.
func (c *Conn) RemoteAddr() net.Addr { return loaded(&c.remote) }

func loaded(p *atomic.Pointer[kernel.Addr]) net.Addr {
	if a := p.Load(); a != nil {
		return netAddr(*a)
	}
	return nil
}

// network is the name of the network, for errors.
func (c *Conn) network() string {
	if a := c.remote.Load(); a != nil {
		return a.Network()
	}
	return ""
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline has Read fail with os.ErrDeadlineExceeded from t on, also one that waits already. The zero time: there
// is no deadline. On a simulated kernel the time until t passes on the simulated clock. A deadline that has passed
// may be set anew.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.idle != nil {
		c.idle.deadlines(c)
	}
	return c.setDeadline(&c.in.gate, t)
}

// SetWriteDeadline is SetReadDeadline for Write.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.out.gate, t) }

func (c *Conn) setDeadline(g *gate, t time.Time) error {
	if c.isClosed() {
		return c.opError("set", net.ErrClosed)
	}
	if g.setDeadline(t, c.virtual) {
		c.hub.add(c)
	}
	return nil
}

// serve does on the loop what the goroutines want.
func (c *Conn) serve() {
	if c.over {
		return
	}
	c.in.gate.settle(c)
	c.out.gate.settle(c)
	if c.t != nil {
		c.in.settle(c.t)
		c.out.settle(c)
	} else if c.made == nil && c.isClosed() {
		c.forget()
	}
	if c.out.broken && c.out.lost(kernel.ErrBroken) {
		c.hub.wakes()
	}
}

// leave ends what c has to do with its transport, on the loop.
func (c *Conn) leave() {
	c.t, c.over = nil, true
	c.forget()
}

// forget leaves nothing behind of c in the loop. A closed Conn may still get a transport, which joins it again.
func (c *Conn) forget() {
	if c.hub.live.Has(c) {
		c.hub.live.Remove(c)
	}
	c.in.gate.stop()
	c.out.gate.stop()
}
