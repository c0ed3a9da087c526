package reactor_test

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

func newReactor() *reactor.Reactor {
	k, err := native.Open("")
	if err != nil {
		panic(err)
	}
	return reactor.New(k, reactor.Config{})
}

// Idle closes a connection on which nothing arrives for a minute. Its timer is a
// value inside it: resetting it costs a store.
type Idle struct {
	reactor.Base
	limit reactor.DelayedCall
}

func (p *Idle) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	p.limit.Init(t.Reactor(), t.Abort)
	p.limit.Reset(time.Minute)
}

func (p *Idle) DataReceived([]byte)  { p.limit.Reset(time.Minute) }
func (p *Idle) ConnectionLost(error) { p.limit.Cancel() }

func ExampleDelayedCall() {
	r := newReactor()
	defer r.Close()
	r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), reactor.Each[Idle](), nil)
	fmt.Println("no connection outlives a minute of silence")
	// Output: no connection outlives a minute of silence
}

// pairs joins each two connections that are accepted, so that the peers of both talk to each
// other.
type pairs struct{ waiting reactor.Transport }

func (p *pairs) BuildProtocol(kernel.Addr) reactor.Protocol { return &member{pairs: p} }

type member struct {
	reactor.Base
	pairs *pairs
}

func (m *member) ConnectionMade(t reactor.Transport) {
	m.Base.ConnectionMade(t)
	p := m.pairs
	if p.waiting == nil {
		p.waiting = m.T
		m.T.PauseProducing() // what comes, and the end, wait for the other
		return
	}
	waiting := p.waiting
	p.waiting = nil
	reactor.Join(waiting, m.T, nil) // if it fails, both are aborted
}

func (m *member) DataReceived([]byte) {} // never: paused, and then joined

func (m *member) ConnectionLost(error) {
	if m.pairs.waiting == m.T {
		m.pairs.waiting = nil
	}
}

func ExampleJoin() {
	r := newReactor()
	defer r.Close()
	r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), new(pairs), nil)
	fmt.Println("each two connections are joined")
	// Output: each two connections are joined
}

func ExampleInThread() {
	r := newReactor()
	defer r.Close()
	done := false
	reactor.InThread(r, func() ([]byte, error) { return os.ReadFile("/dev/null") }, // on the pool
		func(b []byte, err error) { // on the loop
			fmt.Println(len(b), err)
			done = true
		})
	for !done {
		r.Turn(-1)
	}
	// Output: 0 <nil>
}

func ExampleAsk() {
	r := newReactor()
	defer r.Close()
	total := 41 // the loop's own
	answer := make(chan int)
	go func() {
		n, _ := reactor.Ask(r, func() (int, error) { total++; return total, nil })
		answer <- n
	}()
	for total == 41 {
		r.Turn(-1)
	}
	fmt.Println(<-answer)
	// Output: 42
}

// Upper answers in capitals; TestUpper is how a protocol is tested: on every
// kernel, cut in every way, turning the loop until something is so.
type Upper struct{ reactor.Base }

func (u *Upper) DataReceived(p []byte) {
	for i, c := range p {
		if c >= 'a' && c <= 'z' {
			p[i] = c - 'a' + 'A'
		}
	}
	u.T.Write(p)
}

func TestUpper(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			c := new(end)
			connect(t, r, new(Upper), c)
			c.s.Write([]byte("hello"))
			testworld.Until(t, func() bool { return string(c.got) == "HELLO" }, r)
		})
	}
}
