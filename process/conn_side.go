package process

import (
	"bytes"
	"errors"
	"io"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// connPipes is a set of pipes of a Conn.
type connPipes uint8

const (
	sideInput connPipes = 1 << iota
	sideOutput
	sideErrors

	sideTerminal = sideInput | sideOutput
)

// connSide is the protocol of one pipe of a Conn, or of its terminal.
type connSide struct {
	c    *Conn
	what connPipes
}

// ConnectionMade notes the stream. The protocol of the Conn is connected when all are there.
func (x *connSide) ConnectionMade(t reactor.Transport) {
	s, _ := reactor.As[*reactor.Stream](t)
	x.c.open |= x.what
	switch x.what {
	case sideInput:
		x.c.in = s
	case sideOutput:
		x.c.out = s
	case sideErrors:
		x.c.errs = s
	}
}

// DataReceived passes output on. After Close it is dropped.
func (x *connSide) DataReceived(p []byte) {
	c := x.c
	switch {
	case x.what == sideErrors:
		c.lines.add(p)
	case c.state == connOpen:
		c.proto.DataReceived(p)
	}
}

// ConnectionLost follows the end of the pipe.
func (x *connSide) ConnectionLost(err error) {
	c := x.c
	c.open &^= x.what
	if c.child == nil {
		return
	}
	switch x.what {
	case sideInput:
		c.inputLost(err)
	case sideErrors:
		c.errorsLost(err)
	default:
		c.outputLost(err)
	}
	c.settle()
}

// inputLost follows the end of the program's input.
func (c *Conn) inputLost(err error) {
	closed := c.write == writeEnding
	switch {
	case c.state >= connEnding:
	case errors.Is(err, reactor.ErrStopped), !endOfInput(err):
		c.fail(err)
	case closed && err == reactor.ErrClosed:
		c.write = writeEnded
		c.writeLost()
	case c.write == writeOn:
		c.write = writeBroken // we, or the program
	}
}

// endOfInput tells whether the input has ended because we, or the program, have closed it.
func endOfInput(err error) bool {
	for _, fine := range []error{io.EOF, reactor.ErrClosed, kernel.ErrBroken, kernel.ErrReset} {
		if errors.Is(err, fine) {
			return true
		}
	}
	return false
}

// writeLost tells that CloseWrite was carried out.
func (c *Conn) writeLost() {
	if h, ok := reactor.ProtocolAs[reactor.HalfCloseListener](c.proto); ok && c.state == connOpen {
		c.guard(h.WriteConnectionLost)
	}
}

// errorsLost follows the end of the error output. A panic in Lines ends the connection.
func (c *Conn) errorsLost(err error) {
	if _, ok := errors.AsType[*reactor.PanicError](err); ok {
		c.fail(err)
		return
	}
	c.lines.end()
}

// outputLost follows the end of the output.
func (c *Conn) outputLost(err error) {
	switch {
	case c.state >= connEnding:
	case err == io.EOF:
		c.outputEnded()
	case err != reactor.ErrClosed && c.reason != ErrOutputHeld:
		c.fail(err)
	}
}

// LogPrefix is that of the protocol.
func (x *connSide) LogPrefix() string { return reactor.LogPrefixOf(x.c.proto) }

// maxLine is the greatest length of a line that is not cut.
const maxLine = 1024

// lineCutter cuts bytes into lines.
type lineCutter struct {
	tell  func([]byte)
	limit reactor.LogLimit
	part  []byte // of a line, at most maxLine
}

func (l *lineCutter) add(p []byte) {
	for len(p) > 0 {
		n := min(maxLine-len(l.part), len(p))
		i := bytes.IndexByte(p[:n], '\n')
		if i >= 0 {
			n = i
		}
		l.part = append(l.part, p[:n]...)
		p = p[n:]
		if len(p) > 0 && p[0] == '\n' {
			p = p[1:]
			l.flush()
		} else if len(l.part) == maxLine && len(p) > 0 {
			l.flush()
		}
	}
}

// flush tells the line.
func (l *lineCutter) flush() {
	l.tell(bytes.TrimSuffix(l.part, []byte("\r")))
	l.part = l.part[:0]
}

// end tells what is left without an end of a line.
func (l *lineCutter) end() {
	if len(l.part) > 0 {
		l.flush()
	}
}
