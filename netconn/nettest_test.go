package netconn_test

import (
	"net"
	"testing"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/net/nettest"
)

// NETCONN-1: a Conn keeps what net.Conn promises, on every kernel, over TCP, UNIX sockets and TLS.
func TestConn(t *testing.T) {
	for name, w := range testworld.Worlds() {
		for _, kind := range []string{overTCP, overUNIX, overTLS} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				p := listen(t, running(t, w), kind, netconn.ListenConfig{})
				nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
					if c1, c2, err = p.dial(); err != nil {
						return nil, nil, nil, err
					}
					return c1, c2, func() { _, _ = c1.Close(), c2.Close() }, nil
				})
			})
		}
	}
}
