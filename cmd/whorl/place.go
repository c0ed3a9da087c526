package main

import (
	"errors"
	"fmt"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// unread shows the description in an error about it. If the description cannot be understood, that is a usage error.
func unread(err error) error {
	wrong := errors.Is(err, endpoint.ErrSyntax) || errors.Is(err, endpoint.ErrUnknownScheme) || errors.Is(err, endpoint.ErrKind) || errors.Is(err, endpoint.ErrArgument)
	e, ok := errors.AsType[*whorl.PlaceError](err)
	if !ok || !wrong || errors.Is(err, reactor.ErrListen) {
		return err
	}
	return misplaced(e.Place, e.Err)
}

// misplaced is an error that shows the description. It is a usage error, unless the description is right and what is wrong is a file of
// certificates that it names, or that this machine has no trust roots.
func misplaced(text string, err error) error {
	if errors.Is(err, endpoint.ErrSyntax) {
		return usage(err) // it shows it already
	}
	shown := fmt.Errorf("endpoint description %q: %w", text, err)
	if _, file := errors.AsType[*certs.Error](err); file || errors.Is(err, certs.ErrNoRoots) {
		return shown
	}
	return usage(shown)
}

// schemes are the standard types of places. o are the defaults of streams; a
// description may change them. TLS writes its messages to the log. Servers listen on loopback
// unless their description has an interface: they are for trying things out, and none of them asks
// who a client is. They may be sockets that a service manager has passed.
func (g *globals) schemes(t terminal, o kernel.StreamOptions) *endpoint.Schemes {
	log, _ := g.logger(t)
	return std.Schemes(&std.Options{StreamOptions: o, Loopback: true, Activation: activation.Take(), TLSSettings: std.TLSSettings{Logger: log}})
}
