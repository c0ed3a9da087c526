// Package websocket serves WebSockets (RFC 6455) on the loop. An idle one costs neither a goroutine nor a coroutine, and no buffer: below 1 KB
// with all that the reactor has of it.
//
// A [Server] makes the protocol of a factory speak by messages: each call of DataReceived has one message, and each Write sends one. So a
// protocol for lines serves browsers too, if each line is a message. The Server takes connections in two ways:
//
//	r.Listen(addr, websocket.NewServer(app, nil), nil)       // as a reactor.Factory: a port for WebSockets alone
//	http.Handle("/chat", websocket.NewServer(app, nil))      // as an http.Handler, beside pages, on a listener of package netconn
//
// Of the frames, package github.com/gobwas/ws knows the format. What is here is the rest: whole messages, limits, pings, closing.
//
// Messages are handled on the loop, by callbacks. For a handler that blocks, [Blocking] makes a factory that has each message handled
// on a goroutine of a bounded set.
//
// There are no extensions, such as compression, and there is no client.
package websocket
