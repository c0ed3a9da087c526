package reactor_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// inputReader is an end that reads into memory of its own, as long as there is room.
type inputReader struct {
	halfEnd
	room []byte
	own  []byte // what was read so
}

func (e *inputReader) ReadInput(src io.Reader) (int, error, bool) {
	if len(e.room) == 0 {
		return 0, nil, false
	}
	n, err := src.Read(e.room)
	e.own = append(e.own, e.room[:n]...)
	e.room = e.room[n:]
	return n, err, true
}

// TCP-100: an InputReader gets what arrives by ReadInput, and what it does not read by DataReceived, in order. The end is told as ever.
func TestInputReader(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv, cli := &inputReader{room: make([]byte, 5)}, &end{}
		connect(t, r, srv, cli)
		cli.s.Write([]byte("hello, "))
		until(t, r, func() bool { return len(srv.own)+len(srv.got) == 7 })
		srv.room = make([]byte, 100)
		cli.s.Write([]byte("world"))
		cli.s.Close()
		until(t, r, func() bool { return strings.Contains(strings.Join(srv.events, " "), "read lost") })
		if got := string(srv.own) + "|" + string(srv.got); got != "helloworld|, " {
			t.Errorf("TCP-100: %q came", got)
		}
		if n := srv.s.Stats().In; n != 12 {
			t.Errorf("TCP-100: %d bytes are counted", n)
		}
		srv.s.Close()
		until(t, r, func() bool { return srv.err != nil })
	})
}

// lender is an end that lends its reading at the first data.
type lender struct {
	halfEnd
	aside *reactor.SideReader
}

// lends connects an end that has lent its reading, after one byte.
func lends(t *testing.T, w testworld.World) (r *reactor.Reactor, srv *lender, cli *end) {
	t.Helper()
	r = w.New(t, reactor.Config{})
	srv, cli = &lender{}, &end{}
	srv.onData = func([]byte) {
		if srv.aside == nil {
			srv.aside = srv.s.ReadAside()
		}
	}
	connect(t, r, srv, cli)
	cli.s.Write([]byte("x"))
	until(t, r, func() bool { return len(srv.got) == 1 })
	if srv.aside == nil {
		t.Skip("conns of this kernel are no SideReaders")
	}
	return r, srv, cli
}

// beside reads n bytes on another goroutine while r turns, and returns what else Read returns then.
func beside(t *testing.T, r *reactor.Reactor, aside *reactor.SideReader, n int) error {
	t.Helper()
	over, err := false, error(nil)
	go func() {
		buf := make([]byte, 10)
		for {
			m, e := aside.Read(buf)
			if n -= max(m, 0); n > 0 && (e == nil || e == kernel.ErrAgain) {
				continue
			}
			r.Post(func() { over, err = true, e })
			return
		}
	}()
	until(t, r, func() bool { return over })
	return err
}

// TCP-101: while its reading is lent, a stream delivers nothing, and another goroutine reads. After ResumeProducing it goes on, and the end is told once.
func TestReadAside(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r, srv, cli := lends(t, w)
		text := strings.Repeat("0123456789", 10)
		cli.s.Write([]byte(text))
		if err := beside(t, r, srv.aside, len(text)); err != nil {
			t.Error(err)
		}
		if srv.s.ReadAside() != nil {
			t.Error("TCP-101: a stream that is paused lends its reading")
		}
		if len(srv.got) != 1 {
			t.Errorf("TCP-101: %d bytes are delivered", len(srv.got))
		}
		cli.s.Write([]byte("more"))
		srv.s.ResumeProducing()
		until(t, r, func() bool { return string(srv.got) == "xmore" })
		if n, err := srv.aside.Read(make([]byte, 1)); n != 0 || err != kernel.ErrAgain {
			t.Errorf("TCP-101: after the end of the lending, Read has %d bytes and %v", n, err)
		}
		if n := srv.s.Stats().In; n != uint64(1+len(text)+4) {
			t.Errorf("TCP-101: %d bytes are counted", n)
		}
		again := srv.s.ReadAside()
		cli.s.CloseWrite()
		if err := beside(t, r, again, 1); err != io.EOF {
			t.Errorf("TCP-101: at the end Read is %v", err)
		}
		srv.s.ResumeProducing()
		until(t, r, func() bool { return srv.events[len(srv.events)-1] == "read lost" })
		srv.s.Close()
		until(t, r, func() bool { return srv.err != nil && cli.err != nil })
	})
}

// TCP-101: a reset is the stream's end, whoever has found it: the other goroutine, or the loop meanwhile.
func TestReadAsideReset(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, turns := range []bool{false, true} {
			r, srv, cli := lends(t, w)
			cli.s.Abort()
			until(t, r, func() bool { return cli.err != nil })
			if turns {
				passed := false
				r.CallLater(5*time.Millisecond, func() { passed = true })
				until(t, r, func() bool { return passed })
			} else if n, err := srv.aside.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Errorf("TCP-101: %d bytes and %v came", n, err)
			}
			srv.s.ResumeProducing()
			until(t, r, func() bool { return srv.err != nil })
			if !errors.Is(srv.err, kernel.ErrReset) {
				t.Errorf("TCP-101: lost with %v", srv.err)
			}
		}
	})
}

// TCP-101: an end of the stream ends the lending, and so does SwitchProtocol.
func TestReadAsideEnds(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, do := range map[string]func(*reactor.Stream){
			"close":  func(s *reactor.Stream) { s.Close() },
			"abort":  func(s *reactor.Stream) { s.Abort() },
			"switch": func(s *reactor.Stream) { _, _ = s.SwitchProtocol(&halfEnd{}) },
		} {
			r, srv, cli := lends(t, w)
			cli.s.Write([]byte("y"))
			until(t, r, func() bool { return cli.s.Buffered() == 0 })
			do(srv.s)
			if n, err := srv.aside.Read(make([]byte, 1)); n != 0 || err != kernel.ErrAgain {
				t.Errorf("TCP-101: after %s, Read has %d bytes and %v", name, n, err)
			}
		}
	})
}
