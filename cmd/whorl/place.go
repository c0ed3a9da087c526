package main

import (
	"errors"
	"fmt"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
)

// place is somewhere to listen, and how the user wrote it.
type place struct {
	text string
	at   endpoint.Server
}

// places reads descriptions. All of them are read before any is opened.
func places(known *endpoint.Schemes, texts ...string) ([]place, error) {
	var all []place
	for _, text := range texts {
		at, err := known.Server(text)
		if err != nil {
			return nil, misplaced(text, err)
		}
		all = append(all, place{text, at})
	}
	return all, nil
}

// misplaced is a usage error that shows the description.
func misplaced(text string, err error) error {
	if errors.Is(err, endpoint.ErrSyntax) {
		return usage(err) // it shows it already
	}
	return usage(fmt.Errorf("endpoint description %q: %w", text, err))
}

// schemes are the standard types of places: streams have the options o unless their
// description says otherwise, and TLS tells the log what it has to say.
func (g *globals) schemes(t terminal, o kernel.StreamOptions) *endpoint.Schemes {
	log, _ := g.logger(t.err)
	return std.Schemes(&std.Options{StreamOptions: o, TLSSettings: std.TLSSettings{Logger: log}})
}
