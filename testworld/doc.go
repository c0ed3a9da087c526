// Package testworld helps to test code that runs on a reactor. It has:
//
//   - every kernel of this machine, and the simulated one, as a [World] in which the
//     same test body runs;
//   - a [Peer] that is outside of every reactor;
//   - [Until], which turns reactors until a condition holds;
//   - [Faults], a kernel that fails on demand;
//   - [Script], a language for scenarios.
//
// A test runs in every world like this:
//
//	for name, w := range testworld.Worlds() {
//		t.Run(name, func(t *testing.T) {
//			r := w.New(t, reactor.Config{})
//			...
//			testworld.Until(t, func() bool { return got == want }, r)
//		})
//	}
//
// Suites of tests stand in packages of their own: transporttest holds the contract of a
// transport, kerneltest that of a kernel.
//
// # The scenario language
//
// A [Script] is a text with one command a line; # begins a comment. It says what the two
// sides of connections do. Its transcript tells which of their methods were called. All
// kernels, all ways of cutting a stream, and one reactor or two must give the same
// transcript.
//
//	listen srv echo
//	dial cli srv
//	wait cli dialled
//	write cli "hello"
//	wait cli bytes 5
//	close cli
//
// A NAME stands for a port and all ends accepted on it, or for a dial and its end or
// ends. The commands on and hide may use it before the line that declares it. A command
// applies to all ends of its name. Behind on, it applies only to the end in whose
// callback it runs, if that end has the same name. BYTES are a text in quotes, as in Go,
// or a number: that many bytes of a pattern, which continues from write to write. A TIME
// looks like 5ms.
//
// These commands make connections:
//
//	listen NAME [half] [echo] [refuse] [high=N] [low=N] [max=N]
//	dial NAME[*N] PORT|refused|silent|unknown [half] [echo] [refuse] [high=N] [low=N] [max=N] [timeout=TIME]
//
// dial makes one connection, or N. Three words stand for an address instead of a port:
// nobody listens at refused, silent is a name that is never resolved, and unknown is a
// name that does not exist. half makes an end a reactor.HalfCloseListener. echo makes it
// write what it reads. refuse makes the factory return no protocol. high, low and max are
// the water marks and the limit of the reactor's StreamConfig.
//
// These commands act on ends:
//
//	write NAME BYTES
//	writev NAME BYTES BYTES...
//	closewrite NAME
//	close NAME
//	abort NAME
//	pause NAME
//	resume NAME
//	producer NAME push|pull TOTAL PIECE, or: producer NAME idle
//	unregister NAME
//
// A push producer writes pieces until it is paused. A pull producer writes one piece in
// each turn of the loop. Both unregister after TOTAL bytes. An idle producer writes
// nothing.
//
// These commands call Connector.StopConnecting or DelayedCall.Cancel,
// Connector.Disconnect, and Port.StopListening:
//
//	cancel DIAL|TIMER
//	disconnect DIAL
//	stop PORT
//
// These commands run another command later:
//
//	on NAME EVENT COMMAND
//	post COMMAND
//	timer NAME TIME COMMAND
//	reset TIMER TIME
//
// on runs COMMAND in a callback, once for each end. post runs it in a posted function,
// timer in a delayed call, which reset moves. The EVENT of a connection's end is built
// (in BuildProtocol), made, data, bytes N (when it has received N bytes or more),
// readlost, writelost or lost. That of a dial is also dialled or failed. That of a
// producer is paused, resumed, stopped or finished. That of a port is freed, when it has
// stopped listening.
//
// These commands write a line to the transcript, write a line to the part of an end, and
// panic. panic is for callbacks only:
//
//	say TEXT
//	mark NAME TEXT
//	panic TEXT
//
// These commands control the run:
//
//	wait NAME EVENT [COUNT]
//	turn N
//	hide NAME data|reason|producing|everything
//
// wait turns the loop until the event has happened to COUNT ends. Without COUNT it must
// happen to all ends there are, and at least to one. For a timer, wait NAME waits until
// it was called. turn makes N turns without waiting. hide leaves something out of the
// transcript, because the scenario promises nothing about it: the received data, the
// reasons of losses, the calls to producers, or everything about a name. A script ends
// when all its connections have ended.
//
// For each name, the transcript lists its ends, with their callbacks in order. Ends with
// equal callbacks are listed once, with their number. Consecutive pieces of data are one
// entry: the number of bytes, and the bytes or a hash of them. An error has the name of
// the sentinel that errors.Is finds. The transcript does not have times, addresses, how
// streams were cut, how often a producer was paused, or the order of events at different
// ends: no promise fixes them.
package testworld
