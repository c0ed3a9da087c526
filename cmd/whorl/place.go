package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/whorl-go/whorl/endpoint"
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
	s := endpoint.Std()
	changed(s, func(at endpoint.Server) {
		switch e := at.(type) {
		case *endpoint.TCPServer:
			e.NoDelay = true
		case *endpoint.TCP6Server:
			e.NoDelay = true
		case *endpoint.TLSServer:
			e.NoDelay = true
		case *endpoint.SSLServer:
			e.NoDelay = true
		}
	}, func(to endpoint.Client) {
		switch e := to.(type) {
		case *endpoint.TCPClient:
			e.NoDelay = true
		case *endpoint.TLSClient:
			e.NoDelay = true
		case *endpoint.SSLClient:
			e.NoDelay = true
		}
	})
	return s
}

// logging is known, whose places tell log what they have to say.
func logging(known endpoint.Schemes, log *slog.Logger) endpoint.Schemes {
	changed(known, func(at endpoint.Server) {
		switch e := at.(type) {
		case *endpoint.TLSServer:
			e.Logger = log
		case *endpoint.SSLServer:
			e.Logger = log
		}
	}, func(to endpoint.Client) {
		switch e := to.(type) {
		case *endpoint.TLSClient:
			e.Logger = log
		case *endpoint.SSLClient:
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
