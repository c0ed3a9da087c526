package rpc

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
	"github.com/whorl-go/whorl/testworld"
)

var here = kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0)

func everything() map[string]Handler {
	return map[string]Handler{
		"echo": func(p json.RawMessage) (any, error) { return p, nil },
		"fail": func(json.RawMessage) (any, error) { return nil, errors.New("no") },
		"long": func(json.RawMessage) (any, error) { return strings.Repeat("x", MaxMessage), nil },
		"boom": func(json.RawMessage) (any, error) { panic("boom") },
	}
}

// result is how a call has ended.
type result struct {
	text  string
	err   error
	times int
}

func (x *result) done(p json.RawMessage, err error) {
	x.text, x.err, x.times = string(p), err, x.times+1
}

func client(r *reactor.Reactor, servers ...kernel.Addr) *Client {
	c := &Client{Reactor: r, Servers: servers, Backoff: retry.Exponential{Initial: time.Millisecond, Jitter: -1}}
	c.Start()
	return c
}

func listen(t *testing.T, r *reactor.Reactor, s *Server) *reactor.Port {
	t.Helper()
	port, err := r.Listen(here, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// receive reads a message that is no beat.
func receive(t *testing.T, p *testworld.Peer) (m message) {
	t.Helper()
	for m.ID == 0 && !m.Goodbye {
		var size [4]byte
		if _, err := io.ReadFull(p, size[:]); err != nil {
			t.Fatal(err)
		}
		text := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(p, text); err != nil {
			t.Fatal(err)
		}
		m = message{}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func text(m message) string {
	p, _ := json.Marshal(m)
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(p)))) + string(p)
}

// Each of many calls gets its own answer.
func TestCalls(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
			c := client(r, listen(t, r, &Server{Handlers: everything(), MaxInProgress: 7}).Addr())
			ended, wrong := 0, ""
			for i := range 50 {
				c.Call("echo", i, Options{}, func(p json.RawMessage, err error) {
					if ended++; err != nil || string(p) != fmt.Sprint(i) {
						wrong = fmt.Sprintf("%d: %s and %v", i, p, err)
					}
				})
			}
			var fail, long, boom, none, huge result
			c.Call("fail", nil, Options{}, fail.done)
			c.Call("boom", nil, Options{}, boom.done)
			c.Call("none", nil, Options{}, none.done)
			c.Call("echo", strings.Repeat("x", MaxMessage), Options{}, huge.done)
			if w.Chunk() == 0 {
				c.Call("long", nil, Options{}, long.done)
			}
			testworld.Until(t, func() bool { return c.Waiting() == 0 && huge.times > 0 }, r)
			c.Close()
			if ended != 50 || wrong != "" {
				t.Errorf("%d answers, wrong %s", ended, wrong)
			}
			for _, x := range []result{fail, boom, none} {
				if _, ok := errors.AsType[RemoteError](x.err); !ok || x.times != 1 {
					t.Errorf("%+v", x)
				}
			}
			if huge.err != ErrTooLong || huge.times != 1 || (w.Chunk() == 0 && long.err == nil) {
				t.Errorf("%+v %+v", huge, long)
			}
		})
	}
}

// Answers may come in any order, and an answer that comes too late is dropped.
func TestOrder(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			l := w.Listener(t, r)
			c := client(r, l.Addr())
			var a, b, late result
			c.Call("late", 0, Options{Timeout: time.Millisecond * 20}, late.done)
			s := l.Accept()
			first := receive(t, s)
			testworld.Until(t, func() bool { return late.times > 0 }, r)
			c.Call("a", 1, Options{}, a.done)
			c.Call("b", 2, Options{}, b.done)
			x, y := receive(t, s), receive(t, s)
			s.Send(text(message{ID: first.ID, Result: json.RawMessage("0")}))
			s.Send(text(message{ID: y.ID, Result: y.Params}))
			s.Send(text(message{ID: x.ID, Result: x.Params}))
			testworld.Until(t, func() bool { return c.Waiting() == 0 }, r)
			if a != (result{"1", nil, 1}) || b != (result{"2", nil, 1}) || late.err != ErrTimeout || late.times != 1 {
				t.Errorf("%+v %+v %+v", a, b, late)
			}
			c.Call("a", 1, Options{}, a.done)
			s.Send(text(message{ID: receive(t, s).ID + 1}))
			testworld.Until(t, func() bool { return c.Waiting() == 0 }, r)
			if !errors.Is(a.err, ErrLost) || a.times != 2 {
				t.Errorf("after an answer to nobody: %+v", a)
			}
			c.Close()
		})
	}
}

// When the connection is lost, idempotent calls are made again, and the others fail.
func TestLost(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			l := w.Listener(t, r)
			c := client(r, l.Addr())
			c.MaxCalls = 2
			var once, again, busy, after result
			c.Call("once", 1, Options{}, once.done)
			c.Call("again", 2, Options{Idempotent: true}, again.done)
			c.Call("busy", 3, Options{}, busy.done)
			s := l.Accept()
			receive(t, s)
			receive(t, s)
			s.Abort()
			s = l.Accept()
			m := receive(t, s)
			if m.Method != "again" || !errors.Is(once.err, ErrLost) || busy.err != ErrBusy {
				t.Errorf("%+v, once %+v, busy %+v", m, once, busy)
			}
			s.Send(text(message{ID: m.ID, Result: m.Params}))
			testworld.Until(t, func() bool { return c.Waiting() == 0 }, r)
			c.Call("after", 4, Options{Idempotent: true}, after.done)
			c.Close()
			c.Close()
			if again != (result{"2", nil, 1}) || after != (result{"", ErrClosed, 1}) || once.times != 1 || busy.times != 1 {
				t.Errorf("%+v %+v %+v %+v", again, after, once, busy)
			}
		})
	}
}

// A server that is silent is left, and so is a client.
func TestSilence(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			l := w.Listener(t, r)
			c := &Client{Reactor: r, Servers: []kernel.Addr{l.Addr()}, Beat: 5 * time.Millisecond}
			c.Start()
			if got, err := l.Accept().Rest(); err == io.EOF || len(got) == 0 {
				t.Errorf("%q and %v, want beats and a reset", got, err)
			}
			c.Close()
			p := w.Peer(t, listen(t, r, &Server{Beat: 5 * time.Millisecond}).Addr(), r)
			if got, err := p.Rest(); err == io.EOF || len(got) == 0 {
				t.Errorf("%q and %v, want beats and a reset", got, err)
			}
		})
	}
}

// A client that does not read its answers is not read any more.
func TestBackpressure(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			o := &reactor.ListenConfig{}
			o.SendBuffer, o.RecvBuffer = 16<<10, 16<<10
			port, err := r.Listen(here, &Server{Handlers: everything()}, o)
			if err != nil {
				t.Fatal(err)
			}
			p := w.Peer(t, port.Addr(), r)
			call := text(message{ID: 1, Method: "echo", Params: json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)})
			calls := []byte(strings.Repeat(call, 64))
			sent, most := 0, 0
			for still := 0; still < 100 && sent < 64<<20; still++ { // until nothing moves for a while
				n, _ := p.TryWrite(calls[sent%len(calls):])
				if sent += n; n > 0 {
					still = 0
				}
				r.Turn(time.Millisecond)
				for s := range r.Streams() {
					most = max(most, s.Buffered())
				}
			}
			if sent >= 64<<20 || most > 1<<20 {
				t.Errorf("%d bytes taken, %d buffered", sent, most)
			}
			p.Abort()
			testworld.Until(t, func() bool { return r.Stats().Connections == 0 }, r)
		})
	}
}
