// Package service has what a program is made of as a tree: parts that are started in order and stopped in the reverse order, and the
// usual parts.
//
//	app := service.NewApplication(r, "app")
//	app.Add(service.Named(r, "web", service.NewServer(r, place, factory)))
//	app.Add(service.Named(r, "store", client))
//	app.Start()
//
// A [Service] is a place in the tree, with a name, a parent and a state. What it does is its [Member]: one of this package, or the program's own with two
// methods, Start and Stop. A [Collection] has several services. If one fails to start, those that were started are stopped again. An [Application] is
// a collection that stops when its reactor does.
//
// The members of this package are [Server], [Client], [Pool], [Connection], [Periodic] and [Cooperator]; [Func] makes one of two functions. [LoopingCall] calls a function
// again and again, without drift and without calls that pile up. [Main] runs a tree as a program, with signals, a service manager and an exit status; [Run] runs a program
// for one result.
//
// Everything belongs to the goroutine of the reactor's loop. docs/promises/services.md lists what is promised.
package service
