package sim_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// late writes after five seconds, and may close then.
type late struct {
	reactor.Base
	closes bool
	got    string
	err    error
}

func (l *late) ConnectionMade(t reactor.Transport) {
	l.Base.ConnectionMade(t)
	t.Reactor().CallLater(5*time.Second, func() {
		t.Write([]byte("x"))
		if l.closes {
			t.Close()
		}
	})
}

func (l *late) DataReceived(p []byte)    { l.got += string(p) }
func (l *late) ConnectionLost(err error) { l.err = err }

// A host stands still while its peer sends and then resets. It finds out by a write. What the
// peer sent is delivered all the same. A program that has closed by then wants none of it, and
// no rule is broken.
func TestWriteBeforeUnread(t *testing.T) {
	for _, closes := range []bool{false, true} {
		for seed := range uint64(50) {
			n := sim.New(seed)
			n.Options.Sites = 10
			srv, cli := n.Host("srv"), n.Host("cli")
			l, c := &late{closes: closes}, new(sender)
			n.At(0, func() { srv.Reactor.Listen(srv.Addr(7), reactor.One(l), nil) })
			n.At(time.Second, func() { cli.Reactor.Dial(srv.Addr(7), reactor.One(c), nil, nil) })
			n.At(3*time.Second, srv.Pause)
			n.At(4*time.Second, func() { c.T.Write([]byte("hello")) })
			n.At(5*time.Second, func() { c.T.Abort() })
			n.At(9*time.Second, srv.Resume)
			err := n.Run(20 * time.Second)
			want := "hello"
			if closes {
				want = ""
			}
			if err != nil || l.got != want || l.err == nil {
				t.Errorf("seed %d, closes %v: got %q, lost with %v; the run: %v", seed, closes, l.got, l.err, err)
			}
			n.Close()
			if t.Failed() {
				break
			}
		}
	}
}

type sender struct{ reactor.Base }

func (*sender) DataReceived([]byte) {}
