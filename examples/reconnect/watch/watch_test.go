package watch_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/examples/reconnect/watch"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
	"github.com/whorl-go/whorl/sim"
)

// greeter says one line to whoever connects.
type greeter struct{ reactor.Base }

func (g *greeter) ConnectionMade(t reactor.Transport) {
	g.Base.ConnectionMade(t)
	fmt.Fprintln(t, "hello")
}
func (g *greeter) DataReceived([]byte) {}

// run has a watch follow a greeter that opens after late, and returns what became of it
// in d.
func run(t *testing.T, late, d time.Duration, set func(n *sim.Net, w *watch.Watch)) (heard []string, w *watch.Watch) {
	t.Helper()
	n := sim.New(1)
	n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: time.Millisecond}
	srv, cli := n.Host("srv"), n.Host("cli")
	n.At(late, func() { srv.Reactor.Listen(srv.Addr(7), reactor.Each[greeter](), nil) })
	w = &watch.Watch{
		Reactor: cli.Reactor,
		Feed:    kernel.HostAddr("srv", 7),
		Backoff: retry.Exponential{Jitter: -1},
		Line:    func(line string) { heard = append(heard, line) },
		Changed: func(s watch.State, err error) {
			heard = append(heard, fmt.Sprintf("%v %s", n.Now().Round(100*time.Millisecond), s))
		},
	}
	set(n, w)
	n.At(0, w.Start)
	if err := n.Run(d); err != nil {
		t.Fatal(err)
	}
	n.Close()
	return heard, w
}

func expect(t *testing.T, heard, want []string) {
	t.Helper()
	if !slices.Equal(heard, want) {
		t.Errorf("heard %q\nwant  %q", heard, want)
	}
}

// It waits longer after each failure in a row, and leaves a feed that is silent.
func TestBackoffAndIdle(t *testing.T) {
	heard, _ := run(t, 2*time.Second, 9*time.Second, func(_ *sim.Net, w *watch.Watch) { w.Idle = 3 * time.Second })
	expect(t, heard, []string{
		"0s connecting", "0s waiting", "1s connecting", "1s waiting", "2.5s connecting", "2.5s connected", "hello",
		"5.5s waiting", "6.5s connecting", "6.5s connected", "hello",
		"9s waiting", // the end of the reactor
	})
}

// It gives up when its policy does.
func TestGivesUp(t *testing.T) {
	heard, w := run(t, time.Hour, time.Minute, func(_ *sim.Net, w *watch.Watch) { w.Backoff.MaxRetries = 1 })
	expect(t, heard, []string{"0s connecting", "0s waiting", "1s connecting", "1s stopped"})
	if w.State() != watch.Stopped {
		t.Errorf("it is %s", w.State())
	}
}

// Stop ends it in every state, and Start begins anew.
func TestStop(t *testing.T) {
	for at, state := range map[time.Duration]watch.State{
		500 * time.Microsecond:  watch.Connecting,
		500 * time.Millisecond:  watch.Waiting,
		3000 * time.Millisecond: watch.Connected,
	} {
		var was, is watch.State
		heard, w := run(t, 2*time.Second, 20*time.Second, func(n *sim.Net, w *watch.Watch) {
			n.At(at, func() { was = w.State(); w.Stop(); is = w.State() })
			n.At(10*time.Second, w.Start)
		})
		if was != state || is != watch.Stopped {
			t.Errorf("at %v it was %s, and %s after Stop", at, was, is)
		}
		i := slices.Index(heard, fmt.Sprintf("%v stopped", at.Round(100*time.Millisecond)))
		expect(t, heard[i+1:], []string{"10s connecting", "10s connected", "hello", "20s waiting"})
		if w.State() != watch.Waiting {
			t.Errorf("at the end it is %s", w.State())
		}
	}
}
