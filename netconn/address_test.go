package netconn_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// names is a Resolver that knows no name, and notes which it was asked for. It is for the loop's goroutine.
type names struct{ asked []string }

// Resolve fails.
func (n *names) Resolve(r *reactor.Reactor, name string, done func([]netip.Addr, error)) (cancel func()) {
	n.asked = append(n.asked, name)
	r.Post(func() { done(nil, reactor.ErrUnknownHost) })
	return nil
}

// NETCONN-9: an address without a port is refused as the user has written it, and no name is looked up for it.
func TestDialWithoutPort(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			n := new(names)
			r := w.New(t, reactor.Config{Resolver: n})
			end := testworld.Beside(t, r)
			d := &netconn.Dialer{Reactor: r}
			for _, bad := range []string{"", "8007", "127.0.0.1", "localhost", "::1", "::1:80", ":http", "[::1]", "127.0.0.1:99999"} {
				c, err := d.Dial("tcp", bad)
				if c != nil || !errors.Is(err, kernel.ErrInvalidAddr) || !errors.Is(err, reactor.ErrConnect) {
					t.Errorf("Dial of %q: %v", bad, err)
				} else if !strings.Contains(err.Error(), `"`+bad+`" is no address`) {
					t.Errorf("Dial of %q names another address: %v", bad, err)
				}
			}
			p := listen(t, r, overTCP, netconn.ListenConfig{})
			for _, good := range []string{"[127.0.0.1]", "[::ffff:127.0.0.1]"} { // package net takes these too
				_, port, _ := strings.Cut(p.l.Addr().String(), ":")
				if c, err := d.Dial("tcp", good+":"+port); err != nil {
					t.Errorf("Dial of %q: %v", good, err)
				} else {
					_ = c.Close()
				}
			}
			_ = p.l.Close()
			end()
			if len(n.asked) > 0 {
				t.Errorf("names were looked up: %q", n.asked)
			}
		})
	}
}
