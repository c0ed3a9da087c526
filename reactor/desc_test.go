package reactor_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"weak"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// faulty is a reactor whose kernel fails on demand.
func faulty(t *testing.T, w testworld.World) (*reactor.Reactor, *testworld.Faults) {
	t.Helper()
	return faultyWith(t, w, reactor.Config{})
}

// faultyWith is faulty with a configuration.
func faultyWith(t *testing.T, w testworld.World, c reactor.Config) (*reactor.Reactor, *testworld.Faults) {
	t.Helper()
	f := new(testworld.Faults)
	return testworld.New(t, f.Wrap(w.Open(t)), c), f
}

// full is a Write that finds no room.
func full() error { return kernel.ErrAgain }

// connectWith is connect with options for the server's side.
func connectWith(t *testing.T, r *reactor.Reactor, o *reactor.ListenConfig, srv, cli reactor.Protocol) *reactor.Port {
	t.Helper()
	made := 0
	p := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { made++; return srv }), o)
	r.Dial(p.Addr(), one(cli), nil, func(_ reactor.Protocol, err error) {
		if err != nil {
			t.Errorf("dial: %v", err)
		}
		made++
	})
	until(t, r, func() bool { return made == 2 })
	return p
}

// period is how often counting repeats itself: a prime, so that no block of a usual
// size is like the next.
const period = 65521

// counting is n bytes of which no two neighbourhoods are alike.
func counting(n int) []byte {
	p := make([]byte, n)
	for i := range min(n, period) {
		p[i] = byte(i>>8 ^ i)
	}
	for i := period; i < n; i += period {
		copy(p[i:], p[:period])
	}
	return p
}

// Small writes are gathered, large ones go at once, empty ones nowhere.
func TestWriteGathers(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		var srv, cli end
		connect(t, r, &srv, &cli)
		calls := func() int { return f.Calls["Write"] }
		arms := f.Calls["Arm"]
		write := func(p []byte, bufs ...[]byte) {
			if n, err := srv.s.Write(p); n != len(p) || err != nil {
				t.Fatalf("write of %d bytes: %d, %v", len(p), n, err)
			}
			if n, err := srv.s.WriteVec(bufs); n != len(bytes.Join(bufs, nil)) || err != nil {
				t.Fatalf("write of vectors: %d, %v", n, err)
			}
		}
		write(nil)
		write([]byte{}, nil, []byte{})
		testworld.Turns(t, r, 2)
		if calls() != 0 || f.Calls["Arm"] != arms {
			t.Errorf("DESC-2 DESC-9: an empty write makes %d writes, %d arms", calls(), f.Calls["Arm"]-arms)
		}
		for range 5 {
			write([]byte("ab"), []byte("cd"), []byte("ef"))
		}
		if calls() != 0 || srv.s.Buffered() != 30 {
			t.Errorf("DESC-2: small writes made %d writes at once", calls())
		}
		until(t, r, func() bool { return len(cli.got) == 30 })
		// DESC-6: everything unsent goes out in one call.
		if calls() != 1 || srv.s.Buffered() != 0 || string(cli.got) != strings.Repeat("abcdef", 5) {
			t.Errorf("DESC-6: %d writes for 30 bytes", calls())
		}
		testworld.Turns(t, r, 3)
		// DESC-8: nothing is left, and the socket is not watched for room.
		if calls() != 1 || f.Calls["Arm"] != arms {
			t.Errorf("DESC-8 DESC-9: %d writes, %d arms after all is sent", calls(), f.Calls["Arm"]-arms)
		}
		write([]byte("head"))
		write(make([]byte, 16<<10))
		if calls() != 2 || srv.s.Buffered() != 0 {
			t.Errorf("DESC-2 DESC-6: head and 16 KiB made %d writes at once", calls()-1)
		}
		until(t, r, func() bool { return len(cli.got) == 30+4+16<<10 })
	})
}

// What cannot be written is refused, and nothing of it is sent.
func TestWriteRefused(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for name, c := range map[string]struct {
			end  func(s *reactor.Stream)
			want error
		}{
			"after CloseWrite (DESC-3)": {func(s *reactor.Stream) { s.CloseWrite() }, reactor.ErrWriteClosed},
			"after Close (DESC-4)":      {func(s *reactor.Stream) { s.Close() }, reactor.ErrClosed},
			"after Abort (DESC-3)":      {func(s *reactor.Stream) { s.Abort() }, reactor.ErrClosed},
		} {
			var srv, cli end
			port, _ := connect(t, r, &srv, &cli)
			srv.s.Write([]byte("before"))
			c.end(srv.s)
			refused := func(when string) {
				for range 2 {
					if n, err := srv.s.Write([]byte("after")); n != 0 || !errors.Is(err, c.want) || !errors.Is(err, net.ErrClosed) {
						t.Errorf("%s, %s: Write returned %d, %v", name, when, n, err)
					}
					if n, err := srv.s.WriteVec([][]byte{{1}, {2}}); n != 0 || !errors.Is(err, c.want) {
						t.Errorf("%s, %s: WriteVec returned %d, %v", name, when, n, err)
					}
				}
			}
			refused("at once")
			until(t, r, func() bool { return cli.err != nil })
			if c.want == reactor.ErrWriteClosed {
				refused("later")
			}
			srv.s.Close()
			until(t, r, func() bool { return srv.err != nil })
			c.want = reactor.ErrClosed
			refused("after the loss")
			if got := string(cli.got); got != "before" && !strings.Contains(name, "Abort") {
				t.Errorf("%s: got %q", name, got)
			}
			port.StopListening(nil)
		}
	})
}

// Order is kept, whatever the pieces.
func TestWriteOrder(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) { testOrder(t, w, 1, 0, 700, 3, 2, 1, 400) })
	worlds(t, func(t *testing.T, w testworld.World) {
		testOrder(t, w, 1, 20000, 3, 16<<10, 0, 700, 100000, 1, 70000)
	})
}

func testOrder(t *testing.T, w testworld.World, sizes ...int) {
	r := w.New(t, reactor.Config{})
	var srv, cli end
	connect(t, r, &srv, &cli)
	want := counting(1 << 20)
	rest := want
	next := func(n int) []byte {
		p := slices.Clone(rest[:n])
		rest = rest[n:]
		return p
	}
	for i, n := range sizes {
		p, q, v := next(n), next(1), next(n)
		srv.s.Write(p)
		srv.s.WriteVec([][]byte{q, nil, v})
		for _, p := range [][]byte{p, q, v} {
			clear(p) // the caller's again after the call
		}
		if i%2 == 1 {
			testworld.Turns(t, r, 1)
		}
	}
	want = want[:len(want)-len(rest)]
	srv.s.Close()
	until(t, r, func() bool { return cli.err != nil })
	if !bytes.Equal(cli.got, want) || cli.err != io.EOF {
		t.Errorf("DESC-5: %d bytes of %d, lost %v", len(cli.got), len(want), cli.err)
	}
}

// Many small writes while the socket is full: more pieces than one call takes.
func TestWriteManyPieces(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		size := bulk(w, 2<<20)
		r, f := faulty(t, w)
		var srv end
		var cli sum
		connect(t, r, &srv, &cli)
		f.Write = full
		want := counting(size)
		for p := range slices.Chunk(want, size/230) {
			srv.s.Write(p)
		}
		f.Write = nil
		until(t, r, func() bool { return cli.n == len(want) })
		// DESC-6 DESC-8: nothing is forgotten between one call and the next.
		if cli.bad || srv.s.Buffered() != 0 {
			t.Errorf("DESC-5 DESC-6: broken %v, %d bytes left", cli.bad, srv.s.Buffered())
		}
	})
}

// sum counts bytes and compares them with counting.
type sum struct {
	end
	n    int
	bad  bool
	want []byte // one period
}

func (c *sum) DataReceived(p []byte) {
	if c.want == nil {
		c.want = counting(period)
	}
	for len(p) > 0 {
		want := c.want[c.n%period:]
		n := min(len(p), len(want))
		c.bad = c.bad || !bytes.Equal(p[:n], want[:n])
		c.n += n
		p = p[n:]
	}
}

func TestWriteOfSixtyMegabytes(t *testing.T) {
	heavy(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var srv end
		var cli sum
		connect(t, r, &srv, &cli)
		srv.s.Write(counting(60e6))
		srv.s.Close()
		until(t, r, func() bool { return cli.err != nil })
		if cli.n != 60e6 || cli.bad || cli.err != io.EOF || srv.err != reactor.ErrClosed {
			t.Errorf("DESC-5: %d bytes, broken %v, lost %v and %v", cli.n, cli.bad, cli.err, srv.err)
		}
	})
}

// What the socket says to a write.
func TestWriteResults(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		var srv, cli end
		connect(t, r, &srv, &cli)
		f.Write = full
		srv.s.Write(counting(15000))
		srv.s.Write(counting(10))
		testworld.Turns(t, r, 3)
		if srv.s.Buffered() != 15010 || srv.err != nil {
			t.Errorf("DESC-7: %d bytes kept of 15010, lost %v", srv.s.Buffered(), srv.err)
		}
		f.Write, f.MaxWrite = nil, 6000
		testworld.Turns(t, r, 1)
		if srv.s.Buffered() != 9010 {
			t.Errorf("DESC-7: %d bytes kept of 15010 when 6000 were taken", srv.s.Buffered())
		}
		until(t, r, func() bool { return len(cli.got) == 15010 })
		if !bytes.Equal(cli.got, append(counting(15000), counting(10)...)) {
			t.Error("DESC-7: the bytes are not those that were written")
		}
		f.Write = func() error { return kernel.ErrReset }
		srv.s.Write([]byte("x"))
		if srv.err != nil {
			t.Error("DESC-7: lost inside Write")
		}
		until(t, r, func() bool { return srv.err != nil })
		var op *reactor.OpError
		if !errors.As(srv.err, &op) || op.Op != "write" || !errors.Is(srv.err, kernel.ErrReset) || !errors.Is(srv.err, reactor.ErrLost) {
			t.Errorf("DESC-7: lost %v", srv.err)
		}
	})
}

func TestCloseLater(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var srv, cli end
		connect(t, r, &srv, &cli)
		inside := false
		srv.onLost = func(error) {
			if inside {
				t.Error("DESC-25: lost inside Close")
			}
		}
		inside = true
		srv.s.Close()
		srv.s.Close() // DESC-22: does nothing
		inside = false
		if srv.err != nil {
			t.Error("DESC-25: lost when Close returned")
		}
		until(t, r, func() bool { return srv.err != nil && cli.err != nil })
		srv.s.Close()
		testworld.Turns(t, r, 2)
		if srv.err != reactor.ErrClosed || !slices.Equal(srv.events, []string{"made", "lost closed"}) {
			t.Errorf("DESC-22 DESC-25: %v", srv.events)
		}
	})
}

// Close stops reading at once, and sends what was buffered.
func TestCloseSendsAndReadsNoMore(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		size := bulk(w, 70000)
		for _, second := range []string{"", "second"} {
			r, f := faulty(t, w)
			var srv, cli end
			srv.onData = func([]byte) {
				f.Write = full
				srv.s.Write(counting(size))
				srv.s.Close()
			}
			connect(t, r, &srv, &cli)
			cli.s.Write([]byte("first"))
			until(t, r, func() bool { return srv.got != nil })
			f.Write = nil
			f.MaxWrite = 10000
			cli.s.Write([]byte(second))
			until(t, r, func() bool { return cli.err != nil })
			if !strings.HasPrefix("first", string(srv.got)) || srv.err != reactor.ErrClosed {
				t.Errorf("DESC-22: %q was delivered after Close, lost %v", srv.got, srv.err)
			}
			// With input unread the system resets, and what is on its way may be
			// lost; without it all arrives.
			if second == "" && (!bytes.Equal(cli.got, counting(size)) || cli.err != io.EOF) {
				t.Errorf("DESC-22: %d bytes arrived, lost %v", len(cli.got), cli.err)
			}
		}
	})
}

// Close after our direction has ended.
func TestCloseAfterCloseWrite(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var srv, cli halfEnd
		connect(t, r, &srv, &cli)
		srv.s.Write([]byte("all"))
		srv.s.CloseWrite()
		if n, err := srv.s.Write([]byte("more")); n != 0 || err != reactor.ErrWriteClosed {
			t.Errorf("DESC-27: a write after CloseWrite: %d, %v", n, err)
		}
		until(t, r, func() bool { return slices.Contains(cli.events, "read lost") })
		if string(cli.got) != "all" || !slices.Equal(srv.events, []string{"made", "write lost"}) {
			t.Errorf("DESC-27: got %q, %v", cli.got, srv.events)
		}
		cli.s.Write([]byte("answer"))
		until(t, r, func() bool { return string(srv.got) == "answer" })
		srv.s.Close()
		if srv.err != nil {
			t.Error("DESC-26: lost inside Close")
		}
		testworld.Turns(t, r, 1)
		if srv.err != reactor.ErrClosed {
			t.Errorf("DESC-26: a turn later: lost %v", srv.err)
		}
		cli.s.Close()
		until(t, r, func() bool { return cli.err != nil })
	})
}

// A protocol that does not listen to half-closes.
func TestHalfCloseDefaults(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var srv, cli end
		connect(t, r, &srv, &cli)
		srv.s.CloseWrite()
		until(t, r, func() bool { return srv.err != nil })
		// DESC-28: if the peer ends its direction, the connection ends; if we end ours,
		// it does not.
		if cli.err != io.EOF || srv.err != io.EOF {
			t.Errorf("DESC-28: lost %v and %v", cli.err, srv.err)
		}
	})
}

// Abort comes later, whatever is in progress, and resets.
func TestAbort(t *testing.T) {
	for name, end := range map[string]func(s *reactor.Stream){
		"once":        func(s *reactor.Stream) { s.Abort() },
		"twice":       func(s *reactor.Stream) { s.Abort(); s.Abort() },
		"then Close":  func(s *reactor.Stream) { s.Abort(); s.Close(); s.CloseWrite() },
		"after Close": func(s *reactor.Stream) { s.Close(); s.Abort() },
		"with output": func(s *reactor.Stream) { s.Write(counting(100000)); s.Abort() },
	} {
		for _, where := range []string{"made", "data", "outside"} {
			t.Run(name+"/"+where, func(t *testing.T) {
				chunked(t, func(t *testing.T, w testworld.World) { testAbort(t, w, where, end) })
			})
		}
	}
}

func testAbort(t *testing.T, w testworld.World, where string, abort func(s *reactor.Stream)) {
	r, f := faulty(t, w)
	var srv, cli end
	inside := false
	do := func() {
		f.Write = full
		inside = true
		abort(srv.s)
		inside = false
		f.Write = nil
	}
	srv.onLost = func(error) {
		if inside {
			t.Error("DESC-29: lost inside Abort")
		}
	}
	switch where {
	case "made":
		srv.onMade = do
	case "data":
		srv.onData = func([]byte) { do() }
	}
	cli.onMade = func() { cli.s.Write([]byte("x")) }
	port := listen(t, r, one(&srv), nil)
	// The reset may come before the client has seen that it was connected.
	r.Dial(port.Addr(), one(&cli), nil, func(_ reactor.Protocol, err error) { cli.err = err })
	if where == "outside" {
		until(t, r, func() bool { return srv.got != nil })
		do()
		if srv.err != nil {
			t.Error("DESC-29: lost when Abort returned")
		}
	}
	until(t, r, func() bool { return srv.err != nil && cli.err != nil })
	testworld.Turns(t, r, 2)
	last := srv.events[len(srv.events)-1]
	if srv.err != reactor.ErrAborted || last != "lost aborted" || len(srv.events) > 3 {
		t.Errorf("DESC-29: %v", srv.events)
	}
	if len(cli.got) != 0 || !errors.Is(cli.err, kernel.ErrReset) && !errors.Is(cli.err, kernel.ErrBroken) {
		t.Errorf("DESC-29: the peer got %d bytes and lost %v", len(cli.got), cli.err)
	}
	if len(r.DelayedCalls()) != 0 || r.Stats().Sources != 1 {
		t.Error("DESC-29: something is left besides the port")
	}
}

// After the loss nothing keeps the protocol alive.
func TestProtocolReleased(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var kept []*reactor.Stream
		var ghosts []weak.Pointer[end]
		lost := 0
		f := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			e := new(end)
			e.onMade = func() { kept = append(kept, e.s); e.s.Write([]byte("x")) }
			e.onLost = func(error) { lost++ }
			ghosts = append(ghosts, weak.Make(e))
			return e
		})
		port := listen(t, r, f, nil)
		c := r.Dial(port.Addr(), f, nil, nil)
		until(t, r, func() bool { return len(kept) == 2 })
		testworld.Turns(t, r, 2)
		kept[0].Close()
		until(t, r, func() bool { return lost == 2 })
		testworld.Turns(t, r, 2)
		if lost != 2 {
			t.Errorf("DESC-30: ConnectionLost came %d times to two protocols", lost)
		}
		runtime.GC()
		for i, g := range ghosts {
			if g.Value() != nil {
				t.Errorf("DESC-30: protocol %d is still held", i)
			}
			if kept[i].Protocol() != nil {
				t.Errorf("DESC-30: Protocol of a lost stream is %v", kept[i].Protocol())
			}
		}
		runtime.KeepAlive(port)
		runtime.KeepAlive(c)
	})
}

// named chooses its name.
type named struct{ end }

func (*named) LogPrefix() string { return "Fancy" }

func TestLogPrefixOfStreams(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var srv end
		var cli named
		connect(t, r, &srv, &cli)
		if got := srv.s.LogPrefix(); got != "end,0,127.0.0.1" {
			t.Errorf("DESC-36: %q", got)
		}
		if got := cli.s.LogPrefix(); got != "Fancy,client" {
			t.Errorf("DESC-36: %q", got)
		}
	})
}
