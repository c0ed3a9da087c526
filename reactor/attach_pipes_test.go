//go:build unix

package reactor_test

import (
	"bytes"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// An input and an output descriptor are one stream.
func TestAttachPipes(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		in, out := newPipe(t), newPipe(t)
		c, err := must(kernel.As[kernel.Watcher](r.Kernel())).Watch(in.r, out.w)
		if err != nil {
			t.Fatal(err)
		}
		p := new(halfEnd)
		p.onData = func(b []byte) { p.s.Write(bytes.ToUpper(b)) }
		p.onReadLost = func() { p.s.Close() }
		attach(t, r, c, p)
		in.put(t, "hello")
		until(t, r, func() bool { return len(p.got) == 5 })
		until(t, r, func() bool { return p.s.Buffered() == 0 })
		buf := make([]byte, 16)
		if n, err := unix.Read(out.r, buf); string(buf[:n]) != "HELLO" || err != nil {
			t.Errorf("read %q, %v", buf[:n], err)
		}
		closeFD(&in.w)
		until(t, r, func() bool { return p.err != nil })
		sameEvents(t, p.events, "made", "data", "read lost", "lost closed")
	})
}

// What is unread in a pipe at the Close belongs to its owner.
func TestCloseLeavesPipe(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		in, out := newPipe(t), newPipe(t)
		c, err := must(kernel.As[kernel.Watcher](r.Kernel())).Watch(in.r, out.w)
		if err != nil {
			t.Fatal(err)
		}
		p := new(end)
		attach(t, r, c, p)
		p.s.PauseProducing()
		in.put(t, "mine")
		p.s.Write([]byte("bye"))
		p.s.Close()
		until(t, r, func() bool { return p.err != nil })
		buf := make([]byte, 16)
		if n, err := unix.Read(in.r, buf); string(buf[:n]) != "mine" || err != nil {
			t.Errorf("left in the pipe: %q, %v", buf[:n], err)
		}
		if n := r.Stats().Lingered; n != 0 {
			t.Errorf("%d linger", n)
		}
	})
}
