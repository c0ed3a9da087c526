package kerneltest

import (
	"bytes"
	"io"

	"github.com/whorl-go/whorl/kernel"
)

func streamPromises() []promise {
	return []promise{
		{"Echo", echo},
		{"ErrAgainBare", errAgainBare},
		{"ShortWrites", shortWrites},
		{"Writev", writev},
		{"WriteFile", writeFile},
		{"WriteFileMustRead", mustRead},
		{"WriteFileToTheGone", writeFileToTheGone},
		{"End", end},
		{"HalfClose", halfClose},
		{"CloseSendsTheRest", closeSendsTheRest},
		{"Abort", abort},
		{"AbortAfterTheEnd", abortAfterTheEnd},
		{"WriteToTheGone", writeToTheGone},
	}
}

// pattern returns n bytes in which neighbouring parts differ.
func pattern(n int) []byte {
	p := make([]byte, n)
	x := uint32(1)
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}

func echo(g *rig) {
	c, s := g.pair()
	for _, n := range []int{1, 2, 100, 4096} {
		p := pattern(n)
		if back := g.pass(s, c, g.pass(c, s, p)); !bytes.Equal(back, p) {
			g.Fatalf("%d bytes came back otherwise", n)
		}
	}
	for _, s := range []kernel.Conn{c, s} {
		if n, err := s.Write(nil); n != 0 || err != nil {
			g.Errorf("Write of nothing: %d, %v", n, err)
		}
		if n, err := s.Write([]byte{}); n != 0 || err != nil {
			g.Errorf("Write of nothing: %d, %v", n, err)
		}
	}
}

// pass writes p to one end and reads it at the other, also if a simulated buffer holds less.
func (g *rig) pass(from, to kernel.Conn, p []byte) []byte {
	g.Helper()
	got := make([]byte, 0, len(p))
	for sent := 0; len(got) < len(p); {
		n, err := 0, kernel.ErrAgain
		if sent < len(p) {
			n, err = from.Write(p[sent:])
		}
		if err != nil && err != kernel.ErrAgain {
			g.Fatalf("Write: %v", err)
		}
		sent += n
		n, err = g.read(to, got[len(got):cap(got)])
		if err != nil {
			g.Fatalf("Read after %d of %d bytes: %v", len(got), len(p), err)
		}
		got = got[:len(got)+n]
	}
	return got
}

// errAgainBare: callers compare ErrAgain with ==.
func errAgainBare(g *rig) {
	l := g.listen(local4(), nil)
	if s, err := l.Accept(); s != nil || err != kernel.ErrAgain {
		g.Errorf("Accept: %v, %v", s, err)
	}
	c, s := g.connect(l, nil)
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != kernel.ErrAgain {
		g.Errorf("Read: %d, %v", n, err)
	}
	if s, err := l.Accept(); s != nil || err != kernel.ErrAgain {
		g.Errorf("Accept: %v, %v", s, err)
	}
	g.fill(s)
	g.refusesBare("Write", func() (int, error) { return s.Write([]byte("x")) })
	if v, ok := kernel.ConnAs[kernel.Vectors](s); ok {
		g.refusesBare("Writev", func() (int, error) { return v.Writev([][]byte{[]byte("x")}) })
	}
}

// refusesBare calls write, which writes a byte to a full conn, until it is refused, and looks at the
// error. A full conn that does not become writable may still take bytes: what is on its way to the
// peer leaves room, and a system reports room only if there is much of it.
func (g *rig) refusesBare(what string, write func() (int, error)) {
	g.Helper()
	for range 1 << 20 {
		n, err := write()
		if n == 1 && err == nil {
			continue
		}
		if n != 0 || err != kernel.ErrAgain {
			g.Errorf("%s: %d, %v", what, n, err)
		}
		return
	}
	g.Errorf("%s takes everything and nobody reads", what)
}

// shortWrites: a conn that is full returns ErrAgain, and becomes writable when the peer
// reads. No byte is lost, and the order is kept (TCP-53).
func shortWrites(g *rig) {
	c, s := g.pair()
	p := pattern(8 << 20)
	short := false
	sent, got := 0, 0
	buf := make([]byte, 64<<10)
	wtok, rtok := g.arm(c, kernel.Writable), g.arm(s, kernel.Readable)
	refused := false
	each := func(e kernel.Event) {
		switch e.Token {
		case wtok:
			for sent < len(p) {
				n, err := c.Write(p[sent:])
				if err == kernel.ErrAgain {
					refused = true
					return
				}
				if err != nil {
					g.Fatalf("Write: %v", err)
				}
				short = short || n < len(p)-sent
				sent += n
			}
			g.arm(c, 0)
		case rtok:
			if !refused && sent < len(p) {
				return // not before the sock is full
			}
			n, err := s.Read(buf)
			if err != nil {
				g.Fatalf("Read: %v", err)
			}
			if !bytes.Equal(buf[:n], p[got:got+n]) {
				g.Fatalf("the bytes from %d to %d are others", got, got+n)
			}
			got += n
		}
	}
	g.until("the end of the data", each, func() bool { return got == len(p) })
	if !refused || !short {
		g.Errorf("8 MiB went through at once: refused %v, short %v", refused, short)
	}
}

func writev(g *rig) {
	c, s := g.pair()
	v, ok := kernel.ConnAs[kernel.Vectors](c)
	if !ok {
		g.Skip("no kernel.Vectors")
	}
	if n, err := v.Writev(nil); n != 0 || err != nil {
		g.Errorf("Writev of nothing: %d, %v", n, err)
	}
	if n, err := v.Writev([][]byte{nil, {}}); n != 0 || err != nil {
		g.Errorf("Writev of nothing: %d, %v", n, err)
	}
	if n, err := v.Writev([][]byte{nil, []byte("x"), {}}); n != 1 || err != nil {
		g.Errorf("Writev of a byte between nothing: %d, %v", n, err)
	}
	if n, err := g.read(s, make([]byte, 2)); n != 1 || err != nil {
		g.Errorf("of a byte between nothing came %d, %v", n, err)
	}
	for _, sizes := range [][]int{{1}, {0, 3, 0, 5, 0}, {1000, 1, 70000}, {3 << 20, 5}, make([]int, 300)} {
		var bufs [][]byte
		total := 0
		for i, n := range sizes {
			if len(sizes) == 300 {
				n = i % 7
			}
			bufs = append(bufs, pattern(n + i)[i:])
			total += n
		}
		all := bytes.Join(bufs, nil)
		sent, got := 0, make([]byte, 0, total)
		buf := make([]byte, 1<<20)
		for len(got) < total {
			n, err := v.Writev(after(bufs, sent))
			if err != nil && err != kernel.ErrAgain {
				g.Fatalf("Writev: %v", err)
			}
			if sent += n; n == 0 && err == nil && sent < total {
				g.Fatalf("Writev took nothing of %d", total-sent)
			}
			m, err := g.read(s, buf)
			if err != nil {
				g.Fatalf("Read: %v", err)
			}
			got = append(got, buf[:m]...)
		}
		if sent != total || !bytes.Equal(got, all) {
			g.Fatalf("%d slices: %d bytes sent, %d read", len(bufs), sent, len(got))
		}
		if !bytes.Equal(bytes.Join(bufs, nil), all) {
			g.Fatal("Writev changed what it was given")
		}
	}
}

// after returns bufs without their first n bytes.
func after(bufs [][]byte, n int) [][]byte {
	for i, p := range bufs {
		if n < len(p) {
			return append([][]byte{p[n:]}, bufs[i+1:]...)
		}
		n -= len(p)
	}
	return nil
}

// end: the peer reads what was written before the end. The end is read every time.
func end(g *rig) {
	c, s := g.pair()
	g.send(c, []byte("last words"))
	if err := c.Close(); err != nil {
		g.Fatal(err)
	}
	if got := g.receive(s, 10); string(got) != "last words" {
		g.Fatalf("read %q", got)
	}
	g.ends(s)
	g.becomes(s, kernel.Readable) // the end is something to read
}

func halfClose(g *rig) {
	c, s := g.pair()
	g.send(c, []byte("question"))
	if err := c.CloseWrite(); err != nil {
		g.Fatal(err)
	}
	g.receive(s, 8)
	g.ends(s)
	g.quiet(c, kernel.Readable)
	g.send(s, []byte("answer"))
	if got := g.receive(c, 6); string(got) != "answer" {
		g.Fatalf("read %q", got)
	}
	_, err := c.Write([]byte("x"))
	g.isOne("Write after CloseWrite", err, kernel.ErrBroken)
	g.send(s, []byte("more"))
	if err := s.CloseWrite(); err != nil {
		g.Fatal(err)
	}
	g.receive(c, 4)
	g.ends(c)
}

// closeSendsTheRest: Close sends what was written, also if it is much (TCP-68).
func closeSendsTheRest(g *rig) {
	c, s := g.pair()
	total := g.fill(c)
	if err := c.Close(); err != nil {
		g.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	got := 0
	for {
		n, err := g.read(s, buf)
		got += n
		if err == io.EOF {
			break
		}
		if err != nil {
			g.Fatalf("Read after %d of %d bytes: %v", got, total, err)
		}
	}
	if got != total {
		g.Errorf("%d of %d bytes came", got, total)
	}
}

// abort: the peer learns that the connection did not end well (TCP-68).
func abort(g *rig) {
	c, s := g.pair()
	if err := c.Abort(); err != nil {
		g.Fatal(err)
	}
	n, err := g.read(s, make([]byte, 10))
	if n != 0 {
		g.Errorf("Read returned %d with %v", n, err)
	}
	g.isOne("Read after Abort", err, kernel.ErrReset)

	// The other side may abort too. What it has not sent is dropped.
	c, s = g.pair()
	g.fill(s)
	s.Abort()
	buf := make([]byte, 1<<20)
	for err = nil; err == nil; {
		_, err = g.read(c, buf)
	}
	g.isOne("Read after Abort", err, kernel.ErrReset)
	_, err = c.Write([]byte("x"))
	g.isOne("Write after Abort", err, kernel.ErrReset, kernel.ErrBroken)
}

// abortAfterTheEnd: a TCP connection of which both directions have ended is over. An Abort, or a Close with input unread,
// has nothing to reset, so the peer hears nothing. A UNIX socket with input unread resets its peer even then.
func abortAfterTheEnd(g *rig) {
	if g.unix {
		return
	}
	for _, close := range []func(kernel.Conn) error{kernel.Conn.Abort, kernel.Conn.Close} {
		c, s := g.pair()
		g.send(c, []byte("unread"))
		c.CloseWrite()
		s.CloseWrite()
		g.ends(c)
		g.quiet(s, kernel.Failed) // so the end of c has come too
		if err := close(s); err != nil {
			g.Fatal(err)
		}
		g.quiet(c, kernel.Failed)
		g.ends(c)
		if err := c.Connected(); err != nil {
			g.Errorf("Connected after an end in both directions: %v", err)
		}
	}
}

// writeToTheGone: writing to a peer that has closed fails after some time, and not with
// ErrAgain.
func writeToTheGone(g *rig) {
	c, s := g.pair()
	if err := s.Close(); err != nil {
		g.Fatal(err)
	}
	g.ends(c)
	end := g.k.Now() + limit
	for g.k.Now() < end {
		_, err := c.Write([]byte("x"))
		if err != nil && err != kernel.ErrAgain {
			g.isOne("Write to one who closed", err, kernel.ErrReset, kernel.ErrBroken)
			return
		}
		g.wait(g.k.Now() + moment/3)
	}
	g.Fatal("Write to one who closed goes on working")
}
