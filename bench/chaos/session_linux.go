package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// session is the protocol of the server. The first line that a client sends says what the
// connection is for:
//
//	echo               sends everything back
//	get SEED N         writes N bytes at once, and closes
//	push SEED N        a producer that writes N bytes, as fast as it may, and closes
//	slow SEED N MS     writes N bytes after MS milliseconds, and closes
//	half               stays silent, also when the client has ended its direction
//	hold               stops reading
//	join PORT          joins the connection with one to that port of this host
//	block MS           stops the loop for MS milliseconds, answers "ok", and closes
//	timers N MS        makes N delayed calls that are due in MS milliseconds, answers "ok" when all were made, and closes
//	hang               starts work that never ends, and answers "ok"
type session struct {
	reactor.Base
	line []byte
	verb string
	a, b int // arguments
	n    int
}

const longestLine = 64

func (s *session) DataReceived(p []byte) {
	if s.verb != "" {
		s.more(p)
		return
	}
	s.line = append(s.line, p...)
	line, rest, whole := bytes.Cut(s.line, []byte("\n"))
	switch {
	case whole:
		_, _ = fmt.Sscan(string(line), &s.verb, &s.a, &s.b, &s.n) // a verb has up to three arguments
		s.line = nil
		s.begin(rest)
	case len(s.line) > longestLine:
		s.T.Abort()
	}
}

// more gets what comes behind the first line.
func (s *session) more(p []byte) {
	if s.verb == "echo" {
		s.T.Write(p)
	}
}

func (s *session) begin(rest []byte) {
	r := s.T.Reactor()
	switch s.verb {
	case "echo":
		s.T.Write(rest)
	case "get":
		s.answer()
	case "push":
		p := &producer{t: s.T, seed: s.a, left: int64(s.b)}
		if c, ok := reactor.As[reactor.Consumer](s.T); ok && c.RegisterProducer(p) == nil {
			p.consumer = c
			p.ResumeProducing()
		}
	case "slow":
		r.CallLater(time.Duration(s.n)*time.Millisecond, s.answer)
	case "half":
	case "hold":
		s.pause()
	case "join":
		s.join(bytes.Clone(rest))
	case "block":
		time.Sleep(time.Duration(s.a) * time.Millisecond) // on purpose: a program that holds its loop up
		s.T.Write([]byte("ok"))
		s.T.Close()
	case "timers":
		s.timers(time.Duration(s.b) * time.Millisecond)
	case "hang":
		r.CallInThread(func() { select {} })
		s.T.Write([]byte("ok"))
	default:
		s.T.Abort()
	}
}

// timers makes s.a delayed calls that are due at one moment.
func (s *session) timers(after time.Duration) {
	r, left := s.T.Reactor(), s.a
	due := r.Now() + after
	for range s.a {
		r.CallLater(due-r.Now(), func() {
			if left--; left == 0 {
				s.T.Write([]byte("ok"))
				s.T.Close()
			}
		})
	}
}

func (s *session) answer() {
	if err := writePattern(s.T, s.a, int64(s.b)); err == nil {
		s.T.Close()
	}
}

func (s *session) pause() {
	if p, ok := reactor.As[reactor.Producer](s.T); ok {
		p.PauseProducing()
	}
}

// join connects to another port, and joins both connections when that has succeeded.
func (s *session) join(rest []byte) {
	s.pause()
	to := kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(s.a))
	f := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return &far{near: s.T, rest: rest} })
	s.T.Reactor().Dial(to, f, nil, func(_ reactor.Protocol, err error) {
		if err != nil {
			s.T.Abort()
		}
	})
}

// far is the connection that a session is joined with.
type far struct {
	reactor.Base
	near reactor.Transport
	rest []byte
}

func (f *far) ConnectionMade(t reactor.Transport) {
	f.Base.ConnectionMade(t)
	_, _ = reactor.Join(f.near, t, &reactor.JoinConfig{RestA: f.rest}) // if it fails, both are aborted
}

func (f *far) DataReceived([]byte) {}

// ReadConnectionLost ends what nobody else will end.
func (s *session) ReadConnectionLost() {
	if s.verb == "echo" || s.verb == "" {
		s.T.Close()
	}
}

func (s *session) WriteConnectionLost() {}

// Drain lets requests finish. A connection without one has a second to send it.
func (s *session) Drain() {
	switch s.verb {
	case "":
		s.T.Reactor().CallLater(time.Second, func() {
			if s.verb == "" {
				s.T.Close()
			}
		})
	case "echo":
		s.T.Close()
	}
}

// producer writes until it is paused.
type producer struct {
	t        reactor.Transport
	consumer reactor.Consumer
	seed     int
	sent     int64
	left     int64
	paused   bool
}

func (p *producer) PauseProducing() { p.paused = true }

func (p *producer) StopProducing() { p.left = 0 }

func (p *producer) ResumeProducing() {
	for p.paused = false; !p.paused && p.left > 0; {
		b := piece(p.seed, p.sent, int(min(p.left, 32<<10)))
		p.sent += int64(len(b))
		p.left -= int64(len(b))
		if _, err := p.t.Write(b); err != nil {
			return
		}
	}
	if p.left == 0 && !p.paused && p.consumer != nil {
		c := p.consumer
		p.consumer = nil
		c.UnregisterProducer()
		p.t.Close()
	}
}
