// Package reactor is the loop: one goroutine that owns timers, sockets and the
// protocols on them.
//
// A [Reactor] needs a [kernel.Kernel] and nothing else. Protocols are plain objects. The
// loop calls their methods one at a time, so the state they share needs no lock.
// Transports never block. Other goroutines reach the loop by [Reactor.Post] and [Ask].
//
// Each turn of the loop has the same steps. docs/loop.md describes them in full.
//
//  1. Call the posted functions that were in the queue when the turn began.
//  2. Make the delayed calls that are due by one reading of the clock.
//  3. Begin the shutdown, if Stop was called.
//  4. Send what was written so far. Then wait in the kernel.
//  5. Serve the sockets, in the order in which the kernel reported them.
//  6. Send what callbacks wrote to other connections. Recycle the tokens.
package reactor
