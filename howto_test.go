package whorl_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// The tests of the code of docs/howto.md.

// everywhere runs body on every kernel of this machine and on the simulated one.
func everywhere(t *testing.T, body func(t *testing.T, w testworld.World, r *reactor.Reactor)) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) { body(t, w, w.Alone().New(t, reactor.Config{})) })
	}
}

// listen listens on a free port, and returns its address.
func listen(t *testing.T, r *reactor.Reactor, f reactor.Factory, o *reactor.ListenConfig) kernel.Addr {
	t.Helper()
	port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), f, o)
	if err != nil {
		t.Fatal(err)
	}
	return port.Addr()
}

func TestHowtoLimits(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World, r *reactor.Reactor) {
		port := limited(r, kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), reactor.Each[Upper]())
		a, b := w.Peer(t, port.Addr(), r), w.Peer(t, port.Addr(), r)
		a.Send("a")
		a.Expect("A")
		b.Send("b")
		b.Expect("B")
		if s := port.Stats(); s.Open != 2 || s.Refused != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestHowtoDrained(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World, r *reactor.Reactor) {
		port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			return &worker{work: func(line string) (string, error) { return strings.ToUpper(line), nil }}
		}), nil)
		if err != nil {
			t.Fatal(err)
		}
		drained(r, port)
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		p := w.Peer(t, port.Addr(), r)
		p.Send("one\r\n")
		p.Expect("ONE\r\n")
		r.Stop()
		if got, err := p.Rest(); len(got) > 0 || err != io.EOF {
			t.Errorf("the idle client got %q and %v", got, err)
		}
		for i := 0; i < 100 && r.Turn(0) == nil; i++ {
		}
		select {
		case <-r.Done():
		default:
			t.Error("the reactor has not stopped")
		}
	})
}

func TestHowtoClock(t *testing.T) {
	for name, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue // there seconds take no time
		}
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			p := w.Peer(t, listen(t, r, reactor.Each[clock](), nil), r)
			wait(r, 3500*time.Millisecond)
			p.Expect("1\n2\n3\n")
			p.Close()
			wait(r, time.Minute)
			if n := r.Stats().Pending; n != 0 {
				t.Errorf("%d delayed calls are left", n)
			}
		})
	}
}

func TestHowtoUpload(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World, r *reactor.Reactor) {
		u := new(upload)
		p := w.Peer(t, listen(t, r, reactor.One(u), nil), r)
		p.Send(strings.Repeat("x", 1<<20))
		testworld.Until(t, func() bool { return u.got == 1<<20 }, r)
		p.Send("x")
		if _, err := p.Rest(); !errors.Is(err, kernel.ErrReset) {
			t.Errorf("a byte more: %v", err)
		}
	})
}

func TestHowtoPunctual(t *testing.T) {
	for name, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue // there ten seconds take no time
		}
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			p := w.Peer(t, listen(t, r, reactor.Each[punctual](), nil), r)
			began := r.Now()
			for range 3 {
				wait(r, 9*time.Second)
				p.Send("ping\r\n")
				p.Expect("ping\r\n")
			}
			var err error // a byte now and then does not help
			for err == nil && r.Now()-began < time.Minute {
				wait(r, time.Second)
				_, err = p.TryWrite([]byte("x"))
			}
			if after := r.Now() - began; !errors.Is(err, kernel.ErrReset) || after < 37*time.Second || after > 39*time.Second {
				t.Errorf("after %v: %v", after, err)
			}
		})
	}
}

// wait lets time pass.
func wait(r *reactor.Reactor, d time.Duration) {
	over := false
	r.CallLater(d, func() { over = true })
	for !over {
		r.Turn(-1)
	}
}

func TestHowtoDrain(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World, r *reactor.Reactor) {
		finish := make(chan struct{}, 1)
		var all []*worker
		addr := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			v := &worker{work: func(line string) (string, error) { <-finish; return strings.ToUpper(line), nil }}
			all = append(all, v)
			return v
		}), nil)
		busy, idle := w.Peer(t, addr, r), w.Peer(t, addr, r)
		finish <- struct{}{}
		busy.Send("first\r\n")
		busy.Expect("FIRST\r\n")
		testworld.Until(t, func() bool { return len(all) == 2 }, r)
		if !w.Simulated() { // there the work is done in InThread, and would wait for the test
			busy.Send("second\r\nthird\r\n")
			testworld.Until(t, func() bool { return all[0].busy }, r)
		}
		for _, v := range all {
			v.Drain()
		}
		if got, err := idle.Rest(); len(got) > 0 || err != io.EOF {
			t.Errorf("the idle one got %q and %v", got, err)
		}
		finish <- struct{}{}
		want := map[bool]string{false: "SECOND\r\n", true: ""}[w.Simulated()]
		if got, err := busy.Rest(); string(got) != want || err != io.EOF {
			t.Errorf("the busy one got %q and %v", got, err)
		}
	})
}

func TestHowtoBroadcast(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World, r *reactor.Reactor) {
		h := new(hub)
		addr := listen(t, r, h, nil)
		var peers []*testworld.Peer
		for range 3 {
			peers = append(peers, w.Peer(t, addr, r))
		}
		testworld.Until(t, func() bool { return len(h.members) == 3 }, r)
		peers[0].Send("hello")
		for _, p := range peers {
			p.Expect("hello")
		}
		// peers[2] does not read any more. It must not grow without bound, nor stop the others.
		message := make([]byte, 256<<10)
		slow := h.members[2]
		sent := 0
		for ; slices.Contains(h.members, slow) && sent < 1000; sent++ {
			h.send(message)
			for _, p := range peers[:2] {
				p.Expect(string(message))
			}
		}
		if len(h.members) != 2 || sent == 1000 {
			t.Errorf("%d members after %d messages", len(h.members), sent)
		}
		peers[0].Close()
		testworld.Until(t, func() bool { return len(h.members) == 1 }, r)
	})
}

func TestHowtoRelay(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			backend := w.Listener(t, r)
			to := backend.Addr()
			addr := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return &front{backend: to} }), nil)
			client := w.Peer(t, addr, r)
			client.Send("question")
			server := backend.Accept()
			server.Expect("question")
			server.Send("answer")
			client.Expect("answer")
			client.CloseWrite()
			if got, err := server.Rest(); len(got) > 0 || err != io.EOF {
				t.Errorf("the end became %q and %v", got, err)
			}
			server.Send("bye")
			server.Close()
			if got, err := client.Rest(); string(got) != "bye" || err != io.EOF {
				t.Errorf("the answer's end became %q and %v", got, err)
			}
			backend.Close()
			if _, err := w.Peer(t, addr, r).Rest(); !errors.Is(err, kernel.ErrReset) {
				t.Errorf("without a backend: %v", err)
			}
		})
	}
}

func TestHowtoAsker(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			backend := w.Listener(t, r)
			a := new(asker)
			r.Dial(backend.Addr(), reactor.One(a), nil, nil)
			server := backend.Accept()
			testworld.Until(t, func() bool { return a.T != nil }, r)
			var got []string
			done := func(answer string, err error) { got = append(got, fmt.Sprint(answer, err)) }
			a.ask("one", done)
			a.ask("two", done)
			server.Expect("one\r\ntwo\r\n")
			server.Send("1\r\n2\r\n")
			testworld.Until(t, func() bool { return len(got) == 2 }, r)
			a.ask("three", done)
			server.Expect("three\r\n")
			server.Close()
			testworld.Until(t, func() bool { return a.lost != nil }, r)
			a.ask("four", done)
			if len(got) != 3 {
				t.Errorf("%q: done was called inside ask", got)
			}
			testworld.Until(t, func() bool { return len(got) == 4 }, r)
			if want := []string{"1<nil>", "2<nil>", "EOF", "EOF"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// An answer that does not come, from another goroutine's view.
func TestHowtoAskerLimit(t *testing.T) {
	for name, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			backend, a := w.Listener(t, r), new(asker)
			r.Dial(backend.Addr(), reactor.One(a), nil, nil)
			server := backend.Accept()
			testworld.Until(t, func() bool { return a.T != nil }, r)
			began := r.Now()
			result := make(chan error, 1)
			go func() { result <- askFrom(r, a) }()
			server.Expect("time\r\n")
			wait(r, answerTime)
			testworld.Until(t, func() bool { return len(result) > 0 }, r)
			if err := <-result; !errors.Is(err, reactor.ErrAborted) || r.Now()-began < answerTime {
				t.Errorf("after %v: %v", r.Now()-began, err)
			}
		})
	}
}

func TestHowtoHeldBack(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World, r *reactor.Reactor) {
		h := new(heldBack)
		marks := reactor.StreamConfig{HighWater: 16 << 10}
		p := w.Peer(t, listen(t, r, reactor.One(h), &reactor.ListenConfig{StreamConfig: marks}), r)
		line := []byte(strings.Repeat("x", 1000) + "\r\n")
		sent, most, full := 0, 0, 0
		for ; full < 100 && sent < 64<<20; testworld.Turns(t, r, 3) {
			n, err := p.TryWrite(line[sent%len(line):])
			if sent += n; err != nil {
				full++ // nothing has moved for a while if this goes on
			} else {
				full = 0
			}
			if h.T != nil {
				s, _ := reactor.As[*reactor.Stream](h.T)
				most = max(most, s.Stats().Buffered)
			}
		}
		if full < 100 || most > 16<<10+2*len(line)+16<<10 {
			t.Errorf("%d bytes were taken, and %d buffered, for a client that reads nothing", sent, most)
		}
		p.CloseWrite()
		if got, err := p.Rest(); len(got) != sent/len(line)*len(line) || err != io.EOF {
			t.Errorf("%d of %d bytes of answers, and %v", len(got), sent, err)
		}
	})
}

// A directory that is there later is asked again, and answers; what it does not know it does not answer. UDP and UNIX.
func TestHowtoDirectory(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World, r *reactor.Reactor) {
		at := kernel.UDPAddr(netip.MustParseAddr("127.0.0.1"), 0)
		if probe, err := r.ListenPacket(at, new(directory), nil); err != nil {
			t.Fatal(err)
		} else {
			at = probe.Local()
			probe.StopListening(nil)
			r.Turn(0)
		}
		q := &query{name: "printer"}
		asking, err := r.DialPacket(at, q, nil)
		if err != nil {
			t.Fatal(err)
		}
		testworld.Until(t, func() bool { return q.tries == 2 }, r)
		if _, err := r.ListenPacket(at, &directory{entries: map[string]string{"printer": "10.0.0.7"}}, nil); err != nil {
			t.Fatal(err)
		}
		testworld.Until(t, func() bool { return !asking.Listening() }, r)
		if q.answer != "10.0.0.7" || q.tries < 2 || len(r.DelayedCalls()) != 0 {
			t.Errorf("the answer is %q after %d tries; %d delayed calls", q.answer, q.tries, len(r.DelayedCalls()))
		}
		if !w.Simulated() {
			return // nothing of the rest is the kernel's
		}
		none := &query{name: "scanner"}
		if asking, err = r.DialPacket(at, none, nil); err != nil {
			t.Fatal(err)
		}
		testworld.Until(t, func() bool { return !asking.Listening() }, r)
		if none.answer != "" || none.tries != 6 {
			t.Errorf("the answer is %q after %d tries", none.answer, none.tries-1)
		}
	})
}

func TestHowtoServeDirectory(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	place := "unixgram:" + t.TempDir() + "/d"
	result := make(chan error, 1)
	go func() {
		result <- serveDirectory(ctx, map[string]string{"printer": "10.0.0.7"}, place, "udp:0:127.0.0.1")
	}()
	q := &query{name: "printer"}
	c := whorl.Config{Datagrams: func() reactor.PacketProtocol { return q }}
	for q.answer == "" { // until the server is there
		if err := c.Connect(ctx, nil, place+":bindAddress="+t.TempDir()+"/q"); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, kernel.ErrRefused) {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-result; err != nil || q.answer != "10.0.0.7" {
		t.Errorf("%q, %v", q.answer, err)
	}
}
