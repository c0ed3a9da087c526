package reactor_test

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// 100,000 datagrams for a slow receiver, which stops in the middle: every one that the system took was received,
// discarded at the stop, or dropped by the system, and over UNIX none was dropped (UDP-14, UDP-22, UNIXD-5).
func TestPacketCounts(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for kind, at := range map[string]kernel.Addr{"UDP": udp(0), "UNIX": gramName(t)} {
			n := 100_000
			if raced || w.Simulated() {
				n = 10_000
			}
			r := w.New(t, reactor.Config{})
			srv, cli := &gram{}, &gram{}
			p := listenPacket(t, r, at, srv, nil)
			q, err := r.DialPacket(p.Local(), cli, nil)
			if err != nil {
				t.Fatal(err)
			}
			written, full := 0, 0
			sending := true
			srv.onData = func([]byte, kernel.Addr) {
				if len(srv.got)%50 == 0 {
					p.PauseProducing() // it is slow
					r.Post(p.ResumeProducing)
				}
				if len(srv.got) == n/2 {
					sending = false
					p.StopListening(nil)
				}
			}
			var send func()
			send = func() {
				for i := 0; i < 200 && sending && written < n; i++ {
					if q.Write([]byte("datagram")) != nil {
						full++
						break
					}
					written++
				}
				if sending {
					r.Post(send)
				}
			}
			r.Post(send)
			until(t, r, func() bool {
				return len(srv.stopped) == 1 || written == n && q.Stats().Queued == 0 && p.Stats().Lost > uint64(n/2)
			})
			sending = false
			stopped := false
			p.StopListening(func(error) { stopped = true })
			until(t, r, func() bool { return stopped })
			s, d := q.Stats(), p.Stats()
			if int(s.Sent+s.Dropped+s.Failed)+s.Queued != written || int(s.QueueFull) != full {
				t.Errorf("UDP-22: %s: %d written, %d refused, %+v", kind, written, full, s)
			}
			// What was sent after the receiver had closed is not counted by anybody else.
			after := s.Sent - (d.Received + d.Discarded + d.Lost)
			if d.Received != uint64(len(srv.got)) || after > 400 || kind == "UNIX" && (d.Lost > 0 || after > 0) {
				t.Errorf("UDP-14, UNIXD-5: %s: sent %d, of %d nobody knows: %+v", kind, s.Sent, int64(after), d)
			}
			r.Close()
		}
	})
}

// UDP-22: the counters account for what a callback has written also while it runs, and the system has not been given that yet.
func TestPacketCountsInside(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for kind, at := range map[string]kernel.Addr{"UDP": udp(0), "UNIX": gramName(t)} {
			r := w.New(t, reactor.Config{})
			p := listenPacket(t, r, at, &gram{}, nil)
			q, err := r.DialPacket(p.Local(), &gram{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			done := false
			r.Post(func() {
				for n := 1; n <= 3; n++ {
					if err := q.Write([]byte("datagram")); err != nil {
						t.Error(err)
					}
					if s := q.Stats(); int(s.Sent+s.Dropped+s.Failed)+s.Queued != n {
						t.Errorf("UDP-22: %s: %d written, %+v", kind, n, s)
					}
					if s := p.Stats(); s.Queued != 0 {
						t.Errorf("UDP-22: %s: the other port has written nothing, %+v", kind, s)
					}
				}
				done = true
			})
			until(t, r, func() bool { return done && q.Stats().Queued == 0 })
			if s := q.Stats(); s.Sent != 3 {
				t.Errorf("UDP-22: %s: 3 written, %+v", kind, s)
			}
			r.Close()
		}
	})
}
