package netconn_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// chooser is the first protocol of a connection. It exchanges itself for that of a Conn, or hands the transport on late.
type chooser struct {
	reactor.Base
	conn reactor.Protocol
	when string
}

// lateChooser is a layer that gives the protocol above its transport when the handshake is over. As it has Unwrap, tlsio tells that protocol of the
// handshake before.
type lateChooser struct{ reactor.Protocol }

func (l *lateChooser) Unwrap() reactor.Protocol { return l.Protocol }

// ConnectionMade gives the Conn its transport when the handshake has long been over.
func (l *lateChooser) ConnectionMade(t reactor.Transport) {
	c := reactor.ConnectionOf(t)
	c.PauseProducing()
	state, ok := reactor.As[interface{ ConnectionState() tls.ConnectionState }](t)
	var wait func()
	wait = func() {
		if ok && !state.ConnectionState().HandshakeComplete {
			t.Reactor().Post(wait)
			return
		}
		l.Protocol.ConnectionMade(t)
		c.ResumeProducing()
	}
	t.Reactor().Post(wait)
}

// HandshakeCompleted exchanges the protocol before any data.
func (c *chooser) HandshakeCompleted(tls.ConnectionState) {
	if c.when == "handshake" {
		c.exchange(nil)
	}
}

// DataReceived exchanges the protocol after a word.
func (c *chooser) DataReceived(p []byte) {
	rest := append([]byte(nil), p[1:]...)
	switch c.when {
	case "data":
		c.exchange(rest)
	case "paused":
		c.T.PauseProducing()
		c.T.Reactor().Post(func() { c.exchange(rest) })
	}
}

func (c *chooser) exchange(rest []byte) {
	s, _ := reactor.As[reactor.Switcher](c.T)
	if _, err := s.SwitchProtocol(c.conn); err != nil {
		panic(err)
	}
	c.conn.ConnectionMade(c.T)
	if len(rest) > 0 {
		c.conn.DataReceived(rest)
	}
}

// NETCONN-2: a Conn may get a transport that had another protocol before, also above TLS that is open already. Accept returns it then, and no byte
// is lost that the other protocol has not used.
func TestProtocolSwitched(t *testing.T) {
	for name, w := range testworld.Worlds() {
		for _, kind := range []string{overTCP, overTLS} {
			for _, when := range []string{"handshake", "data", "paused", "late"} {
				if kind == overTCP && when == "handshake" {
					continue
				}
				t.Run(name+"/"+kind+"/"+when, func(t *testing.T) {
					t.Parallel()
					testSwitched(t, w, kind, when)
				})
			}
		}
	}
}

func testSwitched(t *testing.T, w testworld.World, kind, when string) {
	first := func(f reactor.Factory) reactor.Factory {
		return reactor.FactoryFunc(func(a kernel.Addr) reactor.Protocol {
			if when == "late" {
				return &lateChooser{f.BuildProtocol(a)}
			}
			return &chooser{conn: f.BuildProtocol(a), when: when}
		})
	}
	o, d := netconn.ListenConfig{Over: first}, &netconn.Dialer{}
	if kind == overTLS {
		server, client := layers(t)
		o.Over = func(f reactor.Factory) reactor.Factory { return server(first(f)) }
		d.Over = client
	}
	d.Reactor = running(t, w)
	p := listen(t, d.Reactor, overTCP, o)
	p.d = d
	client, err := d.Dial("tcp", p.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if when == "data" || when == "paused" {
		_, _ = client.Write([]byte("*he")) // the word, and what is behind it
	} else {
		_, _ = client.Write([]byte("he"))
	}
	_, _ = client.Write([]byte("llo"))
	server, err := p.l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	comes(t, server, "hello")
	_, _ = server.Write([]byte("world"))
	comes(t, client, "world")
}

// comes reads text.
func comes(t testing.TB, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	_ = c.SetReadDeadline(time.Now().Add(testworld.Limit))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Errorf("%q and %v came, not %q", got, err, text)
	}
}

// NETCONN-6: when a layer has taken the transport of a Conn over, Write fails instead of dropping bytes, or of waiting for ever. When the layer tells the
// Conn of it, Read ends too.
func TestTransportTaken(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			client, _ := listen(t, r, overTCP, netconn.ListenConfig{}).connect(t)
			read := begin(client.Read, make([]byte, 1))
			blocks(t, client, false)
			tell, err := reactor.Ask(r, func() (tell func(), err error) {
				for s := range r.Streams() {
					if s.Protocol() != client.(*netconn.Conn).Protocol() {
						continue
					}
					was, err := s.SwitchProtocol(&echoing{})
					reactor.Retire(s)
					return func() { was.Protocol.ConnectionLost(reactor.ErrSwitched) }, err
				}
				return nil, errors.New("there is no such stream")
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Write(make([]byte, 64<<10))
			wantNetError(t, err, reactor.ErrSwitched, "write")
			_, err = client.Write([]byte("x"))
			wantNetError(t, err, reactor.ErrSwitched, "write")
			r.Post(tell)
			wantNetError(t, (<-read).err, reactor.ErrSwitched, "read")
		})
	}
}
