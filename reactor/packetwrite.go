package reactor

import (
	"log/slog"
	"slices"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

// gathered are the datagrams that callbacks of one port have written and that the system has not been given. Memory in one piece,
// and as few system calls as possible, make sending fast. There is one for the reactor: when another port
// writes, the first one's are sent.
type gathered struct {
	port    *PacketPort
	buf     []byte
	packets []kernel.Packet
}

const (
	gatherBytes   = 128 << 10
	gatherPackets = 256
)

// room makes room for a datagram of t, of size bytes. It may send those before it, so that some have to wait.
func (g *gathered) room(t *PacketPort, size int) {
	for len(g.packets) > 0 && (g.port != t || len(g.buf)+size > cap(g.buf) || len(g.packets) == gatherPackets) {
		g.flush()
	}
	if g.buf == nil {
		g.buf = make([]byte, 0, gatherBytes)
		g.packets = make([]kernel.Packet, 0, gatherPackets)
	}
	g.port = t
}

// add gathers a datagram of t, for which there is room. buf never moves, so the packets' Data stays valid.
func (g *gathered) add(t *PacketPort, p *kernel.Packet, bufs [][]byte) {
	from := len(g.buf)
	for _, b := range bufs {
		g.buf = append(g.buf, b...)
	}
	g.packets = append(g.packets, kernel.Packet{Data: g.buf[from:len(g.buf):len(g.buf)], Peer: p.Peer, Local: p.Local})
	t.touch()
}

// flushFor sends what is gathered, if it is of t.
func (g *gathered) flushFor(t *PacketPort) {
	if g.port == t {
		g.flush()
	}
}

// flush gives the system what is gathered. What it does not take is queued.
func (g *gathered) flush() {
	t, ps, buf := g.port, g.packets, g.buf
	if t == nil || len(ps) == 0 {
		return
	}
	// A log that is sent as datagrams may write meanwhile.
	g.port, g.packets, g.buf = nil, nil, nil
	t.queue.take(ps)
	clear(ps)
	if g.buf == nil {
		g.packets, g.buf = ps[:0], buf[:0]
	}
}

// len is how many are gathered of t.
func (g *gathered) len(t *PacketPort) int {
	if g.port != t {
		return 0
	}
	return len(g.packets)
}

func (g *gathered) empty() {
	clear(g.packets)
	g.packets, g.buf, g.port = g.packets[:0], g.buf[:0], nil
}

// forget drops what is gathered of t, whose socket is closed.
func (g *gathered) forget(t *PacketPort) {
	if g.port == t {
		t.stats.Dropped += uint64(len(g.packets))
		g.empty()
	}
}

// WriteTo is described by PacketTransport.
func (t *PacketPort) WriteTo(p []byte, to kernel.Addr) error {
	one := [1][]byte{p}
	return t.write(&kernel.Packet{Peer: to}, one[:], len(p))
}

// Write is described by PacketTransport.
func (t *PacketPort) Write(p []byte) error {
	if t.remote.IsZero() {
		return t.writeError(kernel.Addr{}, ErrNoPeer)
	}
	return t.WriteTo(p, kernel.Addr{})
}

// WriteVec is described by PacketTransport.
func (t *PacketPort) WriteVec(bufs [][]byte, to kernel.Addr) error {
	size := 0
	for _, b := range bufs {
		size += len(b)
	}
	return t.write(&kernel.Packet{Peer: to}, bufs, size)
}

// WritePacket is described by PacketTransport.
func (t *PacketPort) WritePacket(p kernel.Packet) error {
	if p.Train() {
		_, err := t.WritePackets([]kernel.Packet{p})
		return err
	}
	one := [1][]byte{p.Data}
	return t.write(&kernel.Packet{Peer: p.Peer, Local: p.Local}, one[:], len(p.Data))
}

func (t *PacketPort) writeError(to kernel.Addr, err error) error {
	return &OpError{Op: "send", Local: t.local, Remote: to, Err: err}
}

// WritePackets is described by PacketTransport.
func (t *PacketPort) WritePackets(ps []kernel.Packet) (n int, err error) {
	t.r.gathered.flushFor(t) // it was written before
	if len(ps) > 0 && t.failures.bytes >= t.cfg.mostFailed() {
		t.stats.QueueFull++
		return 0, t.writeError(ps[0].Peer, ErrQueueFull)
	}
	for n < len(ps) && err == nil {
		size := len(ps[n].Data)
		if ps[n].Train() {
			size = ps[n].Segment
		}
		if err = t.check(&ps[n], size); err == nil {
			n++
		}
	}
	t.queue.take(t.divided(ps[:n]))
	t.touch()
	return n, err
}

// divided is ps without trains, if the kernel does not take them.
func (t *PacketPort) divided(ps []kernel.Packet) []kernel.Packet {
	if t.trains != nil || !slices.ContainsFunc(ps, func(p kernel.Packet) bool { return p.Train() }) {
		return ps
	}
	var all []kernel.Packet
	for i := range ps {
		all = ps[i].AppendDatagrams(all)
	}
	return all
}

// check returns why p, of size bytes, cannot be sent, or nil. The peer of a connected port is the system's to know.
func (t *PacketPort) check(p *kernel.Packet, size int) error {
	if t.state != portListening {
		return t.writeError(p.Peer, ErrClosed)
	}
	if t.remote.IsZero() && size <= kernel.MaxDatagram && kernel.PlainPeer(&t.local, &p.Peer) {
		return nil // as nearly always
	}
	if err := t.checkPeer(p.Peer); err != nil {
		return t.writeError(p.Peer, err)
	}
	if t.local.Net == kernel.UDP && size > maxDatagram(t.local) {
		return t.writeError(p.Peer, kernel.ErrMessageSize)
	}
	if !t.remote.IsZero() {
		p.Peer = kernel.Addr{}
	}
	return nil
}

// write takes one datagram, of size bytes in bufs.
func (t *PacketPort) write(p *kernel.Packet, bufs [][]byte, size int) error {
	if err := t.check(p, size); err != nil {
		return err
	}
	t.r.gathered.room(t, size)
	if t.failures.bytes >= t.cfg.mostFailed() {
		t.stats.QueueFull++
		return t.writeError(p.Peer, ErrQueueFull)
	}
	line := t.queue.lineOf(p.Peer)
	if line == nil && size <= gatherBytes {
		t.r.gathered.add(t, p, bufs)
		return nil
	}
	p.Data = make([]byte, 0, size)
	for _, b := range bufs {
		p.Data = append(p.Data, b...)
	}
	if line != nil {
		return t.queue.append(line, *p)
	}
	t.queue.take([]kernel.Packet{*p}) // only a datagram of UNIX is so long
	t.touch()
	return nil
}

// maxDatagram is the most bytes of a UDP datagram from local.
func maxDatagram(local kernel.Addr) int {
	if local.IP.Addr().Is4() {
		return kernel.MaxDatagram
	}
	return kernel.MaxDatagram + 20
}

// checkPeer returns why nothing can be sent to the address to.
func (t *PacketPort) checkPeer(to kernel.Addr) error {
	switch {
	case t.remote.IsZero():
		return kernel.CheckPacketPeer(kernel.OpWrite, t.local, to)
	case !to.IsZero() && to != t.remote:
		return &kernel.AddrError{Op: kernel.OpWrite, Addr: to, Kind: kernel.ErrInvalidAddr, Reason: "the port is connected to " + t.remote.String()}
	}
	return nil
}

// sendFailure is a datagram that was taken and not sent.
type sendFailure struct {
	data []byte
	to   kernel.Addr
	err  error
}

// sendFailures are those that the protocol has not been told.
type sendFailures struct {
	all   []sendFailure
	bytes int // of their data, with queuedOverhead for each
}

// failed notes that p was not sent. Its data may be gathered memory, and the protocol is told later.
func (t *PacketPort) failed(p *kernel.Packet, err error) {
	to := p.Peer
	if to.IsZero() {
		to = t.remote
	}
	if t.state == portStopping {
		if t.unsent++; t.whyNot == nil {
			t.whyNot = err
		}
	}
	err = t.writeError(to, err)
	t.touch()
	if _, ok := PacketProtocolAs[SendFailureListener](t.proto); !ok {
		t.failureLog.Log(t.r, t.r.log, slog.LevelWarn, "a datagram was not sent", slog.Any("from", t.local), slog.Any("to", to), slog.Any("err", err))
		return
	}
	f := &t.failures
	f.all = append(f.all, sendFailure{append([]byte(nil), p.Data...), to, err})
	f.bytes += len(p.Data) + queuedOverhead
}

// tellFailures tells the protocol of datagrams that were not sent. Those that it causes meanwhile are told
// in the next turn.
func (t *PacketPort) tellFailures() {
	all := t.failures.all
	t.failures = sendFailures{}
	for _, f := range all {
		l, _ := PacketProtocolAs[SendFailureListener](t.proto)
		t.note(probe.NoteSendFailed, len(f.data), f.err)
		_ = t.r.guard(t.proto, func() { l.SendFailed(f.data, f.to, f.err) })
	}
}
