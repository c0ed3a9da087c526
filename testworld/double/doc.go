// Package double has test doubles for those who write protocols and factories. Each is real
// code on the simulated kernel, or a wrapper around it that Unwrap leads through, so a double
// does not behave otherwise than what ships:
//
//   - [Transport] records what a protocol writes. The test calls the protocol's methods itself.
//   - [Pump] joins two protocols. Bytes move when the test says so.
//   - [Kernel] is the kernel below a reactor, [New], to which nobody connects by himself: it records
//     each listen, dial and adoption, and the test says how a dial ends.
//   - [NewRaising] makes a reactor whose listens and dials fail.
//   - [Strict] and [Ten] are producers, [Accumulator] and [Lines] are protocols.
//
// Time is the simulated kernel's: it stands still until [Advance]. All of this package is for the
// goroutine of the test, which is the loop's, and everything is closed when the test ends. A mistake of a test, or of the
// protocol that it tests, fails the test by t.
//
// A double shows what one protocol does at its own end. What becomes of it in a network, under load and faults, is for
// package sim; what it does on every kernel is for package testworld.
package double
