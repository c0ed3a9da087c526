package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
)

// runRaw connects the terminal, in raw mode.
func (c *connectCommand) runRaw(g *globals, t terminal, to endpoint.Client) (err error) {
	x := &rawSession{access: g.access(t)}
	if x.escape, err = escapeKey(c.Escape); err != nil {
		return usage(fmt.Errorf("--escape=%s: %w", c.Escape, err))
	}
	r, err := g.open(t)
	if err != nil {
		return err
	}
	outliveReaders()
	x.r = r
	defer x.restore() // if the loop ends by a panic
	endpoint.ConnectProtocol(to, r, &rawRemote{x}, func(_ reactor.Protocol, err error) {
		if err != nil {
			x.err = err
			_ = r.Stop() // it runs
		}
	})
	if err := r.Run(context.Background()); err != nil {
		return err
	}
	if x.err != nil && !errors.Is(x.err, errQuiet) {
		return fmt.Errorf("%s: %w", c.Endpoint, x.err)
	}
	return x.err
}

// noEscape says that no key leaves.
const noEscape = -1

// escapeKey reads a key as --escape names it: ^] or another control character, or none.
func escapeKey(text string) (int, error) {
	switch {
	case text == "none":
		return noEscape, nil
	case len(text) == 2 && text[0] == '^' && text[1] >= '@' && text[1] <= '_':
		return int(text[1] - '@'), nil
	case len(text) == 2 && text[0] == '^' && text[1] >= 'a' && text[1] <= 'z':
		return int(text[1] - '`'), nil
	}
	return 0, errors.New(`a key is written like ^] or ^A, or it is none`)
}

const (
	// maxTyped is how much of what is typed may wait for a peer that does not read. The rest is dropped, with a bell.
	maxTyped = 64 << 10
	bell     = "\a"
)

// rawSession joins a connection with the terminal. The connection is the terminal's producer. The terminal is nobody's:
// it is always read, because the escape key must work whatever the peer does.
type rawSession struct {
	r       *reactor.Reactor
	escape  int
	remote  reactor.Connection
	local   reactor.Connection // nil until the connection is made
	console *process.Standard
	err     error // why it failed
	open    int   // of the two, how many are not lost
	access  *accessLog
	visit   visit
	gaveUp  bool // what was typed could not be sent, and somebody has left
}

// join begins the session when the connection is made.
func (x *rawSession) join(t reactor.Transport) {
	x.remote, x.visit, x.open = reactor.ConnectionOf(t), begin(t), 1
	var err error
	if x.console, err = process.Stdio(x.r, &rawLocal{x}, &process.StdioConfig{Raw: true}); err != nil {
		if e, ok := errors.AsType[*reactor.OpError](err); ok {
			err = e.Err
		}
		x.fail(err)
	}
}

func (x *rawSession) restore() {
	if x.console != nil {
		x.console.Restore()
	}
}

// fail aborts the connection because of err.
func (x *rawSession) fail(err error) {
	if x.err == nil {
		x.err = err
	}
	x.remote.Abort()
}

// leave ends both when what was written to them is sent.
func (x *rawSession) leave() {
	for _, t := range []reactor.Connection{x.remote, x.local} {
		if t != nil {
			t.UnregisterProducer()
			_ = t.Close()
		}
	}
}

// escaped leaves, and soon drops what the peer does not take.
func (x *rawSession) escaped() {
	x.leave()
	x.r.CallLater(lastWords, func() { // it runs until both are lost
		x.gaveUp = true
		x.remote.Abort()
	})
}

// lost is called for each of both.
func (x *rawSession) lost(err error) {
	if x.err == nil && err != reactor.ErrClosed && !(x.gaveUp && err == reactor.ErrAborted) {
		x.err = err
	}
	x.leave()
	if x.open--; x.open == 0 {
		_ = x.r.Stop() // it runs
	}
}

// rawRemote is the protocol of the connection.
type rawRemote struct{ x *rawSession }

// ConnectionMade puts the terminal on the connection.
func (p *rawRemote) ConnectionMade(t reactor.Transport) { p.x.join(t) }

// DataReceived shows what comes.
func (p *rawRemote) DataReceived(b []byte) { p.x.local.Write(b) }

// ReadConnectionLost leaves: nobody answers any more.
func (p *rawRemote) ReadConnectionLost() { p.x.leave() }

// WriteConnectionLost does nothing: our direction does not end alone.
func (p *rawRemote) WriteConnectionLost() {}

// ConnectionLost ends the session.
func (p *rawRemote) ConnectionLost(err error) {
	p.x.access.ended(p.x.visit, "", err)
	p.x.lost(err)
}

// rawLocal is the protocol of the terminal.
type rawLocal struct{ x *rawSession }

// ConnectionMade has the connection wait for the terminal.
func (p *rawLocal) ConnectionMade(t reactor.Transport) {
	x := p.x
	x.local = reactor.ConnectionOf(t)
	x.open++
	_ = x.local.RegisterProducer(x.remote) // it has none yet
}

// DataReceived sends what is typed, up to the escape key.
func (p *rawLocal) DataReceived(b []byte) {
	i := -1
	if p.x.escape != noEscape {
		i = bytes.IndexByte(b, byte(p.x.escape))
	}
	if i < 0 {
		p.send(b)
		return
	}
	p.send(b[:i])
	p.x.escaped()
}

// send sends what there is room for. A bell tells of the rest.
func (p *rawLocal) send(b []byte) {
	room := max(maxTyped-p.x.remote.Buffered(), 0)
	if len(b) > room {
		b = b[:room]
		p.x.local.Write([]byte(bell))
	}
	p.x.remote.Write(b)
}

// ReadConnectionLost leaves: the terminal has hung up.
func (p *rawLocal) ReadConnectionLost() { p.x.leave() }

// WriteConnectionLost fails: nobody sees what comes.
func (p *rawLocal) WriteConnectionLost() { p.x.fail(errQuiet) }

// ConnectionLost ends the session.
func (p *rawLocal) ConnectionLost(err error) { p.x.lost(err) }
