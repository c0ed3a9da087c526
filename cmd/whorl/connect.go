package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

type connectCommand struct {
	Endpoint   string        `arg:"" help:"Where to connect."`
	NoShutdown bool          `help:"Leave our direction open at the end of standard input: some servers take its end for the end of the connection, and do not answer."`
	Wait       time.Duration `short:"w" default:"1s" placeholder:"DURATION" help:"Of datagrams: how long to wait for answers at the end of standard input, and after each (${default})."`
	Size       int           `default:"1200" placeholder:"BYTES" help:"Of datagrams: send standard input in pieces of so many bytes at most (${default})."`
	Raw        bool          `help:"Put the terminal into raw mode: each key is sent at once, Ctrl-C too, and the other end makes the echo."`
	Escape     string        `default:"^]" placeholder:"KEY" help:"With --raw: the key that leaves, such as ^] or ^A, or none (${default}, which is Ctrl-])."`
	Lines      bool          `help:"Of datagrams: send each line of standard input, with its end, as one."`
}

// Help is shown by --help.
func (*connectCommand) Help() string {
	return `Standard input is sent, and its end ends our direction alone. What arrives is written to standard output, until the
peer ends; then the rest of it is written, and the status is 0. It is 1 if there is no connection, if it is cut, or if
standard output is closed first. SIGINT, SIGTERM and SIGHUP end it, and the program of an exec: place with it; a second signal does not wait for that.

A peer that has ended may still read. So standard input is sent until it ends too, or has given nothing for half a second. If the peer does
not read any more, the connection is cut.

Some servers take the end of our direction for the end of the connection, and send no answer. If the answer is missing,
say --no-shutdown; then the connection lasts until the server ends it.

With --raw standard input must be a terminal. Its keys are sent as they are, one by one, so that editors and shells at the other end work;
the other end must do the echo. Ctrl-] leaves, or the key that --escape names, with status 0; so does the peer's end. The terminal is then as it was
before, and also after SIGINT, SIGTERM and SIGHUP, and while SIGTSTP has the program stopped. If the other end does not read, 64 KiB of keys wait
for it; the bell rings when there are more, which are dropped. Ctrl-] still leaves: the other end then has a second to take what waits.

At a place of datagrams, standard input is sent in pieces of 1200 bytes at most, as it is read, or with --lines each line by
itself. Datagrams that come are written to standard output, one after another. They have no end: at the end of standard input answers
are waited for, until none has come for --wait. Then the status is 0, also if none has come at all, because datagrams may be lost. It
is 1 if the network says that nobody is there. A unixgram socket gets answers only if it has a bindAddress.

Examples:

    whorl connect tcp:localhost:8007 <request >answer
    whorl connect --no-shutdown tcp:example.com:80 <request >answer
    whorl connect tls:example.com:443 <request >answer
    whorl connect --raw tcp:console.example.com:2323
    echo hello | whorl connect udp:localhost:8007
    whorl connect --lines --wait=5s udp:localhost:8007 <requests >answers
    echo hello | whorl connect unixgram:/tmp/echo.sock:bindAddress=/tmp/mine.sock`
}

// Run connects.
func (c *connectCommand) Run(g *globals, t terminal, line *kong.Context) error {
	known := g.schemes(t, kernel.StreamOptions{})
	to, err := known.Client(c.Endpoint)
	if errors.Is(err, endpoint.ErrKind) {
		if err := misplacedFlag(line, onlyConnections(c.Endpoint), "no-shutdown", "raw", "escape"); err != nil {
			return err
		}
		return c.runPackets(g, t, known)
	}
	if err != nil {
		return misplaced(c.Endpoint, err)
	}
	if err := misplacedFlag(line, onlyDatagrams(c.Endpoint), "lines", "size", "wait"); err != nil {
		return err
	}
	if c.Raw {
		return c.runRaw(g, t, to)
	}
	if err := misplacedFlag(line, "it needs --raw", "escape"); err != nil {
		return err
	}
	r, err := g.open(t)
	if err != nil {
		return err
	}
	outliveReaders() // a closed output is an error of Write instead
	endedBy := stopBySignal(r)
	u := newTunnel(r, t.in, t.out)
	u.name, u.stayOpen, u.access = c.Endpoint, c.NoShutdown, g.access(t)
	var failed error
	u.over = func(err error) {
		failed = err
		_ = r.Stop() // it runs
	}
	endpoint.ConnectProtocol(to, r, u, func(_ reactor.Protocol, err error) {
		if err != nil {
			u.over(fmt.Errorf("%s: %w", c.Endpoint, err))
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

// open makes the reactor that the flags ask for. The signals stop it.
func (g *globals) open(t terminal, signals ...os.Signal) (*reactor.Reactor, error) {
	_, engine := g.logger(t)
	k, err := native.Open(g.Kernel)
	if err != nil {
		return nil, err
	}
	return reactor.New(k, reactor.Config{Logger: engine, Signals: signals}), nil
}

// tunnel is a protocol. It joins a connection with an input and an output, both
// of which may block.
type tunnel struct {
	r    *reactor.Reactor
	t    reactor.Transport
	in   *input
	out  *output
	over func(error) // called once, when all is done and written
	sink reactor.Consumer
	half reactor.HalfCloser
	err  error // why it failed

	name     string // of the place, as it was typed
	stayOpen bool   // our direction does not end with the input
	answered bool   // the peer has ended its direction
	access   *accessLog
	visit    visit
}

func newTunnel(r *reactor.Reactor, from io.Reader, to io.Writer) *tunnel {
	u := &tunnel{r: r}
	u.in = &input{r: r, from: from, received: u.send, ended: u.inputEnded}
	u.out = &output{r: r, to: to, failed: u.outputFailed}
	return u
}

// ConnectionMade begins to read the input.
func (u *tunnel) ConnectionMade(t reactor.Transport) {
	u.t, u.visit = t, begin(t)
	u.sink, _ = reactor.As[reactor.Consumer](t)
	u.half, _ = reactor.As[reactor.HalfCloser](t)
	u.out.source, _ = reactor.As[reactor.Producer](t)
	// The connection has no producer yet, so this one is accepted.
	_ = u.sink.RegisterProducer(u.in)
	u.in.start()
}

func (u *tunnel) send(p []byte) { u.t.Write(p) }

// DataReceived hands p to the output.
func (u *tunnel) DataReceived(p []byte) { u.out.write(p) }

// inputEnded ends our direction, unless it is to stay open. If reading failed, it ends the connection. If the peer has ended its direction, both have.
func (u *tunnel) inputEnded(err error) {
	u.sink.UnregisterProducer()
	switch {
	case err == io.EOF && u.answered:
		u.t.Close()
		return
	case err == io.EOF && u.stayOpen:
		return
	case err == io.EOF:
		u.half.CloseWrite()
		return
	}
	u.fail(fmt.Errorf("standard input: %w", bare(err)))
}

func (u *tunnel) outputFailed(err error) {
	if errors.Is(err, syscall.EPIPE) {
		u.fail(errQuiet)
		return
	}
	u.fail(fmt.Errorf("standard output: %w", bare(err)))
}

// fail ends the connection because of err.
func (u *tunnel) fail(err error) {
	if u.err == nil {
		u.err = err
	}
	u.t.Abort()
}

// bare is err without the file name that package os adds.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// ReadConnectionLost closes, but not before the input is dry: the peer may still read. If the peer has ended both directions, it resets
// the connection when something of the input comes.
func (u *tunnel) ReadConnectionLost() {
	u.answered = true
	if u.in.over {
		u.t.Close()
		return
	}
	u.in.whenDry(func() {
		u.in.StopProducing()
		u.sink.UnregisterProducer()
		u.t.Close()
	})
}

// WriteConnectionLost does nothing: only the peer ends its direction.
func (u *tunnel) WriteConnectionLost() {}

// ConnectionLost ends the tunnel when the output has written everything.
func (u *tunnel) ConnectionLost(err error) {
	u.access.ended(u.visit, "", err)
	// A program at an exec: place that has ended with status 0 is io.EOF, whether it wanted the rest of the input or not.
	if u.err == nil && err != reactor.ErrClosed && err != io.EOF {
		u.err = fmt.Errorf("%s: %w", u.name, err)
	}
	u.in.StopProducing()
	u.out.close(func() { u.over(u.err) })
}
