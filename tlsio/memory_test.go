package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/reactor/reactortest"
	"github.com/whorl-go/whorl/tlsio"
)

// quiet is the smallest protocol.
type quiet struct{ shaken, lost *int }

func (q *quiet) ConnectionMade(reactor.Transport)       {}
func (q *quiet) DataReceived([]byte)                    { *q.shaken++ }
func (q *quiet) ConnectionLost(error)                   { *q.lost++ }
func (q *quiet) HandshakeCompleted(tls.ConnectionState) { *q.shaken++ }

func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// idle is the heap that one idle connection to a server takes, and how many
// goroutines 1,000 take. The clients are sockets of package net: their TLS is dropped
// after the handshake, and their sockets are taken off.
func idle(t *testing.T, o *tlsio.Options, wrap bool) (size int64) {
	const count = 1000
	r := reactor.New(worldOf(t).Open(t), reactor.Config{})
	defer r.Close()
	sc, cc := configs(tls.VersionTLS13)
	shaken, lost := 0, 0
	f := reactor.Factory(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return &quiet{&shaken, &lost} }))
	if wrap {
		f = tlsio.Server(sc, f, o)
	}
	p, err := r.Listen(loopback(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, count)
	for range 20 { // what is made once
		dialAll(t, r, p, conns[:1], cc, wrap, &shaken)
		conns[0].Close()
	}
	reactortest.Until(t, func() bool { return lost == 20 }, r)
	goroutines := runtime.NumGoroutine()
	before := heap()
	dialAll(t, r, p, conns, cc, wrap, &shaken)
	if o != nil && o.ShrinkIdle > 0 {
		rested := false
		r.CallLater(10*o.ShrinkIdle, func() { rested = true })
		reactortest.Until(t, func() bool { return rested }, r)
	}
	size = (heap() - before) / count
	if n := runtime.NumGoroutine() - goroutines; n > 2 {
		t.Errorf("%d goroutines for %d idle connections", n, count)
	}
	for _, c := range conns {
		c.Close()
	}
	reactortest.Until(t, func() bool { return lost == count+20 }, r)
	return size
}

// sockets is the heap that a client's socket takes.
func sockets(t *testing.T) (size int64) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conns := make([]net.Conn, 100)
	before := int64(0)
	for i := range 2 {
		before = heap()
		for i := range conns {
			if conns[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
				t.Fatal(err)
			}
		}
		if i == 1 {
			size = (heap() - before) / int64(len(conns))
		}
		for _, c := range conns {
			c.Close()
		}
		clear(conns)
	}
	return size
}

// dialAll fills conns with connections whose handshakes are over.
func dialAll(t *testing.T, r *reactor.Reactor, p *reactor.Port, conns []net.Conn, cc *tls.Config, secure bool, shaken *int) {
	t.Helper()
	want := *shaken + len(conns)
	failed := make(chan error, 1)
	go func() {
		for i := range conns {
			c, err := net.Dial("tcp", p.Addr().String())
			conns[i] = c
			if err == nil && secure {
				err = tls.Client(c, cc).Handshake()
			} else if err == nil {
				_, err = c.Write([]byte("x"))
			}
			if err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	reactortest.Until(t, func() bool { return *shaken == want }, r)
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

func worldOf(t *testing.T) reactortest.World {
	for _, w := range reactortest.Worlds() {
		return w
	}
	t.Fatal("no kernel works here")
	panic("unreachable")
}

// An idle TLS 1.3 connection takes at most 7 KiB of heap, its stream and its socket
// included, and 4 KiB once its buffers were given back; and no goroutine.
func TestIdleMemory(t *testing.T) {
	if raced {
		t.Skip("the race detector has memory of its own")
	}
	client := sockets(t)
	plain := idle(t, nil, false) - client
	whole := idle(t, nil, true) - client
	small := idle(t, &tlsio.Options{ShrinkIdle: 10 * time.Millisecond}, true) - client
	t.Logf("%d bytes, shrunk %d; a plain connection %d; a socket of package net %d", whole, small, plain, client)
	if whole > 7<<10 {
		t.Errorf("%d bytes for an idle connection", whole)
	}
	if small > 4<<10 {
		t.Errorf("%d bytes for a shrunk idle connection", small)
	}
}

// A shrunk connection works as before, also if it is shrunk again and again.
func TestShrink(t *testing.T) {
	versions(t, func(t *testing.T, v uint16) {
		s := simStage(t, 1, 0)
		sc, cc := configs(v)
		o := &tlsio.Options{ShrinkIdle: time.Second}
		srv, cli := new(end), new(end)
		want := pattern(50_000)
		srv.onData = func(p []byte) { srv.c.Write(p) }
		cli.onShaken = func() { cli.c.Write(want) }
		s.connect(tlsio.Server(sc, one(srv), o), tlsio.Client(cc, one(cli), o))
		for i := range 5 {
			s.until(func() bool { return len(cli.got) == (i+1)*len(want) })
			rested := false
			s.cli.CallLater(10*time.Second, func() { rested = true })
			s.until(func() bool { return rested })
			if i < 4 {
				cli.c.Write(want)
			}
		}
		if !bytes.Equal(cli.got[4*len(want):], want) {
			t.Error("other bytes came back")
		}
		cli.c.Close()
		s.until(func() bool { return srv.lost() && cli.lost() })
		if !errors.Is(cli.err, reactor.ErrClosed) {
			t.Error(cli.err)
		}
	})
}

// Upgrades without Options of their own leave nothing on the reactor.
func TestUpgradesForgotten(t *testing.T) {
	s := simStage(t, 1, 0)
	var before int64
	for i := range 60 {
		srv, cli := new(end), new(end)
		s.addr = kernel.TCPAddr(s.addr.IP.Addr(), uint16(1000+i))
		upgrade(s, srv, cli, nil, "")
		s.until(func() bool { return srv.lost() && cli.lost() })
		*srv, *cli = end{}, end{} // the ports keep them
		if i == 9 {
			before = heap()
		}
	}
	if more := (heap() - before) / 50; more > 8<<10 && !raced {
		t.Errorf("%d bytes kept for each upgrade", more)
	}
}
