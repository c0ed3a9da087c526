package handover_test

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/handover"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// The successor serves at the same addresses, port 0 included. A connection with an unfinished line goes on with it, and
// what it was not sent comes from the successor. What the successor does not know stays with the old program.
func TestHandover(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		path, file := socketPath(t), socketPath(t)
		unix := kernel.UNIXAddr(file)
		a := newProgram(t, w, "A", path, loopback(), unix, loopback())
		b := newProgram(t, w, "B", path, loopback(), unix)
		clients := w.New(t, reactor.Config{})
		until := func(done func() bool) { t.Helper(); testworld.Until(t, done, a.r, b.r, clients) }
		a.listen()
		a.offer()
		if st, err := os.Stat(path); !w.Simulated() && (err != nil || st.Mode().Perm() != 0o600) {
			t.Errorf("the socket of the hand-over: %v, %v", st, err)
		}
		one, two := call(clients, a.ports[0].Addr()), call(clients, unix)
		until(func() bool { return one.made && two.made && len(a.built) == 2 })
		one.T.Write([]byte("first\nunfin"))
		two.T.Write([]byte("second\n"))
		until(func() bool { return one.got.String() == "A:first\n" && two.got.String() == "A:second\n" })

		b.take()
		until(func() bool { return b.stopped && a.handed != nil })
		if b.err != nil || a.ports[0].Listening() || a.ports[1].Listening() || !a.ports[2].Listening() {
			t.Errorf("stopped with %v; listening: %v", b.err, a.ports)
		}
		if b.ports[0].Addr() != a.ports[0].Addr() || b.ports[1].Addr() != unix {
			t.Errorf("other addresses: %v, %v", b.ports[0].Addr(), b.ports[1].Addr())
		}
		if h := a.handed; len(h.Taken) != 2 || len(h.Unknown) != 1 || h.Ports[0] != handover.Port(a.ports[2]) || h.Moved != 2 || h.Err != nil || h.Unknown[0].Name != "place2" {
			t.Errorf("handed over %+v", h)
		}
		one.T.Write([]byte("ished\n"))
		until(func() bool { return one.got.String() == "A:first\nB:unfinished\n" })
		two.T.Write([]byte("third\n"))
		until(func() bool { return two.got.String() == "A:second\nB:third\n" })
		// The hand-over's own may have ended meanwhile, because nothing else is left to drain.
		if n := a.r.Stats().Connections; n > 1 {
			t.Errorf("the old program has %d connections, and the hand-over's", n-1)
		}
		for i, want := range []string{"B", "B", "A"} {
			c := call(clients, a.ports[i].Addr())
			until(func() bool { return c.made })
			c.T.Write([]byte("x\n"))
			until(func() bool { return c.got.Len() > 0 })
			if c.got.String() != want+":x\n" {
				t.Errorf("place %d: %q, want %s", i, c.got.String(), want)
			}
			c.T.Close()
			until(func() bool { return c.lost != nil })
		}
		until(func() bool { return b.done })
		if b.err != nil {
			t.Errorf("done with %v", b.err)
		}
		for _, p := range []*program{a, b} {
			if !strings.Contains(p.log.String(), "place2") {
				t.Errorf("the log of %s does not name what is unknown:\n%s", p.name, p.log.String())
			}
		}

		// The successor hands over in its turn, and its end removes the files.
		if !w.Simulated() {
			if to, _ := os.Readlink(path + ".lock"); to == "" {
				t.Error("no lock file")
			}
		}
		c := newProgram(t, w, "C", path, loopback(), unix)
		c.take()
		testworld.Until(t, func() bool { return c.stopped && b.handed != nil }, a.r, b.r, c.r, clients)
		one.T.Write([]byte("y\n"))
		testworld.Until(t, func() bool { return strings.HasSuffix(one.got.String(), "C:y\n") }, a.r, b.r, c.r, clients)
		stopped := 0
		c.offering.Stop(func(error) { stopped++ })
		c.ports[1].StopListening(func(error) { stopped++ })
		testworld.Until(t, func() bool { return stopped == 2 }, a.r, b.r, c.r, clients)
		for _, f := range []string{path, path + ".lock", file, file + ".lock"} {
			if _, err := os.Lstat(f); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left: %v", f, err)
			}
		}
	})
}

// plain is a factory that cannot make protocols again.
type plain struct{ *program }

func (f plain) Resume() {} // of another signature, so it is no Resumer

// A successor whose port makes no protocol again gets no connections. They are not asked for their state, and the old program
// serves them until they end.
func TestNoResumer(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		path := socketPath(t)
		a, b := newProgram(t, w, "A", path, loopback()), newProgram(t, w, "B", path)
		clients := w.New(t, reactor.Config{})
		until := func(done func() bool) { t.Helper(); testworld.Until(t, done, a.r, b.r, clients) }
		a.listen()
		a.offer()
		a.stay = errors.New("asked for its state")
		one := call(clients, a.ports[0].Addr())
		until(func() bool { return one.made && len(a.built) == 1 })
		b.cfg.Offered = func(x *handover.Taking) {
			if _, err := b.r.Listen(a.at[0], plain{b}, nil); err != nil {
				t.Error(err)
			}
			x.Ready()
		}
		b.take()
		until(func() bool { return b.stopped && a.handed != nil })
		if log := a.log.String(); len(a.handed.Taken) != 1 || a.handed.Moved != 0 || strings.Contains(log, a.stay.Error()) || strings.Contains(log, "not moved") {
			t.Errorf("handed over %+v:\n%s", a.handed, log)
		}
		one.T.Write([]byte("still\n"))
		until(func() bool { return one.got.String() == "A:still\n" })
	})
}

// A watcher hears which process each successor is, also of one that has come before the watcher, and what becomes of the
// sockets.
func TestWatch(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		path := socketPath(t)
		a, b := newProgram(t, w, "A", path, loopback()), newProgram(t, w, "B", path, loopback())
		clients := w.New(t, reactor.Config{})
		a.listen()
		a.offer()
		follow := func() (said *[]string, over *error) {
			said, over = new([]string), new(error)
			handover.Watch(clients, path, handover.WatchConfig{
				Event: func(e handover.Event) {
					if e.Process == 0 || e.Process != os.Getpid() && !w.Simulated() {
						t.Errorf("%+v is of process %d", e, e.Process)
					}
					*said = append(*said, fmt.Sprint(e.Kind, e.Socket.Name, e.Text != "", e.Connections))
				},
				Done: func(err error) { *over = cmp.Or(err, io.EOF) },
			})
			return said, over
		}
		saw := func(kinds ...any) []string {
			var all []string
			for i := 0; i < len(kinds); i += 2 {
				all = append(all, fmt.Sprint(kinds[i], kinds[i+1], kinds[i] == handover.GivesUp, 0))
			}
			return all
		}
		until := func(done func() bool) { t.Helper(); testworld.Until(t, done, a.r, b.r, clients) }
		first, _ := follow()
		until(func() bool { return len(*first) == 1 })

		// One that gives up.
		var second *[]string
		var over *error
		b.cfg.Offered = func(x *handover.Taking) {
			second, over = follow()
			b.r.CallLater(50*time.Millisecond, func() { x.GiveUp(io.ErrUnexpectedEOF) })
		}
		b.take()
		until(func() bool { return b.failed != nil && len(*first) == 4 && second != nil && len(*second) == 3 })
		want := saw(handover.Watches, "", handover.Comes, "", handover.Offers, "place0", handover.GivesUp, "")
		if !slices.Equal(*first, want) || !slices.Equal(*second, saw(handover.Watches, "", handover.Comes, "", handover.GivesUp, "")) {
			t.Errorf("the first saw %q, the second %q", *first, *second)
		}

		// One that serves.
		*first = nil
		b.cfg.Offered = nil
		b.take()
		until(func() bool { return *over != nil && b.stopped })
		want = saw(handover.Comes, "", handover.Offers, "place0", handover.Takes, "place0", handover.Serves, "", handover.Moves, "", handover.Drains, "")
		if !slices.Equal(*first, want) || *over != io.EOF {
			t.Errorf("saw %q, done with %v", *first, *over)
		}
	})
}

// Nobody is there: the program is told so, and begins by itself.
func TestNobody(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		b := newProgram(t, w, "B", socketPath(t), loopback())
		b.take()
		testworld.Until(t, func() bool { return b.failed != nil }, b.r)
		var e *handover.Error
		if !errors.Is(b.failed, handover.ErrNobody) || !errors.As(b.failed, &e) || e.Step != handover.StepConnect {
			t.Errorf("failed with %v", b.failed)
		}
	})
}

// grams answers each datagram with its program's name before it.
type grams struct {
	p    *program
	t    reactor.PacketTransport
	got  []string
	lost error
}

func (g *grams) StartProtocol(t reactor.PacketTransport) { g.t = t }
func (g *grams) StopProtocol(err error)                  { g.lost = err }
func (g *grams) DatagramReceived(p []byte, from kernel.Addr) {
	if g.got = append(g.got, string(p)); g.p != nil {
		g.t.WriteTo([]byte(g.p.name+":"+string(p)), from)
	}
}

// Datagram sockets are handed over too: what waits in the queue is read by the successor, and the file of a UNIX socket
// passes to it.
func TestHandoverDatagrams(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		path, file := socketPath(t), socketPath(t)
		for _, at := range []kernel.Addr{kernel.UDPAddr(loopback().IP.Addr(), 0), kernel.UNIXDatagramAddr(file)} {
			a, b := newProgram(t, w, "A", path), newProgram(t, w, "B", path)
			client := w.New(t, reactor.Config{})
			until := func(done func() bool) { t.Helper(); testworld.Until(t, done, a.r, b.r, client) }
			old, again, asks := &grams{p: a}, &grams{p: b}, &grams{}
			port, err := a.r.ListenPacket(at, old, nil)
			if err != nil {
				t.Fatal(err)
			}
			a.more = append(a.more, handover.Offered{Name: "packets", Port: port})
			a.offer()
			from := kernel.UDPAddr(loopback().IP.Addr(), 0)
			if at.Net != kernel.UDP {
				from = kernel.UNIXDatagramAddr(socketPath(t))
			}
			if _, err := client.ListenPacket(from, asks, nil); err != nil {
				t.Fatal(err)
			}
			asks.t.WriteTo([]byte("one"), port.Addr())
			until(func() bool { return len(asks.got) == 1 })
			var taken *reactor.PacketPort
			b.cfg.Offered = func(x *handover.Taking) {
				if taken, err = b.r.ListenPacket(at, again, nil); err != nil {
					t.Fatal(err)
				}
				x.Ready()
			}
			b.take()
			until(func() bool { return b.stopped && a.handed != nil && old.lost != nil })
			if len(a.handed.Taken) != 1 || a.handed.Taken[0].Kind != handover.Packet || taken.Addr() != port.Addr() {
				t.Errorf("handed over %+v, at %v", a.handed, taken)
			}
			asks.t.WriteTo([]byte("two"), port.Addr())
			until(func() bool { return len(asks.got) == 2 })
			if asks.got[0] != "A:one" || asks.got[1] != "B:two" {
				t.Errorf("answered %q", asks.got)
			}
			stopped := 0
			taken.StopListening(func(error) { stopped++ })
			b.offering.Stop(func(error) { stopped++ })
			until(func() bool { return stopped == 2 })
			if _, err := os.Lstat(file); at.Net != kernel.UDP && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is left: %v", err)
			}
		}
	})
}
