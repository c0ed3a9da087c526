package receiver_test

import (
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/testworld"
)

// hiding has methods with the names of functions of its receiver.
type hiding struct{ receiver.Line }

func (*hiding) LineReceived([]byte) {}
func (*hiding) Failed(error)        {} // a Line has no such function

type middle struct{ *receiver.Prefixed }

// hidingDeep embeds its receiver by a pointer in another struct.
type hidingDeep struct{ middle }

func (*hidingDeep) LengthLimitExceeded(int64) {}

// circle embeds itself by a pointer, and its receiver behind that.
type circle struct {
	*circle
	other *receiver.Line
}

func newCircle() *circle {
	c := &circle{other: new(receiver.Line)}
	c.circle = c
	return c
}

func (*circle) LineReceived([]byte) {}

func (c *circle) DataReceived(p []byte) { c.other.DataReceived(p) }

func (c *circle) ConnectionMade(t reactor.Transport) { c.other.ConnectionMade(t) }

func (c *circle) ConnectionLost(err error) { c.other.ConnectionLost(err) }

// having calls its method itself.
type having struct{ receiver.Netstring }

func (*having) StringReceived([]byte) {}

// beside has a receiver that it does not embed.
type beside struct {
	hiding
	other receiver.Line
}

func (b *beside) DataReceived(p []byte) { b.other.DataReceived(p) }

func (b *beside) ConnectionMade(t reactor.Transport) { b.other.ConnectionMade(t) }

func (b *beside) ConnectionLost(err error) { b.other.ConnectionLost(err) }

// DESC-45: a method that hides a function of the receiver, which is nil when it is to be called, is told once for each type.
func TestHiddenFunctions(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				build func() reactor.Protocol
				input string
				want  string // empty: no record
			}{
				{func() reactor.Protocol { return new(hiding) }, "a\r\nb\r\n", "p.Line.LineReceived = p.LineReceived"},
				{func() reactor.Protocol { return &hidingDeep{middle{&receiver.Prefixed{Width: 1, MaxLength: 3}}} }, "\x04", "p.Prefixed.LengthLimitExceeded = p.LengthLimitExceeded"},
				{func() reactor.Protocol { x := new(having); x.Netstring.StringReceived = x.StringReceived; return x }, "1:a,", ""},
				{func() reactor.Protocol { return new(receiver.Line) }, "a\r\n", ""},
				{func() reactor.Protocol { return new(beside) }, "a\r\n", ""},
				{func() reactor.Protocol { return newCircle() }, "a\r\n", ""},
			} {
				log := testworld.NewLog(t)
				r := w.New(t, reactor.Config{Logger: log.Logger()})
				lost := 0
				port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return &counted{c.build(), &lost} }), nil)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					p := w.Peer(t, port.Addr(), r)
					p.Send(c.input)
					p.CloseWrite()
				}
				testworld.Until(t, func() bool { return lost == 2 }, r)
				got := log.Find("nobody calls")
				switch {
				case c.want == "" && len(got) > 0:
					t.Errorf("DESC-45: %T: %s", c.build(), testworld.Text(got[0]))
				case c.want != "" && (len(got) != 1 || len(log.Find(c.want)) != 1):
					t.Errorf("DESC-45: %T: %d records, want one with %q", c.build(), len(got), c.want)
				}
			}
		})
	}
}

// counted counts losses. The receiver is behind it.
type counted struct {
	reactor.Protocol
	lost *int
}

func (c *counted) Unwrap() reactor.Protocol { return c.Protocol }

func (c *counted) ConnectionLost(err error) {
	*c.lost++
	c.Protocol.ConnectionLost(err)
}
