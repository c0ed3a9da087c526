// Package testworld is for tests of code that runs on a reactor: every kernel of
// this machine, and the simulated one, as a world to run the same test body in; a
// peer outside of every reactor, a way to turn reactors until something is so, a
// kernel that fails on demand, and a language for scenarios.
//
//	for name, w := range testworld.Worlds() {
//		t.Run(name, func(t *testing.T) {
//			r := w.New(t, reactor.Config{})
//			...
//			testworld.Until(t, func() bool { return got == want }, r)
//		})
//	}
//
// # The scenario language
//
// A [Script] is text, one command a line; # begins a comment. It says what two
// sides of connections do, and its transcript is what was called on them. All kernels,
// all ways of cutting a stream, and one reactor or two must give the same transcript.
//
//	listen srv echo
//	dial cli srv
//	wait cli dialled
//	write cli "hello"
//	wait cli bytes 5
//	close cli
//
// A NAME is of a port and all ends accepted on it, or of a dial and its end, or its
// ends. It may be used before the line that declares it, by on and hide. A command about
// a name is for all its ends; behind on, it is for the end in whose callback it stands,
// if that is of the same name. BYTES are a text in quotes, as Go writes it, or a number: so many bytes
// of a pattern that goes on from write to write. A TIME is like 5ms.
//
// Connections are made by
//
//	listen NAME [half] [echo] [refuse] [high=N] [low=N] [max=N]
//	dial NAME[*N] PORT|refused|silent|unknown [half] [echo] [refuse] [high=N] [low=N] [max=N] [timeout=TIME]
//
// dial makes one connection, or N. In place of a port, refused is an address where
// nobody listens, silent a name that is never resolved, unknown one that is not known.
// An end that is half is a reactor.HalfCloseListener, echo writes what it reads,
// refuse makes a factory without protocols; high, low and max are the marks and
// the limit of the reactor's StreamConfig.
//
// Their ends are told to
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
// A producer that pushes writes pieces until it is paused, one that is pulled writes one
// each time the loop comes round; after TOTAL bytes it unregisters. An idle one writes
// nothing.
//
//	cancel DIAL|TIMER
//	disconnect DIAL
//	stop PORT
//
// are Connector.StopConnecting, DelayedCall.Cancel, Connector.Disconnect and
// Port.StopListening.
//
//	on NAME EVENT COMMAND
//	post COMMAND
//	timer NAME TIME COMMAND
//	reset TIMER TIME
//
// carry out a command in a callback, a posted function or a delayed call. on does it
// once for each end. An EVENT is built (in BuildProtocol), made, data, bytes N (data has
// come to N bytes or more), readlost, writelost, lost; of a dial dialled or failed; of a producer
// paused, resumed, stopped, finished; of a port freed (its end of listening).
//
//	say TEXT
//	mark NAME TEXT
//	panic TEXT
//
// write to the transcript, to that of an end, and panic; the last only in callbacks.
//
//	wait NAME EVENT [COUNT]
//	turn N
//	hide NAME data|reason|producing|everything
//
// wait turns the loop until an event has happened to COUNT ends, or to all there are and
// at least one; of a timer, until it was called: wait NAME. turn makes N turns without
// waiting. hide keeps from the transcript what is not promised in a scenario: the data
// received, the reasons of losses, what producers were asked, or all about a name. A script
// ends when all its connections have.
//
// The transcript has, for each name, its ends with their callbacks in order; ends that
// tell the same are told once, with their number. Runs of data are one entry: the number of bytes and
// the bytes, or a hash. Errors are named by what errors.Is finds. Times, addresses, how
// streams are cut, how often a producer is paused and what happens between ends in
// which order are not in it, for no promise fixes them.
package testworld
