package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// counts are what quiet protocols have seen.
type counts struct{ shaken, lost int }

// quiet is the smallest protocol.
type quiet struct{ *counts }

func (q quiet) ConnectionMade(reactor.Transport)       {}
func (q quiet) DataReceived([]byte)                    { q.shaken++ }
func (q quiet) ConnectionLost(error)                   { q.lost++ }
func (q quiet) HandshakeCompleted(tls.ConnectionState) { q.shaken++ }

func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// later is a kernel whose clock can be put forward.
type later struct {
	kernel.Kernel
	by time.Duration
}

func (k *later) Unwrap() kernel.Kernel { return k.Kernel }
func (k *later) Now() time.Duration    { return k.Kernel.Now() + k.by }
func (k *later) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	if until != kernel.Forever {
		until = max(until-k.by, 0)
	}
	return k.Kernel.Wait(ev, until)
}

// idle returns the heap that each of count idle connections to a server takes. With
// ShrinkIdle it also returns the heap after that time. The clients are sockets of package
// net. Their TLS is dropped after the handshake, and the heap of their sockets is
// subtracted.
func idle(t *testing.T, count int, o *tlsio.Options) (size, small int64) {
	k := &later{Kernel: worldOf(t).Open(t)}
	r := reactor.New(k, reactor.Config{})
	defer r.Close()
	sc, cc := configs(tls.VersionTLS13)
	cc.InsecureSkipVerify = true // it is not the client that is measured
	// The hello leaves buffers behind: it is as long as by default, with ML-KEM.
	for range 5 {
		cc.NextProtos = append(cc.NextProtos, strings.Repeat("x", 244))
	}
	n := new(counts)
	f := reactor.Factory(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return quiet{n} }))
	if o != nil {
		f = tlsio.Server(sc, f, o)
	}
	p, err := r.Listen(loopback(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, count)
	const first = 20 // for what is made once
	dialAll(t, r, p, conns[:first], cc, o != nil, n)
	hangUp(conns[:first])
	testworld.Until(t, func() bool { return n.lost == first }, r)
	goroutines := runtime.NumGoroutine()
	before := heap()
	dialAll(t, r, p, conns, cc, o != nil, n)
	size = (heap() - before) / int64(count)
	const others = 2 + 16 // the dialers are about to end, and so many stacks are kept
	if more := leaktest.Goroutines(goroutines+others) - goroutines; more > others {
		t.Errorf("%d goroutines for %d idle connections", more, count)
	}
	if o != nil && o.ShrinkIdle > 0 {
		for range 2 { // the first finds that they were used
			k.by += o.ShrinkIdle
			testworld.Turns(t, r, 2)
		}
		small = (heap() - before) / int64(count)
	}
	hangUp(conns)
	testworld.Until(t, func() bool { return n.lost == count+first }, r)
	return size, small
}

// hangUp resets connections, whose ports are then free at once.
func hangUp(conns []net.Conn) {
	for _, c := range conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
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

// dialers is how many connect at a time.
const dialers = 32

// dialAll fills conns with connections whose handshakes are over.
func dialAll(t *testing.T, r *reactor.Reactor, p *reactor.Port, conns []net.Conn, cc *tls.Config, secure bool, n *counts) {
	t.Helper()
	want := n.shaken + len(conns)
	failed := make(chan error, dialers)
	for i := range dialers {
		go func() {
			failed <- dialSome(conns[i*len(conns)/dialers:(i+1)*len(conns)/dialers], p.Addr().String(), cc, secure)
		}()
	}
	testworld.Until(t, func() bool { return n.shaken == want || len(failed) == dialers }, r)
	for range dialers {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	testworld.Until(t, func() bool { return n.shaken == want }, r)
}

func dialSome(conns []net.Conn, addr string, cc *tls.Config, secure bool) error {
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		conns[i] = c
		if secure {
			err = tls.Client(c, cc).Handshake()
		} else {
			_, err = c.Write([]byte("x"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func worldOf(t *testing.T) testworld.World {
	for _, w := range testworld.Worlds() {
		return w
	}
	t.Fatal("no kernel works here")
	panic("unreachable")
}

// 5,000 idle TLS 1.3 connections take at most 7 KiB of heap each, stream and socket
// included, and 4 KiB once their buffers were given back; and none has a goroutine.
func TestIdleMemory(t *testing.T) {
	if raced {
		t.Skip("the race detector has memory of its own")
	}
	client := sockets(t)
	plain, _ := idle(t, 500, nil)
	idle(t, 200, &tlsio.Options{Stack: tlsio.StackPool})
	// Where handshakes were computed leaves no trace; on the loop, 5,000 take less time.
	whole, small := idle(t, 5000, &tlsio.Options{ShrinkIdle: time.Hour, Stack: tlsio.StackLoop})
	t.Logf("%d bytes, shrunk %d; a plain connection %d; a socket of package net %d", whole-client, small-client, plain-client, client)
	if whole -= client; whole > 7<<10 {
		t.Errorf("%d bytes for an idle connection", whole)
	}
	if small -= client; small > 4<<10 {
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
