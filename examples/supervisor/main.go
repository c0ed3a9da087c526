// Supervisor runs three shells as workers, and starts them again when they end. Try to kill one of them, or the supervisor.
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"time"

	"github.com/whorl-go/whorl/examples/supervisor/supervise"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
)

// script is a worker that counts, fails now and then, and ends with its input.
const script = `
(while echo >&3; do sleep 1; done) &
trap "kill $!" EXIT
for i in 1 2 3 4 5 6; do echo at $i; read -t 1 x; [ $? = 1 ] && exit; done
exit 1`

func main() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{Signals: reactor.StopSignals()})
	s := shells(func(name string, pid int, line string) { fmt.Printf("%s[%d]: %s\n", name, pid, line) }, script)
	s.GaveUp = func() {
		fmt.Println("too many restarts")
		_ = r.Stop()
	}
	r.CallWhenRunning(func() { s.Start(r) })
	if err := r.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// shells supervises three shells that run a script.
func shells(line func(name string, pid int, line string), script string) *supervise.Supervisor {
	s := &supervise.Supervisor{
		Backoff:     retry.Exponential{Initial: 100 * time.Millisecond, Max: 5 * time.Second, Jitter: 100 * time.Millisecond},
		Random:      rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		MaxRestarts: 10, Within: 10 * time.Second,
		Silence: 5 * time.Second, Grace: time.Second,
		Line: func(w *supervise.Worker, pid int, p []byte, _ bool) { line(w.Name, pid, string(p)) },
	}
	for _, name := range []string{"one", "two", "three"} {
		s.Workers = append(s.Workers, supervise.Worker{Name: name,
			Command: process.Command{Path: "/bin/bash", Args: []string{"bash", "-c", script}, Env: os.Environ()}})
	}
	return s
}
