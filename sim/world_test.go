package sim_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// recorder is a protocol that keeps what it hears.
type recorder struct {
	reactor.Base
	got    bytes.Buffer
	lost   error
	onData func(p []byte)
}

func (p *recorder) DataReceived(b []byte) {
	p.got.Write(b)
	if p.onData != nil {
		p.onData(b)
	}
}
func (p *recorder) ConnectionLost(err error) { p.lost = err }

// echo is a protocol that sends back what it hears.
type echo struct{ reactor.Base }

func (p *echo) DataReceived(b []byte) { p.T.Write(b) }
func (p *echo) ConnectionLost(error)  {}

// serve listens on port 7 of h.
func serve(t *testing.T, h *sim.Host, f reactor.Factory) *reactor.Port {
	t.Helper()
	p, err := h.Reactor.Listen(h.Addr(7), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func echoes() reactor.Factory {
	return reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return new(echo) })
}

// dial connects p.
func dial(h *sim.Host, a kernel.Addr, p reactor.Protocol) (err *error) {
	err = new(error)
	h.Reactor.Dial(a, reactor.One(p), nil,
		func(_ reactor.Protocol, e error) { *err = e })
	return err
}

// must runs until cond.
func must(t *testing.T, n *sim.Net, cond func() bool) {
	t.Helper()
	if err := n.RunUntil(cond, time.Hour); err != nil {
		t.Fatal(err)
	}
}

// raw dials from h, without its reactor, and waits for the connection.
func raw(t *testing.T, n *sim.Net, h *sim.Host, to kernel.Addr) kernel.Conn {
	t.Helper()
	s, err := h.Kernel.Dial(to, nil)
	if err != nil {
		t.Fatal(err)
	}
	must(t, n, func() bool { return s.Connected() == nil })
	return s
}

// readBuffer is more than most tests send at once, and quickly made for each host.
const readBuffer = 16 << 10

// two is a network of two hosts, the first of which serves f.
func two(t *testing.T, seed uint64, f reactor.Factory) (n *sim.Net, srv, cli *sim.Host) {
	t.Helper()
	n = sim.New(seed)
	n.KeepTrace = true
	n.Config.ReadBuffer = readBuffer
	n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: 5 * time.Millisecond}
	srv, cli = n.Host("srv"), n.Host("cli")
	if f != nil {
		serve(t, srv, f)
	}
	return n, srv, cli
}

// echoRun sends a few thousand bytes there and back, and returns what the run hashed to.
func echoRun(t *testing.T, seed uint64, chunk int) (uint64, string) {
	n, srv, cli := two(t, seed, echoes())
	n.Options.Chunk, n.Options.SendBuffer, n.Options.RecvBuffer, n.Options.Spurious = chunk, 300, 200, .1
	var want []byte
	for i := range 1000 {
		want = append(want, byte(i*i>>3))
	}
	p := new(recorder)
	failed := dial(cli, srv.Addr(7), p)
	must(t, n, func() bool { return p.T != nil || *failed != nil })
	if *failed != nil {
		t.Fatal(*failed)
	}
	n.At(n.Now(), func() { p.T.Write(want) })
	must(t, n, func() bool { return p.got.Len() >= len(want) })
	if !bytes.Equal(p.got.Bytes(), want) {
		t.Fatalf("seed %d: other bytes came back", seed)
	}
	n.At(n.Now(), func() { p.T.Close() })
	must(t, n, func() bool { return p.lost != nil })
	hash, text := n.Hash(), n.Trace()
	n.Close()
	if s, c := srv.Reactor.Stats().Sources, cli.Reactor.Stats().Sources; s+c != 0 {
		t.Errorf("seed %d: %d and %d slots in use at the end", seed, s, c)
	}
	return hash, text
}

// The same bytes come back whatever the cuts, and a seed is a run.
func TestEcho(t *testing.T) {
	hashes := map[uint64]bool{}
	for seed := range uint64(seeds / 4) {
		for _, chunk := range []int{1, 2, 3, 7, 0} {
			a, text := echoRun(t, seed, chunk)
			b, again := echoRun(t, seed, chunk)
			if a != b || text != again {
				t.Fatalf("seed %d, chunk %d: %x and %x", seed, chunk, a, b)
			}
			hashes[a] = true
		}
	}
	if len(hashes) != 5*(seeds/4) {
		t.Errorf("%d runs are %d different ones", 5*(seeds/4), len(hashes))
	}
}

// rawPair is a connection within a host, without reactors, on kernels that drive
// themselves.
func rawPair(t *testing.T, n *sim.Net) (a, b kernel.Conn) {
	t.Helper()
	k := n.Kernel()
	addr := n.Host("localhost").Addr(9)
	l, err := k.Listen(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, err = k.Dial(addr, nil); err != nil {
		t.Fatal(err)
	}
	settle(t, n, k)
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	return a, b
}

// settle lets a second pass.
func settle(t *testing.T, n *sim.Net, k kernel.Kernel) {
	t.Helper()
	for end := n.Now() + time.Second; n.Now() < end; {
		if _, err := k.Wait(make([]kernel.Event, 1), end); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, s kernel.Conn, text string) {
	t.Helper()
	if n, err := io.WriteString(struct{ io.Writer }{s}, text); n != len(text) || err != nil {
		t.Fatalf("Write: %d, %v", n, err)
	}
}

// expect reads once.
func expect(t *testing.T, s kernel.Conn, text string, want error) {
	t.Helper()
	p := make([]byte, 100)
	n, err := s.Read(p)
	if string(p[:n]) != text || !errors.Is(err, want) {
		t.Fatalf("Read: %q, %v; want %q, %v", p[:n], err, text, want)
	}
}

// Close with data unread resets the peer; with none it is an end. A reset is told once,
// then reading is at the end and writing is broken.
func TestReset(t *testing.T) {
	n := sim.New(1)
	k := n.Kernel()
	a, b := rawPair(t, n)
	write(t, a, "unread")
	write(t, b, "read first")
	settle(t, n, k)
	b.Close()
	settle(t, n, k)
	expect(t, a, "read first", nil)
	expect(t, a, "", kernel.ErrReset)
	expect(t, a, "", io.EOF)
	if _, err := a.Write([]byte("x")); !errors.Is(err, kernel.ErrBroken) {
		t.Errorf("Write after a reset was told: %v", err)
	}

	a, b = rawPair(t, n)
	b.Abort()
	settle(t, n, k)
	if _, err := a.Write([]byte("x")); !errors.Is(err, kernel.ErrReset) {
		t.Errorf("Write after a reset: %v", err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, kernel.ErrBroken) {
		t.Errorf("second Write after a reset: %v", err)
	}

	a, b = rawPair(t, n)
	b.Close()
	settle(t, n, k)
	expect(t, a, "", io.EOF)
	write(t, a, "to nobody")
	settle(t, n, k)
	expect(t, a, "", io.EOF) // the end came before the reset
	if _, err := a.Write([]byte("x")); !errors.Is(err, kernel.ErrBroken) {
		t.Errorf("Write to one who closed: %v", err)
	}
	expect(t, a, "", io.EOF)
}

// Data that crosses a Close does not take what was sent before it from the reader.
func TestCloseCrossed(t *testing.T) {
	for seed := range uint64(50) {
		n := sim.New(seed)
		k := n.Kernel()
		a, b := rawPair(t, n)
		write(t, a, "on its way")
		write(t, b, "last words")
		b.Close()
		settle(t, n, k)
		expect(t, a, "last words", nil)
		expect(t, a, "", io.EOF)
		if _, err := a.Write([]byte("x")); !errors.Is(err, kernel.ErrBroken) {
			t.Errorf("seed %d: Write to one who closed: %v", seed, err)
		}
	}
}

// Each direction ends by itself.
func TestHalfClose(t *testing.T) {
	n := sim.New(1)
	k := n.Kernel()
	a, b := rawPair(t, n)
	write(t, a, "question")
	a.CloseWrite()
	settle(t, n, k)
	expect(t, b, "question", nil)
	expect(t, b, "", io.EOF)
	write(t, b, "answer")
	settle(t, n, k)
	expect(t, a, "answer", nil)
	expect(t, a, "", kernel.ErrAgain)
	b.CloseWrite()
	settle(t, n, k)
	expect(t, a, "", io.EOF)
}

// A host has as many descriptors as it is given, and the reserve is one of them.
func TestDescriptors(t *testing.T) {
	n := sim.New(1)
	n.Options.Descriptors = 3
	k := n.Kernel()
	addr := n.Host("localhost").Addr(9)
	l, err := k.Listen(addr, nil)
	if err != nil || k.(kernel.Reserver).Reserve() != nil {
		t.Fatal("no room")
	}
	c, err := k.Dial(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	settle(t, n, k)
	if _, err := l.Accept(); !errors.Is(err, kernel.ErrTooManyFiles) {
		t.Fatalf("Accept: %v", err)
	}
	k.(kernel.Reserver).Release()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Dial(addr, nil); !errors.Is(err, kernel.ErrTooManyFiles) {
		t.Fatalf("Dial: %v", err)
	}
	if fd, err := k.(kernel.Descriptors).DescriptorOf(s); fd != -1 || !errors.Is(err, kernel.ErrTooManyFiles) {
		t.Fatalf("DescriptorOf: %d, %v", fd, err)
	}
	s.Close()
	c.Close()
	if _, err := k.Dial(addr, nil); err != nil {
		t.Fatalf("Dial after Close: %v", err)
	}
}

// The unspecified address is this host to connect to, by its loopback address, as on Linux.
func TestDialThisHost(t *testing.T) {
	for to, loopback := range map[netip.Addr]netip.Addr{
		netip.IPv4Unspecified(): netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Unspecified(): netip.IPv6Loopback(),
	} {
		n, srv, _ := two(t, 1, nil)
		q, p := new(recorder), new(recorder)
		if _, err := srv.Reactor.Listen(kernel.TCPAddr(loopback, 9), reactor.One(q), nil); err != nil {
			t.Fatal(err)
		}
		dial(srv, kernel.TCPAddr(to, 9), p)
		must(t, n, func() bool { return p.T != nil && q.T != nil })
		if want := kernel.TCPAddr(loopback, 9); p.T.Remote() != want || q.T.Local() != want || q.T.Remote() != p.T.Local() {
			t.Errorf("dialled %v as %v from %v, accepted %v from %v", to, p.T.Remote(), p.T.Local(), q.T.Local(), q.T.Remote())
		}
	}
}

// A port that is given out is free: on the address itself and on the unspecified one.
func TestFreePortIsFree(t *testing.T) {
	n, srv, cli := two(t, 1, echoes())
	port := raw(t, n, cli, srv.Addr(7)).Local().IP.Port()
	for i, a := range []kernel.Addr{cli.Addr(port + 1), kernel.TCPAddr(netip.IPv4Unspecified(), port+2)} {
		if _, err := cli.Kernel.Listen(a, nil); err != nil {
			t.Fatal(i, err)
		}
	}
	if got := raw(t, n, cli, srv.Addr(7)).Local().IP.Port(); got != port+3 {
		t.Errorf("port %d is given out after %d, though the two between are in use", got, port)
	}
}

// A full backlog makes who dials wait, and time out; room lets it in.
func TestBacklog(t *testing.T) {
	n := sim.New(1)
	n.Options.Backlog, n.Options.RetryTimeout = 1, 10*time.Second
	k := n.Kernel()
	addr := n.Host("localhost").Addr(9)
	l, _ := k.Listen(addr, nil)
	a, _ := k.Dial(addr, nil)
	settle(t, n, k)
	b, _ := k.Dial(addr, nil)
	settle(t, n, k)
	if a.Connected() != nil || b.Connected() != kernel.ErrAgain {
		t.Fatalf("one gets in: %v, %v", a.Connected(), b.Connected())
	}
	l.Accept()
	c, _ := k.Dial(addr, nil)
	for range 15 {
		settle(t, n, k)
	}
	if (b.Connected() == nil) == (c.Connected() == nil) {
		t.Errorf("one of two gets in: %v, %v", b.Connected(), c.Connected())
	}
	if err := errors.Join(b.Connected(), c.Connected()); !errors.Is(err, kernel.ErrTimeout) {
		t.Errorf("the other: %v", err)
	}
}

func TestDeadlock(t *testing.T) {
	n, _, _ := two(t, 1, echoes())
	err := n.RunUntil(func() bool { return false }, time.Hour)
	var stuck *sim.StuckError
	if !errors.Is(err, sim.ErrDeadlock) || !errors.As(err, &stuck) || !strings.Contains(stuck.Table, "listen 10.0.0.1:7") {
		t.Fatalf("nothing can happen: %v", err)
	}
}

func TestLivelock(t *testing.T) {
	n, srv, _ := two(t, 1, nil)
	n.MaxTurns = 1000
	var again func()
	again = func() { srv.Reactor.CallLater(0, again) }
	again()
	if err := n.RunUntil(func() bool { return false }, time.Hour); !errors.Is(err, sim.ErrLivelock) {
		t.Errorf("RunUntil with time standing still: %v", err)
	}
	if err := n.Run(time.Second); !errors.Is(err, sim.ErrLivelock) {
		t.Errorf("Run with time standing still: %v", err)
	}
}

func TestLimit(t *testing.T) {
	n, srv, _ := two(t, 1, nil)
	called := time.Duration(0)
	srv.Reactor.CallLater(2*time.Hour, func() { called = n.Now() })
	start := n.Now()
	if err := n.RunUntil(func() bool { return called > 0 }, time.Hour); !errors.Is(err, sim.ErrLimit) || n.Now() != start+time.Hour {
		t.Errorf("at %v: %v", n.Now(), err)
	}
	if err := n.Run(2 * time.Hour); err != nil || called != start+2*time.Hour || n.Now() != start+3*time.Hour {
		t.Errorf("called at %v, now %v: %v", called, n.Now(), err)
	}
}

// Without a limit, what is due is done, however late it is, and the end is that nothing can happen any more.
func TestNoLimit(t *testing.T) {
	for _, limit := range []time.Duration{kernel.Forever, kernel.Forever - 1} {
		n, srv, _ := two(t, 1, nil)
		n.Run(time.Second)
		called := false
		srv.Reactor.CallLater(1000*time.Hour, func() { called = true })
		if err := n.RunUntil(func() bool { return called }, limit); err != nil {
			t.Error(err)
		}
		if err := n.RunUntil(func() bool { return false }, limit); !errors.Is(err, sim.ErrDeadlock) {
			t.Error(err)
		}
	}
	n, srv, _ := two(t, 1, nil)
	n.Run(time.Second)
	called := false
	srv.Reactor.CallLater(time.Hour, func() { called = true })
	if err := n.Run(kernel.Forever); err != nil || !called {
		t.Errorf("called: %v, %v", called, err)
	}
}

// A host is found by its name, and nobody else.
func TestResolve(t *testing.T) {
	n, _, cli := two(t, 1, echoes())
	p, q := new(recorder), new(recorder)
	dial(cli, kernel.HostAddr("srv", 7), p)
	failed := dial(cli, kernel.HostAddr("nobody", 7), q)
	must(t, n, func() bool { return p.T != nil && *failed != nil })
	if fmt.Sprint(p.T.Remote()) != "10.0.0.1:7" {
		t.Errorf("connected to %v", p.T.Remote())
	}
}

// CORE-54: localhost is the host that asks, unless a host has that name.
func TestResolveLocalhost(t *testing.T) {
	n, srv, cli := two(t, 1, echoes())
	if _, err := srv.Reactor.Listen(kernel.TCPAddr(netip.IPv4Unspecified(), 8), echoes(), nil); err != nil {
		t.Fatal(err)
	}
	there, here := new(recorder), new(recorder)
	dial(srv, kernel.HostAddr("Me.LocalHost.", 8), here)
	refused := dial(cli, kernel.HostAddr("localhost", 8), there)
	must(t, n, func() bool { return here.T != nil && *refused != nil })
	if !here.T.Remote().IP.Addr().IsLoopback() || !errors.Is(*refused, kernel.ErrRefused) {
		t.Errorf("connected to %v; there: %v", here.T.Remote(), *refused)
	}
	named := sim.New(1)
	h := named.Host("localhost")
	var found []netip.Addr
	h.Reactor.Resolve("localhost", func(ips []netip.Addr, _ error) { found = ips })
	must(t, named, func() bool { return found != nil })
	if found[0] != h.Addr(0).IP.Addr() {
		t.Errorf("the host that is called localhost is %v", found)
	}
}

// Idle lets goroutines outside do something before time moves on.
func TestIdle(t *testing.T) {
	n := sim.New(1)
	k := n.Kernel()
	idled := 0
	n.Idle = func() {
		if idled++; idled == 3 {
			k.Wake()
		}
	}
	hour := n.Now() + time.Hour
	n.At(time.Second, func() {})
	n.At(time.Minute, func() {})
	if _, err := k.Wait(make([]kernel.Event, 1), hour); err != nil || idled != 3 {
		t.Fatalf("idled %d times: %v", idled, err)
	}
	if now := n.Now(); now < time.Minute || now >= hour {
		t.Errorf("woken at %v", now)
	}
}
