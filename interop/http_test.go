package interop

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"

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

// serving has srv serve at a Listener of its own. cfg is for those with TLS.
type serving func(s *site, srv *http.Server, cfg *tls.Config) net.Listener

func plain(s *site, srv *http.Server, _ *tls.Config) net.Listener {
	l := s.listen(netconn.ListenConfig{})
	serve(s, srv, srv.Serve, l)
	return l
}

func tlsBelow(s *site, srv *http.Server, cfg *tls.Config) net.Listener {
	l := s.listen(netconn.ListenConfig{Over: overServer(cfg)})
	serve(s, srv, srv.Serve, l)
	return l
}

func tlsAbove(s *site, srv *http.Server, cfg *tls.Config) net.Listener {
	l := s.listen(netconn.ListenConfig{})
	srv.TLSConfig = cfg.Clone() // net/http changes it
	serve(s, srv, func(l net.Listener) error { return srv.ServeTLS(l, "", "") }, l)
	return l
}

func unencrypted(s *site, srv *http.Server, _ *tls.Config) net.Listener {
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return plain(s, srv, nil)
}

func idling(s *site, srv *http.Server, _ *tls.Config) net.Listener {
	return serveIdle(s, srv, netconn.IdleConfig{Linger: time.Millisecond})
}

func idlingTLS(s *site, srv *http.Server, cfg *tls.Config) net.Listener {
	var o netconn.IdleConfig
	o.Over, o.Linger = overServer(cfg), time.Millisecond
	return serveIdle(s, srv, o)
}
