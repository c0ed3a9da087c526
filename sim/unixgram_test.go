package sim_test

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/sim"
)

func gram(name string) kernel.Addr { return kernel.UNIXDatagramAddr(name) }

// UNIX datagrams have arrived when they are sent. A sender without a name has no address (UNIXD-3).
func TestUNIXDatagrams(t *testing.T) {
	x := packetNet(t, 1, "a")
	x.SetDrop("a", "a", 1)
	x.Options.Latency = sim.Latency{Min: time.Hour, Max: time.Hour}
	srv, abstract, nameless := x.open("a", gram("/run/s"), nil), x.open("a", gram("@s"), nil), x.open("a", gram(""), nil)
	x.send(nameless, gram("/run//s"), "one")
	x.send(abstract, gram("/run/s"), "")
	x.send(srv, gram("@s"), "three")
	ps, err := srv.ReadPackets()
	if err != nil || len(ps) != 2 || string(ps[0].Data) != "one" || ps[0].Peer != (kernel.Addr{}) || ps[1].Peer != gram("@s") || len(ps[1].Data) > 0 {
		t.Errorf("%v, %v", ps, err)
	}
	x.expect(abstract, "three /run/s")
	if _, ok := kernel.PacketAs[kernel.Multicast](srv); ok {
		t.Error("a UNIX socket has groups")
	}

	long := strings.Repeat("x", 100_000)
	x.send(nameless, gram("/run/s"), long)
	ps, err = srv.ReadPackets()
	if err != nil || len(ps) != 1 || !ps[0].Truncated || string(ps[0].Data) != long[:64<<10] { // UDP-12
		t.Error(err, len(ps))
	}
	for what, c := range map[string]struct{ err, want error }{
		"UNIXD-5, too long":   {sendTo(nameless, gram("/run/s"), strings.Repeat("x", 208<<10)), kernel.ErrMessageSize},
		"no such path":        {sendTo(nameless, gram("/run/x"), "x"), fs.ErrNotExist},
		"no such path either": {sendTo(nameless, gram("/run/x"), "x"), kernel.ErrRefused},
		"no such name":        {sendTo(nameless, gram("@x"), "x"), kernel.ErrRefused},
		"without an address":  {sendTo(nameless, kernel.Addr{}, "x"), kernel.ErrInvalidAddr},
		"UNIXD-7, connecting": {nameless.Connect(gram("/run/x")), fs.ErrNotExist},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v", what, c.err)
		}
	}
	x.fails("a", gram("/run/../run/s"), nil, kernel.ErrAddrInUse) // UNIXD-1
	srv.Close()
	x.open("a", gram("/run/s"), nil) // UNIXD-4
}

// A receiver has room for eleven. A connected sender is Writable when there is room again, another always.
func TestUNIXDatagramsFull(t *testing.T) {
	x := packetNet(t, 1, "a")
	srv, cli, other := x.open("a", gram("/run/s"), nil), x.open("a", gram("/run/c"), nil), x.open("a", gram(""), nil)
	noErr(t, cli.Connect(srv.Local()))
	for range 11 {
		x.send(cli, kernel.Addr{}, "x")
	}
	if err := sendTo(cli, kernel.Addr{}, "x"); err != kernel.ErrAgain {
		t.Errorf("the twelfth: %v", err)
	}
	if err := sendTo(other, srv.Local(), "x"); err != kernel.ErrAgain {
		t.Errorf("the twelfth of another: %v", err)
	}
	k := x.Host("a").Kernel
	ready := func(c kernel.PacketConn) kernel.Ready {
		ev := make([]kernel.Event, 3)
		noErr(t, k.Arm(c, 1, kernel.Writable))
		m, err := k.Wait(ev, 0)
		noErr(t, err, k.Arm(c, 1, 0))
		return ev[0].Ready * kernel.Ready(m)
	}
	if ready(cli) != 0 || ready(other) != kernel.Writable {
		t.Error("a full receiver, and who is Writable")
	}
	noErr(t, k.Arm(cli, 1, kernel.Writable))
	if all := got(srv); len(all) != 11 {
		t.Errorf("%d have come", len(all))
	}
	ev := make([]kernel.Event, 3)
	if m, err := k.Wait(ev, 0); m != 1 || err != nil {
		t.Error("nobody tells that there is room")
	}
	noErr(t, k.Arm(cli, 1, 0))
	x.send(cli, kernel.Addr{}, "x")

	// UNIXD-7: the peer goes away. Its successor of the same name is another.
	srv.Close()
	if ready(cli) != kernel.Writable {
		t.Error("nobody tells that the peer is gone")
	}
	if err := sendTo(cli, kernel.Addr{}, "x"); !errors.Is(err, kernel.ErrRefused) {
		t.Errorf("UNIXD-7: %v", err)
	}
	again := x.open("a", gram("/run/s"), nil)
	if err := sendTo(cli, kernel.Addr{}, "x"); !errors.Is(err, kernel.ErrRefused) {
		t.Errorf("the successor: %v", err)
	}
	noErr(t, cli.Connect(again.Local()))
	x.send(cli, kernel.Addr{}, "hello")
	x.expect(again, "hello /run/c")

	// UNIXD-6: who is connected takes datagrams of its peer alone.
	x.send(again, gram("/run/c"), "answer")
	x.expect(cli, "answer /run/s")
	for _, err := range []error{sendTo(other, gram("/run/c"), "x"), other.Connect(gram("/run/c"))} {
		if !errors.Is(err, kernel.ErrPermission) {
			t.Errorf("UNIXD-6: to a connected socket: %v", err)
		}
	}
}

// Names are those of stream sockets too. They outlive a program that is killed, and a lock gives them to the next.
func TestUNIXDatagramNames(t *testing.T) {
	x := packetNet(t, 1, "a")
	a := x.Host("a")
	x.open("a", gram("/run/s"), nil)
	if _, err := a.Kernel.Listen(kernel.UNIXAddr("/run/s"), nil); !errors.Is(err, kernel.ErrAddrInUse) {
		t.Errorf("listening for streams: %v", err)
	}
	if _, err := a.Kernel.Dial(kernel.UNIXAddr("/run/s"), nil); !errors.Is(err, syscall.EPROTOTYPE) {
		t.Errorf("a stream to a datagram socket: %v", err)
	}
	l, err := a.Kernel.Listen(kernel.UNIXAddr("/run/stream"), nil)
	noErr(t, err)
	nameless := x.open("a", gram(""), nil)
	for _, err := range []error{sendTo(nameless, gram("/run/stream"), "x"), nameless.Connect(gram("/run/stream"))} {
		if !errors.Is(err, syscall.EPROTOTYPE) {
			t.Errorf("a datagram to a listener: %v", err)
		}
	}
	l.Close()

	locked := &kernel.PacketOptions{UNIX: kernel.UNIXOptions{Lock: true}}
	x.open("a", gram("/run/locked"), locked)
	x.open("a", gram("@abstract"), nil)
	x.fails("a", gram("/run/locked"), locked, kernel.ErrLocked)
	a.Kill()
	x.fails("a", gram("/run/s"), nil, kernel.ErrAddrInUse)
	if err := sendTo(x.open("a", gram(""), nil), gram("/run/s"), "x"); !errors.Is(err, kernel.ErrRefused) {
		t.Errorf("to a file that is left: %v", err)
	}
	x.open("a", gram("/run/s"), locked)
	x.open("a", gram("/run/locked"), locked)
	x.open("a", gram("@abstract"), nil)
}

// A connected sender in another program of the machine is told too that there is room again, and that its peer is gone.
func TestUNIXDatagramsFullBetweenPrograms(t *testing.T) {
	x := packetNet(t, 1, "a")
	other := x.Host("a").Beside("b")
	srv, cli := x.open("a", gram("/run/s"), nil), x.open("b", gram(""), nil)
	noErr(t, cli.Connect(srv.Local()))
	fill := func() {
		for sendTo(cli, kernel.Addr{}, "x") == nil {
		}
		noErr(t, other.Kernel.Arm(cli, 1, kernel.Writable))
		if m, err := other.Kernel.Wait(make([]kernel.Event, 3), 0); m != 0 || err != nil {
			t.Fatal("the receiver is not full")
		}
	}
	fill()
	if all := got(srv); len(all) != 11 {
		t.Errorf("%d have come", len(all))
	}
	if m, err := other.Kernel.Wait(make([]kernel.Event, 3), 0); m != 1 || err != nil {
		t.Error("nobody tells that there is room")
	}
	fill()
	srv.Close()
	if m, err := other.Kernel.Wait(make([]kernel.Event, 3), 0); m != 1 || err != nil {
		t.Error("nobody tells that the peer is gone")
	}
	noErr(t, other.Kernel.Arm(cli, 1, 0))
}
