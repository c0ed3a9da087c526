package main

import (
	"errors"
	"fmt"

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
	for name, mk := range s.Servers {
		s.Servers[name] = func() endpoint.Server {
			at := mk()
			switch e := at.(type) {
			case *endpoint.TCPServer:
				e.NoDelay = true
			case *endpoint.TCP6Server:
				e.NoDelay = true
			}
			return at
		}
	}
	for name, mk := range s.Clients {
		s.Clients[name] = func() endpoint.Client {
			to := mk()
			if e, ok := to.(*endpoint.TCPClient); ok {
				e.NoDelay = true
			}
			return to
		}
	}
	return s
}
