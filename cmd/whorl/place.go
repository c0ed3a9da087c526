package main

import (
	"errors"
	"fmt"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// unread turns an error about a description that cannot be understood into a usage error.
func unread(err error) error {
	wrong := errors.Is(err, endpoint.ErrSyntax) || errors.Is(err, endpoint.ErrUnknownScheme) || errors.Is(err, endpoint.ErrKind) || errors.Is(err, endpoint.ErrArgument)
	e, ok := errors.AsType[*whorl.PlaceError](err)
	if !ok || !wrong || errors.Is(err, reactor.ErrListen) {
		return err
	}
	return misplaced(e.Place, e.Err)
}

// misplaced is a usage error that shows the description.
func misplaced(text string, err error) error {
	if errors.Is(err, endpoint.ErrSyntax) {
		return usage(err) // it shows it already
	}
	return usage(fmt.Errorf("endpoint description %q: %w", text, err))
}

// schemes are the standard types of places. o are the defaults of streams; a
// description may change them. TLS writes its messages to the log. Servers listen on loopback
// unless their description has an interface: they are for trying things out, and none of them asks
// who a client is. They may be sockets that a service manager has passed.
func (g *globals) schemes(t terminal, o kernel.StreamOptions) *endpoint.Schemes {
	log, _ := g.logger(t)
	return std.Schemes(&std.Options{StreamOptions: o, Loopback: true, Activation: activation.Take(), TLSSettings: std.TLSSettings{Logger: log}})
}
