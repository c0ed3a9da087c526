// Package netconn joins the loop and goroutine code: a transport of a reactor as a net.Conn, a
// port as a net.Listener, and a net.Conn or net.Listener on the loop.
//
// [Dial], a [Dialer] and [Listen] are for what takes package net's types, such as net/http,
// database drivers and gRPC. [New] makes a Conn of any other transport: a pipe, a UNIX socket,
// TLS of package tlsio, a simulated network. [AdoptConn] and [AdoptListener] go the other way.
// An [IdleListener] serves net/http, and keeps idle connections without a goroutine.
//
//	l, err := netconn.Listen(r, addr, nil)
//	...
//	http.Serve(l, handler)
//
// The methods of a Conn may be called from any goroutine but the loop's, because they may wait
// for the loop. Bytes cross between the two in batches. A Write hands over what it was given and
// returns; the loop sends what all goroutines have written since it last looked. What has arrived
// goes straight into the slice of a Read that waits. Then the loop lets the goroutines run that it
// has woken, before it sleeps.
package netconn
