package device

import (
	"errors"
	"fmt"
	"math"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// TunnelProtocol is the application's end of a network device. It must be a [PacketReceiver] or a [FrameReceiver] too,
// which says what the device is: tun, with IP packets, or tap, with Ethernet frames (TUN-1). Its methods are called
// on the loop's goroutine.
type TunnelProtocol interface {
	// StartTunnel is called when the device is open, inside OpenTunnel (TUN-3). Writing and stopping are allowed.
	StartTunnel(t *Tunnel)
	// StopTunnel is called once and last. err is reactor.ErrClosed after Stop, reactor.ErrStopped, or why the device
	// was lost: somebody has deleted it, for instance.
	StopTunnel(err error)
}

// PacketReceiver is a TunnelProtocol for a tun device.
type PacketReceiver interface {
	TunnelProtocol
	// PacketReceived gets an IP packet that the system sends through the device. p belongs to the device again when
	// PacketReceived returns. A panic is logged, and the next packet comes (TUN-5).
	PacketReceived(p []byte)
}

// FrameReceiver is a TunnelProtocol for a tap device.
type FrameReceiver interface {
	TunnelProtocol
	// FrameReceived gets an Ethernet frame, without its checksum. Everything else is as with PacketReceived.
	FrameReceived(p []byte)
}

// TunnelConfig configures a network device. The zero value makes a new one with a name of the system's choice, which
// goes when it is closed.
type TunnelConfig struct {
	// Name is that of the device, of 15 bytes at most, or a pattern such as "vpn%d", of which the system takes the first that is
	// free. A device that is there, and persistent, is opened. Empty: "tun%d" or "tap%d".
	Name string
	// Persist has the device stay when it is closed, once it was opened.
	Persist bool
	// Owner and Group are numbers of a user and a group that may open a persistent device. Nil: as it is.
	Owner, Group *int
	// MultiQueue lets the device be opened several times; the system spreads flows over these. All must say so.
	MultiQueue bool
	// MTU is the length of the longest packet that the system sends, without the Ethernet header. Zero: as it is, 1500 for a new one.
	MTU int
	// Up switches the device on. It needs addresses and routes besides, which other programs set.
	Up bool
	// MaxPacketSize is the length beyond which a packet from the system is cut (TUN-4). Zero or negative: 8192 (TUN-1).
	MaxPacketSize int
	// MaxQueued is how many bytes of written packets may wait because the system takes no more. A write beyond it is
	// refused. Zero: 1 MiB; negative: nothing waits.
	MaxQueued int
}

// TunnelAddr is the address of a network device: its kind and its name (TUN-7). It is a net.Addr.
type TunnelAddr struct {
	// Kind is "tun" or "tap".
	Kind string
	// Name is the name, as the system has chosen it.
	Name string
}

// Network is the Kind.
func (a TunnelAddr) Network() string { return a.Kind }

// String is the Name.
func (a TunnelAddr) String() string { return a.Name }

// TunnelStats are counters of a network device.
type TunnelStats struct {
	Received, ReceivedBytes uint64 // packets from the system
	Truncated               uint64 // of these, cut
	Sent, SentBytes         uint64 // packets that the system took
	Failed                  uint64 // packets that the system refused
	QueueFull               uint64 // writes refused because too much waits
	Queued, QueuedBytes     int    // packets that wait
}

// Tunnel is an open network device, tun or tap. Its methods are for the loop's goroutine.
type Tunnel struct {
	r       *reactor.Reactor
	proto   TunnelProtocol
	receive func(p []byte)
	deliver func() // receive of packet
	packet  []byte
	cfg     TunnelConfig
	addr    TunnelAddr
	fd      int // -1 after the end
	buf     []byte
	queue   [][]byte
	stats   TunnelStats
	paused  bool
	ending  bool
	writing bool // waits for room
	stopped []func()
	atEnd   *reactor.Trigger // ends a device that is paused, which the reactor does not know
	write   func(fd int, p []byte) (int, error)
}

var (
	// ErrProtocol: a TunnelProtocol is neither a PacketReceiver nor a FrameReceiver, or it is both.
	ErrProtocol = kernel.Sentinel("the protocol must have one of the methods PacketReceived, for tun, and FrameReceived, for tap")
)

const (
	defaultTunnelPacket = 8192
	defaultTunnelQueued = 1 << 20
	// tunnelBudget bounds what one turn reads (TUN-4).
	tunnelBudget = 256 << 10
)

// OpenTunnel opens or makes a network device (Linux), and starts p on it. The system calls are made on the loop: none of
// them waits for anybody outside of this machine.
//
// An error is a [*reactor.OpError] and ErrListen, and leaves nothing open (TUN-2): ErrProtocol, ErrUnsupported,
// kernel.ErrPermission, ErrBusy (somebody else has the device), a [*kernel.OptionError] for a setting, a [*kernel.SysError].
func OpenTunnel(r *reactor.Reactor, p TunnelProtocol, c TunnelConfig) (*Tunnel, error) {
	t, err := openTunnel(r, p, c)
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Err: fmt.Errorf("network device %q: %w", c.Name, err)}
	}
	if e := r.Guard(p, func() { p.StartTunnel(t) }); e != nil {
		err = e
	} else if t.cfg.Persist && t.fd >= 0 { // last, because a device that was not opened must not stay
		err = persistTunnel(t.fd, true)
	}
	if err != nil {
		t.end(err)
		return nil, &reactor.OpError{Op: "listen", Err: err}
	}
	return t, nil
}

func openTunnel(r *reactor.Reactor, p TunnelProtocol, c TunnelConfig) (*Tunnel, error) {
	t := &Tunnel{r: r, proto: p, cfg: c, write: writeTunnel}
	tun, isTun := p.(PacketReceiver)
	tap, isTap := p.(FrameReceiver)
	switch {
	case isTun == isTap:
		return nil, fmt.Errorf("%T: %w", p, ErrProtocol)
	case isTun:
		t.addr.Kind, t.receive = "tun", tun.PacketReceived
	default:
		t.addr.Kind, t.receive = "tap", tap.FrameReceived
	}
	t.deliver = func() { t.receive(t.packet) }
	if t.cfg.MaxPacketSize <= 0 {
		t.cfg.MaxPacketSize = defaultTunnelPacket
	}
	if t.cfg.MaxQueued == 0 {
		t.cfg.MaxQueued = defaultTunnelQueued
	}
	if err := c.fits(); err != nil {
		return nil, err
	}
	fd, name, err := createTunnel(t.addr.Kind, c)
	if err != nil {
		return nil, err
	}
	t.fd, t.addr.Name = fd, name
	t.buf = make([]byte, t.cfg.MaxPacketSize+1) // one more, to see what is too long
	if err := r.AddReader((*tunnelFD)(t)); err != nil {
		closeTunnel(fd)
		return nil, unsupported(err)
	}
	t.atEnd = r.AddTrigger(reactor.During, reactor.Shutdown, func() { t.end(reactor.ErrStopped) })
	return t, nil
}

// fits fails if the system would cut a value. Whether it likes the others it says itself.
func (c *TunnelConfig) fits() error {
	if mtu := int64(c.MTU); mtu < math.MinInt32 || mtu > math.MaxInt32 {
		return badSetting("MTU", c.MTU, kernel.ErrInvalidOption)
	}
	for i, id := range []*int{c.Owner, c.Group} {
		if id != nil && (*id < 0 || int64(*id) >= math.MaxUint32) {
			return badSetting([]string{"Owner", "Group"}[i], *id, kernel.ErrInvalidOption)
		}
	}
	return nil
}

// Addr is the kind and the name of the device. It stays valid after the end.
func (t *Tunnel) Addr() TunnelAddr { return t.addr }

// Stats returns the counters.
func (t *Tunnel) Stats() TunnelStats { return t.stats }

// Reactor is the loop of this device.
func (t *Tunnel) Reactor() *reactor.Reactor { return t.r }

// Write sends p, one whole packet or frame, to the system (TUN-6). It never blocks, and keeps no reference to p. What the
// system has no room for waits, in order, within MaxQueued.
//
// An error is a [*reactor.OpError]: reactor.ErrQueueFull, reactor.ErrClosed, or what the system says of this packet, a
// [*kernel.SysError]: EIO if the device is down, EINVAL if it is none. The device goes on.
func (t *Tunnel) Write(p []byte) error {
	if t.fd < 0 || t.ending {
		return t.failed(reactor.ErrClosed)
	}
	if len(t.queue) > 0 {
		return t.enqueue(p)
	}
	err := t.send(p)
	if err == kernel.ErrAgain {
		return t.enqueue(p)
	}
	return err
}

// WriteVec sends the concatenation of bufs as one packet (TUN-6).
func (t *Tunnel) WriteVec(bufs [][]byte) error {
	var all []byte
	for _, b := range bufs {
		all = append(all, b...)
	}
	return t.Write(all)
}

// send hands one packet to the system.
func (t *Tunnel) send(p []byte) error {
	for {
		_, err := t.write(t.fd, p)
		switch errnoOf(err) {
		case 0:
			if err == nil {
				t.stats.Sent++
				t.stats.SentBytes += uint64(len(p))
			}
			return err
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return kernel.ErrAgain
		}
		t.stats.Failed++
		return t.failed(sysError(kernel.OpWrite, err))
	}
}

func (t *Tunnel) failed(err error) error { return &reactor.OpError{Op: "send", Err: err} }

// enqueue keeps a copy of p.
func (t *Tunnel) enqueue(p []byte) error {
	if t.stats.QueuedBytes+len(p) > t.cfg.MaxQueued {
		t.stats.QueueFull++
		return t.failed(reactor.ErrQueueFull)
	}
	if !t.writing {
		if err := t.r.AddWriter((*tunnelFD)(t)); err != nil {
			return err
		}
		t.writing = true
	}
	t.queue = append(t.queue, append([]byte(nil), p...))
	t.stats.Queued++
	t.stats.QueuedBytes += len(p)
	return nil
}

// flush sends what waits. What the system refuses is dropped, and counted.
func (t *Tunnel) flush() {
	for len(t.queue) > 0 {
		p := t.queue[0]
		if t.send(p) == kernel.ErrAgain {
			return
		}
		t.queue[0] = nil
		t.queue = t.queue[1:]
		t.stats.Queued--
		t.stats.QueuedBytes -= len(p)
	}
	t.queue = nil
	t.writing = false
	t.r.RemoveWriter((*tunnelFD)(t))
}

// PauseProducing leaves packets to the system, which keeps some hundreds and drops the rest. ResumeProducing goes on.
func (t *Tunnel) PauseProducing() {
	if !t.paused && t.fd >= 0 {
		t.paused = true
		t.r.RemoveReader((*tunnelFD)(t))
	}
}

// ResumeProducing has packets delivered again. If the kernel refuses that, the device is lost.
func (t *Tunnel) ResumeProducing() {
	if t.paused && t.fd >= 0 {
		t.paused = false
		if err := t.r.AddReader((*tunnelFD)(t)); err != nil {
			t.r.Post(func() { t.end(err) })
		}
	}
}

// StopProducing is Stop.
func (t *Tunnel) StopProducing() { t.Stop(nil) }

// Stop closes the device, in the next turn. What waits then is dropped. StopTunnel is called, and then done, if it is not nil
// (TUN-3). On a stopped device done is called, later.
func (t *Tunnel) Stop(done func()) {
	if done != nil {
		t.stopped = append(t.stopped, done)
	}
	t.ending = true
	t.r.Tell(func(gone error) {
		if gone != nil { // a callback has ended the loop's goroutine, or the device is closed already
			t.close()
			t.tellStopped()
			return
		}
		t.end(reactor.ErrClosed)
	})
}

// end closes the device, once, and tells who waits for that.
func (t *Tunnel) end(err error) {
	if t.fd >= 0 {
		t.r.RemoveReader((*tunnelFD)(t))
		t.r.RemoveWriter((*tunnelFD)(t))
		_ = t.atEnd.Remove() // an error says that it runs
		if errors.Is(err, reactor.ErrDescriptorGone) {
			t.forget() // the number is somebody else's
		} else {
			t.close()
		}
		_ = t.r.Guard(t.proto, func() { t.proto.StopTunnel(err) })
	}
	t.tellStopped()
}

// close closes the device, once.
func (t *Tunnel) close() {
	if fd := t.forget(); fd >= 0 {
		closeTunnel(fd)
	}
}

// forget gives up the number, and what waits to be sent. It returns the number, -1 the next time.
func (t *Tunnel) forget() (fd int) {
	fd, t.fd, t.queue = t.fd, -1, nil
	t.stats.Queued, t.stats.QueuedBytes = 0, 0
	return fd
}

// tellStopped tells who waits for the end.
func (t *Tunnel) tellStopped() {
	for len(t.stopped) > 0 {
		done := t.stopped[0]
		t.stopped = t.stopped[1:]
		_ = t.r.Guard("Stop", done)
	}
}

// SetPersist has the device stay when it is closed, or go.
func (t *Tunnel) SetPersist(on bool) error {
	if t.fd < 0 {
		return kernel.ErrClosed
	}
	t.cfg.Persist = on // what StartTunnel says counts
	return persistTunnel(t.fd, on)
}

// tunnelFD is a Tunnel as the reactor sees it.
type tunnelFD Tunnel

// Fileno is the descriptor.
func (d *tunnelFD) Fileno() int { return d.fd }

// LogPrefix is the name of the protocol in logs.
func (d *tunnelFD) LogPrefix() string { return reactor.LogPrefixOf(d.proto) }

// DoRead delivers packets until there are none, or the turn has had its share (TUN-4).
func (d *tunnelFD) DoRead() error {
	t := (*Tunnel)(d)
	for left := tunnelBudget; left > 0 && t.fd >= 0 && !t.paused && !t.ending; {
		n, err := readTunnel(t.fd, t.buf)
		switch errnoOf(err) {
		case syscall.EAGAIN, syscall.EINTR:
			return nil
		}
		if err != nil {
			return sysError(kernel.OpRead, err)
		}
		left -= max(n, 1)
		t.stats.Received++
		t.stats.ReceivedBytes += uint64(n)
		if n > t.cfg.MaxPacketSize {
			n = t.cfg.MaxPacketSize
			t.stats.Truncated++
		}
		t.packet = t.buf[:n]
		_ = t.r.Guard(t.proto, t.deliver) // reported (TUN-5)
	}
	return nil
}

// DoWrite sends what waits.
func (d *tunnelFD) DoWrite() error {
	(*Tunnel)(d).flush()
	return nil
}

// ConnectionLost ends the device.
func (d *tunnelFD) ConnectionLost(err error) {
	t := (*Tunnel)(d)
	if e, ok := errors.AsType[*kernel.SysError](err); ok {
		err = t.failed(e)
	}
	t.end(err)
}
