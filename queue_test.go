package whorl

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// waiting is a client in the queue of a server.
type waiting struct {
	*testworld.Peer
	got []byte
	err error
}

// look reads what is there, and tells whether that is all.
func (c *waiting) look() bool {
	for c.err == nil {
		p := make([]byte, 100)
		n, err := c.TryRead(p)
		if err == kernel.ErrAgain {
			return false
		}
		c.got, c.err = append(c.got, p[:max(n, 0)]...), err
	}
	return true
}

// An orderly restart loses nobody: clients that connected and asked before the server was told
// to end, and were not accepted yet, get their answers and an orderly end. So do those whose
// protocol is a Drainer: it is asked to end after it has heard them (TCP-8).
func TestDrainServesTheQueue(t *testing.T) {
	const clients = 60
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, f := range map[string]reactor.Factory{"": reactor.Each[echo](), "bye": reactor.Each[polite]()} {
			v := serve(t, w, Config{Grace: time.Hour}, f, anywhere, anywhere)
			var all []*waiting
			for i := range clients {
				c := &waiting{Peer: w.Peer(t, v.open[i%2].Addr())} // nobody turns the server
				c.Send(fmt.Sprint("hello ", i))
				if name == "" {
					c.CloseWrite()
				}
				all = append(all, c)
			}
			v.r.Stop()
			v.until(func() bool {
				left := 0
				for _, c := range all {
					if !c.look() {
						left++
					}
				}
				return left == 0
			})
			for i, c := range all {
				if want := fmt.Sprint("hello ", i, name); string(c.got) != want || c.err != io.EOF {
					t.Errorf("client %d got %q and %v, want %q", i, c.got, c.err, want)
				}
				c.Close()
			}
			v.ended()
			v.has(fmt.Sprintf("no longer listening\" connections=%d", clients))
			v.lacks("aborting")
		}
	})
}
