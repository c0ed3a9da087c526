package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
)

// place is somewhere to listen, and how the user wrote it.
type place struct {
	text string
	at   endpoint.Server
}

// places reads descriptions. All of them are read before any is opened.
func places(known endpoint.Schemes, texts ...string) ([]place, error) {
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

// prompt is the standard types with NoDelay on unless the description says
// otherwise.
func prompt() endpoint.Schemes {
	s := std.Schemes()
	changed(s, func(at endpoint.Server) {
		switch e := at.(type) {
		case *std.TCPServer:
			e.NoDelay = true
		case *std.TCP6Server:
			e.NoDelay = true
		case *std.TLSServer:
			e.NoDelay = true
		case *std.SSLServer:
			e.NoDelay = true
		}
	}, func(to endpoint.Client) {
		switch e := to.(type) {
		case *std.TCPClient:
			e.NoDelay = true
		case *std.TLSClient:
			e.NoDelay = true
		case *std.SSLClient:
			e.NoDelay = true
		}
	})
	return s
}

// logging is known, whose places tell log what they have to say.
func logging(known endpoint.Schemes, log *slog.Logger) endpoint.Schemes {
	changed(known, func(at endpoint.Server) {
		switch e := at.(type) {
		case *std.TLSServer:
			e.Logger = log
		case *std.SSLServer:
			e.Logger = log
		}
	}, func(to endpoint.Client) {
		switch e := to.(type) {
		case *std.TLSClient:
			e.Logger = log
		case *std.SSLClient:
			e.Logger = log
		}
	})
	return known
}

// changed has every place of s changed before its description is read.
func changed(s endpoint.Schemes, server func(endpoint.Server), client func(endpoint.Client)) {
	for name, mk := range s.Servers {
		s.Servers[name] = func() endpoint.Server {
			at := mk()
			server(at)
			return at
		}
	}
	for name, mk := range s.Clients {
		s.Clients[name] = func() endpoint.Client {
			to := mk()
			client(to)
			return to
		}
	}
}
