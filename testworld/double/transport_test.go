package double_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/testworld/double"
)

// TST-9: a recording transport keeps what is written, in whichever way, and it can be read and cleared. A real stream is below,
// found through Unwrap.
func TestTST9Records(t *testing.T) {
	x := double.NewTransport(t, nil)
	p := new(echo)
	p.ConnectionMade(x)
	p.DataReceived([]byte("one "))
	if n, err := x.WriteVec([][]byte{[]byte("two "), nil, []byte("three ")}); n != 10 || err != nil {
		t.Errorf("WriteVec: %d, %v", n, err)
	}
	if n, err := reactor.WriteShared(x, []byte("four")); n != 4 || err != nil {
		t.Errorf("WriteShared: %d, %v", n, err)
	}
	if got := x.Written(); got != "one two three four" {
		t.Errorf("TST-9: %q was written", got)
	}
	x.Clear()
	p.DataReceived([]byte("five"))
	if got := x.Written(); got != "five" {
		t.Errorf("TST-9: %q after Clear", got)
	}
	if s, ok := reactor.As[*reactor.Stream](x); !ok || s.Reactor() != x.Reactor() {
		t.Error("no real stream is found below")
	}
}

// TST-10: Close, Abort and CloseWrite are remembered, and the protocol is not called, also when the reactor turns. A write after
// them is refused and not recorded.
func TestTST10Ends(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(x *double.Transport)
		want double.Ending
		err  error
	}{
		{"Close", func(x *double.Transport) { x.Close() }, double.Closing, reactor.ErrClosed},
		{"Abort", func(x *double.Transport) { x.Abort() }, double.Aborted, reactor.ErrClosed},
		{"CloseAbort", func(x *double.Transport) { x.Close(); x.Abort() }, double.Aborted, reactor.ErrClosed},
		{"CloseWrite", func(x *double.Transport) { x.CloseWrite() }, double.Open, reactor.ErrWriteClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := double.NewTransport(t, nil)
			p := new(double.Accumulator)
			p.ConnectionMade(x)
			if x.Ending() != double.Open || x.WriteClosed() {
				t.Fatalf("%v at first", x.Ending())
			}
			x.Write([]byte("before"))
			c.end(x)
			for range 3 {
				if n, err := x.Write([]byte("after")); n != 0 || !errors.Is(err, c.err) {
					t.Errorf("TST-10: a write after %s: %d, %v, want %v", c.name, n, err, c.err)
				}
				x.Flush()
			}
			if x.Ending() != c.want || x.WriteClosed() != (c.name == "CloseWrite") {
				t.Errorf("TST-10: %v after %s, want %v", x.Ending(), c.name, c.want)
			}
			if p.Lost() || x.Written() != "before" {
				t.Errorf("TST-10: lost %v, wrote %q", p.Err(), x.Written())
			}
		})
	}
}

// TST-11: addresses are fixed, unless others are given.
func TestTST11Addresses(t *testing.T) {
	x := double.NewTransport(t, nil)
	if x.Local().String() != "10.0.0.1:12345" || x.Remote().String() != "192.168.1.1:54321" {
		t.Errorf("TST-11: from %v to %v", x.Local(), x.Remote())
	}
	a, b := kernel.UNIXAddr("/run/a"), kernel.UNIXAddr("/run/b")
	x = double.NewTransport(t, &double.TransportConfig{Local: a, Remote: b})
	if x.Local() != a || x.Remote() != b {
		t.Errorf("TST-11: from %v to %v, want those given", x.Local(), x.Remote())
	}
}

// TST-12: it keeps one producer and its kind, push or pull. A second one, of either kind, is an error, and so is unregistering without one.
func TestTST12Producers(t *testing.T) {
	x := double.NewTransport(t, nil)
	push, pull := new(source), &double.Ten{To: x, T: t}
	if err := x.RegisterProducer(push); err != nil || x.Producer() != push {
		t.Fatalf("TST-12: %v, %v", err, x.Producer())
	}
	for _, err := range []error{x.RegisterProducer(new(source)), pull.Pull()} {
		if !errors.Is(err, reactor.ErrProducerRegistered) {
			t.Errorf("TST-12: a second producer: %v", err)
		}
	}
	if x.Producer() != push || pull.Written() != 0 {
		t.Errorf("TST-12: after a second producer: %v", x.Producer())
	}
	x.UnregisterProducer()
	if err := pull.Pull(); err != nil || x.Producer() == nil || pull.Written() != 1 {
		t.Fatalf("TST-12: %v, %v", err, x.Producer())
	}
	if err := x.RegisterProducer(push); !errors.Is(err, reactor.ErrProducerRegistered) {
		t.Errorf("TST-12: a second producer: %v", err)
	}
	if x.UnregisterProducer(); x.Producer() != nil {
		t.Errorf("TST-12: %v", x.Producer())
	}
	got := complaints(t, func(t testing.TB) { double.NewTransport(t, nil).UnregisterProducer() })
	if !strings.Contains(got, "without a producer") {
		t.Errorf("TST-12: unregistering without one: %q", got)
	}
	got = complaints(t, func(t testing.TB) {
		double.NewTransport(t, &double.TransportConfig{Lenient: true}).UnregisterProducer()
	})
	if got != "" {
		t.Errorf("a lenient transport: %q", got)
	}
}

// The producer is paused and resumed as on a real transport, because a real one does it, and stopped when the connection is
// aborted.
func TestTransportBackPressure(t *testing.T) {
	x := double.NewTransport(t, &double.TransportConfig{Stream: reactor.StreamConfig{HighWater: 1000, LowWater: 10}})
	p := new(source)
	x.RegisterProducer(p)
	x.Write(bytes.Repeat([]byte("x"), 1001))
	if p.paused != 1 || x.Buffered() != 1001 {
		t.Errorf("PROD-4: paused %d times with %d bytes buffered", p.paused, x.Buffered())
	}
	if !x.Flush() || p.resumed != 1 || x.Buffered() != 0 {
		t.Errorf("resumed %d times with %d bytes buffered", p.resumed, x.Buffered())
	}
	x.Abort()
	x.Flush()
	if p.stopped != 1 || x.Producer() != nil {
		t.Errorf("stopped %d times, and %v is registered", p.stopped, x.Producer())
	}
}

// TST-13: it knows whether it is producing, paused or stopped. Pausing and resuming after a stop or a Close are errors,
// unless it is lenient.
func TestTST13Reading(t *testing.T) {
	x := double.NewTransport(t, nil)
	states := []double.ReadState{x.State()}
	for _, call := range []func(){x.PauseProducing, x.ResumeProducing, x.PauseProducing, x.StopProducing} {
		call()
		states = append(states, x.State())
	}
	want := []double.ReadState{double.Producing, double.Paused, double.Producing, double.Paused, double.Stopped}
	for i := range want {
		if states[i] != want[i] {
			t.Errorf("TST-13: %v, want %v", states, want)
			break
		}
	}
	if x.Ending() != double.Closing || x.Producing() {
		t.Errorf("PROD-11: StopProducing is Close: %v", x.Ending())
	}
	for _, lenient := range []bool{false, true} {
		for name, end := range map[string]func(x *double.Transport){
			"StopProducing": func(x *double.Transport) { x.StopProducing() },
			"Close":         func(x *double.Transport) { x.Close() },
			"Abort":         func(x *double.Transport) { x.Abort() },
		} {
			got := complaints(t, func(t testing.TB) {
				x := double.NewTransport(t, &double.TransportConfig{Lenient: lenient})
				end(x)
				x.PauseProducing()
				x.ResumeProducing()
			})
			if n := strings.Count(got, "of a transport that is"); lenient && n != 0 || !lenient && n != 2 {
				t.Errorf("TST-13: lenient %v: after %s: %q", lenient, name, got)
			}
		}
	}
}

// TST-14: the variant calls ConnectionLost inside the first Close or Abort, once, and then is no longer connected.
func TestTST14Loses(t *testing.T) {
	for name, err := range map[string]error{"Close": reactor.ErrClosed, "Abort": reactor.ErrAborted} {
		p, calls := new(double.Accumulator), 0
		p.OnLost = func(error) { calls++ }
		x := double.NewTransport(t, &double.TransportConfig{Loses: p})
		p.ConnectionMade(x)
		if !x.Connected() {
			t.Error("not connected at first")
		}
		if name == "Close" {
			x.Close()
		} else {
			x.Abort()
		}
		if p.Err() != err || calls != 1 || x.Connected() {
			t.Errorf("TST-14: %s: %v, %d calls, connected %v", name, p.Err(), calls, x.Connected())
		}
		x.Close()
		x.Abort()
		x.Flush()
		if calls != 1 {
			t.Errorf("TST-14: ConnectionLost was called %d times", calls)
		}
	}
}

// TST-18: a strict producer panics when it is paused, resumed or stopped without need, so a transport that it is registered with does
// none of this (DESC-15).
func TestTST18Strict(t *testing.T) {
	for name, calls := range map[string][]func(*double.Strict){
		"paused that is paused":     {(*double.Strict).PauseProducing, (*double.Strict).PauseProducing},
		"resumed that is producing": {(*double.Strict).ResumeProducing},
		"stopped twice":             {(*double.Strict).StopProducing, (*double.Strict).StopProducing},
		"paused that is stopped":    {(*double.Strict).StopProducing, (*double.Strict).PauseProducing},
		"resumed that is stopped":   {(*double.Strict).StopProducing, (*double.Strict).ResumeProducing},
		"":                          {(*double.Strict).PauseProducing, (*double.Strict).ResumeProducing, (*double.Strict).StopProducing},
	} {
		s, last := new(double.Strict), ""
		for _, call := range calls {
			last = panics(func() { call(s) })
		}
		if name == "" && last != "" || !strings.Contains(last, name) {
			t.Errorf("TST-18: %q, want %q", last, name)
		}
	}
	x, s := double.NewTransport(t, nil), new(double.Strict)
	x.RegisterProducer(s)
	for range 3 {
		for range 3 {
			x.Write(make([]byte, 70_000)) // PROD-5, DESC-15: paused by the first alone
		}
		if s.State() != double.Paused {
			t.Errorf("DESC-15: %v", s.State())
		}
		x.Flush()
		if s.State() != double.Producing {
			t.Errorf("DESC-15: %v", s.State())
		}
	}
	x.Abort()
	x.Flush()
	x.Abort()
	if s.State() != double.Stopped {
		t.Errorf("DESC-15: %v", s.State())
	}
}

// TST-19: a small producer to be pulled writes ten pieces, one each time it is asked, and unregisters. Pausing it is an error.
func TestTST19Ten(t *testing.T) {
	x := double.NewTransport(t, nil)
	p := &double.Ten{To: x, T: t}
	if err := p.Pull(); err != nil || x.Written() != "0" {
		t.Fatalf("TST-19: %v, %q at once", err, x.Written())
	}
	for n := 2; n <= 10; n++ {
		if testworld.Turns(t, x.Reactor(), 1); p.Written() != n {
			t.Fatalf("TST-19: %d pieces, want %d", p.Written(), n)
		}
	}
	x.Flush()
	if x.Written() != "0123456789" || x.Producer() != nil || p.Stopped() {
		t.Errorf("TST-19: %q, %v", x.Written(), x.Producer())
	}
	if got := complaints(t, func(t testing.TB) { (&double.Ten{T: t}).PauseProducing() }); got == "" {
		t.Error("TST-19: pausing it was no error")
	}
	x.Close() // nobody waits for a producer
	if _, err := x.Write([]byte("x")); !errors.Is(err, reactor.ErrClosed) {
		t.Errorf("TST-19: a write after its end and Close: %v", err)
	}
}

// A protocol's time-out, without waiting for it.
func TestAdvance(t *testing.T) {
	x := double.NewTransport(t, nil)
	at := x.Reactor().Now()
	var due []time.Duration
	for _, d := range []time.Duration{time.Hour, time.Minute} {
		x.Reactor().CallLater(d, func() { due = append(due, x.Reactor().Now()-at) })
	}
	double.Advance(t, x.Reactor(), time.Minute-time.Second)
	if len(due) != 0 {
		t.Errorf("called after %v", due)
	}
	double.Advance(t, x.Reactor(), 24*time.Hour)
	if len(due) != 2 || due[0] < time.Minute || due[0] > time.Minute+time.Second || due[1] > time.Hour+time.Second {
		t.Errorf("called after %v", due)
	}
}
