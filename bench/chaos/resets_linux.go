package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// resets is the scenario of clients that reset, each at another moment. A connection is served
// if the server has got rid of it.
func resets(w *world) error {
	n := w.size(700, 210, 1)
	moments := []func(*net.TCPConn) error{
		func(*net.TCPConn) error { return nil }, // before any byte
		verb("get 1 1000000\n", false),          // with an answer that it does not read
		verb("push 1 100000000\n", true),        // in the middle of an answer
		verb("slow 1 1000 3000\n", false),       // while it waits for an answer
		verb("echo\n", true),                    // with input that it has not read
	}
	// select(2) cannot tell that a connection has failed which waits for nothing.
	if w.kernel != "select" {
		moments = append(moments, verb("hold\n", false), heldWithInput, func(c *net.TCPConn) error {
			return errors.Join(verb("half\n", false)(c), c.CloseWrite())
		})
	}
	// What a paused protocol has not read is kept for it, as long as CloseTimeout says.
	const limit = 500 * time.Millisecond
	w.Did = fmt.Sprintf("%d clients reset, at %d different moments; CloseTimeout is %v", n, len(moments), limit)
	return w.run(serverSpec{CloseTimeout: limit}, func(int) error {
		clients := make([]*net.TCPConn, n)
		each(n, func(i int) {
			c, err := dial(w.hello.Main, "", "")
			if err == nil {
				err = moments[i%len(moments)](c)
			}
			if err != nil {
				w.fail("client %d: %v", i, err)
			}
			clients[i] = c
		})
		time.Sleep(100 * time.Millisecond) // so that the server has got all of it
		before, err := w.figures("figures")
		if err != nil {
			return err
		}
		for _, c := range clients {
			if c != nil {
				reset(c)
			}
		}
		took, err := w.gone(limit + starved)
		if err != nil {
			return err
		}
		after, err := w.figures("figures")
		left := int64(after.Streams - w.Before.Streams)
		w.count(int64(n), int64(n)-left, 0)
		w.note("the server had %d of them; all were gone after %s ms", before.Streams-w.Before.Streams, ms(took))
		return err
	})
}

// verb returns a function that sends a line and, if more, 50 KB behind it.
func verb(line string, more bool) func(*net.TCPConn) error {
	return func(c *net.TCPConn) error {
		_, err := c.Write([]byte(line))
		if err == nil && more {
			err = writePattern(c, 1, 50_000)
		}
		return err
	}
}

// heldWithInput leaves input behind that the server has not read.
func heldWithInput(c *net.TCPConn) error {
	err := verb("hold\n", false)(c)
	time.Sleep(50 * time.Millisecond) // until the server has paused
	return errors.Join(err, writePattern(c, 1, 50_000))
}

// The first byte behind "join" says what the other end of the pair does.
const (
	farEchoes = 'E'
	farResets = 'R'
)

// join is the scenario of relays whose peers vanish.
func join(w *world) error {
	n := w.size(200, 60, 3)
	const size = 100_000
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	var pairs atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			pairs.Add(1)
			go farEnd(c.(*net.TCPConn))
		}
	}()
	w.Did = fmt.Sprintf("%d pairs: of a third the client reset, of a third the other end; the rest sent %d bytes, had them echoed, and ended", n, size)
	return w.run(serverSpec{}, func(int) error {
		port := l.Addr().(*net.TCPAddr).Port
		each(n, func(i int) {
			err := w.pair(port, i, size)
			if err != nil {
				err = fmt.Errorf("pair %d: %w", i, err)
			}
			w.one(err)
		})
		_, err := w.gone(starved)
		return err
	})
}

// farEnd is the other end of a pair.
func farEnd(c *net.TCPConn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(clientMay))
	what := make([]byte, 1)
	if _, err := io.ReadFull(c, what); err != nil {
		return
	}
	if what[0] == farResets {
		_, _ = io.CopyN(c, c, 10_000)
		reset(c)
		return
	}
	_, _ = io.Copy(c, c) // the client sees if it is cut short
}

// pair is the client of one pair.
func (w *world) pair(port, i int, size int64) error {
	what := byte(farEchoes)
	if i%3 == 1 {
		what = farResets
	}
	c, err := dial(w.hello.Main, "", fmt.Sprintf("join %d\n%c", port, what))
	if err != nil {
		return err
	}
	defer c.Close()
	written := make(chan error, 1)
	go func() {
		err := writePattern(c, i, size)
		if err == nil && i%3 == 0 {
			err = c.CloseWrite()
		}
		written <- err
	}()
	v := verifier{seed: i}
	defer func() { w.count(0, 0, v.wrong) }()
	switch i % 3 {
	case 1: // the other end resets: an orderly end would be a lie
		if err := v.readPattern(c, size); err == nil || errors.Is(err, io.EOF) {
			return fmt.Errorf("the other end reset, and the client saw %v after %d bytes", err, v.got)
		}
		c.Close()
		<-written
		return nil
	case 2:
		err := v.readPattern(c, 20_000)
		reset(c)
		<-written
		return err
	}
	if err := v.readPattern(c, size); err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", v.got, size, err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("no orderly end: %v", err)
	}
	return <-written
}
