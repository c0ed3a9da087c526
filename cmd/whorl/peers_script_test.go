package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// accept serves a free port of the loopback until the script ends, and sets a variable to its
// address.
func accept(ts *testscript.TestScript, variable string, serve func(c net.Conn)) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(variable, l.Addr().String())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				serve(c)
			}()
		}
	}()
}

// silent is silent VAR: a server that accepts connections, reads, and says nothing.
func silent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: silent VAR")
	}
	accept(ts, args[0], func(c net.Conn) { io.Copy(io.Discard, c) })
}

// hasty is hasty VAR: a server that takes the end of its peer's direction for the end of the
// connection. It reads a line, thinks a little, and echoes the line, unless the end has come
// meanwhile: then it closes without a word.
func hasty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hasty VAR")
	}
	accept(ts, args[0], func(c net.Conn) {
		r := bufio.NewReader(c)
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if _, err := r.ReadByte(); errors.Is(err, os.ErrDeadlineExceeded) {
			io.WriteString(c, line)
		}
	})
}

// freeGramPort is freeport VAR: a number of a UDP port of 127.0.0.1 that nobody has.
func freeGramPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport VAR")
	}
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	ts.Check(err)
	_, port, err := net.SplitHostPort(c.LocalAddr().String())
	ts.Check(errors.Join(err, c.Close()))
	ts.Setenv(args[0], port)
}

// refused is refused ADDR COUNT: so many connections, one after another, are reset.
func refused(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: refused ADDR COUNT")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	for i := range n {
		c, err := net.Dial("tcp", args[0])
		if errors.Is(err, syscall.ECONNRESET) {
			continue // before Dial had looked
		}
		ts.Check(err)
		c.SetDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
			ts.Fatalf("connection %d: %v, want a reset", i, err)
		}
		c.Close()
	}
}
