// Package flow has policies for connections, as factories around factories, and what moves many bytes or messages at the
// pace of the slowest.
//
// A policy is a factory around another one. Its connections keep every capability that reactor.As, reactor.ProtocolAs and
// reactor.FactoryAs find, and the protocols above need not know of it:
//
//	r.Listen(addr, flow.ReadProxy(app, &flow.ReadProxyOptions{Trusted: balancers}), nil)
//
// What a port limits by itself, such as the number of its connections, those of one peer and the rate of accepting, is
// [reactor.PortLimits].
package flow
