package reactor

import (
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

// PacketPort is a datagram socket with its protocol. It is for the loop's goroutine only.
type PacketPort struct {
	r        *Reactor
	conn     kernel.PacketConn
	proto    PacketProtocol
	batch    PacketsReceiver // proto, or what it wraps, if it is one
	trains   kernel.Trains   // conn, or what it wraps, if it is one
	couples  bool            // batch gets trains
	cfg      PacketConfig    // complete
	local    kernel.Addr
	remote   kernel.Addr
	asked    kernel.Addr // of ListenPacket
	token    uint32
	state    portState
	armed    kernel.Ready
	paused   bool
	shared   bool            // somebody else may have the socket too
	touching bool            // in the reactor's list
	lent     []kernel.Packet // being delivered
	ours     bool            // lent is in memory of ours; otherwise it belongs to the kernel
	held     []kernel.Packet // read and not delivered, in memory of ours
	queue    packetQueue
	failures sendFailures  // not told yet
	stopDone []func(error) // of StopListening
	reason   error         // why the port ends; nil: StopListening
	unsent   uint64        // datagrams that could not be sent since StopListening
	whyNot   error         // of the first of them
	stats    PacketStats

	failureLog LogLimit
}

var _ PacketTransport = (*PacketPort)(nil)

// ListenPacket binds a datagram socket to a, starts p and delivers what comes to it. a is an IP and a port, UDP's, or the
// name of a UNIX datagram socket, which gets a file as [Reactor.Listen] makes it (UDP-1, UNIXD-1). Port 0 means a
// free port. The IPv4 zero address means any IPv4 address, and "::" any IPv6 address. Nil and the zero
// value of o are the defaults. StartProtocol has been called when ListenPacket returns. After Inherit, the socket may be one
// that is open already.
//
// An error is an [*OpError] that is ErrListen and its cause; a kernel without datagrams is kernel.ErrUnsupported. The
// socket is then closed, and p was not started, unless StartProtocol panicked.
func (r *Reactor) ListenPacket(a kernel.Addr, p PacketProtocol, o *PacketConfig) (*PacketPort, error) {
	cfg := o.complete()
	failed := func(err error) error { return &OpError{Op: "listen", Local: a, Err: err} }
	if !cfg.Bind.IsZero() {
		return nil, failed(&kernel.OptionError{Op: kernel.OpListen, Option: "Bind", Value: cfg.Bind, Err: kernel.ErrInvalidOption})
	}
	in := (*Inherited)(nil)
	t, err := r.openPacket(p, cfg, failed, func() (c kernel.PacketConn, err error) {
		c, in, err = r.listenPacket(a, cfg.PacketOptions)
		return c, err
	})
	if err == nil {
		t.asked = a
		t.shared = in != nil
		in.opened(t)
	}
	return t, err
}

// DialPacket opens a datagram socket whose peer is to, an IP and a port, or the name of a UNIX datagram socket: it sends to that
// one alone, and receives from it alone (UDP-25, UNIXD-6). Nothing is sent. o.Bind is the local address. In everything else it is
// like ListenPacket; the error is ErrConnect and its cause. A UNIX name that nobody has fails at
// once, and p is not started (UNIXD-7).
func (r *Reactor) DialPacket(to kernel.Addr, p PacketProtocol, o *PacketConfig) (*PacketPort, error) {
	cfg := o.complete()
	failed := func(err error) error { return &OpError{Op: "dial", Remote: to, Err: err} }
	if err := kernel.CheckPacketAddr(kernel.OpConnect, to); err != nil {
		return nil, failed(err)
	}
	from := cfg.Bind
	if from.IsZero() {
		from = unboundFor(to)
	}
	return r.openPacket(p, cfg, failed, func() (kernel.PacketConn, error) {
		c, err := r.caps.listenPacket(from, &cfg.PacketOptions)
		if err == nil {
			if err = c.Connect(to); err == nil {
				return c, nil
			}
			c.Close()
		}
		return nil, err
	})
}

// unboundFor is the local address of a socket that is to be connected to a, and may have any.
func unboundFor(a kernel.Addr) kernel.Addr {
	switch {
	case a.Net == kernel.UNIXDatagram:
		return kernel.UNIXDatagramAddr("")
	case a.IP.Addr().Is4():
		return kernel.UDPAddr(netip.IPv4Unspecified(), 0)
	}
	return kernel.UDPAddr(netip.IPv6Unspecified(), 0)
}

// openPacket makes a port of the socket that open opens.
func (r *Reactor) openPacket(p PacketProtocol, cfg PacketConfig, failed func(error) error, open func() (kernel.PacketConn, error)) (*PacketPort, error) {
	if r.is(lifeEnding) || r.is(lifeStopped) {
		return nil, failed(ErrStopped)
	}
	if p == nil {
		return nil, failed(errNoProtocol)
	}
	inner := innermost(p)
	comparable := reflect.ValueOf(inner).Comparable()
	if comparable && r.packetProtocols[inner] {
		return nil, failed(ErrProtocolInUse)
	}
	c, err := protect(r, "Control", open)
	if err == nil && cfg.SetUp != nil {
		if _, err = protect(r, "SetUp", func() (struct{}, error) { return struct{}{}, cfg.SetUp(c) }); err != nil {
			c.Close()
		}
	}
	if err != nil {
		return nil, failed(err)
	}
	t := &PacketPort{r: r, conn: c, proto: p, cfg: cfg, local: c.Local(), remote: c.Remote(), state: portListening}
	if err := t.findTrains(); err != nil {
		c.Close()
		return nil, failed(err)
	}
	r.optionals.packets.Check(r, p)
	t.queue.init(t)
	t.token = r.assignToken(t)
	if comparable {
		if r.packetProtocols == nil {
			r.packetProtocols = make(map[PacketProtocol]bool)
		}
		r.packetProtocols[inner] = true
	}
	r.log.Info("starting", slog.String("protocol", LogPrefixOf(p)), slog.Any("on", t.local))
	if err := t.start(); err != nil {
		t.state = portStopped
		t.free()
		for _, done := range t.stopDone { // of StopListening in StartProtocol
			r.tellStopped(done)
		}
		return nil, failed(err)
	}
	return t, nil
}

// findTrains asks who has trains. The error is a panic of the protocol.
func (t *PacketPort) findTrains() (err error) {
	t.batch, _ = PacketProtocolAs[PacketsReceiver](t.proto)
	t.trains, _ = kernel.PacketAs[kernel.Trains](t.conn)
	if x, ok := t.batch.(TrainsReceiver); ok && t.trains != nil && t.cfg.MaxPacketSize >= defaultMaxPacket {
		t.couples, err = protect(t.r, t.proto, func() (bool, error) { return x.TakesTrains(), nil })
	}
	return err
}

// start calls StartProtocol and begins to read (UDP-4).
func (t *PacketPort) start() error {
	t.note(probe.NoteStartProtocol, 0, nil)
	if e := t.r.guard(t.proto, func() { t.proto.StartProtocol(t) }); e != nil {
		return e
	}
	t.touch()
	if t.state != portListening {
		return nil // it has stopped the port, which ends later
	}
	return t.arm()
}

// arm tells the kernel what the port waits for.
func (t *PacketPort) arm() error {
	var want kernel.Ready
	if t.state == portListening && !t.paused && len(t.held) == 0 {
		want = kernel.Readable
	}
	if t.queue.waitsForRoom() {
		want |= kernel.Writable
	}
	if want == t.armed {
		return nil
	}
	err := t.r.k.Arm(t.conn, t.token, want)
	if err == nil {
		t.armed = want
	}
	return err
}

// rearm is arm for a port that is open. One that cannot be armed ends.
func (t *PacketPort) rearm() {
	if t.state == portStopped {
		return
	}
	if err := t.arm(); err != nil {
		t.fail("arm", err)
	}
}

// touch has touched called before the loop waits.
func (t *PacketPort) touch() {
	if !t.touching {
		t.touching = true
		t.r.touch(t)
	}
}

// touched sends what was gathered, tells of failures, delivers what is held, and ends a port whose
// end has come.
func (t *PacketPort) touched() {
	t.touching = false
	t.r.gathered.flushFor(t)
	t.tellFailures()
	t.deliverHeld()
	t.r.gathered.flushFor(t)
	if t.state == portStopping && (t.queue.empty() || t.reason != nil) {
		t.finish()
		return
	}
	t.rearm()
}

// StopListening is described by PacketTransport.
func (t *PacketPort) StopListening(done func(error)) {
	if t.state == portStopped || t.r.is(lifeStopped) {
		t.r.tellStopped(done)
		return
	}
	if done != nil {
		t.stopDone = append(t.stopDone, done)
	}
	if t.state == portListening {
		t.state = portStopping
		t.note(probe.NoteClosing, 0, nil)
	}
	t.touch()
}

// fail ends the port later, because of an error of the socket.
func (t *PacketPort) fail(op string, err error) {
	if t.reason == nil {
		t.reason = &OpError{Op: op, Local: t.local, Remote: t.remote, Err: err}
	}
	t.state = portStopping
	t.touch()
}

// finish ends the port and tells the protocol, and then those who have called StopListening.
func (t *PacketPort) finish() {
	t.queue.drop(t.endCause())
	t.disarm() // an armed socket may say that there is no more, and report it later
	t.discard()
	t.state = portStopped
	t.free()
	kind := strings.ToUpper(t.local.Network())
	reason, err := t.reason, t.reason
	if err != nil && err != ErrStopped {
		t.r.log.Error("a port of datagrams has failed and is closed", slog.Any("addr", t.local), slog.Any("err", err))
	}
	t.r.log.Info(fmt.Sprintf("(%s Port %s Closed)", kind, placeOf(t.local)), slog.Any("addr", t.local))
	if reason == nil {
		reason = ErrClosed
	}
	t.tellFailures()
	t.note(probe.NoteStopProtocol, 0, reason)
	_ = t.r.guard(t.proto, func() { t.proto.StopProtocol(reason) })
	if err == nil && t.unsent > 0 {
		err = &OpError{Op: "send", Local: t.local, Err: fmt.Errorf("%d datagrams were not sent, the first because of: %w", t.unsent, t.whyNot)}
	}
	dones := t.stopDone
	t.stopDone = nil
	for _, done := range dones {
		_ = t.r.guard("StopListening", func() { done(err) })
	}
}

// endCause is what an end other than StopListening is due to.
func (t *PacketPort) endCause() error {
	if e, ok := t.reason.(*OpError); ok {
		return e.Err
	}
	return t.reason
}

// disarm makes the kernel report nothing of the socket any more. A close does not do it if another process has the socket too.
func (t *PacketPort) disarm() {
	if t.armed != 0 {
		_ = t.r.k.Arm(t.conn, t.token, 0)
		t.armed = 0
	}
}

// free closes the socket, and gives up the token and the protocol.
func (t *PacketPort) free() {
	if s, ok := kernel.PacketAs[kernel.PacketSettings](t.conn); ok {
		t.stats.Lost = s.Lost()
	}
	t.disarm()
	t.conn.Close()
	t.queue.timer.Cancel()
	t.r.gathered.forget(t)
	t.r.releaseToken(t.token)
	if inner := innermost(t.proto); reflect.ValueOf(inner).Comparable() {
		delete(t.r.packetProtocols, inner)
	}
}

// innermost is the protocol that p wraps, or p.
func innermost(p PacketProtocol) PacketProtocol {
	for l := range kernel.Layers(p) {
		p = l
	}
	return p
}

// Connect is described by PacketTransport.
func (t *PacketPort) Connect(to kernel.Addr) error {
	failed := func(err error) error { return &OpError{Op: "dial", Local: t.local, Remote: to, Err: err} }
	switch {
	case t.state != portListening:
		return failed(ErrClosed)
	case !t.remote.IsZero():
		return failed(ErrAlreadyConnected)
	}
	t.r.gathered.flushFor(t)
	if err := kernel.CheckPacketPeer(kernel.OpConnect, t.local, to); err != nil {
		return failed(err)
	}
	if err := t.conn.Connect(to); err != nil {
		return failed(err)
	}
	t.remote, t.local = to, t.conn.Local() // the system may have chosen our address now
	t.queue.connected(to)
	return nil
}

// PauseProducing is described by PacketTransport.
func (t *PacketPort) PauseProducing() {
	t.paused = true
	t.note(probe.NotePaused, 0, nil)
	t.touch()
}

// ResumeProducing is described by PacketTransport.
func (t *PacketPort) ResumeProducing() {
	t.paused = false
	t.note(probe.NoteResumed, 0, nil)
	t.touch()
}

// Local is described by PacketTransport. An adopted socket that was not bound gets its port with the first datagram.
func (t *PacketPort) Local() kernel.Addr {
	if t.local.Net == kernel.UDP && t.local.Port() == 0 && t.state != portStopped {
		t.local = t.conn.Local()
	}
	return t.local
}

// Addr is Local. With it and StopListening a port is a listener of package endpoint.
func (t *PacketPort) Addr() kernel.Addr { return t.Local() }

// Remote is described by PacketTransport.
func (t *PacketPort) Remote() kernel.Addr { return t.remote }

// Reactor is the loop of the port.
func (t *PacketPort) Reactor() *Reactor { return t.r }

// Protocol is the port's protocol.
func (t *PacketPort) Protocol() PacketProtocol { return t.proto }

// Listening tells whether the port is open, and not being stopped.
func (t *PacketPort) Listening() bool { return t.state == portListening }

// Conn is the kernel's socket, for the capabilities of its own, such as [kernel.PacketSettings]. It
// belongs to the port.
func (t *PacketPort) Conn() kernel.PacketConn { return t.conn }

// Stats returns a copy of the counters.
func (t *PacketPort) Stats() PacketStats {
	s := t.stats
	s.Queued = t.queue.len() + t.r.gathered.len(t)
	if c, ok := kernel.PacketAs[kernel.PacketSettings](t.conn); ok && t.state != portStopped {
		s.Lost = c.Lost()
	}
	return s
}

// String shows the protocol, and while the port is open the number or the quoted path.
func (t *PacketPort) String() string {
	if t.state == portStopped {
		return fmt.Sprintf("<%s (not listening)>", LogPrefixOf(t.proto))
	}
	return fmt.Sprintf("<%s on %s>", LogPrefixOf(t.proto), placeOf(t.local))
}

func (t *PacketPort) logName() string { return LogPrefixOf(t.proto) }

// panicked goes on with the next datagram (UDP-13). The batch may belong to another socket soon, so the
// rest of it is kept in memory of ours.
func (t *PacketPort) panicked(*PanicError) {
	t.hold()
	t.touch()
}

func (t *PacketPort) drop() { t.conn.Close() }

// shutdown sends what the system takes now, and ends the port.
func (t *PacketPort) shutdown() {
	t.r.gathered.flushFor(t)
	t.reason = ErrStopped
	t.state = portStopping
	t.finish()
}
