// Package tlsio is TLS as a transport upon a transport, by crypto/tls as it is.
//
// [Server] and [Client] wrap the factory of a port or connector. [StartServer] and
// [StartClient] protect a connection that has begun in clear. The protocol then has a
// [Conn], which can do what a reactor.Stream can. Below a Conn there may be any
// transport, another Conn included. Package certs makes the configurations.
//
//	port, err := r.Listen(addr, tlsio.Server(config, echoes, nil), nil)
//
// A protected connection has no goroutine: the loop calls tls.Conn over memory. The
// handshake is a coroutine that stops whenever it wants input. Its steps are computed
// on goroutines of their own or, on a simulated kernel, in virtual time, so that a seed gives the
// same run. A slow peer holds up neither.
package tlsio
