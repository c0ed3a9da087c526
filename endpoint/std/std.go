// Package std has the usual places to listen and to connect: TCP and TLS.
package std

import (
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/tlsio"
)

// Schemes is a new set of the types of this package: tcp, tcp4 and tcp6, each for
// listening ([TCPServer], [TCP6Server]) and for connecting ([TCPClient]); and tls
// and ssl, for listening ([TLSServer], [SSLServer]) and for connecting ([TLSClient],
// [SSLClient]). The places of TLS of one set have the same tlsio.Options.
func Schemes() endpoint.Schemes {
	t := TLSSettings{Options: new(tlsio.Options)}
	s := endpoint.Schemes{
		Servers: map[string]func() endpoint.Server{
			"tcp":  func() endpoint.Server { return &TCPServer{} },
			"tcp4": func() endpoint.Server { return &TCPServer{Family: IPv4} },
			"tcp6": func() endpoint.Server { return &TCP6Server{} },
			"tls":  func() endpoint.Server { return &TLSServer{TLSSettings: t} },
			"ssl":  func() endpoint.Server { return &SSLServer{TLSSettings: t} },
		},
		Clients: map[string]func() endpoint.Client{
			"tcp":  func() endpoint.Client { return &TCPClient{} },
			"tcp4": func() endpoint.Client { return &TCPClient{Family: IPv4} },
			"tcp6": func() endpoint.Client { return &TCPClient{Family: IPv6} },
			"ssl":  func() endpoint.Client { return &SSLClient{TLSSettings: t} },
		},
	}
	s.Clients["tls"] = func() endpoint.Client { return &TLSClient{TLSSettings: t, Known: s} }
	return s
}
