package reactor_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// A panic in one datagram is reported, the others of the wake-up are delivered unchanged, though
// another socket was read meanwhile, and the port stays (UDP-13).
func TestPacketPanic(t *testing.T) {
	var panics int
	g := &gram{}
	g.onData = func(p []byte, _ kernel.Addr) {
		if p[0] == 'b' {
			panics++
			panic("of the test")
		}
	}
	r, s, _ := scripted(t, udp(0), g, nil)
	other := &gram{}
	if _, err := r.ListenPacket(udp(0), other, nil); err != nil {
		t.Fatal(err)
	}
	s.comes("a1", "b2", "c3", "b4", "d5")
	s.k.socks[1].comes("x")
	turns(r, 6)
	if got := strings.Join(g.got, " "); got != "a1 b2 c3 b4 d5" || panics != 2 || other.got[0] != "x" {
		t.Errorf("UDP-13: delivered %q after %d panics, and %q", got, panics, other.got)
	}
	s.comes("e6")
	turns(r, 2)
	if g.got[len(g.got)-1] != "e6" || len(g.stopped) != 0 || r.Stats().Panics != 2 {
		t.Errorf("UDP-13: after the panics: %q, stopped %v, %d panics reported", g.got, g.stopped, r.Stats().Panics)
	}
}

// After a stop in DatagramReceived nothing more is delivered; what was read, and what the system has,
// is counted (UDP-14). StopProtocol and done are called later, in this order (UDP-5).
func TestPacketStopInside(t *testing.T) {
	g := &gram{}
	var order []string
	inside := false
	g.onData = func(p []byte, _ kernel.Addr) {
		if string(p) != "2" {
			return
		}
		inside = true
		g.t.StopListening(func(err error) { order = append(order, fmt.Sprint("done ", err, len(g.stopped))) })
		if err := g.t.WriteTo([]byte("late"), udp(9)); !errors.Is(err, reactor.ErrClosed) {
			t.Errorf("a write after the stop: %v", err)
		}
		if len(g.stopped) > 0 || len(order) > 0 {
			t.Error("UDP-5: told inside the call")
		}
		inside = false
	}
	r, s, p := scripted(t, udp(0), g, nil)
	s.comes("1", "2", "3", "4")
	s.comes("5", "6")
	turns(r, 3)
	if got := strings.Join(g.got, ""); got != "12" || inside {
		t.Errorf("UDP-14: delivered %q", got)
	}
	if len(order) != 1 || order[0] != "done <nil> 1" || !errors.Is(g.stopped[0], reactor.ErrClosed) || !s.closed {
		t.Errorf("UDP-5: %q, StopProtocol got %v, closed %v", order, g.stopped, s.closed)
	}
	if st := p.Stats(); st.Received != 2 || st.Discarded != 4 {
		t.Errorf("UDP-14: %+v", st)
	}
	again := false
	p.StopListening(func(err error) { again = err == nil })
	if again {
		t.Error("UDP-5: done of a stopped port is called inside the call")
	}
	turns(r, 2)
	if !again || len(g.stopped) != 1 || p.Listening() {
		t.Errorf("UDP-5: a second stop: done %v, StopProtocol %d times", again, len(g.stopped))
	}
}

// A port that is paused delivers nothing, not even what it has read already, and is not armed. Then
// it goes on with that, in order and unchanged.
func TestPacketPause(t *testing.T) {
	g := &gram{}
	g.onData = func(p []byte, _ kernel.Addr) {
		if string(p) == "2" || string(p) == "3" {
			g.t.PauseProducing()
		}
	}
	r, s, p := scripted(t, udp(0), g, nil)
	if _, err := r.ListenPacket(udp(0), &gram{}, nil); err != nil {
		t.Fatal(err)
	}
	s.comes("1", "2", "3", "4")
	s.comes("5")
	s.k.socks[1].comes("x") // takes the kernel's memory
	turns(r, 4)
	if got := strings.Join(g.got, ""); got != "12" || s.armed&kernel.Readable != 0 {
		t.Fatalf("paused: delivered %q, armed %v", got, s.armed)
	}
	g.t.ResumeProducing()
	turns(r, 3)
	if got := strings.Join(g.got, ""); got != "123" {
		t.Fatalf("paused again: delivered %q", got)
	}
	g.t.ResumeProducing()
	turns(r, 4)
	if got := strings.Join(g.got, ""); got != "12345" || s.armed&kernel.Readable == 0 {
		t.Errorf("resumed: delivered %q, armed %v", got, s.armed)
	}
	g.t.PauseProducing()
	g.onData = nil
	s.comes("6")
	turns(r, 2)
	g.t.StopListening(nil)
	turns(r, 2)
	if st := p.Stats(); st.Received != 5 || st.Discarded != 1 || len(g.stopped) != 1 {
		t.Errorf("stopped while paused: %+v, %v", st, g.stopped)
	}
}

// One wake-up reads a bounded number of bytes, and of empty datagrams too (UDP-10, UDP-11).
func TestPacketWakeUpIsBounded(t *testing.T) {
	for size, most := range map[int]int{0: 32, 60000: 5} {
		g := &gram{}
		r, s, _ := scripted(t, udp(0), g, nil)
		for range 100 {
			s.comes(strings.Repeat("x", size))
		}
		posted := 0
		r.Post(func() { posted = len(g.got) })
		turns(r, 1)
		if n := len(g.got) - posted; n != most {
			t.Errorf("UDP-10: %d datagrams of %d bytes in one wake-up, want %d", n, size, most)
		}
		turns(r, 100)
		if len(g.got) != 100 || len(g.got[99]) != size {
			t.Errorf("UDP-11: %d datagrams of 100", len(g.got))
		}
	}
}

// Longer datagrams are cut at MaxPacketSize, and counted; a shorter one, and one of just that length,
// are whole (UDP-12).
func TestPacketCut(t *testing.T) {
	g := &gram{}
	r, s, p := scripted(t, udp(0), g, &reactor.PacketConfig{MaxPacketSize: 3})
	s.comes("ab", "abc", "abcd", "")
	s.inbox = append(s.inbox, []kernel.Packet{{Data: []byte("x"), Truncated: true}})
	turns(r, 2)
	if !slices.Equal(g.got, []string{"ab", "abc", "abc", "", "x"}) || p.Stats().Truncated != 2 || p.Stats().ReceivedBytes != 9 {
		t.Errorf("UDP-12: %q, %+v", g.got, p.Stats())
	}
}

// batches is a PacketsReceiver and a DatagramRefusalListener.
type batches struct {
	gram
	sizes   []int
	cut     []bool
	refused []string
}

func (b *batches) PacketsReceived(ps []kernel.Packet) {
	b.sizes = append(b.sizes, len(ps))
	for _, p := range ps {
		b.cut = append(b.cut, p.Truncated)
		if p.Err != nil {
			panic(p.Err)
		}
		b.DatagramReceived(p.Data, p.Peer)
	}
}

func (b *batches) DatagramRefused(p []byte, to kernel.Addr, err error) {
	b.refused = append(b.refused, fmt.Sprintf("%s to %v: %v", p, to, errors.Is(err, kernel.ErrRefused)))
	b.got = append(b.got, "!")
}

// A PacketsReceiver gets the datagrams together, and hears what was cut. A refusal stands in order between
// them, with the peer of a connected port if the system does not say (UDP-15).
func TestPacketBatches(t *testing.T) {
	b := &batches{}
	r, s, p := scripted(t, udp(0), b, &reactor.PacketConfig{MaxPacketSize: 2})
	if err := p.Connect(udp(7)); err != nil {
		t.Fatal(err)
	}
	refused := &kernel.SysError{Op: kernel.OpRead, Kind: kernel.ErrRefused}
	s.comes("1", "222")
	s.inbox[0] = append(s.inbox[0], kernel.Packet{Data: []byte("mine"), Err: refused}, kernel.Packet{Peer: udp(8), Err: refused})
	s.inbox[0] = append(s.inbox[0], kernel.Packet{Data: []byte("4")})
	turns(r, 2)
	if !slices.Equal(b.sizes, []int{2, 1}) || !slices.Equal(b.got, []string{"1", "22", "!", "!", "4"}) || !slices.Equal(b.cut, []bool{false, true, false}) {
		t.Errorf("batches of %v: %q, cut %v", b.sizes, b.got, b.cut)
	}
	if !slices.Equal(b.refused, []string{"mine to 127.0.0.1:7: true", " to 127.0.0.1:8: true"}) || p.Stats().Refusals != 2 || len(b.stopped) != 0 {
		t.Errorf("UDP-15: %q, %+v, stopped %v", b.refused, p.Stats(), b.stopped)
	}
}

// An error of the socket ends the port, with the error, which the log tells too: a protocol need not (UDP-16).
func TestPacketReadFails(t *testing.T) {
	g := &gram{}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	r, s, p := scriptedWith(t, new(packetKernel), reactor.Config{Logger: logger}, udp(0), g, nil)
	s.comes("1")
	s.readErr = &kernel.SysError{Op: kernel.OpRead, Kind: kernel.ErrNoResources}
	var done []error
	turns(r, 2)
	if len(g.got) != 1 || len(g.stopped) != 1 || !errors.Is(g.stopped[0], kernel.ErrNoResources) || !s.closed || p.Listening() {
		t.Errorf("UDP-16: %q, %v, closed %v, %v", g.got, g.stopped, s.closed, done)
	}
	if got := log.String(); strings.Count(got, "level=ERROR") != 1 || !strings.Contains(got, g.stopped[0].Error()) || !strings.Contains(got, "addr="+p.Local().String()) {
		t.Errorf("UDP-16: the log says %q", got)
	}
	if r.Stats().Sources != 0 {
		t.Errorf("%d sources are left", r.Stats().Sources)
	}
}

// The end of the reactor ends a port, with ErrStopped.
func TestPacketShutdown(t *testing.T) {
	g := &gram{}
	r, s, p := scripted(t, udp(0), g, nil)
	p.WriteTo([]byte("last"), udp(9))
	r.Close()
	if len(g.stopped) != 1 || g.stopped[0] != reactor.ErrStopped || !s.closed || !slices.Equal(s.texts(), []string{"last"}) {
		t.Errorf("stopped %v, closed %v, sent %q", g.stopped, s.closed, s.texts())
	}
	if _, err := r.ListenPacket(udp(0), g, nil); !errors.Is(err, reactor.ErrStopped) {
		t.Errorf("listening afterwards: %v", err)
	}
}

// stopsAndPanics stops its port while it is started, and panics.
type stopsAndPanics struct {
	plainGram
	done func(error)
}

func (p *stopsAndPanics) StartProtocol(t reactor.PacketTransport) {
	t.StopListening(p.done)
	panic("of the test")
}

// The done of a StopListening in StartProtocol is called later, also if that then panics, and the port fails.
func TestPacketStopAndPanic(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
		told := 0
		_, err := r.ListenPacket(udp(0), &stopsAndPanics{done: func(err error) {
			if told++; err != nil {
				t.Error(err)
			}
		}}, nil)
		if _, ok := errors.AsType[*reactor.PanicError](err); !ok || told != 0 {
			t.Errorf("ListenPacket: %v; done was called %d times inside", err, told)
		}
		testworld.Turns(t, r, 5)
		if told != 1 {
			t.Errorf("done was called %d times", told)
		}
	})
}
