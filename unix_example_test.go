package whorl_test

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// The code about UNIX sockets in docs/serve.md. Its test is in unix_test.go.

// listenLocked listens on a path that nobody else may have.
func listenLocked(r *reactor.Reactor, path string, f reactor.Factory) (*reactor.Port, error) {
	cfg := &reactor.ListenConfig{}
	cfg.UNIX = kernel.UNIXOptions{Mode: 0o660, Lock: true} // and Owner, Group
	port, err := r.Listen(kernel.UNIXAddr(path), f, cfg)
	return port, err
}

// dialLocked connects to a path whose server lives.
func dialLocked(r *reactor.Reactor, path string, f reactor.Factory, done func(reactor.Protocol, error)) {
	cfg := &reactor.DialConfig{}
	cfg.CheckLock = true
	r.Dial(kernel.UNIXAddr(path), f, cfg, done)
}
