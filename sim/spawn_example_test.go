package sim_test

import (
	"fmt"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// printing is the parent's side of a worker.
type printing struct{ process.Base }

func (p *printing) OutputReceived(b []byte) {
	fmt.Printf("%s", b)
	_ = p.C.Signal(syscall.SIGTERM)
}

func (p *printing) Ended(s process.Status) { fmt.Println(s) }

// A program that is registered by name, and started by package process.
func ExampleNet_Program() {
	n := sim.New(1)
	n.Program("/bin/worker", func(p *sim.Program) {
		p.Attach(0, &onEnd{func() { p.Exit(0) }}) // the end of the input: the parent is gone
		out, _ := p.Attach(1, &onEnd{func() {}})
		out.Write([]byte("ready\n"))
		p.Handle(syscall.SIGTERM, func() { p.Exit(3) })
	})
	n.Host("srv").Start(func(h *sim.Host) {
		process.Spawn(h.Reactor, process.NewCommand("worker"), new(printing))
	})
	n.Run(time.Second)
	// Output:
	// ready
	// exit status 3
}

var _ reactor.Protocol = (*onEnd)(nil)
