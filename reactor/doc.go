// Package reactor is the loop: one goroutine that owns timers, sockets and the
// protocols on them.
//
// A [Reactor] stands on a [kernel.Kernel] and needs nothing else. Protocols are
// plain objects whose methods the loop calls, one at a time, so the state they
// share needs no lock; transports never block. Two doors lead in from other
// goroutines, [Reactor.Post] and [Ask].
//
// One turn of the loop is always the same, and docs/loop.md says it in full:
//
//  1. posted functions, the batch that was there when the turn began;
//  2. delayed calls that are due at the turn's one reading of the clock;
//  3. shutdown, if Stop was called;
//  4. what was written so far is sent, then the kernel waits;
//  5. sockets, in the order the kernel reported them;
//  6. what callbacks wrote elsewhere is sent, and tokens are recycled.
package reactor
