package std

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// tlsListen is a place to listen for TLS, on TCP or over another place.
type tlsListen struct {
	tlsPlace
	tcp      TCPServer
	over     endpoint.Server // nil: tcp
	source   certs.Source
	argument string        // the name of the argument for the certificate
	clients  string        // file or directory of the authorities of clients
	optional bool          // clients need not show a certificate
	every    time.Duration // between two looks at the files
}

// config reads and checks the files, and returns a configuration and its store.
func (l *tlsListen) config() (*tls.Config, *certs.Store, error) {
	if err := l.tcp.Check(); err != nil {
		return nil, nil, l.renamed(err)
	}
	if err := l.parse(); err != nil {
		return nil, nil, err
	}
	store, err := certs.Load(&certs.StoreOptions{Sources: []certs.Source{l.source}})
	if err != nil {
		argument, value := l.argument, l.source.File+l.source.Dir
		if e, ok := errors.AsType[*certs.Error](err); ok && e.Path != "" {
			switch e.Path {
			case l.source.ChainFile:
				argument, value = "extraCertChain", e.Path
			case l.source.KeyFile:
				argument, value = "privateKey", e.Path
			}
		}
		return nil, nil, l.fail(argument, value, err)
	}
	if l.optional && l.clients == "" {
		return nil, nil, l.fail("optionalClientCert", "yes", fmt.Errorf("%w: it needs clientCAs, the authorities of the clients", ErrContradiction))
	}
	cfg, err := certs.ServerConfig(&certs.ServerOptions{
		Store: store, ClientCAs: rootsAt(l.clients), OptionalClientCert: l.optional,
		NextProtos: l.protos, MinVersion: l.minVersion, MaxVersion: l.maxVersion, Logger: l.Logger,
	})
	if err != nil {
		return nil, nil, l.fail("clientCAs", l.clients, err)
	}
	return cfg, store, nil
}

// check tries config. It does not keep what was read: the files may change before
// listen.
func (l *tlsListen) check() error {
	_, _, err := l.config()
	return err
}

// listen opens the port and looks at the files from then on. There is one store, one tls.Config and one look at the files for all
// loops of a group, so that a session resumes on any loop (GROUP-14). The loop that has started the factory looks; if it is lost, another one does.
func (l *tlsListen) listen(on reactor.Loops, f reactor.Factory) (endpoint.Listener, error) {
	cfg, store, err := l.config()
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Local: l.local(), Err: err}
	}
	g := &explainFactory{Factory: f, log: l.Logger}
	var reloader *tlsio.Reloader
	g.start = func(r *reactor.Reactor) {
		c := &tlsio.ReloadConfig{Every: l.every, Logger: l.Logger}
		if l.every > 0 {
			c.Settle = min(l.every, time.Second)
		}
		reloader = tlsio.NewReloader(r, store, c)
	}
	g.moved = func(r *reactor.Reactor) {
		if reloader != nil { // otherwise starting has failed before
			reloader.Move(r)
		}
	}
	g.stop = func() { reloader.Stop() }
	secure := tlsio.Server(cfg, g, l.Options)
	if l.over != nil {
		return l.over.Listen(on, secure)
	}
	return l.tcp.Listen(on, secure)
}

// local is the address of a place on TCP. Other places name theirs in their own errors.
func (l *tlsListen) local() kernel.Addr {
	if l.over != nil {
		return kernel.Addr{}
	}
	return l.tcp.local()
}
