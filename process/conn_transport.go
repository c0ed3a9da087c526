package process

import (
	"io"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

var (
	_ reactor.Connection   = (*Conn)(nil)
	_ reactor.Vectored     = (*Conn)(nil)
	_ reactor.SharedWriter = (*Conn)(nil)
	_ reactor.Switcher     = (*Conn)(nil)
)

// connSink is what is written to a terminal, as far as its end needs to know.
type connSink struct {
	mid      bool // what was written last is not the end of a line
	producer bool // one is registered
}

// Child is the program, for signals and its number.
func (c *Conn) Child() *Child { return c.child }

// Status tells how the program has exited, and whether it has.
func (c *Conn) Status() (Status, bool) { return c.child.Status() }

// Local is the address of the program: kernel.Process with its path, as Remote.
func (c *Conn) Local() kernel.Addr { return c.addr }

// Remote is the address of the program.
func (c *Conn) Remote() kernel.Addr { return c.addr }

// Reactor is the loop.
func (c *Conn) Reactor() *reactor.Reactor { return c.in.Reactor() }

// Protocol is the protocol, nil after ConnectionLost.
func (c *Conn) Protocol() reactor.Protocol {
	if c.state == connLost {
		return nil
	}
	return c.proto
}

// Buffered is how many bytes were written that the program's pipe has not taken yet.
func (c *Conn) Buffered() int { return c.in.Buffered() }

// Stats counts what has come from the program, and what its pipe has taken.
func (c *Conn) Stats() reactor.StreamStats {
	s := c.in.Stats()
	s.In = c.out.Stats().In
	return s
}

// writable returns why nothing can be written.
func (c *Conn) writable() error {
	switch {
	case c.state >= connEnding, c.write == writeBroken:
		return reactor.ErrClosed
	case c.state == connClosing && !c.sink.producer:
		return reactor.ErrClosed
	case c.write == writeEnded, c.write == writeEnding && !c.sink.producer:
		return reactor.ErrWriteClosed
	}
	return nil
}

// Write writes to the program's input, as [reactor.Transport] says. When the program has ended its input, it takes nothing and returns
// reactor.ErrClosed, and the connection lives on.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.writable(); err != nil {
		return 0, err
	}
	c.typed(p)
	return c.in.Write(p)
}

// WriteVec is Write of several slices.
func (c *Conn) WriteVec(bufs [][]byte) (int, error) {
	if err := c.writable(); err != nil {
		return 0, err
	}
	for _, p := range bufs {
		c.typed(p)
	}
	return c.in.WriteVec(bufs)
}

// WriteShared is Write of a slice that nobody changes, as [reactor.SharedWriter] says.
func (c *Conn) WriteShared(p []byte) (int, error) {
	if err := c.writable(); err != nil {
		return 0, err
	}
	c.typed(p)
	return c.in.WriteShared(p)
}

// typed notes how p ends.
func (c *Conn) typed(p []byte) {
	if n := len(p); n > 0 {
		c.sink.mid = p[n-1] != '\n' && p[n-1] != '\r'
	}
}

// Close ends the program's input when everything was sent, and drops its output until it ends. A terminal hangs up then.
func (c *Conn) Close() error {
	if c.state == connOpen {
		c.state = connClosing
		if c.reason == nil { // else the output was cut off, and its end is being told
			c.reason = reactor.ErrClosed
		}
		c.resume()
		_ = c.in.Close()
		c.later()
	}
	return nil
}

// later settles in the next turn, because nothing ends inside a call.
func (c *Conn) later() { c.Reactor().Post(c.settle) }

// Abort drops what is buffered and ends the program.
func (c *Conn) Abort() { c.fail(reactor.ErrAborted) }

// CloseWrite ends the program's input when everything was sent. At a terminal it types Ctrl-D.
func (c *Conn) CloseWrite() error {
	if c.state != connOpen || c.write != writeOn {
		return nil
	}
	c.write = writeEnding
	if !c.pty {
		return c.in.Close()
	}
	if !c.sink.producer {
		c.typeEnd()
	}
	return nil
}

// endOfFile is the key that ends the input, as terminals have it from the beginning.
const endOfFile = "\x04"

// typeEnd carries CloseWrite out at a terminal. In the middle of a line the first key only sends the line.
func (c *Conn) typeEnd() {
	c.write = writeEnded
	if c.sink.mid {
		_, _ = c.in.Write([]byte(endOfFile))
	}
	_, _ = c.in.Write([]byte(endOfFile)) // an error is the end of the terminal, which is told
	c.Reactor().Post(c.writeLost)
}

// PauseProducing stops delivering output. The program waits when its pipe is full.
func (c *Conn) PauseProducing() {
	if c.state == connOpen {
		c.paused = true
		c.out.PauseProducing()
	}
}

// ResumeProducing delivers output again.
func (c *Conn) ResumeProducing() {
	if c.state == connOpen {
		c.resume()
	}
}

func (c *Conn) resume() {
	c.paused = false
	c.out.ResumeProducing()
}

// StopProducing is Close.
func (c *Conn) StopProducing() { _ = c.Close() }

// Producing tells whether more output may be delivered.
func (c *Conn) Producing() bool {
	return c.state == connOpen && c.open&sideOutput != 0 && c.out.Producing()
}

// GoesOn tells whether the connection lives on when the program takes no more input: as long as its output has not ended. Then reactor.Join drops what
// comes for the program, and notices the end of who has sent it.
func (c *Conn) GoesOn() bool {
	return !c.pty && c.state == connOpen && c.open&sideOutput != 0
}

// RegisterProducer registers p with the program's input, as [reactor.Consumer] says.
func (c *Conn) RegisterProducer(p reactor.Producer) error {
	if err := c.writable(); err != nil {
		c.Reactor().Guard(c.proto, p.StopProducing)
		return nil
	}
	err := c.in.RegisterProducer(p)
	c.sink.producer = true // there is one, this or another
	return err
}

// UnregisterProducer removes the producer.
func (c *Conn) UnregisterProducer() {
	c.sink.producer = false
	c.in.UnregisterProducer()
	if c.pty && c.write == writeEnding {
		c.typeEnd()
	}
}

// SwitchProtocol replaces the protocol, as [reactor.Switcher] says.
func (c *Conn) SwitchProtocol(p reactor.Protocol) (reactor.Switched, error) {
	switch {
	case c.state != connOpen, c.write == writeBroken:
		return reactor.Switched{}, reactor.ErrClosed
	case c.write != writeOn:
		return reactor.Switched{}, reactor.ErrWriteClosed
	case c.open&sideOutput == 0:
		return reactor.Switched{}, io.EOF
	}
	// The input's own protocol stays. Its producer is what belongs to the former one.
	was, err := c.in.SwitchProtocol(c.in.Protocol())
	if err != nil {
		was = reactor.Switched{}
	}
	was.Protocol, was.Paused = c.proto, c.paused
	c.proto, c.sink.producer = p, false
	c.resume()
	return was, nil
}
