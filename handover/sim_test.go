package handover_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/handover"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// counter is a client that sends numbered lines, each in two pieces, and collects the answers.
type counter struct {
	caller
	sent int
}

// next sends the rest of a line, and the beginning of the next one.
func (c *counter) next() {
	if c.T != nil && c.lost == nil && c.sent < 40 {
		c.sent++
		fmt.Fprintf(c.T, "%d", c.sent)
		c.T.Reactor().CallLater(500*time.Microsecond, func() { fmt.Fprint(c.T, "\n") })
	}
}

// answers are the numbers that were answered; bad is what is none.
func (c *counter) answers() (n int, bad string) {
	for line := range strings.Lines(c.got.String()) {
		_, number, _ := strings.Cut(strings.TrimSpace(line), ":")
		if number != fmt.Sprint(n+1) {
			return n, fmt.Sprintf("%q after %d", line, n)
		}
		n++
	}
	return n, ""
}

// Two programs of one machine hand over, and one of them is killed after each number of steps of the simulation, with
// several seeds. No byte of the connection that moves is lost or doubled; it is cut only if the program dies that has it. Before
// the successor is ready the old program serves on, and once that has stopped, the successor does.
func TestKilledAtEveryStep(t *testing.T) {
	for _, who := range []string{"nobody", "old", "new"} {
		t.Run(who, func(t *testing.T) {
			reached, kept := 0, 0
			for seed := range uint64(6) {
				for steps := range 90 {
					if who == "nobody" && steps != 89 {
						continue
					}
					k := killedAfter(t, 1+seed, who, steps)
					reached, kept = max(reached, k.progress), kept+k.kept
					if t.Failed() {
						t.Fatalf("seed %d, %s killed after %d steps", 1+seed, who, steps)
					}
				}
			}
			if reached < 3 || kept == 0 {
				t.Errorf("it never came to the end: %d, %d connections lived on", reached, kept)
			}
		})
	}
}

// killing is one run: how far it came when somebody was killed, and how many connections have survived.
type killing struct{ progress, kept int }

func killedAfter(t *testing.T, seed uint64, who string, steps int) (k killing) {
	n := sim.New(seed)
	old := n.Host("old")
	next, there := old.Beside("new"), n.Host("there")
	at := old.Addr(80)
	a := &program{t: t, name: "A", path: "/run/h", r: old.Reactor}
	b := &program{t: t, name: "B", path: "/run/h", r: next.Reactor}
	a.at, b.at = append(a.at, at), append(b.at, at)
	one, ready := new(counter), false
	b.cfg.Offered = func(t *handover.Taking) { b.listen(); t.Ready(); ready = true }
	n.At(0, func() { a.listen(); a.offer() })
	n.At(time.Millisecond, func() {
		there.Reactor.Dial(at, reactor.One(one), nil, nil)
		for i := range 40 {
			there.Reactor.CallLater(time.Duration(i)*time.Millisecond, one.next)
		}
	})
	if err := n.Run(10 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	n.At(0, b.take)
	for range steps {
		n.Step()
	}
	for i, is := range []bool{b.taking != nil, b.stopped, b.resumed > 0} {
		if is {
			k.progress = i + 1
		}
	}
	adopted := len(b.built) > 0 && b.built[0].T != nil
	said, stopped := ready, b.stopped
	switch who {
	case "old":
		old.Kill()
	case "new":
		next.Kill()
	}
	if err := n.Run(100 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	last := new(counter)
	there.Reactor.Dial(at, reactor.One(last), nil, func(_ reactor.Protocol, err error) {
		if last.lost = err; err == nil {
			last.next()
		}
	})
	if err := n.Run(2 * time.Second); err != nil {
		t.Fatal(err)
	}
	got, bad := one.answers()
	cut := one.lost != nil
	if bad != "" || !cut && got != one.sent {
		t.Errorf("answered %d of %d lines, %s", got, one.sent, bad)
	}
	if may := who == "old" && !adopted || who == "new" && b.resumed > 0; cut && !may {
		t.Errorf("the connection was cut: %v; adopted %v, resumed %d, ready %v", one.lost, adopted, b.resumed, said)
	}
	if !cut {
		k.kept++
	}
	served, _ := last.answers()
	if must := who == "nobody" || who == "new" && !said || who == "old" && stopped; must && served != 1 {
		t.Errorf("nobody serves: %v; ready %v, stopped %v", last.lost, said, stopped)
	}
	return k
}
