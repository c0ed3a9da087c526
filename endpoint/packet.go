package endpoint

import (
	"fmt"

	"github.com/whorl-go/whorl/reactor"
)

// PacketServer is a place to receive datagrams. Its String is a description of it, for the Schemes it came
// from; [Describe] writes it.
type PacketServer interface {
	fmt.Stringer
	// ListenPacket opens the place and starts p on it. It is called on r's goroutine, and may be called again, for
	// another port with another protocol. Every failure is an error, for which errors.Is finds
	// reactor.ErrListen; p was not started then, unless its StartProtocol panicked (EP-22).
	//
	// The port is a [Listener].
	ListenPacket(r *reactor.Reactor, p reactor.PacketProtocol) (*reactor.PacketPort, error)
}

// PacketClient is a place to send datagrams to. Its String is a description of it, for the Schemes it came
// from; [Describe] writes it.
type PacketClient interface {
	fmt.Stringer
	// ConnectPacket opens a port that is connected to the place, and starts p on it: it sends to that place alone, and
	// receives from it alone. Nothing is sent, so it may succeed although nobody is there. It is called on r's
	// goroutine, and may be called again, for another port with another protocol.
	//
	// done is called once, on the same goroutine, never before ConnectPacket returns (EP-23), unless r has stopped (THR-32). It gets the port, after
	// StartProtocol, or an error, for which errors.Is finds reactor.ErrConnect; p was not started
	// then, unless its StartProtocol panicked.
	//
	// cancel gives the attempt up, and done is called later, with reactor.ErrCancelled. In StartProtocol it stops the
	// port too. After done was called, and the second time, cancel does nothing (EP-24).
	ConnectPacket(r *reactor.Reactor, p reactor.PacketProtocol, done func(*reactor.PacketPort, error)) (cancel func())
}

// AddPacketServer makes name a type for receiving datagrams, as AddServer does for listening. A name may be a type of
// each kind: what the caller asks for decides.
func (s *Schemes) AddPacketServer(name string, mk func() PacketServer) {
	s.packetServers = added(s.packetServers, name, mk)
}

// AddPacketClient makes name a type for sending datagrams, as AddServer does for listening.
func (s *Schemes) AddPacketClient(name string, mk func() PacketClient) {
	s.packetClients = added(s.packetClients, name, mk)
}

// PacketServer returns the place to receive datagrams that description names. Its errors are those of Server.
func (s *Schemes) PacketServer(description string) (PacketServer, error) {
	return find(s.packetServers, names(s.servers), description, kindAsked{datagrams: true})
}

// PacketClient returns the place to send datagrams to that description names. Its errors are those of Server.
func (s *Schemes) PacketClient(description string) (PacketClient, error) {
	return find(s.packetClients, names(s.clients), description, kindAsked{client: true, datagrams: true})
}
