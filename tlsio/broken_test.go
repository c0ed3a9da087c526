package tlsio_test

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/tlsio"
)

// notedProducer notes what it is asked.
type notedProducer struct{ log []string }

func (p *notedProducer) PauseProducing()  { p.log = append(p.log, "pause") }
func (p *notedProducer) ResumeProducing() { p.log = append(p.log, "resume") }
func (p *notedProducer) StopProducing()   { p.log = append(p.log, "stop") }

// The peer sends records, asks for an answer to each, takes none, and resets. What it sent before is
// delivered, though the answers have paused reading, and whoever the producer is: nobody, or the
// connection itself, which the full socket has paused (TCP-67, PROD-11).
func TestRecordsBeforeReset(t *testing.T) {
	for _, own := range []bool{false, true} {
		for _, records := range []int{400, 6000} {
			top := new(end)
			sc, cc := configs(tls.VersionTLS13)
			g := rigOf(t, sc, cc, new(end), nil, false)
			g.n.Options.SendBuffer, g.marks.HighWater = 500, 500
			g = g.another(top)
			g.pump()
			if own {
				if err := top.c.RegisterProducer(top.c); err != nil {
					t.Fatal(err)
				}
			}
			f := g.forger()
			g.u.far.PauseProducing()
			g.r.Post(func() { top.c.Write(make([]byte, 1<<20)) })
			g.flow(always)
			var flood []byte
			for range records {
				flood = append(flood, f.seal(handshakeRecord, keyUpdate())...)
				f.update()
				flood = append(flood, f.seal(dataRecord, []byte("x"))...)
			}
			g.u.far.Write(flood)
			g.flow(always)
			if !g.u.paused {
				t.Fatalf("own %v, %d records: reading is not paused", own, records)
			}
			g.u.far.Abort()
			at := g.n.Now()
			g.n.RunUntil(top.lost, time.Hour)
			if d := g.n.Now() - at; len(top.got) != records || d > time.Second {
				t.Errorf("TCP-67: own %v: %d of %d bytes came, lost after %v with %v", own, len(top.got), records, d, top.err)
			}
		}
	}
}

// A Close waits for a producer, and reading is paused, when the transport below fails. The connection
// is lost at once, for that (TLS-16).
func TestCloseBeforeReset(t *testing.T) {
	top := new(end)
	sc, cc := configs(tls.VersionTLS13)
	g := rigOf(t, sc, cc, new(end), nil, false)
	g.marks.HighWater = 500
	g = g.another(top)
	g.pump()
	f := g.forger()
	g.u.far.PauseProducing()
	top.c.PauseProducing()
	p := new(notedProducer)
	top.c.RegisterProducer(p)
	top.c.Write(make([]byte, 4<<20))
	g.flow(always)
	g.u.far.Write(f.seal(dataRecord, make([]byte, 5000)))
	g.flow(always)
	top.c.Close()
	g.flow(always)
	g.u.far.Abort()
	at := g.n.Now()
	g.n.RunUntil(top.lost, time.Hour)
	var op *reactor.OpError
	if d := g.n.Now() - at; d > time.Second || !errors.As(top.err, &op) || !slices.Equal(p.log, []string{"pause", "stop"}) {
		t.Errorf("TLS-16: lost after %v with %v; the producer was asked to %q", d, top.err, p.log)
	}
}

// A receiver that is its own producer is paused, with lines undelivered, when we end the connection:
// by a stop, an abort, or because too much is buffered. No line comes after that, over TLS as
// without (LINE-6).
func TestOwnEndOfReceiver(t *testing.T) {
	for _, over := range []bool{false, true} {
		for why, want := range map[string]error{"stop": reactor.ErrStopped, "abort": reactor.ErrAborted, "full": reactor.ErrBufferFull} {
			n := sim.New(1)
			srv, cli := n.Host("srv"), n.Host("cli")
			sc, cc := configs(tls.VersionTLS13)
			var got []string
			var lost error
			l := &receiver.Line{Lost: func(err error) { lost = err }}
			l.Made = func() { l.T.RegisterProducer(l) }
			l.LineReceived = func(line []byte) {
				got = append(got, string(line))
				l.SendLine([]byte(strings.Repeat("x", 1<<20)))
			}
			client := new(end)
			client.onMade = func() {
				client.tr.Write([]byte("1\r\n2\r\n3\r\n"))
				if !over {
					reactor.ConnectionOf(client.tr).PauseProducing()
				}
			}
			client.onShaken = func() { client.c.PauseProducing() }
			sf, cf := one(l), one(client)
			if over {
				sf, cf = tlsio.Server(sc, sf, nil), tlsio.Client(cc, cf, nil)
			}
			o := &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 1000, LowWater: 10, MaxBuffered: 2 << 20}}
			p, err := srv.Reactor.Listen(srv.Addr(443), sf, o)
			if err != nil {
				t.Fatal(err)
			}
			cli.Reactor.Dial(p.Addr(), cf, nil, nil)
			n.Run(2 * time.Second)
			switch why {
			case "stop":
				srv.Reactor.Stop()
			case "abort":
				n.At(n.Now(), func() {
					srv.Reactor.Drain(reactor.DrainConfig{Ask: func(*reactor.Stream) {}, Limit: time.Millisecond})
				})
			case "full":
				n.At(n.Now(), func() { l.T.Write(make([]byte, 4<<20)) })
			}
			n.Run(20 * time.Second)
			if !slices.Equal(got, []string{"1"}) || !errors.Is(lost, want) {
				t.Errorf("LINE-6: over TLS %v, %s: %q, lost with %v", over, why, got, lost)
			}
			n.Close()
		}
	}
}
