// Package sim is a simulated kernel and the network around it: hosts with a reactor each,
// sockets with buffers, links, one clock and one source of chance. Code that runs on a real
// kernel runs here unchanged, in virtual time. One seed decides everything that is left to
// chance: how streams are cut, how long segments travel, in which order sockets are reported,
// and what happens first among things of the same moment.
//
// A [Net] is driven in one of two ways. With [Net.Run], [Net.RunUntil] and [Net.Step] one
// goroutine turns the reactors of all hosts, and time jumps from one event to the next; the
// same seed gives the same run and the same [Net.Hash]. A kernel from [OpenKernel] or
// [Net.Kernel] drives itself: its Wait moves the clock. It is for code that owns its loop,
// such as Reactor.Run.
//
// [Options] are the conditions of a network and its random faults: [Net.Options] holds those
// that are always there, and [Net.Apply] adds others until [Net.Calm]. Single faults are
// methods: partitions, holds and clogs of links; crashes, kills, pauses and wrong clocks of
// hosts. A [Rule] judges every segment. A program that is to survive a crash is started with
// [Host.Start].
//
// A reactor on a simulated kernel tells it of every callback. Callbacks are part of the
// trace, see [Net.Trace] and [Net.Events]. Rules that hold for any program are checked all
// the time; a run in which one is broken ends with an [InvariantError]. [Options.Sites] makes
// rare branches happen often.
//
// A [World] is a program and what must hold in it. [Test] runs it under many seeds in a Go
// test, and package sim/simmain makes a command of it.
//
// Streams are TCP's: data that a reader does not take fills the buffers of both sides, ends
// and resets arrive behind the data, and a socket that is closed with data unread resets its
// peer. Nothing is lost for good: a segment that the network drops is sent again, until
// [Options.RetryTimeout] has passed.
//
// Datagrams are UDP's: each travels alone and for a time of its own, may be lost for good, come twice and
// overtake others, and is dropped where there is no room. [Net.Packets] counts them. Multicast groups span all hosts.
package sim
