package interop

import (
	"net"
	"net/http"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
)

// serveIdle has srv serve at an IdleListener. It has ended when the test has.
func serveIdle(s *site, srv *http.Server, o netconn.IdleConfig) *netconn.IdleListener {
	s.Helper()
	l, err := reactor.Ask(s.r, func() (*netconn.IdleListener, error) { return netconn.ListenIdle(s.r, loopback(), &o) })
	if err != nil {
		s.Fatal(err)
	}
	srv.ConnState = func(c net.Conn, st http.ConnState) {
		if st == http.StateNew {
			s.handed.Add(1)
		}
		l.SetIdle(c, st == http.StateIdle)
	}
	serve(s, srv, srv.Serve, l)
	return l
}

// serve has srv serve at l by run, which is its Serve or ServeTLS. It has ended when the test has.
func serve(s *site, srv *http.Server, run func(net.Listener) error, l net.Listener) {
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := run(l); err != http.ErrServerClosed {
			s.Errorf("Serve is %v", err)
		}
	}()
	s.Cleanup(func() {
		_ = srv.Close()
		ends(s, "Serve", served)
	})
}
