package deferred_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// asker is a protocol that asks questions of one line, and gets the answers in order.
type asker struct {
	reactor.Base
	r       *reactor.Reactor
	waiting []*deferred.Deferred[string]
}

// Ask sends a question. The answer comes later. Who gives it up still takes its place in the order.
func (a *asker) Ask(question string) *deferred.Deferred[string] {
	d := deferred.New[string](a.r, nil)
	a.waiting = append(a.waiting, d)
	a.T.Write([]byte(question))
	return d
}

func (a *asker) DataReceived(p []byte) {
	next := a.waiting[0]
	a.waiting = a.waiting[1:]
	next.Succeed(string(p))
}

func (a *asker) ConnectionLost(reason error) {
	waiting := a.waiting
	a.waiting = nil
	for _, d := range waiting {
		d.Fail(reason)
	}
}

// shouter answers in capitals.
type shouter struct{ reactor.Base }

func (s *shouter) DataReceived(p []byte) { s.T.Write([]byte(strings.ToUpper(string(p)))) }

// A function that gives one result later returns a Deferred. What it comes to is composed, limited in time, and heard at the end.
func Example() {
	r := reactor.New(sim.New(1).Kernel(), reactor.Config{})
	port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 7000), reactor.Each[shouter](), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	dialled := deferred.Dial(r, port.Addr(), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return &asker{r: r} }), nil)
	answer := deferred.Chain(dialled, func(p reactor.Protocol) *deferred.Deferred[string] {
		return p.(*asker).Ask("hello")
	})
	length := deferred.Then(answer, func(s string) (int, error) { return len(s), nil })
	length.Timeout(5 * time.Second).Done(func(n int, err error) {
		fmt.Println(n, err)
		r.Stop()
	})
	answer.Done(func(s string, err error) { fmt.Println(s, err) })
	_ = r.Run(context.Background())
	// Output:
	// 5 <nil>
	// HELLO <nil>
}

// Blocking work is done off the loop, and its result comes to the loop.
func ExampleGo() {
	r := reactor.New(sim.New(1).Kernel(), reactor.Config{})
	sum := deferred.Go(context.Background(), r, func(ctx context.Context) (int, error) {
		n := 0
		for i := range 1_000_000 {
			n += i
		}
		return n, nil
	})
	sum.Done(func(n int, err error) {
		fmt.Println(n, err)
		r.Stop()
	})
	_ = r.Run(context.Background())
	// Output: 499999500000 <nil>
}

// The quickest of several places wins, and the others are given up.
func ExampleRace() {
	r := reactor.New(sim.New(1).Kernel(), reactor.Config{})
	ask := func(name string, takes time.Duration) *deferred.Deferred[string] {
		return deferred.Later(r, takes, func() (string, error) { return name, nil })
	}
	deferred.Race(r, ask("far", time.Second), ask("near", time.Millisecond)).Done(func(w deferred.Won[string], err error) {
		fmt.Println(w.Index, w.Value, err)
		r.Stop()
	})
	_ = r.Run(context.Background())
	// Output: 1 near <nil>
}

// A goroutine of another library waits for what the loop gives.
func ExampleAsk() {
	r := reactor.New(sim.New(1).Kernel(), reactor.Config{})
	answer := make(chan string)
	go func() {
		s, err := deferred.Ask(context.Background(), r, func() *deferred.Deferred[string] { // on the loop
			return deferred.Later(r, time.Millisecond, func() (string, error) { return "from the loop", nil })
		})
		r.Stop()
		answer <- fmt.Sprint(s, " ", err)
	}()
	_ = r.Run(context.Background())
	fmt.Println(<-answer)
	// Output: from the loop <nil>
}

// What takes several turns and must not mix with others is run under a lock.
func ExampleWith() {
	r := reactor.New(sim.New(1).Kernel(), reactor.Config{})
	l := deferred.NewLock(r)
	for _, name := range []string{"a", "b"} {
		deferred.With(l, func() *deferred.Deferred[deferred.None] {
			fmt.Println(name, "begins")
			return deferred.Sleep(r, time.Second).Finally(func() { fmt.Println(name, "ends") })
		}).Done(func(deferred.None, error) {
			if !l.Locked() {
				r.Stop()
			}
		})
	}
	_ = r.Run(context.Background())
	// Output:
	// a begins
	// a ends
	// b begins
	// b ends
}
