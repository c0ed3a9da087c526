// Package deferred has results that come later: a [Deferred] is given one outcome, a value or an error, once, and what
// depends on it runs then.
//
//	page := deferred.Chain(deferred.Dial(r, addr, factory, nil), func(p reactor.Protocol) *deferred.Deferred[string] {
//		return p.(*client).Get("/")
//	})
//	deferred.Then(page.Timeout(5*time.Second), parse).Done(show)
//
// A function that gives one result later returns a Deferred instead of taking a callback. The caller can then wait for it, compose it with
// others, limit its time and give it up, in one way for all of them. An event that comes more than once stays a callback.
//
// # Rules
//
//   - A Deferred belongs to the goroutine of its reactor's loop. Only [Deferred.Wait] and [Ask] are for other goroutines, and [Go] has
//     work done on one.
//   - The outcome is given once, by [Deferred.Give], [Deferred.Succeed] or [Deferred.Fail]. A second time panics (DEF-1).
//   - A step, such as that of [Then], makes a new Deferred from the outcome. Steps run in the order in which they were added,
//     inside the call that gives the outcome. If it is there already, they run inside the call that adds them (DEF-3).
//   - A Deferred can have several steps. Each gets the same outcome, and a failure passes through each of them to its end.
//   - [Deferred.Cancel] travels inward: from the result of a step to what the step waits for. A Deferred on which others depend as
//     well goes on.
//   - A panic in a step is reported like every panic of a callback, and is the outcome of the step, a [*reactor.PanicError].
//   - A failure that nobody has heard by the next turn of the loop is logged, with the place where it was made (DEF-13).
//
// # A test for each promise
//
// docs/promises/results.md lists what this package promises, and docs/results.md says when to use a callback, a Deferred, a coroutine or
// a goroutine.
package deferred
