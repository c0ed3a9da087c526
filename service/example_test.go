package service_test

import (
	"context"
	"fmt"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
	"github.com/whorl-go/whorl/service"
	"github.com/whorl-go/whorl/sim"
)

// A program is a tree of services: a server, a client of another server, and work that is repeated.
func Example() {
	r := reactor.New(sim.New(1).Kernel(), reactor.Config{})
	feed := &place{Addr: loopback(7000)}

	app := service.NewApplication(r, "app")
	app.Add(service.Named(r, "feed", service.NewServer(r, feed, reactor.Each[silent]())))
	client := service.NewClient(r, feed, reactor.Each[silent](), &service.ClientConfig{
		Policy: retry.Exponential{Max: 30 * time.Second},
	})
	app.Add(service.Named(r, "client", client))
	app.Add(service.Named(r, "report", service.NewPeriodic(r, time.Minute, func(int) *deferred.Deferred[service.None] {
		fmt.Println("the client is", client.State())
		return nil
	})))

	code := service.Run(context.Background(), r, func() *deferred.Deferred[service.None] {
		return deferred.Chain(app.Start(), func(service.None) *deferred.Deferred[service.None] {
			return deferred.Sleep(r, 90*time.Second) // a server would return a result that never comes
		})
	})
	fmt.Println("exit code", code)
	// Output:
	// the client is connecting
	// the client is connected
	// exit code 0
}

// A client keeps a connection, whatever becomes of the server, and can be waited for.
func ExampleClient() {
	n := sim.New(1)
	defer n.Close()
	srv, cli := n.Host("srv"), n.Host("cli")
	n.At(5*time.Second, func() { srv.Reactor.Listen(srv.Addr(7), reactor.Each[silent](), nil) })

	at := &place{Addr: kernel.HostAddr("srv", 7)}
	c := service.NewClient(cli.Reactor, at, reactor.Each[silent](), nil)
	n.At(0, func() {
		c.Start()
		c.WhenConnected(1).Done(func(_ reactor.Protocol, err error) { fmt.Println("impatient:", err != nil) })
		c.WhenConnected(0).Done(func(p reactor.Protocol, err error) {
			fmt.Println("patient:", err == nil, n.Now() > 5*time.Second)
		})
	})
	_ = n.Run(time.Minute)
	fmt.Println(c.State())
	// Output:
	// impatient: true
	// patient: true true
	// connected
}

// Calls stay on the grid, and are told how many places of it have passed.
func ExampleLoopingCall() {
	r := reactor.New(sim.New(1).Kernel(), reactor.Config{})
	start := r.Now()
	calls := 0
	loop := service.NewLoopingCall(r, func(count int) *deferred.Deferred[service.None] {
		fmt.Println((r.Now() - start).Round(time.Second), count)
		if calls++; calls == 3 {
			r.Stop()
		}
		return deferred.Sleep(r, 2500*time.Millisecond) // the next call waits for it
	})
	loop.Start(time.Second, true)
	_ = r.Run(context.Background())
	// Output:
	// 0s 1
	// 3s 3
	// 6s 3
}
