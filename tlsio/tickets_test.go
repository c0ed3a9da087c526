package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// forgedCache has a client offer another ticket than the one it was given.
type forgedCache struct {
	t      *testing.T
	ticket []byte
	state  *tls.SessionState
	forge  func(ticket []byte) []byte // nil: the ticket itself
}

func (c *forgedCache) Put(_ string, s *tls.ClientSessionState) {
	if ticket, state, err := s.ResumptionState(); c.ticket == nil && err == nil {
		c.ticket, c.state = slices.Clone(ticket), state
	}
}

func (c *forgedCache) Get(string) (*tls.ClientSessionState, bool) {
	if c.ticket == nil {
		return nil, false
	}
	p := slices.Clone(c.ticket)
	if c.forge != nil {
		p = c.forge(p)
	}
	s, err := tls.NewResumptionState(p, c.state)
	if err != nil {
		c.t.Fatal(err)
	}
	return s, true
}

// offered is what comes of a handshake in which the peer offers a forged ticket.
func offered(first *rig, c *forgedCache, forge func([]byte) []byte) (top *end, g *rig) {
	c.forge = forge
	top = new(end)
	g = first.another(top)
	g.pump()
	if g.p.ready {
		g.p.tls.Write([]byte("data"))
		g.pump()
	}
	return top, g
}

// inFull asserts that a handshake was made in full, and worked.
func inFull(t *testing.T, what string, top *end, g *rig) {
	t.Helper()
	if top.state.DidResume || g.p.tls.ConnectionState().DidResume || string(top.got) != "data" || top.lost() {
		t.Errorf("%s: resumed %v, got %q, %q, lost for %v; the peer %v", what, top.state.DidResume, top.got, top.events, top.err, g.p.err)
	}
}

// A ticket that is corrupted at any byte, cut at any, of another server, or of any size
// is not resumed: the handshake is made in full, or fails with a typed error. Others do
// not notice.
func TestForgedTickets(t *testing.T) {
	step := 1
	if raced {
		step = 50 // there are no goroutines here
	}
	versions(t, func(t *testing.T, v uint16) {
		sc, cc := configs(v)
		c := &forgedCache{t: t}
		cc.ClientSessionCache = c
		first := rigOf(t, sc, cc, new(end), nil, false)
		first.pump()
		unharmed := first.bystander()
		if top, _ := offered(first, c, nil); !top.state.DidResume || string(top.got) != "data" {
			t.Fatalf("a good ticket of %d bytes is not resumed: %v", len(c.ticket), top.err)
		}
		for i := 0; i < len(c.ticket); i += step {
			top, g := offered(first, c, func(p []byte) []byte { p[i] ^= 0x10; return p })
			inFull(t, fmt.Sprintf("corrupted at byte %d", i), top, g)
			top, g = offered(first, c, func(p []byte) []byte { return p[:max(i, 1)] })
			inFull(t, fmt.Sprintf("cut at byte %d", i), top, g)
		}
		for _, size := range []int{1000, 16 << 10, 60 << 10, 64_900} {
			top, g := offered(first, c, func([]byte) []byte { return bytes.Repeat([]byte{7}, size) })
			inFull(t, fmt.Sprintf("garbage of %d bytes", size), top, g)
			top, g = offered(first, c, func(p []byte) []byte { return append(p, make([]byte, size-len(p))...) })
			inFull(t, fmt.Sprintf("lengthened to %d bytes", size), top, g)
		}
		long := make([]byte, 65_545-len(clientHello(t, v))) // a longer one has no room in the extensions
		top, g := offered(first, c, func([]byte) []byte { return long })
		refused(t, "a hello of more than 64 KiB", top, g, internalError)
		unharmed()

		_, cc2 := configs(v)
		other := &forgedCache{t: t}
		cc2.ClientSessionCache = other
		elsewhere, _ := configs(v)
		rigOf(t, elsewhere, cc2, new(end), nil, false).pump()
		c.ticket, c.state = other.ticket, other.state
		top, g = offered(first, c, nil)
		inFull(t, "of another server", top, g)

		top, g = offered(first, c, func([]byte) []byte { return nil })
		if v == tls.VersionTLS12 {
			inFull(t, "empty", top, g) // it means that there is none
		} else {
			refused(t, "empty", top, g, decodeError)
		}
		unharmed()
	})
}

// Over sockets too, with handshakes in the pool.
func TestForgedTicketsOnStages(t *testing.T) {
	versions(t, func(t *testing.T, v uint16) {
		stages(t, []int{0}, func(s *stage) {
			sc, cc := configs(v)
			c := &forgedCache{t: s.t}
			cc.ClientSessionCache = c
			for i, forge := range []func(p []byte) []byte{
				nil, // there is none yet
				nil,
				func(p []byte) []byte { p[20] ^= 1; return p },
				func(p []byte) []byte { return p[:20] },
				func(p []byte) []byte { return make([]byte, 60<<10) },
			} {
				c.forge = forge
				srv, cli := new(end), new(end)
				srv.onData = func(p []byte) { srv.c.Write(p) }
				cli.onShaken = func() { cli.c.Write([]byte("data")) }
				cli.onData = func([]byte) { cli.c.Close() }
				p, _ := s.connect(tlsio.Server(sc, one(srv), nil), tlsio.Client(cc, one(cli), nil))
				s.until(func() bool { return srv.lost() && cli.lost() })
				if srv.state.DidResume != (i == 1) || string(cli.got) != "data" || srv.err != io.EOF {
					s.t.Errorf("ticket %d: resumed %v, %q, %v, %v", i, srv.state.DidResume, cli.got, srv.err, cli.err)
				}
				stopped := false
				p.StopListening(func(error) { stopped = true })
				s.until(func() bool { return stopped })
			}
		})
	})
}

// refused asserts that a handshake has failed, and how.
func refused(t *testing.T, what string, top *end, g *rig, alert tls.AlertError) {
	t.Helper()
	g.lose()
	if !isTLS(top.err) || !errors.Is(top.err, tlsio.ErrHandshake) || !errors.Is(top.err, reactor.ErrLost) || top.saw("shaken") {
		t.Errorf("%s: %q, %v", what, top.events, top.err)
	}
	if got := g.heard(); got != alert {
		t.Errorf("%s: the peer was told %v (%v), want %v", what, got, g.p.err, alert)
	}
}

// Tickets of any content and size that a server gives our client are taken, and offered
// next time; what is no ticket at all ends that connection with a typed error.
func TestOddTickets(t *testing.T) {
	versions(t, func(t *testing.T, v uint16) {
		for _, c := range []struct {
			size  int
			fatal tls.AlertError // of TLS 1.3
		}{{1, noAlert}, {1000, noAlert}, {60 << 10, noAlert}, {0, decodeError}, {65_535, internalError}} {
			t.Run(fmt.Sprint(c.size), func(t *testing.T) {
				sc, cc := configs(v)
				cc.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				sc.WrapSession = func(tls.ConnectionState, *tls.SessionState) ([]byte, error) {
					return bytes.Repeat([]byte{7}, c.size), nil
				}
				asked := -1
				sc.UnwrapSession = func(p []byte, _ tls.ConnectionState) (*tls.SessionState, error) {
					asked = len(p)
					return nil, nil
				}
				top := new(end)
				first := rigOf(t, cc, sc, top, nil, true)
				g := first
				for range 2 {
					g.pump()
					if g.p.ready && g.u.ended == "" {
						g.p.tls.Write([]byte("data"))
						g.pump()
					}
					switch {
					case c.size > 65_000 && v == tls.VersionTLS12: // it is a part of the handshake
						refused(t, "too long", top, g, internalError)
						return
					case c.fatal != noAlert && v == tls.VersionTLS13:
						g.lose()
						if e, ok := errors.AsType[*tlsio.Error](top.err); !ok || e.Op != "read" || g.heard() != c.fatal || len(top.got) > 0 {
							t.Errorf("%v, %q; the peer was told %v", top.err, top.got, g.heard())
						}
						return
					}
					inFull(t, "first", top, g)
					top = new(end)
					g = first.another(top)
				}
				if asked != c.size && c.size > 0 {
					t.Errorf("a ticket of %d bytes was offered", asked)
				}
			})
		}
	})
}

// newTicket is a NewSessionTicket of TLS 1.3.
func newTicket(lifetime uint32, label string, extensions ...byte) []byte {
	body := binary.BigEndian.AppendUint32(nil, lifetime)
	body = append(body, 0, 0, 0, 0, 0) // age, no nonce
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(label))), label...)
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(extensions))), extensions...)
	return append([]byte{4, 0, byte(len(body) >> 8), byte(len(body))}, body...)
}

// Malformed tickets end the connection they come on, and no other, with a typed error
// and an alert.
func TestMalformedTickets(t *testing.T) {
	good := newTicket(3600, "ticket")
	cases := []attack{
		{"for longer than 7 days", sealed(handshakeRecord, newTicket(604_801, "ticket")...), isTLS, illegalParameter, "", 0},
		{"empty", sealed(handshakeRecord, newTicket(3600, "")...), isTLS, decodeError, "", 0},
		{"half an extension", sealed(handshakeRecord, newTicket(3600, "ticket", 0, 42, 0, 9, 1)...), alerted(decodeError), decodeError, "", 0},
		{"early data of a byte", sealed(handshakeRecord, newTicket(3600, "ticket", 0, 42, 0, 1, 1)...), alerted(decodeError), decodeError, "", 0},
		{"flood", flood(handshakeRecord, good...), isTLS, unexpectedMessage, "", 0},
	}
	for n := range len(good) - 4 {
		p := append([]byte{4, 0, 0, byte(n)}, good[4:4+n]...)
		cases = append(cases, attack{fmt.Sprintf("cut to %d bytes", n), sealed(handshakeRecord, p...), alerted(decodeError), decodeError, "", 0})
	}
	long := append(slices.Clone(good), 0)
	long[3]++
	cases = append(cases, attack{"lengthened", sealed(handshakeRecord, long...), alerted(decodeError), decodeError, "", 0})
	for _, a := range cases {
		t.Run(a.name, func(t *testing.T) { a.run(t, tls.VersionTLS13, true) })
	}
	ticket := attack{"", sealed(handshakeRecord, good...), isTLS, unexpectedMessage, "", 0}
	t.Run("to a server", func(t *testing.T) { ticket.run(t, tls.VersionTLS13, false) })
	ticket.records = sealed(handshakeRecord, 4, 0, 0, 6, 0, 0, 0, 9, 0, 0)
	t.Run("late, of TLS 1.2", func(t *testing.T) { ticket.run(t, tls.VersionTLS12, true) })
}

// Tickets that are good, of no use, or with extensions nobody knows, do nothing: also
// split at every byte, and several of them.
func TestGoodTickets(t *testing.T) {
	for _, p := range [][]byte{
		newTicket(3600, "ticket"), newTicket(0, ""), newTicket(3600, "ticket", 0x7a, 0x7a, 0, 1, 9),
	} {
		top := new(end)
		g := hostileRig(t, tls.VersionTLS13, top, nil, true)
		g.pump()
		f := g.forger()
		for i := range p {
			if i > 0 {
				g.deliver(f.seal(handshakeRecord, p[:i]))
			}
			g.deliver(f.seal(handshakeRecord, p[i:]))
			g.deliver(f.seal(dataRecord, []byte{'x'}))
		}
		if len(top.got) != len(p) || top.lost() {
			t.Errorf("%x: %q, %v", p, top.got, top.err)
		}
	}
}

// TLS-49: the keys of tickets may be changed while a server runs, as crypto/tls allows, also if its factory says what ALPN offers (TLS-51), for which
// the configuration is copied.
func TestTicketKeysChanged(t *testing.T) {
	versions(t, func(t *testing.T, v uint16) {
		stages(t, []int{0}, func(s *stage) {
			sc, cc := configs(v)
			sc.Renegotiation = tls.RenegotiateOnceAsClient // as in a configuration that a client has too: it is copied for that as well
			cc.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			f := new(offers)
			secured := tlsio.Server(sc, f, nil)
			for i, want := range []bool{false, true, false, true} {
				if i%2 == 0 {
					sc.SetSessionTicketKeys([][32]byte{{byte(i + 1)}})
				}
				srv, cli := new(end), new(end)
				f.Factory = one(srv)
				srv.onShaken = func() { srv.c.Write([]byte("x")) }
				cli.onData = func([]byte) { cli.c.Close() } // it has read the ticket
				port, _ := s.connect(secured, tlsio.Client(cc, one(cli), nil))
				s.until(func() bool { return srv.lost() && cli.lost() })
				stopped := false
				port.StopListening(func(error) { stopped = true })
				s.until(func() bool { return stopped })
				if cli.state.DidResume != want {
					s.t.Errorf("TLS-49: connection %d is resumed: %v, want %v (%v)", i, cli.state.DidResume, want, cli.err)
				}
			}
		})
	})
}
