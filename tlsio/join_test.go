package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// bridge is two connections to one server. It joins them before the handshakes.
type bridge struct {
	mids [2]*end     // the server's, to be joined
	outs [2]*halfEnd // their peers
	done []reactor.JoinResult
}

// newBridge connects the two, each by TLS if secure says so.
func newBridge(s *stage, version uint16, secure [2]bool, c reactor.JoinConfig) *bridge {
	s.t.Helper()
	b := &bridge{}
	sc, cc := configs(version)
	c.Done = func(r reactor.JoinResult) { b.done = append(b.done, r) }
	for i := range 2 {
		mid, out := new(end), new(halfEnd)
		b.mids[i], b.outs[i] = mid, out
		srv, cli := one(mid), one(out)
		if secure[i] {
			srv, cli = tlsio.Server(sc, srv, nil), tlsio.Client(cc, cli, nil)
		}
		mid.onMade = func() {
			if i == 0 {
				p, _ := reactor.As[reactor.Producer](mid.tr)
				p.PauseProducing()
				return
			}
			if _, err := reactor.Join(b.mids[0].tr, mid.tr, &c); err != nil {
				s.t.Error(err)
			}
		}
		port, _ := s.connect(srv, cli)
		if s.addr.Port() != 0 { // the next one listens elsewhere
			s.addr = kernel.TCPAddr(port.Addr().IP.Addr(), s.addr.Port()+1)
		}
		s.until(func() bool { return mid.tr != nil && out.tr != nil })
	}
	return b
}

// over waits for the only result.
func (b *bridge) over(s *stage) reactor.JoinResult {
	s.t.Helper()
	s.until(func() bool { return len(b.done) > 0 })
	for i, o := range b.outs {
		o.tr.Close()
		s.until(func() bool { return o.lost() && b.mids[i].lost() })
	}
	if len(b.done) != 1 {
		s.t.Errorf("PROD-20: Done was called %d times", len(b.done))
	}
	return b.done[0]
}

// kinds are the ways of joining TLS with TLS and with plain streams.
var kinds = [][2]bool{{true, false}, {false, true}, {true, true}}

// PROD-17: TLS is joined with TLS and with plain streams, before the handshake. Bytes go
// both ways, close_notify is passed on as the end of one direction, and the end as
// close_notify.
func TestJoin(t *testing.T) {
	versions(t, func(t *testing.T, v uint16) {
		for _, kind := range kinds {
			for first := range 2 {
				stages(t, []int{7, 0}, func(s *stage) {
					size := 300_000
					if s.chunk > 0 {
						size = 2000
					}
					b := newBridge(s, v, kind, reactor.JoinConfig{})
					x, y := b.outs[first], b.outs[1-first]
					there, back := pattern(size), pattern(size/2)
					x.tr.Write(there)
					closeWrite(x)
					s.until(func() bool { return y.saw("read lost") })
					if !bytes.Equal(y.got, there) || x.lost() {
						s.t.Fatalf("PROD-17: %d bytes, lost with %v", len(y.got), x.err)
					}
					y.tr.Write(back)
					closeWrite(y)
					s.until(func() bool { return x.saw("read lost") || x.lost() })
					if !bytes.Equal(x.got, back) {
						s.t.Errorf("PROD-17: %d bytes came back, lost with %v", len(x.got), x.err)
					}
					res := b.over(s)
					if res.Err != nil || res.AToB+res.BToA != uint64(len(there)+len(back)) {
						s.t.Errorf("PROD-17: %+v", res)
					}
				})
			}
		}
	})
}

func closeWrite(h *halfEnd) {
	c, _ := reactor.As[reactor.HalfCloser](h.tr)
	c.CloseWrite()
}

// PROD-18: a cut stream is passed on as a reset: an end of TLS without close_notify, and a
// reset. PROD-20: the former protocols hear of it.
func TestJoinCut(t *testing.T) {
	for _, kind := range kinds {
		for from := range 2 {
			stages(t, []int{0}, func(s *stage) {
				b := newBridge(s, tls.VersionTLS13, kind, reactor.JoinConfig{})
				x, y := b.outs[from], b.outs[1-from]
				x.tr.Write([]byte("half a sent"))
				s.until(func() bool { return len(y.got) == 11 })
				if below, _ := reactor.As[*reactor.Stream](x.tr); kind[from] {
					below.Close() // behind TLS's back
				} else {
					below.Abort()
				}
				s.until(func() bool { return y.lost() })
				if y.err == io.EOF || !errors.Is(y.err, kernel.ErrReset) || y.saw("read lost") {
					s.t.Errorf("PROD-18: %q, lost with %v", y.events, y.err)
				}
				b.over(s)
				mid := b.mids[from]
				if kind[from] {
					mid.is(s.t, "PROD-20: the former protocol", tlsio.ErrTruncated)
				}
				mid.wants(s.t, "PROD-20: the former protocol", append(shaken(kind[from]), "lost")...)
			})
		}
	}
}

// shaken is what a protocol hears before it is lost.
func shaken(secure bool) []string {
	if secure {
		return []string{"made", "shaken"}
	}
	return []string{"made"}
}

// PROD-16: one side that does not read holds the other back.
func TestJoinHoldsBack(t *testing.T) {
	for _, kind := range kinds {
		waitingStages(t, func(s *stage) {
			const size = 8 << 20
			b := newBridge(s, tls.VersionTLS13, kind, reactor.JoinConfig{})
			x, y := b.outs[0], b.outs[1]
			s.until(func() bool { return (!kind[0] || x.saw("shaken")) && (!kind[1] || y.saw("shaken")) })
			slow, _ := reactor.As[reactor.Producer](y.tr)
			slow.PauseProducing()
			x.tr.Write(make([]byte, size))
			closeWrite(x)
			held, _ := reactor.As[interface{ Buffered() int }](b.mids[1].tr)
			most := 0
			s.until(func() bool { most = max(most, held.Buffered()); return most > 0 }) // on a busy machine that may take long
			calm := false
			s.srv.CallLater(200*time.Millisecond, func() { calm = true })
			s.until(func() bool { most = max(most, held.Buffered()); return calm })
			// The high-water mark, one read, and what TLS adds.
			if limit := 64<<10 + 256<<10 + 32<<10; most > limit {
				s.t.Errorf("PROD-16: %d bytes are held, at most %d are wanted", most, limit)
			}
			slow.ResumeProducing()
			s.until(func() bool { return y.saw("read lost") })
			if len(y.got) != size {
				s.t.Errorf("PROD-16: %d of %d bytes came", len(y.got), size)
			}
			closeWrite(y)
			if res := b.over(s); res.Err != nil {
				s.t.Errorf("PROD-17: %+v", res)
			}
		})
	}
}

// A handshake that fails resets the other side, and the former protocol hears why.
func TestJoinHandshakeFails(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		b := newBridge(s, tls.VersionTLS13, [2]bool{false, true}, reactor.JoinConfig{})
		b.outs[0].tr.Write([]byte("hello"))
		below, _ := reactor.As[*reactor.Stream](b.outs[1].tr)
		below.Abort()
		s.until(func() bool { return b.outs[0].lost() })
		if !errors.Is(b.outs[0].err, kernel.ErrReset) {
			s.t.Errorf("PROD-18: lost with %v", b.outs[0].err)
		}
		b.over(s)
		b.mids[1].is(s.t, "PROD-20: the former protocol", tlsio.ErrHandshake)
	})
}

// PROD-20: Close of one of two joined transports closes both, and does not wait for a partner
// that says nothing, whichever is TLS.
func TestJoinCloseOne(t *testing.T) {
	for _, kind := range kinds {
		for i := range 2 {
			stages(t, []int{0}, func(s *stage) {
				b := newBridge(s, tls.VersionTLS13, kind, reactor.JoinConfig{Idle: -1, HalfClosed: -1})
				ready := func(i int) bool { return !kind[i] || b.outs[i].saw("shaken") }
				s.until(func() bool { return ready(0) && ready(1) })
				gone := func(o *halfEnd) bool { return o.saw("read lost") || o.lost() }
				b.mids[i].tr.Write([]byte("bye"))
				b.mids[i].tr.Close()
				for _, o := range []*halfEnd{b.outs[i], b.outs[1-i]} {
					s.until(func() bool { return gone(o) })
					o.tr.Close() // answers close_notify
				}
				if string(b.outs[i].got) != "bye" {
					s.t.Errorf("PROD-20: %v: got %q", kind, b.outs[i].got)
				}
				if res := b.over(s); res.Err == nil {
					s.t.Errorf("PROD-20: %v: %+v", kind, res)
				}
			})
		}
	}
}
