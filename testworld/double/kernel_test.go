package double_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld/double"
)

func tcp(s string) kernel.Addr { return kernel.Addr{Net: kernel.TCP, IP: netip.MustParseAddrPort(s)} }
func udp(s string) kernel.Addr { return kernel.Addr{Net: kernel.UDP, IP: netip.MustParseAddrPort(s)} }

// dialer is a factory that notes what its connectors tell it.
type dialer struct {
	double.Accumulators
	c      *reactor.Connector
	events []string
	err    error
}

func (d *dialer) StartedConnecting(c *reactor.Connector) {
	d.c = c
	d.events = append(d.events, "started")
}

func (d *dialer) ConnectionFailed(_ *reactor.Connector, err error) {
	d.err = err
	d.events = append(d.events, "failed")
}

func (d *dialer) ConnectionEnded(_ *reactor.Connector, err error) {
	d.err = err
	d.events = append(d.events, "ended")
}

func (d *dialer) has(t *testing.T, promise, want string) {
	t.Helper()
	if got := strings.Join(d.events, ","); got != want {
		t.Errorf("%s: %s, want %s (%v)", promise, got, want, d.err)
	}
}

// number is a foreign descriptor.
type number struct{ fd, reads, lost int }

func (n *number) Fileno() int          { return n.fd }
func (n *number) ConnectionLost(error) { n.lost++ }
func (n *number) LogPrefix() string    { return "number" }
func (n *number) DoRead() (err error)  { n.reads++; return nil }
func (n *number) DoWrite() (err error) { return nil }

// TST-1: a recording reactor can do everything that asks for listening, connecting and adopting. Its kernel says so when
// it is built, and each call succeeds. It is a whole reactor, so it has time too.
func TestTST1Everything(t *testing.T) {
	r, k := double.New(t, reactor.Config{})
	f := new(double.Accumulators)
	port, err := r.Listen(tcp("127.0.0.1:0"), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	unix, err := r.Listen(kernel.UNIXAddr("@double"), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	packets, err := r.ListenPacket(udp("127.0.0.1:0"), new(gram), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Dial(tcp("192.0.2.1:80"), f, nil, nil)
	if _, err := r.DialPacket(udp("127.0.0.1:53"), new(gram), nil); err != nil {
		t.Fatal(err)
	}
	k.Listens[0].Connect()
	for _, what := range []any{port, unix, packets, f.All[0].T} {
		fd, err := r.DescriptorOf(what)
		if err != nil {
			t.Fatal(err)
		}
		switch what.(type) {
		case *reactor.Port:
			_, err = r.AdoptPort(fd, f, nil)
		case *reactor.PacketPort:
			_, err = r.AdoptPacketPort(fd, new(gram), nil)
		default:
			_, err = r.AdoptConnection(fd, f, nil)
		}
		if err != nil {
			t.Errorf("TST-1: %v", err)
		}
		r.CloseDescriptor(fd)
	}
	if err := r.AddReader(&number{fd: 7}); err != nil {
		t.Errorf("TST-1: %v", err)
	}
	called := false
	r.CallLater(time.Hour, func() { called = true })
	if double.Advance(t, r, time.Hour); !called {
		t.Error("TST-1: no time")
	}
}

// TST-2: the exact arguments of each Listen, Dial, ListenPacket and adoption are recorded, by kind, also of one that is refused. Dial calls
// StartedConnecting.
func TestTST2Records(t *testing.T) {
	r, k := double.New(t, reactor.Config{})
	f := new(dialer)
	lo := &reactor.ListenConfig{ListenOptions: kernel.ListenOptions{Backlog: 7}}
	port, err := r.Listen(tcp("0.0.0.0:80"), f, lo)
	if err != nil {
		t.Fatal(err)
	}
	_, refused := r.Listen(tcp("0.0.0.0:80"), f, nil)
	if l := k.Listens; len(l) != 2 || l[0].Addr != tcp("0.0.0.0:80") || l[0].Options.Backlog != 7 || l[0].Local != port.Addr() ||
		l[0].Err != nil || l[1].Err == nil || !errors.Is(refused, kernel.ErrAddrInUse) || !errors.Is(refused, l[1].Err) {
		t.Errorf("TST-2: listens %+v", l)
	}
	do := &reactor.DialConfig{DialOptions: kernel.DialOptions{Bind: tcp("127.0.0.1:99")}}
	r.Dial(tcp("192.0.2.1:80"), f, do, nil)
	f.has(t, "TST-2, before Dial returns", "started")
	r.Dial(kernel.HostAddr("www.example.org", 81), new(dialer), nil, nil)
	r.Dial(kernel.HostAddr("example.net", 82), new(dialer), nil, nil)
	double.Advance(t, r, time.Millisecond)
	if d := k.Dials; len(d) != 3 || d[0].Addr != tcp("192.0.2.1:80") || d[0].Options.Bind != tcp("127.0.0.1:99") ||
		d[1].Addr != tcp("198.18.0.1:81") || d[2].Addr != tcp("198.18.0.2:82") {
		t.Errorf("TST-2: dials %+v", d)
	}
	if n := strings.Join(k.Names, " "); n != "www.example.org example.net" {
		t.Errorf("TST-2: names %q", n)
	}
	po := &reactor.PacketConfig{PacketOptions: kernel.PacketOptions{Broadcast: true}}
	g, err := r.ListenPacket(udp("127.0.0.1:53"), new(gram), po)
	if p := k.Packets; err != nil || len(p) != 1 || p[0].Addr != udp("127.0.0.1:53") || !p[0].Options.Broadcast || p[0].Local != g.Local() {
		t.Errorf("TST-2: packets %+v, %v", p, err)
	}
	fd, err := r.DescriptorOf(port)
	if err != nil {
		t.Fatal(err)
	}
	r.AdoptPort(fd, f, &reactor.ListenConfig{ListenOptions: kernel.ListenOptions{StreamOptions: kernel.StreamOptions{Nagle: true}}})
	r.AdoptPacketPort(fd, new(gram), nil)
	a := k.Adoptions
	if len(a) != 2 || a[0].FD != fd || a[0].Kind != double.AdoptedListener || !a[0].Listen.Nagle || a[0].Err != nil ||
		a[1].Kind != double.AdoptedPackets || a[1].Err == nil {
		t.Errorf("TST-2: adoptions %+v and %+v", a[0], a[1])
	}
	r.CloseDescriptor(fd)
	if double.Of(r) != k {
		t.Error("the kernel is not found")
	}
}

// TST-3: nothing connects by itself, however long it takes. What StopConnecting and Disconnect do is remembered, and Connect
// only begins another attempt that goes on.
func TestTST3NothingConnects(t *testing.T) {
	r, k := double.New(t, reactor.Config{})
	f := new(dialer)
	port, err := r.Listen(tcp("127.0.0.1:0"), new(double.Accumulators), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := r.Dial(port.Addr(), f, &reactor.DialConfig{Timeout: -1}, nil)
	double.Advance(t, r, 1000*time.Hour)
	f.has(t, "TST-3", "started")
	if s := k.Dials[0].State(); s != double.Dialling || len(port.Factory().(*double.Accumulators).All) != 0 {
		t.Errorf("TST-3: %v", s)
	}
	if err := c.StopConnecting(); err != nil {
		t.Fatal(err)
	}
	double.Advance(t, r, time.Millisecond)
	f.has(t, "TST-3", "started,failed")
	if s := k.Dials[0].State(); s != double.GivenUp || !errors.Is(f.err, reactor.ErrCancelled) {
		t.Errorf("TST-3: %v after StopConnecting, %v", s, f.err)
	}
	if err := c.Connect(); err != nil {
		t.Fatal(err)
	}
	double.Advance(t, r, 1000*time.Hour)
	f.has(t, "TST-3", "started,failed,started")
	if c.Disconnect(); len(k.Dials) != 2 {
		t.Fatalf("TST-3: %d dials", len(k.Dials))
	}
	double.Advance(t, r, time.Millisecond)
	if s := k.Dials[1].State(); s != double.GivenUp {
		t.Errorf("TST-3: %v after Disconnect", s)
	}
}

// TST-17: a recorded Dial can be made to succeed, with a far end for the test, or to fail for any reason.
func TestTST17Dials(t *testing.T) {
	r, k := double.New(t, reactor.Config{})
	good, bad := new(dialer), new(dialer)
	r.Dial(tcp("192.0.2.1:80"), bad, nil, nil)
	r.Dial(tcp("192.0.2.2:80"), good, nil, nil)
	double.Advance(t, r, time.Millisecond)
	far := k.Dials[1].Succeed()
	k.Dials[0].Fail(kernel.ErrNoRoute)
	good.has(t, "TST-17", "started")
	bad.has(t, "TST-17", "started,failed")
	if !errors.Is(bad.err, kernel.ErrNoRoute) || !errors.Is(bad.err, reactor.ErrConnect) || len(bad.All) != 0 {
		t.Errorf("TST-17: failed for %v", bad.err)
	}
	if len(good.All) != 1 || good.All[0].T.Remote() != tcp("192.0.2.2:80") || good.Peers[0] != tcp("192.0.2.2:80") {
		t.Fatalf("TST-17: %d protocols for %v", len(good.All), good.Peers)
	}
	far.Send("hello")
	good.All[0].T.Write([]byte("well?"))
	far.Expect("well?")
	if got := good.All[0].Data(); got != "hello" {
		t.Errorf("TST-17: %q came", got)
	}
	far.Close()
	double.Advance(t, r, time.Second)
	good.has(t, "TST-17", "started,ended")
	got := complaints(t, func(t testing.TB) {
		r, k := double.New(t, reactor.Config{})
		r.Dial(tcp("192.0.2.1:80"), new(dialer), nil, nil)
		double.Advance(t, r, time.Millisecond)
		k.Dials[0].Fail(nil)
		k.Dials[0].Succeed()
	})
	if !strings.Contains(got, "it is failed") {
		t.Errorf("TST-17: twice: %q", got)
	}
}

// A client of the test, at a port.
func TestListenConnect(t *testing.T) {
	r, k := double.New(t, reactor.Config{})
	for _, at := range []string{"0.0.0.0:80", "[::]:80", "127.0.0.1:81"} {
		f := new(double.Accumulators)
		if _, err := r.Listen(tcp(at), f, nil); err != nil {
			t.Fatal(err)
		}
		c := k.Listens[len(k.Listens)-1].Connect()
		if len(f.All) != 1 || f.Peers[0] != c.Local() {
			t.Fatalf("%s: built for %v", at, f.Peers)
		}
		c.Send("hello")
		double.Advance(t, r, time.Millisecond)
		f.All[0].T.Write([]byte("bye"))
		f.All[0].T.Close()
		if got, err := c.Rest(); string(got) != "bye" || f.All[0].Data() != "hello" {
			t.Errorf("%s: %q and %v; %q", at, got, err, f.All[0].Data())
		}
	}
}

// TST-4: Run calls what CallWhenRunning kept, in order, and stops. Until then it is only kept.
func TestTST4Run(t *testing.T) {
	r, _ := double.New(t, reactor.Config{})
	var calls []string
	r.CallWhenRunning(func() { calls = append(calls, "one") })
	double.Advance(t, r, time.Hour)
	r.CallWhenRunning(func() { calls = append(calls, "two") })
	if len(calls) != 0 {
		t.Errorf("TST-4: %q were called before Run", calls)
	}
	if err := double.Run(r); err != nil {
		t.Errorf("TST-4: %v", err)
	}
	if strings.Join(calls, ",") != "one,two" || r.Running() || !r.Ending() {
		t.Errorf("TST-4: %q were called; running %v", calls, r.Running())
	}
	r.CallWhenRunning(func() { t.Error("TST-4: called after Run") })
}

// TST-5: triggers are kept by phase and event, and none is fired before Run. Those of an event that nobody fires never are.
func TestTST5Triggers(t *testing.T) {
	r, _ := double.New(t, reactor.Config{})
	var fired []string
	for _, event := range []string{reactor.Shutdown, "mine", reactor.Startup} {
		for _, p := range []reactor.Phase{reactor.After, reactor.During, reactor.Before} {
			r.AddTrigger(p, event, func() { fired = append(fired, p.String()+" "+event) })
		}
	}
	if double.Advance(t, r, time.Hour); len(fired) != 0 {
		t.Errorf("TST-5: %q fired by themselves", fired)
	}
	double.Run(r)
	want := "before startup,during startup,after startup,before shutdown,during shutdown,after shutdown"
	if got := strings.Join(fired, ","); got != want {
		t.Errorf("TST-5: %s", got)
	}
}

// TST-6: it has neither run, stopped nor crashed at first.
func TestTST6Fresh(t *testing.T) {
	r, _ := double.New(t, reactor.Config{})
	select {
	case <-r.Done():
		t.Error("TST-6: it has stopped")
	default:
	}
	if r.Running() || r.Ending() {
		t.Errorf("TST-6: running %v, ending %v", r.Running(), r.Ending())
	}
	if err := r.Stop(); !errors.Is(err, reactor.ErrNotRunning) {
		t.Errorf("TST-6: %v", err)
	}
	if err := double.Run(r); err != nil {
		t.Errorf("TST-6: it cannot be run: %v", err)
	}
	if <-r.Done(); !r.Ending() {
		t.Error("TST-6: it has not stopped")
	}
}

// TST-7: readers and writers are sets. A descriptor of another kind than was asked for is refused when it is adopted, and one that is not open.
func TestTST7Sets(t *testing.T) {
	r, k := double.New(t, reactor.Config{})
	a, b := &number{fd: 5}, &number{fd: 6}
	for _, n := range []*number{a, b, a} {
		if err := r.AddReader(n); err != nil {
			t.Fatal(err)
		}
	}
	r.AddWriter(a)
	r.AddWriter(a)
	if len(r.Readers()) != 2 || len(r.Writers()) != 1 || len(k.Watches) != 2 {
		t.Errorf("TST-7: %d readers, %d writers, %d watches", len(r.Readers()), len(r.Writers()), len(k.Watches))
	}
	double.Advance(t, r, time.Hour)
	k.Watches[0].Ready(kernel.Readable)
	double.Advance(t, r, time.Hour)
	if a.reads != 1 || b.reads != 0 {
		t.Errorf("TST-7: read %d and %d times", a.reads, b.reads)
	}
	r.RemoveReader(b)
	if len(r.Readers()) != 1 || !k.Watches[1].Closed || k.Watches[0].Closed {
		t.Errorf("TST-7: %d readers", len(r.Readers()))
	}
	g, err := r.ListenPacket(udp("127.0.0.1:0"), new(gram), nil)
	if err != nil {
		t.Fatal(err)
	}
	fd, _ := r.DescriptorOf(g)
	if _, err := r.AdoptPort(fd, new(double.Accumulators), nil); !errors.Is(err, kernel.ErrUnsupported) {
		t.Errorf("TST-7: a datagram socket as a port: %v", err)
	}
	r.CloseDescriptor(fd)
	if _, err := r.AdoptConnection(99, new(double.Accumulators), nil); !errors.Is(err, kernel.ErrBadDescriptor) {
		t.Errorf("TST-7: a number that is not open: %v", err)
	}
}

// TST-8: the clock is that of the simulation, and delayed calls keep the promises of TIME: TIME-5, TIME-10, TIME-13, TIME-14 here.
func TestTST8Clock(t *testing.T) {
	r, _ := double.New(t, reactor.Config{})
	var order []string
	add := func(d time.Duration, name string) *reactor.DelayedCall {
		return r.CallLater(d, func() { order = append(order, name) })
	}
	add(time.Hour, "later")
	add(time.Minute, "first")
	add(time.Minute, "second")
	gone := add(time.Second, "cancelled")
	moved := add(time.Second, "moved")
	if !gone.Cancel() || gone.Cancel() {
		t.Error("TIME-13: Cancel")
	}
	moved.Reset(2 * time.Hour)
	at := r.Now()
	double.Advance(t, r, time.Minute-time.Millisecond)
	if len(order) != 0 {
		t.Errorf("TST-8: early: %q", order)
	}
	double.Advance(t, r, 3*time.Hour)
	if got := strings.Join(order, ","); got != "first,second,later,moved" {
		t.Errorf("TST-8: %s", got)
	}
	if d := r.Now() - at; d < 3*time.Hour || d > 3*time.Hour+2*time.Minute {
		t.Errorf("TST-8: %v passed", d)
	}
}

// TST-8: another double fails each Listen with one given error and each Dial with another. Adopting is one or the
// other too.
func TestTST8Raising(t *testing.T) {
	noListen, noDial := errors.New("no listen"), errors.New("no dial")
	r := double.NewRaising(t, reactor.Config{}, noListen, noDial)
	f := new(dialer)
	for range 2 {
		_, e1 := r.Listen(tcp("127.0.0.1:0"), f, nil)
		_, e2 := r.Listen(kernel.UNIXAddr("@double"), f, nil)
		_, e3 := r.ListenPacket(udp("127.0.0.1:0"), new(gram), nil)
		_, e4 := r.AdoptPort(3, f, nil)
		for i, err := range []error{e1, e2, e3, e4} {
			if !errors.Is(err, noListen) {
				t.Errorf("TST-8: %d: %v", i, err)
			}
		}
		_, e1 = r.AdoptConnection(3, f, nil)
		_, e2 = r.AdoptPacketPort(3, new(gram), nil)
		r.Dial(kernel.HostAddr("example.org", 80), f, nil, nil)
		double.Advance(t, r, time.Second)
		for i, err := range []error{e1, e2, f.err} {
			if !errors.Is(err, noDial) {
				t.Errorf("TST-8: %d: %v", i, err)
			}
		}
	}
	f.has(t, "TST-8", "started,failed,started,failed")
	if !errors.Is(f.err, reactor.ErrConnect) {
		t.Errorf("TST-8: %v", f.err)
	}
	r = double.NewRaising(t, reactor.Config{}, noListen, nil)
	r.Dial(tcp("192.0.2.1:80"), f, nil, nil)
	double.Advance(t, r, time.Second)
	if k := double.Of(r); len(k.Dials) != 1 || len(k.Listens) != 0 {
		t.Errorf("TST-8: %d dials", len(k.Dials))
	} else {
		k.Dials[0].Succeed()
	}
	f.has(t, "TST-8", "started,failed,started,failed,started")
}

// gram is a protocol of datagrams that does nothing.
type gram struct{ _ int } // each is another one

func (*gram) StartProtocol(reactor.PacketTransport) {}
func (*gram) DatagramReceived([]byte, kernel.Addr)  {}
func (*gram) StopProtocol(error)                    {}
