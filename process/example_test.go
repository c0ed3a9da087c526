//go:build unix

package process_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
)

// sorter is the protocol of a child that sorts lines.
type sorter struct {
	process.Base
	sorted []byte
}

func (s *sorter) ChildMade(c *process.Child) {
	s.Base.ChildMade(c)
	c.Write([]byte("pear\napple\nfig\n"))
	c.CloseStdin()
}

func (s *sorter) OutputReceived(p []byte) { s.sorted = append(s.sorted, p...) }

func (s *sorter) Ended(status process.Status) {
	fmt.Printf("%s%v\n", s.sorted, status)
	s.C.Reactor().Stop()
}

// A program that gets its input from us, and whose output we read.
func ExampleSpawn() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	cmd := process.NewCommand("sort")
	cmd.Env = []string{"LC_ALL=C"}
	if _, err := process.Spawn(r, cmd, new(sorter)); err != nil {
		log.Fatal(err)
	}
	r.Run(context.Background())
	// Output:
	// apple
	// fig
	// pear
	// exit status 0
}

// The output of a program, for at most ten seconds.
func ExampleOutput() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	cmd := process.NewCommand("echo", "hello", "from a child")
	_, err = process.Output(r, cmd, &process.RunConfig{Timeout: 10 * time.Second}, func(out []byte, err error) {
		fmt.Printf("%s%v\n", out, err)
		r.Stop()
	})
	if err != nil {
		log.Fatal(err)
	}
	r.Run(context.Background())
	// Output:
	// hello from a child
	// <nil>
}

// nursery ends its child five seconds after the reactor was asked to stop, if it does not end by itself.
type nursery struct{ process.Base }

func (n *nursery) Ended(s process.Status) { fmt.Println(s) }

// A child that ends together with the reactor.
func ExampleCommand_atStop() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	cmd := process.NewCommand("sleep", "1000")
	cmd.AtStop = 5 * time.Second // SIGTERM, and SIGKILL five seconds later
	if _, err := process.Spawn(r, cmd, new(nursery)); err != nil {
		log.Fatal(err)
	}
	r.CallLater(0, func() { r.Stop() })
	r.Run(context.Background())
	// Output: signal: terminated
}
