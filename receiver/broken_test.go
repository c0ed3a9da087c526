package receiver_test

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/testworld"
)

// A receiver that is the producer of its own connection is paused, with lines undelivered, when a
// write fails. All that the peer sent is delivered, and then the connection is lost with the error
// of the write (PROD-11, TCP-67). A line that panics is the last one, and a receiver that is held
// delivers nothing.
func TestOwnProducerBroken(t *testing.T) {
	broken := kernel.Sentinel("broken by the test", kernel.ErrReset)
	for name, w := range testworld.Worlds() {
		for _, c := range []struct {
			name  string
			late  string // arrives while the receiver is paused
			panic string // the line that panics
			hold  bool
			want  string
		}{
			{"kept", "", "", false, "1 2 3 lost"},
			{"kept and unread", "4\r\n5\r\n", "", false, "1 2 3 4 5 lost"},
			{"panic", "4\r\n", "2", false, "1 2 lost"},
			{"panic at the end", "", "2", false, "1 2 lost"},
			{"held", "", "", true, "1 lost"},
		} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				f := &testworld.Faults{}
				f.Write = func() error { return kernel.ErrAgain }
				r := testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{Panicked: func(*reactor.PanicError) {}})
				var got []string
				var lost error
				l := &receiver.Line{Lost: func(err error) { lost = err; got = append(got, "lost") }}
				l.Made = func() { l.T.RegisterProducer(l) }
				send := func() { l.SendLine([]byte(strings.Repeat("x", 200))) }
				l.LineReceived = func(line []byte) {
					if got = append(got, string(line)); string(line) == c.panic {
						panic("planted")
					}
					if send(); c.hold {
						l.Hold()
					}
				}
				port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.One(l),
					&reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 100, LowWater: 10}})
				if err != nil {
					t.Fatal(err)
				}
				p := w.Peer(t, port.Addr(), r)
				p.Send("1\r\n2\r\n3\r\n")
				testworld.Until(t, func() bool { return len(got) == 1 }, r)
				p.Send(c.late)
				testworld.Turns(t, r, 5) // it arrives, and is not read
				f.Write = func() error { return broken }
				r.CallLater(0, send)
				testworld.Until(t, func() bool { return lost != nil }, r)
				if want := strings.Fields(c.want); !slices.Equal(got, want) {
					t.Errorf("PROD-11, TCP-67: got %q, want %q", got, want)
				}
				if pe := (*reactor.PanicError)(nil); !errors.Is(lost, broken) && !(c.panic != "" && errors.As(lost, &pe)) {
					t.Errorf("lost with %v", lost)
				}
			})
		}
	}
}

// halting is a wrapper with the methods of a Producer, which says nothing of Producing.
type halting struct {
	reactor.Transport
	p reactor.Producer
}

func (w *halting) Unwrap() reactor.Transport { return w.Transport }
func (w *halting) PauseProducing()           { w.p.PauseProducing() }
func (w *halting) ResumeProducing()          { w.p.ResumeProducing() }
func (w *halting) StopProducing()            { w.p.StopProducing() }

type behindHalting struct{ *receiver.Line }

func (b behindHalting) ConnectionMade(t reactor.Transport) {
	b.Line.ConnectionMade(&halting{t, t.(*reactor.Stream)})
}

// So it is behind a wrapper of the transport: what the wrapper does not say, the transport below
// does (PROD-11, TCP-67).
func TestOwnProducerBrokenBehindWrapper(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			f := &testworld.Faults{Write: func() error { return kernel.ErrAgain }}
			r := testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{})
			var got []string
			var lost error
			l := &receiver.Line{Lost: func(err error) { lost = err }}
			l.Made = func() { l.T.RegisterProducer(l) }
			send := func() { l.SendLine([]byte(strings.Repeat("x", 200))) }
			l.LineReceived = func(line []byte) { got = append(got, string(line)); send() }
			port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.One(behindHalting{l}),
				&reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 100, LowWater: 10}})
			if err != nil {
				t.Fatal(err)
			}
			w.Peer(t, port.Addr(), r).Send("1\r\n2\r\n3\r\n")
			testworld.Until(t, func() bool { return len(got) == 1 }, r)
			f.Write = func() error { return kernel.ErrReset }
			r.CallLater(0, send)
			testworld.Until(t, func() bool { return lost != nil }, r)
			if !slices.Equal(got, []string{"1", "2", "3"}) {
				t.Errorf("PROD-11, TCP-67: got %q, lost with %v", got, lost)
			}
		})
	}
}

// TCP-84: the peer sends some lines and resets. A receiver that is paused after the first delivers the others when it is resumed, and is lost
// then: it has them, and the stream below has nothing left. If nothing is left there either, it is lost at once; and if it is not resumed, after CloseTimeout.
func TestPausedReceiverHearsReset(t *testing.T) {
	for name, w := range testworld.Worlds() {
		if name == "select" {
			continue // which does not hear of a reset while nothing is read (TCP-83)
		}
		for _, c := range []struct {
			name, send, want string
			resumes          int
			limit            time.Duration
		}{
			{"kept", "1\r\n2\r\n3\r\n", "1 2 3 lost", 3, time.Minute}, // which a busy machine does not take
			{"never resumed", "1\r\n2\r\n3\r\n", "1 lost", 0, 30 * time.Millisecond},
			{"nothing kept", "1\r\n", "1 lost", 0, time.Minute},
		} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				r := testworld.New(t, w.Open(t), reactor.Config{})
				var got []string
				var lost error
				l := &receiver.Line{Lost: func(err error) { lost = err; got = append(got, "lost") }}
				l.LineReceived = func(line []byte) { got = append(got, string(line)); l.Hold() }
				port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.One(l),
					&reactor.ListenConfig{StreamConfig: reactor.StreamConfig{CloseTimeout: c.limit}})
				if err != nil {
					t.Fatal(err)
				}
				p := w.Peer(t, port.Addr(), r)
				p.Send(c.send)
				testworld.Until(t, func() bool { return len(got) == 1 }, r)
				p.Abort()
				testworld.Turns(t, r, 5)
				for range c.resumes {
					l.Release()
				}
				began := r.Now()
				testworld.Until(t, func() bool { return lost != nil }, r)
				if want := strings.Fields(c.want); !slices.Equal(got, want) || !errors.Is(lost, kernel.ErrReset) || r.Now()-began > 20*time.Second {
					t.Errorf("TCP-84: got %q, want %q; lost with %v after %v", got, want, lost, r.Now()-began)
				}
			})
		}
	}
}

// A layer below may fail before it has connected a receiver, as a policy whose function panics. The receiver is told of the loss then.
func TestLostBeforeMade(t *testing.T) {
	var lost error
	l := new(receiver.Line)
	l.Lost = func(err error) { lost = err }
	if l.ConnectionLost(io.EOF); lost != io.EOF {
		t.Errorf("Lost was told %v", lost)
	}
}
