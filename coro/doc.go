// Package coro writes protocols as straight-line code that runs on the loop.
//
//	func greet(s *coro.Session) error {
//		fmt.Fprint(s, "220 hello\n")
//		for sc := bufio.NewScanner(s); sc.Scan(); {
//			if sc.Text() == "QUIT" {
//				fmt.Fprint(s, "221 bye\n")
//				return nil // Close; an error would Abort
//			}
//			fmt.Fprintf(s, "250 %s\n", sc.Text())
//		}
//		return nil
//	}
//
//	r.Listen(addr, coro.Factory(greet), nil)
//
// A [Session] is a net.Conn. Where its Read has nothing, it suspends the function, and the loop goes on; when bytes have come, the loop
// resumes it. That costs about a tenth of a microsecond and no goroutine is scheduled: the function and the loop take turns, so the
// function shares the loop's world without locks, and runs under a seed in a simulation like all other code.
//
// [Go] is for a function without a connection, [Wait] for operations that tell their end by a callback, [Dial] and [Listener] for
// connections that a coroutine makes or accepts.
//
// Three rules. A body does not wait for anything but by this package: a channel, a lock or time.Sleep would stop the loop. It does not
// hold a lock while it waits, because other callbacks run meanwhile. And its methods are not for other goroutines, so a
// body starts none that uses them. docs/coroutines.md has more.
package coro
