package process

import (
	"errors"
	"os"

	"github.com/whorl-go/whorl/reactor"
)

// ErrNoTerminal: StdioConfig.Raw needs an input that is a terminal.
var ErrNoTerminal = errors.New("standard input is not a terminal")

// StdioConfig configures [Stdio]. Nil and the zero value are the defaults.
type StdioConfig struct {
	// StreamConfig configures the buffers of the transport.
	reactor.StreamConfig
	// CloseAtEnd has the end of the transport close both descriptors too, so that the reader of the output sees the end at
	// once, and not only when this program exits. As with CloseWrite, the null device takes their numbers, unless the program
	// has closed them before. Otherwise they stay open, and ordinary reads and writes go on working.
	CloseAtEnd bool
	// Raw puts the terminal that is the input into raw mode as long as the transport lives: each key comes at once, without
	// echo, and Ctrl-C and Ctrl-Z are bytes like others. The terminal is as before at the end of the transport, while SIGTSTP
	// has the program stopped, and after Signals. It is not if the program ends in another way: by os.Exit, by a panic
	// outside of the loop, or by SIGKILL. For the first two there is [Standard.Restore], in a deferred call.
	// If the input is no terminal, Stdio fails with ErrNoTerminal.
	Raw bool
	// Resized is called on the loop's goroutine when the size of the terminal's window may have changed: at SIGWINCH, and if
	// Raw is set when a stopped program goes on. The first size is that of [Standard.Size]. Nil, or without a terminal: nobody
	// is told.
	Resized func(Size)
	// Signals are, with Raw, those by which the program ends after the terminal was restored: each is taken, given back, and
	// sent again. Nil: SIGHUP, SIGINT, SIGQUIT and SIGTERM. At those of [reactor.Config].Signals the terminal is restored, and while the reactor runs,
	// it ends the program in order. Signals that are ignored stay ignored. A part of the program that takes one of them for
	// itself gets it twice; leave it out of Signals then, and end the transport. Empty: none.
	Signals []os.Signal
}

// Standard is a program's standard input and output as one transport, or two other descriptors. Its methods are for the loop's
// goroutine, except Restore.
type Standard struct {
	stream *reactor.Stream
	conn   *standardConn
}

// Stdio makes one transport of standard input and output and connects it to p, as [reactor.Reactor.Attach] does:
// p's ConnectionMade is called before Stdio returns. It is [StdioOn] of the descriptors 0 and 1.
func Stdio(r *reactor.Reactor, p reactor.Protocol, c *StdioConfig) (*Standard, error) {
	return StdioOn(r, 0, 1, p, c)
}

// StdioOn makes one transport that reads from the descriptor in and writes to out. They may be the same, and anything that can
// be read or written: pipes, terminals, files, sockets, devices. Addresses are zero.
//
// The descriptors stay as they are, in particular blocking, because other programs have them too: who makes the terminal of a
// shell non-blocking breaks the programs that it runs later, also when it has died without undoing that. See
// docs/terminals.md for how Stdio does without.
//
// The end of the input is that of any stream: ReadConnectionLost of a [reactor.HalfCloseListener], and for another protocol the
// end of the transport, after what is buffered was sent. If the output fails, for instance because nobody reads it any more, that
// is WriteConnectionLost of a HalfCloseListener, and for another protocol the end, also while nothing is written. (The select
// kernel notices it only when something is written.) When both directions have ended, so has the transport, with io.EOF.
// CloseWrite shows the reader of a pipe or a socket the end, when everything is sent: the null device takes the number of a
// pipe, so that it is not given out again. If the program has the pipe by other numbers, such as standard error,
// the reader sees the end when they are closed too.
//
// The error is an [*reactor.OpError]: kernel.ErrBadDescriptor, kernel.ErrUnsupported if the kernel watches no descriptors, such as
// a simulated one, errors.ErrUnsupported on Windows, ErrNoTerminal, or one of Attach. Nothing has changed then.
func StdioOn(r *reactor.Reactor, in, out int, p reactor.Protocol, c *StdioConfig) (*Standard, error) {
	if c == nil {
		c = new(StdioConfig)
	}
	conn, err := newStandardConn(r, in, out, c)
	if err != nil {
		return nil, &reactor.OpError{Op: "attach", Err: err}
	}
	s := &Standard{conn: conn}
	if s.stream, err = r.Attach(conn, p, &c.StreamConfig); err != nil {
		conn.release()
		return nil, err
	}
	return s, nil
}

// Stream is the transport.
func (s *Standard) Stream() *reactor.Stream { return s.stream }

// Size returns the size of the terminal's window: of the input, or else of the output. If neither is a terminal, it fails with
// ErrNoTerminal.
func (s *Standard) Size() (Size, error) { return s.conn.size() }

// Restore gives the terminal the mode back that it had before Raw. It may be called on any goroutine, and any number of times.
// The end of the transport calls it; a program defers it besides, for its own panics:
//
//	s, err := process.Stdio(r, p, &process.StdioConfig{Raw: true})
//	...
//	defer s.Restore()
func (s *Standard) Restore() { s.conn.restore() }
