package netconn

import (
	"io"
	"net"

	"github.com/whorl-go/whorl/reactor"
)

// input is the direction from the peer to the goroutine. Everything in it is guarded by gate.mu.
type input struct {
	gate
	state  inputState
	dst    []byte  // of the Read that waits; the loop fills it
	got    int     // bytes in dst
	unread *buffer // what came while nobody waited; nil: nothing
	ended  error   // what Read returns when unread is empty: io.EOF, or why the connection was lost; nil: more may come
	paused bool    // the transport delivers nothing
	resume bool    // the loop is to end that
	direct
}

type inputState uint8

const (
	inputOpen   inputState = iota
	inputShut              // CloseRead was called: Read is io.EOF, and what comes is dropped
	inputParked            // Close was called, and the connection goes back to its IdleListener
	inputClosed            // Close was called
)

// read is Conn.Read.
func (in *input) read(c *Conn, p []byte) (int, error) {
	in.begin(c)
	defer in.turn.Unlock()
	in.mu.Lock()
	if c.idle != nil && c.idle.whole == 0 {
		c.idle.whole = len(p)
	}
	for {
		if len(p) == 0 && in.state < inputParked { // also after the deadline, as in package net
			in.mu.Unlock()
			return 0, nil
		}
		if n, err, ok := in.next(c, p); ok {
			resume := in.wantsMore(c)
			in.mu.Unlock()
			if resume {
				c.hub.add(c)
			}
			return n, err
		}
		in.check(c)
		in.dst, in.got = p, 0
		in.wait()
		in.dst = nil
		if n := in.got; n > 0 {
			in.got = 0
			in.mu.Unlock()
			return n, nil
		}
	}
}

// refusal is why nothing can be read now, whatever there is.
func (in *input) refusal() error {
	switch {
	case in.state >= inputParked:
		return net.ErrClosed
	case in.expired:
		return errTimeout()
	}
	return nil
}

// next returns what Read returns without waiting, if it need not wait.
func (in *input) next(c *Conn, p []byte) (n int, err error, ok bool) {
	if err := in.refusal(); err != nil {
		return 0, c.opError("read", err), true
	}
	if c.idle != nil && c.idle.givenUp.Load() {
		return 0, io.EOF, true // what has come since is for the next goroutine
	}
	if in.unread != nil {
		if c.idle != nil {
			c.idle.between = false
		}
		n := copy(p, in.unread.rest())
		if in.unread.at += n; len(in.unread.rest()) == 0 {
			c.hub.release(in.unread)
			in.unread = nil
		}
		return n, nil, true
	}
	if n := in.readAside(c, p); n > 0 {
		return n, nil, true
	}
	switch {
	case in.state == inputShut:
		return 0, io.EOF, true
	case in.ended != nil:
		return 0, c.opError("read", in.ended), true
	}
	return 0, nil, false
}

// wantsMore tells whether the loop is to have the transport deliver again.
func (in *input) wantsMore(c *Conn) bool {
	if !in.paused || in.resume || in.aside != nil && in.state == inputOpen || len(in.unread.rest()) > c.cfg.ReadWater/2 {
		return false
	}
	in.resume = true
	return true
}

// receive takes what has arrived. p belongs to the transport again when it returns. It is called on the loop.
func (in *input) receive(c *Conn, p []byte) {
	in.mu.Lock()
	if in.state == inputShut || in.state == inputClosed {
		in.mu.Unlock()
		return
	}
	if c.idle != nil {
		c.idle.comes(p)
	}
	wake := in.waiting
	if wake {
		in.waiting = false
		in.got = copy(in.dst, p)
		in.dst = nil
		p = p[in.got:]
	}
	if len(p) > 0 {
		in.unread = c.hub.put(in.unread, p)
	}
	pause := !in.paused && len(in.unread.rest()) >= c.cfg.ReadWater
	if pause {
		in.paused = true
	}
	in.mu.Unlock()
	if wake {
		in.wake <- struct{}{}
		c.hub.wakes()
	}
	if pause {
		c.t.PauseProducing()
	}
}

// settle has the transport deliver again, if Read wants it, on the loop.
func (in *input) settle(t reactor.Producer) {
	in.mu.Lock()
	resume := in.resume
	if resume {
		in.resume, in.paused = false, false
	}
	in.mu.Unlock()
	if resume {
		t.ResumeProducing()
	}
}

// lost ends the direction because of the peer or the loop. It tells whether it has woken anybody.
func (in *input) lost(err error) (woken bool) {
	in.mu.Lock()
	if in.ended == nil {
		in.ended = err
	}
	wake := in.take()
	in.mu.Unlock()
	if wake {
		in.wake <- struct{}{}
	}
	return wake
}

// close is CloseRead or Close, of our side. It tells whether it is the first call with that state or a later one.
func (in *input) close(c *Conn, s inputState) bool {
	in.mu.Lock()
	if in.state >= s {
		in.mu.Unlock()
		return false
	}
	in.state = s
	c.hub.release(in.unread)
	in.unread = nil
	resume := in.wantsMore(c) // otherwise the end of the peer would not be noticed
	wake := in.take()
	in.mu.Unlock()
	if wake {
		in.wake <- struct{}{}
	}
	if resume {
		c.hub.add(c)
	}
	return true
}
