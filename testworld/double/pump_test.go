package double_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/testworld/double"
	"github.com/whorl-go/whorl/testworld/transporttest"
	"github.com/whorl-go/whorl/tlsio"
)

// TST-15: each side has a number of its own. What is written after Close is dropped: the write is refused, and nothing of it
// arrives.
func TestTST15Sides(t *testing.T) {
	r, _ := double.New(t, reactor.Config{})
	var numbers []int
	for range 3 {
		p := double.JoinOn(t, r, new(double.Accumulator), new(double.Accumulator), nil)
		numbers = append(numbers, p.Server.Number, p.Client.Number)
	}
	slices.Sort(numbers)
	if len(slices.Compact(numbers)) != 6 {
		t.Errorf("TST-15: numbers %v", numbers)
	}
	a, b := new(double.Accumulator), new(double.Accumulator)
	p := double.Connect(t, a, b, nil)
	a.T.Write([]byte("before"))
	a.T.Close()
	if _, err := a.T.Write([]byte("after")); !errors.Is(err, reactor.ErrClosed) {
		t.Errorf("TST-15: a write after Close: %v", err)
	}
	p.Flush()
	if b.Data() != "before" {
		t.Errorf("TST-15: %q came", b.Data())
	}
}

// TST-15: a step of the pump has a pull producer asked as long as there is room. It leaves push producers alone.
func TestTST15Pull(t *testing.T) {
	a, b := new(double.Accumulator), new(double.Accumulator)
	p := double.Connect(t, a, b, nil)
	push := new(source)
	if err := b.T.RegisterProducer(push); err != nil {
		t.Fatal(err)
	}
	ten := &double.Ten{To: p.Server.Stream, T: t}
	if err := ten.Pull(); err != nil || ten.Written() != 1 {
		t.Fatalf("TST-15: %v, %d pieces at the registration", err, ten.Written())
	}
	if !p.Step() || ten.Written() != 10 {
		t.Errorf("TST-15: %d pieces after a step", ten.Written())
	}
	p.Flush()
	if b.Data() != "0123456789" || *push != (source{}) {
		t.Errorf("TST-15: %q came; the push producer was told %+v", b.Data(), *push)
	}
	a.T.Close()
	p.Flush()
	if b.Err() != io.EOF {
		t.Errorf("after the pull producer: %v", b.Err())
	}
}

// A pull producer is stopped when its connection is lost.
func TestPullStopped(t *testing.T) {
	a, b := new(double.Accumulator), new(double.Accumulator)
	p := double.Connect(t, a, b, nil)
	ten := &double.Ten{To: p.Server.Stream, T: t}
	ten.Pull()
	b.T.Abort()
	p.Flush()
	if !ten.Stopped() {
		t.Error("PROD-6: it was not stopped")
	}
	if n := ten.Written(); p.Step() || ten.Written() != n {
		t.Error("it is asked after its end")
	}
}

// TST-16: a step moves what is pending, in both directions and once: the answers wait for the next one. No time passes but
// that of the calls.
func TestTST16Step(t *testing.T) {
	var order []string
	a, b := new(double.Accumulator), new(double.Accumulator)
	a.OnData = func(p []byte) { order = append(order, "a got "+string(p)); a.T.Write(append(p, 'a')) }
	b.OnData = func(p []byte) { order = append(order, "b got "+string(p)); b.T.Write(append(p, 'b')) }
	p := double.Join(t, a, b, nil)
	if a.Made() != 1 || b.Made() != 1 {
		t.Fatal("not made")
	}
	at := p.Reactor.Now()
	a.T.Write([]byte("1"))
	b.T.Write([]byte("2"))
	for i, want := range []string{"a got 2,b got 1", "a got 1b,b got 2a", "a got 2ab,b got 1ba"} {
		order = nil
		if !p.Step() {
			t.Errorf("TST-16: nothing moved in step %d", i)
		}
		slices.Sort(order) // within a step the order is chance
		if got := strings.Join(order, ","); got != want {
			t.Errorf("TST-16: step %d: %s, want %s", i, got, want)
		}
	}
	if d := p.Reactor.Now() - at; d > 1e6 {
		t.Errorf("TST-16: %v passed", d)
	}
}

// TST-16: no callback is called inside a write: both directions, bytes and ends (TST-20).
func TestTST20NoReentrancy(t *testing.T) {
	depth, deepest := 0, 0
	enter := func(fn func()) {
		depth++
		deepest = max(deepest, depth)
		fn()
		depth--
	}
	a, b := new(double.Accumulator), new(double.Accumulator)
	for _, e := range []*double.Accumulator{a, b} {
		e.OnData = func(p []byte) {
			enter(func() {
				if e.T.Write(p); len(e.Data()) > 20 {
					e.T.Close()
				}
			})
		}
		e.OnLost = func(error) { enter(func() {}) }
	}
	p := double.Connect(t, a, b, nil)
	a.T.Write([]byte("ping"))
	p.Flush()
	if deepest != 1 {
		t.Errorf("TST-20: callbacks were called %d deep", deepest)
	}
	if !a.Lost() || !b.Lost() || !strings.HasPrefix(b.Data(), strings.Repeat("ping", 6)) {
		t.Errorf("TST-20: %v, %v, %q", a.Err(), b.Err(), b.Data())
	}
	if l, c := a.T.Local(), b.T.Remote(); l != c || l.IsZero() || a.T.Remote() != b.T.Local() {
		t.Errorf("TST-20: the addresses of the two are %v and %v", l, c)
	}
}

// TST-16: an end is delivered only when nothing moved, so the last bytes come before ConnectionLost.
func TestTST16End(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(a *double.Accumulator)
		want error
	}{
		"Close": {func(a *double.Accumulator) { a.T.Close() }, io.EOF},
		"Abort": {func(a *double.Accumulator) { a.T.Abort() }, reactor.ErrLost},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := new(double.Accumulator), new(double.Accumulator)
			p := double.Connect(t, a, b, nil)
			a.T.Write([]byte("the last"))
			p.Step()
			a.T.Write([]byte(" bytes"))
			p.Reactor.Turn(0) // so that Abort does not drop them
			c.end(a)
			p.Step()
			if b.Lost() || name == "Close" && b.Data() != "the last bytes" {
				t.Fatalf("TST-16: %q came, and %v, in the same step", b.Data(), b.Err())
			}
			if !p.Step() {
				t.Error("TST-16: the end did not count as a move")
			}
			if !errors.Is(b.Err(), c.want) {
				t.Errorf("TST-16: lost for %v, want %v", b.Err(), c.want)
			}
			p.Flush()
			if !a.Lost() || p.Step() {
				t.Errorf("after the end: %v", a.Err())
			}
		})
	}
}

// TST-16: Flush repeats Step until nothing moves, and fails after 1000 rounds.
func TestTST16Flush(t *testing.T) {
	rounds := 0
	got := complaints(t, func(t testing.TB) {
		a, b := new(echo), new(double.Accumulator)
		b.OnData = func(p []byte) { rounds++; b.T.Write(p) }
		p := double.Connect(t, a, b, nil)
		if p.Flush(); rounds != 0 {
			t.Errorf("%d rounds of nothing", rounds)
		}
		b.T.Write([]byte("for ever"))
		p.Flush()
	})
	if double.FlushRounds != 1000 || rounds != 500 || !strings.Contains(got, "1000 rounds") {
		t.Errorf("TST-16: %q after %d rounds", got, rounds)
	}
}

// More than sockets hold moves too, as far as the other side reads.
func TestPumpMuch(t *testing.T) {
	a, b := new(double.Accumulator), new(double.Accumulator)
	p := double.Connect(t, a, b, nil)
	want := strings.Repeat("0123456789abcdef", 1<<16)
	a.T.Write([]byte(want))
	b.T.PauseProducing()
	p.Flush()
	if b.Data() != "" {
		t.Errorf("%d bytes came to who has paused", len(b.Data()))
	}
	b.T.ResumeProducing()
	p.Flush()
	if b.Data() != want || p.Client.Pending() != 0 {
		t.Errorf("%d bytes came of %d, and %d wait", len(b.Data()), len(want), p.Client.Pending())
	}
}

// TST-17: a server and a client are made connected, with the greeting delivered.
func TestTST17Connected(t *testing.T) {
	srv, cli := double.NewLines("220 ready"), double.NewLines("EHLO me")
	double.Connect(t, srv, cli, nil)
	if fmt.Sprint(srv.Received, cli.Received) != "[EHLO me] [220 ready]" {
		t.Errorf("TST-17: the server got %q, the client %q", srv.Received, cli.Received)
	}
}

// The two ends of a pump keep the contract of a transport, because they are streams.
func TestPumpContract(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, c reactor.Config, a, b reactor.Protocol) transporttest.Link {
		r, _ := double.New(t, c)
		p := double.JoinOn(t, r, a, b, nil)
		return transporttest.Link{Until: func(done func() bool) {
			t.Helper()
			testworld.Until(t, func() bool { p.Step(); return done() }, r)
		}}
	})
}

// TLS above the two ends of a pump. A handshake works off the loop, which takes virtual time.
func TestPumpTLS(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	sc := &tls.Config{Certificates: []tls.Certificate{ca.Leaf("srv.test")}, Time: tlstest.Time}
	cc := &tls.Config{RootCAs: ca.Pool(), ServerName: "srv.test", Time: tlstest.Time}
	cli := new(double.Accumulator)
	p := double.Connect(t,
		tlsio.Server(sc, reactor.One(new(echo)), nil).BuildProtocol(kernel.Addr{}),
		tlsio.Client(cc, reactor.One(cli), nil).BuildProtocol(kernel.Addr{}), nil)
	cli.T.Write([]byte("secret"))
	for range 100 {
		double.Advance(t, p.Reactor, 10*time.Millisecond)
		p.Flush()
	}
	if cli.Data() != "secret" {
		t.Errorf("%q came back, and %v", cli.Data(), cli.Err())
	}
}

// A write that has met the reset of the peer ends the connection, and what the peer has sent before is delivered first, although
// no step has let it pass (TCP-67).
func TestPumpBrokenWrite(t *testing.T) {
	a, b := new(double.Accumulator), new(double.Accumulator)
	p := double.Connect(t, a, b, nil)
	b.T.Write([]byte("the last"))
	testworld.Turns(t, p.Reactor, 2)
	b.T.Abort()
	testworld.Turns(t, p.Reactor, 2)
	if a.Lost() || a.Data() != "" {
		t.Fatalf("%q came without a step, and %v", a.Data(), a.Err())
	}
	a.T.Write([]byte("is anybody there?"))
	testworld.Turns(t, p.Reactor, 5)
	if !errors.Is(a.Err(), reactor.ErrLost) || a.Data() != "the last" {
		t.Errorf("TCP-67: %q came, and %v", a.Data(), a.Err())
	}
}
