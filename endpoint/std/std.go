// Package std has the usual places to listen and to connect: TCP, TLS and UNIX sockets, and those for datagrams: UDP and
// UNIX sockets.
//
// Each place is a struct with the arguments of its scheme. [Schemes] is the set of all
// of them; the structs may also be used without a description.
package std

import (
	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Options are what all places of a set have in common. Nil and the zero value are the
// defaults.
type Options struct {
	// StreamOptions are the values of these arguments when a description does not
	// give them. Control is none; all places of the set have it.
	kernel.StreamOptions
	// PortLimits are the values of these arguments of servers when a description does not
	// give them. They hold for each place by itself, also for one on both families (Loopback).
	reactor.PortLimits
	// StreamConfig configures the buffers of all connections, which for TLS are those
	// below TLS. Descriptions cannot change it.
	reactor.StreamConfig
	// TLSSettings are those of the places of TLS. Their Logger gets the error output of programs of exec places too; if it is nil, that of the reactor does.
	TLSSettings
	// Activation are the sockets that a service manager has passed, for systemd places. Nil: none.
	Activation *activation.Sockets
	// Packets are the values of these arguments when the description of a place of datagrams does not give them, and the
	// limits of its port, which descriptions cannot change. Bind must be zero. Broadcast, Shared and ReusePort are for UDP alone.
	Packets reactor.PacketConfig
	// Environ is the environment that programs of exec places inherit, as "name=value". Nil: that of this process.
	Environ []string
	// Loopback has places to listen without an interface listen on loopback alone, on both
	// families where the scheme has both; see [TCPServer]. A place of datagrams has one address, 127.0.0.1 or, of udp6,
	// ::1; see [UDPServer].
	Loopback bool
}

// Schemes is a new set of the types of this package: tcp, tcp4 and tcp6, each for
// listening ([TCPServer], [TCP6Server]) and for connecting ([TCPClient]); tls and ssl, for
// listening ([TLSServer], [SSLServer]) and for connecting ([TLSClient], [SSLClient]); unix, for
// listening ([UNIXServer]) and for connecting ([UNIXClient]); exec, a program, for connecting ([ExecClient]); fd, for a descriptor that listens
// ([FDServer]) or is connected ([FDClient]); stdio, standard input and output, for listening ([StdioServer]); serial, for a
// serial port ([SerialServer], [SerialClient]); systemd, for listening ([SystemdServer]); and haproxy, for listening behind a proxy
// ([HAProxyServer]) and for being one ([HAProxyClient]). For datagrams there are udp, udp4 and
// udp6, for receiving ([UDPServer]) and for sending ([UDPClient]); unixgram, for receiving ([UNIXGramServer]) and for
// sending ([UNIXGramClient]); fd, for a descriptor ([FDPacketServer], [FDPacketClient]); and systemd, for receiving
// ([SystemdPacketServer]).
func Schemes(o *Options) *endpoint.Schemes {
	if o == nil {
		o = new(Options)
	}
	tls := o.TLSSettings
	listen := kernel.ListenOptions{StreamOptions: o.StreamOptions}
	server := TCPServer{ListenOptions: listen, PortLimits: o.PortLimits, StreamConfig: o.StreamConfig, Loopback: o.Loopback}
	client := TCPClient{StreamOptions: o.StreamOptions, StreamConfig: o.StreamConfig}
	server4, client4, client6 := server, client, client
	server4.Family, client4.Family, client6.Family = reactor.IPv4, reactor.IPv4, reactor.IPv6
	s := new(endpoint.Schemes)
	s.AddServer("tcp", func() endpoint.Server { e := server; return &e })
	s.AddServer("tcp4", func() endpoint.Server { e := server4; return &e })
	s.AddServer("tcp6", func() endpoint.Server {
		return &TCP6Server{ListenOptions: listen, PortLimits: o.PortLimits, StreamConfig: o.StreamConfig, Loopback: o.Loopback}
	})
	s.AddServer("tls", func() endpoint.Server {
		return &TLSServer{TCPServer: server, TLSSettings: tls, Known: s, defaults: server}
	})
	s.AddServer("ssl", func() endpoint.Server { return &SSLServer{TCPServer: server, TLSSettings: tls} })
	s.AddServer("fd", func() endpoint.Server {
		return &FDServer{PortLimits: o.PortLimits, StreamOptions: o.StreamOptions, StreamConfig: o.StreamConfig}
	})
	s.AddServer("systemd", func() endpoint.Server {
		return &SystemdServer{Activation: o.Activation, PortLimits: o.PortLimits, StreamOptions: o.StreamOptions, StreamConfig: o.StreamConfig}
	})
	s.AddClient("fd", func() endpoint.Client {
		return &FDClient{StreamOptions: o.StreamOptions, StreamConfig: o.StreamConfig}
	})
	s.AddClient("exec", func() endpoint.Client {
		return &ExecClient{StreamConfig: o.StreamConfig, Environ: o.Environ, Logger: tls.Logger}
	})
	s.AddServer("stdio", func() endpoint.Server { return &StdioServer{StreamConfig: o.StreamConfig} })
	s.AddServer("unix", func() endpoint.Server {
		return &UNIXServer{SendBuffer: o.SendBuffer, PortLimits: o.PortLimits, StreamConfig: o.StreamConfig}
	})
	s.AddClient("unix", func() endpoint.Client {
		return &UNIXClient{SendBuffer: o.SendBuffer, StreamConfig: o.StreamConfig}
	})
	s.AddClient("tcp", func() endpoint.Client { e := client; return &e })
	s.AddClient("tcp4", func() endpoint.Client { e := client4; return &e })
	s.AddClient("tcp6", func() endpoint.Client { e := client6; return &e })
	s.AddClient("tls", func() endpoint.Client {
		return &TLSClient{TCPClient: client, TLSSettings: tls, Known: s, defaults: o.StreamOptions}
	})
	s.AddClient("ssl", func() endpoint.Client { return &SSLClient{TCPClient: client, TLSSettings: tls} })
	s.AddServer("serial", func() endpoint.Server { return &SerialServer{SerialPlace: SerialPlace{StreamConfig: o.StreamConfig}} })
	s.AddClient("serial", func() endpoint.Client { return &SerialClient{SerialPlace: SerialPlace{StreamConfig: o.StreamConfig}} })
	s.AddServer("haproxy", func() endpoint.Server { return &HAProxyServer{Known: s} })
	s.AddClient("haproxy", func() endpoint.Client { return &HAProxyClient{Known: s} })
	o.addPackets(s)
	return s
}

// addPackets adds the types of datagrams.
func (o *Options) addPackets(s *endpoint.Schemes) {
	for _, family := range []reactor.Family{reactor.AnyFamily, reactor.IPv4, reactor.IPv6} {
		s.AddPacketServer(udpScheme(family), func() endpoint.PacketServer {
			return &UDPServer{PacketConfig: o.Packets, Family: family, Loopback: o.Loopback}
		})
		s.AddPacketClient(udpScheme(family), func() endpoint.PacketClient {
			return &UDPClient{PacketConfig: o.Packets, Family: family}
		})
	}
	adopted := o.Packets
	adopted.Shared, adopted.ReusePort = false, false
	s.AddPacketServer("fd", func() endpoint.PacketServer { return &FDPacketServer{PacketConfig: adopted} })
	s.AddPacketClient("fd", func() endpoint.PacketClient { return &FDPacketClient{PacketConfig: adopted} })
	s.AddPacketServer("systemd", func() endpoint.PacketServer {
		return &SystemdPacketServer{Activation: o.Activation, PacketConfig: adopted}
	})
	grams := adopted
	grams.Broadcast = false
	s.AddPacketServer("unixgram", func() endpoint.PacketServer {
		return &UNIXGramServer{SendBuffer: grams.SendBuffer, RecvBuffer: grams.RecvBuffer, PacketConfig: grams}
	})
	s.AddPacketClient("unixgram", func() endpoint.PacketClient {
		return &UNIXGramClient{SendBuffer: grams.SendBuffer, RecvBuffer: grams.RecvBuffer, PacketConfig: grams}
	})
}
