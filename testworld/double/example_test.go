package double_test

import (
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld/double"
)

// Greeter answers each piece with a greeting, and hangs up on who says nothing for a minute.
type Greeter struct {
	reactor.Base
	idle *reactor.DelayedCall
}

func (g *Greeter) ConnectionMade(t reactor.Transport) {
	g.Base.ConnectionMade(t)
	g.idle = t.Reactor().CallLater(time.Minute, func() { g.T.Close() })
}

func (g *Greeter) DataReceived(p []byte) {
	g.idle.Reset(time.Minute)
	g.T.Write([]byte("hello, " + string(p)))
}

func (g *Greeter) ConnectionLost(error) { g.idle.Cancel() }

func TestGreeter(t *testing.T) {
	transport := double.NewTransport(t, nil)
	g := new(Greeter)
	g.ConnectionMade(transport)
	g.DataReceived([]byte("world"))
	if got := transport.Written(); got != "hello, world" {
		t.Errorf("it wrote %q", got)
	}
	double.Advance(t, transport.Reactor(), time.Minute)
	if transport.Ending() != double.Closing {
		t.Error("it did not hang up")
	}
}

func TestGreeterWithClient(t *testing.T) {
	client := new(double.Accumulator)
	pump := double.Connect(t, new(Greeter), client, nil)
	client.T.Write([]byte("a"))
	pump.Flush()
	client.T.Write([]byte("b"))
	pump.Flush()
	if client.Data() != "hello, ahello, b" {
		t.Errorf("the client got %q", client.Data())
	}
	double.Advance(t, pump.Reactor, time.Minute)
	pump.Flush()
	if client.Err() != io.EOF {
		t.Errorf("the client was told %v", client.Err())
	}
}

// Stubborn is a factory that connects again ten seconds after a failure.
type Stubborn struct{ double.Accumulators }

func (s *Stubborn) StartedConnecting(*reactor.Connector)      {}
func (s *Stubborn) ConnectionEnded(*reactor.Connector, error) {}
func (s *Stubborn) ConnectionFailed(c *reactor.Connector, _ error) {
	c.Reactor().CallLater(10*time.Second, func() { c.Connect() })
}

func TestStubborn(t *testing.T) {
	r, k := double.New(t, reactor.Config{})
	f := new(Stubborn)
	r.Dial(kernel.HostAddr("example.org", 80), f, nil, nil)
	double.Advance(t, r, time.Second)
	k.Dials[0].Fail(kernel.ErrRefused)
	double.Advance(t, r, 10*time.Second)
	server := k.Dials[1].Succeed()
	server.Send("welcome")
	double.Advance(t, r, 0)
	if k.Names[0] != "example.org" || f.All[0].Data() != "welcome" {
		t.Errorf("looked up %q, received %q", k.Names, f.All[0].Data())
	}
}
