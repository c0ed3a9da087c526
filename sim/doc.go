// Package sim is a simulated kernel and the network around it: hosts with a
// reactor each, sockets with buffers, links, one clock and one source of chance.
// What runs on a real kernel runs here unchanged, in virtual time, and one seed
// decides everything that is left to chance: how streams are cut, how long
// segments travel, in which order sockets are reported and what happens first
// among things of the same moment.
//
// A [Net] is driven in one of two ways. With [Net.Run], [Net.RunUntil] and
// [Net.Step] one goroutine turns the reactors of all hosts, and time jumps from
// one event to the next; the same seed gives the same run, and the same [Net.Hash].
// A kernel from [OpenKernel] or [Net.Kernel] drives itself: its Wait moves the
// clock. It serves code that owns its loop, such as Reactor.Run.
//
// Links have a [Latency], which may have a long tail, a bandwidth that their connections
// share, and faults: partitions, holds, clogs, loss, and rules that judge every
// segment. Hosts crash, are killed, stand still ([Host.Pause]) and have clocks that are wrong
// ([Host.SetClock]). What is to survive a crash is started with [Host.Start].
//
// The reactors of a Net tell their kernel of every callback, which is in [Net.Trace] and
// [Net.Events], and rules that hold for any program are looked at all the time; a run
// in which one is broken ends with an [InvariantError]. [Net.Sites] has reactors take
// branches that are rare in life.
//
// Streams are TCP's: what a reader does not take fills the buffers of both sides,
// ends and resets arrive behind the data, a socket closed with data unread resets
// its peer. Nothing is lost for good: what the network drops is sent again, later,
// until [Net.RetryTimeout] has passed.
package sim
