// Package tlsio is TLS as a transport upon a transport, by crypto/tls as it is.
//
// [Server] and [Client] wrap the factory of a port or connector, [StartServer] and
// [StartClient] protect a connection that has begun in clear. What the protocol then
// has is a [Conn], which can do what a reactor.Stream can. Below it there may be any
// transport, another Conn included.
//
//	port, err := r.Listen(addr, tlsio.Server(config, echoes, nil), nil)
//
// A protected connection has no goroutine: the loop calls tls.Conn over memory. The
// handshake is a coroutine that stops whenever it wants input; its steps are computed
// in the reactor's pool, or, on a simulated kernel, on the loop, so that a seed is a
// run. A peer that is slow holds neither.
package tlsio
