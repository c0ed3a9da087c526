package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// runPackets joins standard input and output with a place of datagrams.
func (c *connectCommand) runPackets(g *globals, t terminal, known *endpoint.Schemes) error {
	to, err := known.PacketClient(c.Endpoint)
	switch {
	case err != nil:
		return misplaced(c.Endpoint, err)
	case c.Wait < 0:
		return usage(fmt.Errorf("--wait=%v: must not be negative", c.Wait))
	case c.Size < 1 || c.Size > kernel.MaxDatagram:
		return usage(fmt.Errorf("--size=%d: must be from 1 to %d", c.Size, kernel.MaxDatagram))
	}
	r, err := g.open(t)
	if err != nil {
		return err
	}
	outliveReaders()
	endedBy := stopBySignal(r) // a signal must not leave the file of a UNIX socket behind
	u := newPacketTunnel(r, t.in, t.out)
	u.size, u.lines, u.wait = c.Size, c.Lines, c.Wait
	var failed error
	u.over = func(err error) {
		if err != nil && err != errQuiet {
			err = fmt.Errorf("%s: %w", c.Endpoint, err)
		}
		failed = err
		_ = r.Stop() // it may have been told to already
	}
	to.ConnectPacket(r, u, func(_ *reactor.PacketPort, err error) {
		if err != nil {
			u.over(err)
		}
	})
	if err := r.Run(context.Background()); err != nil {
		return err
	}
	if sig := endedBy(); sig != nil {
		return signalled{sig}
	}
	return failed
}

// packetTunnel is a PacketProtocol. It sends an input as datagrams, and writes those that come to an output.
type packetTunnel struct {
	r    *reactor.Reactor
	t    reactor.PacketTransport
	in   *input
	out  *output
	over func(error) // called once, when all is done and written

	size  int  // bytes of a datagram, at most
	lines bool // each line is a datagram, whatever its length
	wait  time.Duration

	rest    []byte // of a line whose end has not come
	ended   bool   // the input has
	ending  bool
	silence reactor.DelayedCall // ends the tunnel when nothing has come for wait
	full    reactor.DelayedCall // looks whether the system has taken what was sent
}

func newPacketTunnel(r *reactor.Reactor, from io.Reader, to io.Writer) *packetTunnel {
	u := &packetTunnel{r: r}
	u.in = &input{r: r, from: from, received: u.send, ended: u.inputEnded}
	u.out = &output{r: r, to: to, failed: u.outputFailed}
	u.silence.Init(r, func() { r.Post(u.silent) })
	u.full.Init(r, u.more)
	return u
}

// StartProtocol begins to read the input.
func (u *packetTunnel) StartProtocol(t reactor.PacketTransport) {
	u.t = t
	u.out.source = packetSource{t, u}
	u.in.start()
}

// packetSource is a port as the producer of an output.
type packetSource struct {
	reactor.PacketTransport
	u *packetTunnel
}

// PauseProducing leaves what comes to the system. Meanwhile its silence means nothing.
func (s packetSource) PauseProducing() {
	s.u.silence.Cancel()
	s.PacketTransport.PauseProducing()
}

// ResumeProducing goes on.
func (s packetSource) ResumeProducing() {
	s.PacketTransport.ResumeProducing()
	s.u.listen()
}

// StopProducing stops the port.
func (s packetSource) StopProducing() { s.StopListening(nil) }

// Unwrap returns the port.
func (s packetSource) Unwrap() reactor.PacketTransport { return s.PacketTransport }

// send sends p in pieces, and reads no more until the system has taken them.
func (u *packetTunnel) send(p []byte) {
	u.in.PauseProducing()
	if u.lines {
		u.rest = append(u.rest, p...)
		for !u.ending {
			i := bytes.IndexByte(u.rest, '\n')
			if i < 0 {
				break
			}
			u.datagram(u.rest[:i+1])
			u.rest = u.rest[i+1:]
		}
		if len(u.rest) > kernel.MaxDatagram {
			u.fail(fmt.Errorf("standard input: a line has more than %d bytes, the most that a datagram can have", kernel.MaxDatagram))
		}
	} else {
		for ; len(p) > u.size; p = p[u.size:] {
			u.datagram(p[:u.size])
		}
		u.datagram(p)
	}
	u.r.Post(u.more)
}

func (u *packetTunnel) datagram(p []byte) {
	if err := u.t.Write(p); err != nil && !u.ending {
		u.fail(err)
	}
}

// fullRetry is the time between two looks whether the system has taken what was sent.
const fullRetry = time.Millisecond

// more goes on reading if nothing waits to be sent.
func (u *packetTunnel) more() {
	if s, ok := u.t.(interface{ Stats() reactor.PacketStats }); ok && s.Stats().Queued > 0 && !u.ending {
		u.full.Reset(fullRetry)
		return
	}
	u.in.ResumeProducing()
}

// DatagramReceived hands p to the output.
func (u *packetTunnel) DatagramReceived(p []byte, _ kernel.Addr) {
	u.out.write(p)
	u.listen()
}

// listen waits for more, once the input has ended, unless the output is behind.
func (u *packetTunnel) listen() {
	if u.ended && !u.ending && !u.out.held {
		u.silence.Reset(u.wait)
	}
}

// silent ends the tunnel in the turn after the wait is over. The loop may have been late, as after Ctrl-Z: then what came meanwhile was read only now.
func (u *packetTunnel) silent() {
	if !u.ending && !u.silence.Active() && !u.out.held {
		u.t.StopListening(nil)
	}
}

// DatagramRefused ends the tunnel: nobody is there.
func (u *packetTunnel) DatagramRefused(_ []byte, _ kernel.Addr, err error) {
	u.fail(fmt.Errorf("a datagram was not delivered: %w", err))
}

// SendFailed ends the tunnel.
func (u *packetTunnel) SendFailed(_ []byte, _ kernel.Addr, err error) { u.fail(err) }

// inputEnded sends what is left, and waits for answers.
func (u *packetTunnel) inputEnded(err error) {
	if err != io.EOF {
		u.fail(fmt.Errorf("standard input: %w", bare(err)))
		return
	}
	if len(u.rest) > 0 {
		u.datagram(u.rest)
	}
	u.ended = true
	if nameless(u.t.Local()) && u.t.Local().Net == kernel.UNIXDatagram {
		u.wait = 0 // nobody can answer
	}
	u.listen()
}

func (u *packetTunnel) outputFailed(err error) {
	if errors.Is(err, syscall.EPIPE) {
		u.fail(errQuiet)
		return
	}
	u.fail(fmt.Errorf("standard output: %w", bare(err)))
}

// fail ends the tunnel because of err, when what has come is written.
func (u *packetTunnel) fail(err error) { u.end(err) }

// StopProtocol ends the tunnel when what has come is written.
func (u *packetTunnel) StopProtocol(err error) {
	if err == reactor.ErrClosed || err == reactor.ErrStopped {
		err = nil
	}
	u.end(err)
}

// end ends the tunnel, the first time.
func (u *packetTunnel) end(err error) {
	if u.ending {
		return
	}
	u.ending = true
	u.silence.Cancel()
	u.full.Cancel()
	u.in.StopProducing()
	u.out.close(func() { u.over(err) })
}
